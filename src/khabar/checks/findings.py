"""What a check of a corpus can find, how grave it is, and what was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from khabar.checks.inventory import Unit
from khabar.document import DataError, Document

__all__ = ["CHECKS", "SEVERITIES", "Findings", "place"]

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")

CHECKS: Mapping[str, tuple[str, str]] = {
    "unreadable": (ERROR, "lines that are no document, files that are not what the manifest says"),
    "repeated_id": (ERROR, "ids that come twice"),
    "copied_document": (ERROR, "documents that stand in another split too"),
    "parted_group": (ERROR, "groups of documents (one article) that are in two splits"),
    "unknown_label": (ERROR, "labels that the ontology does not have"),
    "space_at_edge": (ERROR, "mentions that begin or end with white space"),
    "nearly_copied_document": (WARNING, "documents that stand almost unchanged in another split"),
    "partly_copied_document": (WARNING, "documents half of whose sentences stand in train"),
    "copied_sentence": (WARNING, "sentences that stand in another split too"),
    "nearly_copied_sentence": (WARNING, "sentences that stand almost unchanged in another split"),
    "repeated_document": (WARNING, "documents that stand twice, or almost, in one split"),
    "annotated_differently": (WARNING, "the same sentence with other labels"),
    "unlearnable_label": (WARNING, "labels of another split that train does not have"),
    "unused_label": (WARNING, "labels of the ontology that no document has"),
    "shift": (WARNING, "shares of labels that differ from train"),
    "layer_missing": (WARNING, "documents without a layer that others of the split have"),
    "starts_inside_word": (WARNING, "mentions that begin inside a word, not behind clitics"),
    "ends_inside_word": (WARNING, "mentions that end inside a word"),
    "punctuation_at_edge": (WARNING, "mentions that begin or end with punctuation"),
    "clitic_left_in": (WARNING, "mentions that seem to begin with a clitic"),
    "over_line_end": (WARNING, "mentions that run over the end of a line"),
    "repeated_unit": (WARNING, "units annotated twice: scorers count them once"),
    "empty_text": (WARNING, "documents without text"),
    "odd_characters": (WARNING, "documents with characters that extraction or encoding broke"),
    "never_produced": (WARNING, "gold that the model could never produce"),
    "repeated_sentence": (NOTE, "sentences that stand twice, or almost, in one split"),
    "untested_label": (NOTE, "labels of train that another split does not have"),
}


@dataclass
class Findings:
    """What was found: for each check, its number in each split and the first examples of each split.

    ``severities`` are those that are not to be as in `CHECKS`; ``shown`` examples are kept of a check and split.
    Raises `DataError` for a check or a severity that there is not.
    """

    severities: Mapping[str, str]
    shown: int = 20
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[str, dict[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def __post_init__(self) -> None:
        if unknown := self.severities.keys() - CHECKS.keys():
            raise DataError(f"no checks {sorted(unknown)}, expected some of {list(CHECKS)}")
        if wrong := set(self.severities.values()) - set(SEVERITIES):
            raise DataError(f"severity {sorted(wrong)}: expected one of {list(SEVERITIES)}")

    def severity(self, name: str) -> str:
        """How grave a check is: as it was asked for, else as `CHECKS` has it."""
        return self.severities.get(name, CHECKS[name][0])

    def add(self, name: str, split: str, **example: Any) -> None:
        """One more; ``example`` says where."""
        self.counts[name][split] += 1
        if len(self.examples[name][split]) < self.shown:
            self.examples[name][split].append({"split": split, **{k: v for k, v in example.items() if v != ""}})

    def totals(self) -> dict[str, int]:
        """How many ``errors``, ``warnings`` and ``notes`` there are."""
        return {
            f"{grave}s": sum(n.total() for name, n in self.counts.items() if self.severity(name) == grave)
            for grave in SEVERITIES
        }

    def to_json(self) -> list[dict[str, Any]]:
        """Errors first, then as `CHECKS` has them."""
        return [
            {
                "check": name,
                "severity": self.severity(name),
                "meaning": CHECKS[name][1],
                "count": self.counts[name].total(),
                "splits": dict(self.counts[name]),
                "examples": [example for found in self.examples[name].values() for example in found],
            }
            for grave in SEVERITIES
            for name in CHECKS
            if name in self.counts and self.severity(name) == grave
        ]


def place(document: Document, unit: Unit) -> dict[str, Any]:
    """Where a unit is, as an example of `Findings.add`."""
    mention = unit.mention
    about = {"id": document.id, "layer": unit.layer, "label": unit.label}
    return {**about, "start": mention.start, "end": mention.end, "text": document.surface(mention)}
