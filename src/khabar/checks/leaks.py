"""What stands twice in a corpus: documents and sentences that leak from one split to another, or repeat in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from khabar.checks.duplicates import Copies, Copy, Passage, cut, find, whole
from khabar.checks.findings import Findings
from khabar.checks.inventory import units
from khabar.document import Document

__all__ = ["copies"]


def copies(
    splits: Mapping[str, Sequence[Document]], threshold: float | None, shingle: int, shortest: int, findings: Findings
) -> dict[str, Any]:
    """What stands twice; returns for documents and sentences rows of split, other split, and how much is copied."""
    settings = (threshold, shingle, shortest)
    every = {
        "document": [whole(split, document) for split, documents in splits.items() for document in documents],
        "sentence": [p for split, documents in splits.items() for document in documents for p in cut(split, document)],
    }
    found_of = {kind: find(passages, *settings) for kind, passages in every.items()}
    result: dict[str, Any] = {"threshold": threshold, "shingle": shingle, "shortest": shortest}
    for kind, found in found_of.items():
        totals = Counter(passage.split for passage in found.passages)
        rows = result[f"{kind}s"] = []
        for number, split in enumerate(splits):
            for other in list(splits)[: number + 1]:
                these = found.of(split, other)
                for copy in these:
                    name = f"copied_{kind}" if copy.exact else f"nearly_copied_{kind}"
                    findings.add(name if split != other else f"repeated_{kind}", split, **_copy(copy))
                exact = sum(copy.exact for copy in these)
                gold = sum(_gold(copy.passage) for copy in these)
                row = {"split": split, "of": totals[split], "also_in": other, "exact": exact}
                rows.append({**row, "near": len(these) - exact, "mentions": gold})
    _check_partly(found_of["sentence"], findings)
    _check_agreement(found_of["sentence"], findings)
    return result


def _check_partly(sentences: Copies, findings: Findings) -> None:
    """Documents of other splits, of two sentences or more, half of which stand in train."""
    for split in dict.fromkeys(passage.split for passage in sentences.passages if passage.split != "train"):
        totals = Counter(passage.document.id for passage in sentences.passages if passage.split == split)
        copied = Counter(copy.passage.document.id for copy in sentences.of(split, "train"))
        for name, number in copied.items():
            if totals[name] > 1 and 2 * number >= totals[name]:
                detail = f"{number} of {totals[name]} sentences"
                findings.add("partly_copied_document", split, id=name, detail=detail)


def _check_agreement(sentences: Copies, findings: Findings) -> None:
    """Sentences that are letter by letter the same, and their entities or triggers are not."""
    for numbers in sentences.groups.values():
        first: dict[tuple[str, str], tuple[Passage, frozenset[Any]]] = {}
        for passage in (sentences.passages[number] for number in numbers):
            for layer, gold in _annotation(passage).items():
                original, expected = first.setdefault((passage.text, layer), (passage, gold))
                if gold != expected:
                    example = {**_copy(Copy(passage, original, 1.0)), "layer": layer}
                    findings.add("annotated_differently", passage.split, **example)


def _annotation(passage: Passage) -> dict[str, frozenset[Any]]:
    document, start = passage.document, passage.start
    layers = {"entities": document.entities, "triggers": document.events}
    return {
        layer: frozenset(
            (unit.mention.start - start, unit.mention.end - start, unit.label)
            for unit in units(document)
            if unit.layer == layer and start <= unit.mention.start < passage.end
        )
        for layer, annotated in layers.items()
        if annotated is not None
    }


def _gold(passage: Passage) -> int:
    return sum(passage.start <= unit.mention.start < passage.end for unit in units(passage.document))


def _copy(copy: Copy) -> dict[str, Any]:
    passage, original = copy.passage, copy.original
    return {
        "id": passage.document.id,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text[:200],
        "original": {"split": original.split, "id": original.document.id, "start": original.start},
        "similarity": round(copy.similarity, 4),
    }
