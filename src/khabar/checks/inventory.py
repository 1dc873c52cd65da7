"""What is annotated in the splits of a corpus: labels, lengths, and how the splits differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from khabar.arabic import fold, sentences, words
from khabar.corpus import count
from khabar.document import Document, Mention
from khabar.ontology import Ontology

__all__ = [
    "LAYERS",
    "Splits",
    "Unit",
    "admitted",
    "divergence",
    "labels",
    "novelty",
    "quantiles",
    "statistics",
    "units",
]

LAYERS = ("entities", "triggers", "arguments")
Splits = Mapping[str, Sequence[Document]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A mention and its layer. ``label``: the type; of an argument, event type and role (``Life:Die/Victim``).

    ``trigger`` is that of an argument's event.
    """

    layer: str
    label: str
    mention: Mention
    trigger: Mention | None = None


def units(document: Document) -> Iterator[Unit]:
    """Every mention of a document, layer by layer, as often as it is annotated."""
    for mention in document.entities or ():
        yield Unit("entities", mention.label, mention)
    for event in document.events or ():
        yield Unit("triggers", event.type, event.trigger)
        for argument in event.arguments:
            yield Unit("arguments", f"{event.type}/{argument.label}", argument, event.trigger)


def admitted(ontology: Ontology) -> dict[str, set[str]]:
    """The labels that units of each layer may have."""
    return {
        "entities": set(ontology.entities),
        "triggers": set(ontology.events),
        "arguments": {f"{name}/{role}" for name, event in ontology.events.items() for role in event.roles},
    }


def labels(splits: Splits) -> dict[str, dict[str, dict[str, int]]]:
    """Layer to label to split to the number of units, the most frequent label first."""
    counts: dict[str, dict[str, Counter[str]]] = {layer: defaultdict(Counter) for layer in LAYERS}
    for split, documents in splits.items():
        for document in documents:
            for unit in units(document):
                counts[unit.layer][unit.label][split] += 1
    return {
        layer: {
            label: {split: found[label][split] for split in splits}
            for label in sorted(found, key=lambda label: (-found[label].total(), label))
        }
        for layer, found in counts.items()
    }


def statistics(splits: Splits) -> dict[str, dict[str, Any]]:
    """Of each split: the counts of `khabar.corpus.count`, and quantiles of lengths in words by white space.

    ``lengths`` are of documents, sentences, and the mentions of each layer.
    """
    result = {}
    for split, documents in splits.items():
        lengths: dict[str, list[int]] = {name: [] for name in ("documents", "sentences", *LAYERS)}
        for document in documents:
            text, cut = document.text, words(document.text, "none")
            lengths["documents"].append(len(text.split()))
            for sentence in sentences(text, cut):
                lengths["sentences"].append(len(text[cut[sentence.start].start : cut[sentence.stop - 1].end].split()))
            for unit in units(document):
                lengths[unit.layer].append(len(document.surface(unit.mention).split()))
        result[split] = {
            **count(documents),
            "sentences": len(lengths["sentences"]),
            "lengths": {name: quantiles(values) for name, values in lengths.items() if values},
        }
    return result


def quantiles(values: Sequence[int]) -> dict[str, int]:
    """Least, quartiles, 95th percentile and most: each is one of the values (of two in the middle, the lower)."""
    ordered = sorted(values)
    places = {"least": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "p95": 0.95, "most": 1.0}
    return {name: ordered[int(place * (len(ordered) - 1))] for name, place in places.items()}


def divergence(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    """How far two distributions over labels, given by counts, are apart: Jensen-Shannon divergence in bits.

    0 where the shares are equal, 1 where no label is in both (Lin 1991).
    """
    totals = sum(left.values()), sum(right.values())
    result = 0.0
    for label in left.keys() | right.keys():
        p, q = left.get(label, 0) / totals[0], right.get(label, 0) / totals[1]
        result += sum(share / 2 * log2(2 * share / (p + q)) for share in (p, q) if share)
    return min(1.0, max(0.0, result))


def novelty(splits: Splits, base: str = "train") -> dict[str, dict[str, dict[str, int]]]:
    """Layer to split to ``mentions`` and how many of them are ``unseen``: their folded surface is not in ``base``.

    A surface counts as seen only where it stands in ``base`` in the same layer, under whatever label. Without the
    split ``base`` there is nothing to say.
    """
    if base not in splits:
        return {}
    known: dict[str, set[str]] = {layer: set() for layer in LAYERS}
    for document in splits[base]:
        for unit in units(document):
            known[unit.layer].add(fold(document.surface(unit.mention)))
    counts: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for split, documents in splits.items():
        if split != base:
            for document in documents:
                for unit in units(document):
                    entry = counts[unit.layer].setdefault(split, {"mentions": 0, "unseen": 0})
                    entry["mentions"] += 1
                    entry["unseen"] += fold(document.surface(unit.mention)) not in known[unit.layer]
    return dict(counts)
