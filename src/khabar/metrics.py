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

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from khabar.document import DataError, Document

__all__ = ["Score", "Scorer", "Scores", "Tally", "UnitScores", "pairs", "score"]


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


class Tally:
    """Units counted set by set: all of them, and by the labels that they hold.

    ``labels`` maps a grouping of `UnitScores` (``types``, ``roles``) to the place of its label in a unit.
    """

    def __init__(self, labels: Mapping[str, int] = {}) -> None:
        self._total = [0, 0, 0]  # correct, predicted, gold
        self._groups = {name: (place, defaultdict[str, list[int]](lambda: [0, 0, 0])) for name, place in labels.items()}

    def add(self, gold: AbstractSet[Any], predicted: AbstractSet[Any]) -> tuple[int, int, int]:
        """Count the units of one document (or sentence); returns how many are correct, predicted, in gold."""
        if not gold and not predicted:
            return 0, 0, 0
        correct = gold & predicted
        for place, counts in self._groups.values():
            for column, units in enumerate((correct, predicted, gold)):
                for unit in units:
                    counts[unit[place]][column] += 1
        share = len(correct), len(predicted), len(gold)
        for column, count in enumerate(share):
            self._total[column] += count
        return share

    def scores(self) -> UnitScores:
        """What was counted so far, labels in alphabetical order."""
        by_label = {
            name: {label: Score(*counts[label]) for label in sorted(counts)}
            for name, (_, counts) in self._groups.items()
        }
        return UnitScores(Score(*self._total), **by_label)


class Scorer:
    """Strict scores of documents that come one pair at a time; what it holds grows with labels, not documents.

    A layer that is ``None`` in gold is not scored for that document, and predictions there are not counted;
    ``()`` is scored. A layer that is ``None`` in a prediction is an empty one: its gold is missed.
    """

    def __init__(self) -> None:
        self._documents: Counter[str] = Counter()
        self._tallies = {name: Tally(kind.labels) for name, kind in _KINDS.items()}
        # The kinds that are made of the same rows, which are read from a document once.
        self._by_rows = [
            (source, [(name, kind.unit, self._tallies[name]) for name, kind in kinds])
            for source, kinds in groupby(_KINDS.items(), key=lambda item: (item[1].layer, item[1].rows))
        ]

    def add(self, gold: Document, predicted: Document) -> dict[str, tuple[int, int, int]]:
        """Score one document (the two have one id and one text).

        Returns its share of each kind that is scored: units correct, predicted and in gold. Summed over documents
        the shares are the micro scores, so resampling documents needs nothing else.
        """
        for layer in ("entities", "events"):
            if getattr(gold, layer) is not None:
                self._documents[layer] += 1
        shares = {}
        for (layer, rows), kinds in self._by_rows:
            if getattr(gold, layer) is not None:
                in_gold, in_predicted = list(rows(gold)), list(rows(predicted))
                for name, unit, tally in kinds:
                    shares[name] = tally.add(set(map(unit, in_gold)), set(map(unit, in_predicted)))
        return shares

    def scores(self) -> Scores:
        """The scores of the documents so far."""
        return Scores(
            documents={layer: self._documents[layer] for layer in sorted(self._documents)},
            units={
                name: self._tallies[name].scores() for name, kind in _KINDS.items() if kind.layer in self._documents
            },
        )

    def to_json(self) -> dict[str, Any]:
        """`Scores.to_json` of the documents so far."""
        return self.scores().to_json()


def score(gold: Iterable[Document], predicted: Iterable[Document]) -> Scores:
    """Score predicted documents against the gold ones of the same ids, in any order.

    What is scored is said at `Scorer`. Both sides are read once, as streams;
    ``score([gold_document], [predicted_document])`` is one document's share.

    Raises `DataError` as `pairs` does.
    """
    scorer = Scorer()
    for gold_document, predicted_document in pairs(gold, predicted):
        scorer.add(gold_document, predicted_document)
    return scorer.scores()


def pairs(gold: Iterable[Document], predicted: Iterable[Document]) -> Iterator[tuple[Document, Document]]:
    """Gold documents, in their order, each with the prediction of its id.

    Both sides are read in step, and nothing but ids is kept where they come in one order; a prediction that
    comes before its turn waits.

    Raises `DataError` that names the document where an id is missing, extra or repeated, or texts differ; where
    predictions are extra or repeated that may be at the end.
    """
    coming = _once(predicted, "predicted")
    waiting: dict[str, Document] = {}
    for document in _once(gold, "gold"):
        while document.id not in waiting:
            prediction = next(coming, None)
            if prediction is None:
                raise DataError(f"document {document.id!r} is in gold and was not predicted")
            waiting[prediction.id] = prediction
        prediction = waiting.pop(document.id)
        if prediction.text != document.text:
            raise DataError(f"document {document.id!r}: gold and predicted text differ")
        yield document, prediction
    if extra := sorted([*waiting, *(document.id for document in coming)]):
        raise DataError(f"predicted documents that are not in gold: {', '.join(map(repr, extra))}")


def _once(documents: Iterable[Document], side: str) -> Iterator[Document]:
    """The documents, each id once."""
    seen = set()
    for document in documents:
        if document.id in seen:
            raise DataError(f"document {document.id!r} occurs twice among the {side} documents")
        seen.add(document.id)
        yield document
