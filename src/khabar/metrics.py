"""Strict scores of predicted documents against gold ones: set intersection, nothing repaired or dropped.

Both sides become sets of units, document by document, and a unit is correct when it is in both. A span is a
half-open range of code points into the raw text.

| kind | unit | what is scored |
|---|---|---|
| `entities` | type, span | entities, strictly |
| `entities_untyped` | span | their boundaries |
| `TI` | trigger span | trigger identification |
| `TC` | event type, trigger span | trigger classification |
| `AI` | event type, argument span | argument identification |
| `AC` | event type, argument span, role | argument classification |
| `AI+`, `AC+` | the same and the trigger span | the same, attached to the right trigger |

TI, TC, AI and AC are the units of Li, Ji and Huang (ACL 2013) and of DyGIE++ (Wadden et al., EMNLP 2019);
AI+ and AC+ those of TextEE (Huang et al., Findings of ACL 2024). Two attacks with the same victim are one
unit of AC and two of AC+. The arguments of a trigger that was missed are missed too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from khabar.document import DataError, Document

__all__ = ["Score", "Scores", "UnitScores", "score", "tag_scores"]


@dataclass(frozen=True, slots=True)
class Score:
    """How many units are correct, of those predicted and those in gold; ratios are 0.0 where undefined."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """The part of what was predicted that is correct, 0 to 1."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The part of gold that was found, 0 to 1."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 to 1."""
        return 2 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    def to_json(self) -> dict[str, float | int]:
        """Precision, recall and F1, and the three counts they come from."""
        ratios = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**ratios, "correct": self.correct, "predicted": self.predicted, "gold": self.gold}


@dataclass(frozen=True, slots=True)
class UnitScores:
    """One kind of unit: ``micro`` over all of them, and each type and role where the kind has them."""

    micro: Score = Score()
    types: Mapping[str, Score] = field(default_factory=dict, hash=False)
    roles: Mapping[str, Score] = field(default_factory=dict, hash=False)

    @property
    def macro_f1(self) -> float:
        """The unweighted mean F1 of the types that occur in gold; 0.0 where none does."""
        supported = [by_type.f1 for by_type in self.types.values() if by_type.gold]
        return sum(supported) / len(supported) if supported else 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a set of documents.

    ``units`` maps a kind of unit (the table at the head of this module) to its scores; a layer that no gold
    document has is absent. ``documents`` maps ``entities`` and ``events`` to the number of documents scored.
    """

    documents: Mapping[str, int] = field(hash=False)
    units: Mapping[str, UnitScores] = field(hash=False)

    def headline(self) -> dict[str, float]:
        """One F1 a layer, flat, for logs and for choosing a checkpoint.

        Entities, triggers (TC) and arguments (AC), where the layer occurs in gold. A corpus of triggers alone
        holds no argument, so it has no ``arguments_f1``; spurious arguments still count under ``AC``.
        """
        names = {"entities_f1": "entities", "triggers_f1": "TC", "arguments_f1": "AC"}
        return {
            name: self.units[kind].micro.f1
            for name, kind in names.items()
            if kind in self.units and (kind != "AC" or self.units[kind].micro.gold)
        }

    def to_json(self) -> dict[str, Any]:
        """``documents``; each kind: ``micro`` and, where it has them, ``macro_f1``, ``types``, ``roles``."""
        record: dict[str, Any] = {"documents": dict(self.documents)}
        for name, scores in self.units.items():
            record[name] = {"micro": scores.micro.to_json()}
            if "types" in _KINDS[name].labels:
                record[name]["macro_f1"] = scores.macro_f1
            for grouping in _KINDS[name].labels:
                by_label: Mapping[str, Score] = getattr(scores, grouping)
                record[name][grouping] = {label: value.to_json() for label, value in by_label.items()}
        return record


_Row = tuple[Any, ...]


def _entities(document: Document) -> Iterator[_Row]:
    """Columns: 0 type, 1 span."""
    return ((m.label, (m.start, m.end)) for m in document.entities or ())


def _triggers(document: Document) -> Iterator[_Row]:
    """Columns: 0 event type, 1 trigger span."""
    return ((e.type, (e.trigger.start, e.trigger.end)) for e in document.events or ())


def _arguments(document: Document) -> Iterator[_Row]:
    """Columns: 0 event type, 1 role, 2 argument span, 3 trigger span."""
    for event in document.events or ():
        trigger = (event.trigger.start, event.trigger.end)
        yield from ((event.type, a.label, (a.start, a.end), trigger) for a in event.arguments)


class _Kind(NamedTuple):
    """A kind of unit: its layer, the rows of a document, the columns that are the unit, its labels.

    ``labels`` maps a grouping of `UnitScores` to the place of its label in the unit.
    """

    layer: str
    rows: Callable[[Document], Iterator[_Row]]
    unit: Callable[[_Row], Any]
    labels: Mapping[str, int] = {}


_KINDS: Mapping[str, _Kind] = {
    "entities": _Kind("entities", _entities, itemgetter(0, 1), {"types": 0}),
    "entities_untyped": _Kind("entities", _entities, itemgetter(1)),
    "TI": _Kind("events", _triggers, itemgetter(1)),
    "TC": _Kind("events", _triggers, itemgetter(0, 1), {"types": 0}),
    "AI": _Kind("events", _arguments, itemgetter(0, 2)),
    "AC": _Kind("events", _arguments, itemgetter(0, 1, 2), {"types": 0, "roles": 1}),
    "AI+": _Kind("events", _arguments, itemgetter(0, 2, 3)),
    "AC+": _Kind("events", _arguments, itemgetter(0, 1, 2, 3)),
}


def score(gold: Iterable[Document], predicted: Iterable[Document]) -> Scores:
    """Score predicted documents against the gold ones of the same ids, in any order.

    A layer that is ``None`` in gold is not scored for that document, and predictions there are not counted;
    ``()`` is scored. A layer that is ``None`` in a prediction is an empty one: its gold is missed.
    Gold is read once as a stream; ``score([gold_document], [predicted_document])`` is one document's share.

    Raises `DataError` that names the document where an id is missing, extra or repeated, or texts differ.
    """
    documents: dict[str, int] = {}
    counts: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for gold_document, predicted_document in _pairs(gold, predicted):
        scored = [layer for layer in ("entities", "events") if getattr(gold_document, layer) is not None]
        for layer in scored:
            documents[layer] = documents.get(layer, 0) + 1
        for name, kind in _KINDS.items():
            if kind.layer not in scored:
                continue
            in_gold, in_predicted = (set(map(kind.unit, kind.rows(d))) for d in (gold_document, predicted_document))
            for column, units in enumerate((in_gold & in_predicted, in_predicted, in_gold)):
                counts[name, "micro", ""][column] += len(units)
                for grouping, position in kind.labels.items():
                    for unit in units:
                        counts[name, grouping, unit[position]][column] += 1
    by_label = {key: Score(*counts[key]) for key in sorted(counts)}

    def labels(name: str, grouping: str) -> dict[str, Score]:
        return {label: value for (n, g, label), value in by_label.items() if (n, g) == (name, grouping)}

    return Scores(
        documents={layer: documents[layer] for layer in sorted(documents)},
        units={
            name: UnitScores(by_label[name, "micro", ""], labels(name, "types"), labels(name, "roles"))
            for name, kind in _KINDS.items()
            if kind.layer in documents
        },
    )


def _pairs(gold: Iterable[Document], predicted: Iterable[Document]) -> Iterator[tuple[Document, Document]]:
    """Gold documents, each with the prediction of its id."""
    waiting: dict[str, Document] = {}
    for document in predicted:
        if document.id in waiting:
            raise DataError(f"document {document.id!r} occurs twice among the predicted documents")
        waiting[document.id] = document
    seen = set()
    for document in gold:
        if document.id in seen:
            raise DataError(f"document {document.id!r} occurs twice among the gold documents")
        seen.add(document.id)
        if document.id not in waiting:
            raise DataError(f"document {document.id!r} is in gold and was not predicted")
        prediction = waiting.pop(document.id)
        if prediction.text != document.text:
            raise DataError(f"document {document.id!r}: gold and predicted text differ")
        yield document, prediction
    if waiting:
        raise DataError(f"predicted documents that are not in gold: {', '.join(map(repr, sorted(waiting)))}")


def tag_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The field's number for tag sequences: seqeval (Nakayama 2018), ``mode="strict"``, ``scheme=IOB2``.

    ``gold`` and ``predicted`` hold one list of IOB2 tags a sentence. Returns ``micro`` and, under ``types``,
    every type: precision, recall and F1 (0 to 1; 0.0 where undefined) and support (entities in gold). Over
    valid sequences it equals `score`; an ``I-`` that continues nothing is, as strict has it, no entity.

    Raises `DataError` where the sequences do not pair up, and for a tag that is not O, B-type or I-type.
    """
    from seqeval.metrics import v1  # type: ignore[import-untyped,unused-ignore]
    from seqeval.scheme import IOB2, Entities  # type: ignore[import-untyped,unused-ignore]

    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold and {len(predicted)} predicted sequences of tags")
    for number, (left, right) in enumerate(zip(gold, predicted, strict=True)):
        if len(left) != len(right):
            raise DataError(f"sequence {number}: {len(left)} gold and {len(right)} predicted tags")
        for tag in (*left, *right):
            if tag != "O" and not (tag.startswith(("B-", "I-")) and tag[2:]):
                raise DataError(f"sequence {number}: {tag!r} is no IOB2 tag, expected O, B-type or I-type")

    def row(p: float, r: float, f1: float, support: int) -> dict[str, float | int]:
        return {"precision": float(p), "recall": float(r), "f1": float(f1), "support": int(support)}

    if not gold:  # which seqeval refuses
        return {"micro": row(0, 0, 0, 0), "types": {}}
    lists = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    # v1 is what mode="strict" calls; entities found once serve both averages. zero_division=0 scores what is
    # undefined as 0.0, which is seqeval's default too, without its warning for every type that is not there.
    found = {"entities_true": Entities(lists[0], IOB2), "entities_pred": Entities(lists[1], IOB2)}
    names = sorted(found["entities_true"].unique_tags | found["entities_pred"].unique_tags)
    micro, by_type = (
        v1.precision_recall_fscore_support(*lists, average=average, scheme=IOB2, zero_division=0, **found)
        for average in ("micro", None)
    )
    types = {name: row(*columns) for name, *columns in zip(names, *by_type, strict=True)}
    return {"micro": row(*micro), "types": types}
