"""Raw tag sequences, as other toolkits score them: strict, repaired and discarded side by side.

A sequence of IOB2 tags may be invalid: an ``I-`` that continues nothing, or a mention of another type. What
such an orphan becomes decides the score, and papers seldom say what they did:

| reading | an orphan I-x | the same number from |
|---|---|---|
| `strict` | is no mention, nor is what continues it | seqeval, ``mode="strict"``, ``scheme=IOB2`` |
| `repair` | begins a mention | conlleval; seqeval without a mode; seqscore, ``repair="conlleval"`` |
| `discard` | becomes O, and so does what continues it | seqscore, ``repair="discard"`` |

In IOB2 `strict` and `discard` are two ways to the same mentions, and where nothing is invalid all three are one.
`repair` is the lenient one. Gold is read as predictions are. Mentions that did not come from tags need no reading:
`khabar.metrics` scores them by offset, where a clitic before a name shows and a tag over the whole word hides it.

seqeval: Nakayama 2018; seqscore: Palen-Michel, Holley and Lignos, Eval4NLP 2021; conlleval: Tjong Kim Sang and
De Meulder, CoNLL 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from khabar.arabic import words
from khabar.bio import tags
from khabar.document import DataError, Document
from khabar.metrics import Tally

__all__ = ["Sequences", "chunks"]

Chunk = tuple[str, int, int]
"""Type, first token, one past the last."""


class Sequences:
    """Scores of tag sequences that come one pair at a time; what it holds grows with types only.

    ``seqeval``: whether seqeval's own extraction is run beside ours. It takes more than ten times as long, and
    what it yields equals ``strict`` (it drops dashes at the ends of a type's name; there the two may differ).
    """

    def __init__(self, seqeval: bool = True) -> None:
        strict, repair = Tally({"types": 0}), Tally({"types": 0})
        self._tallies = {"strict": strict, "repair": repair, "discard": strict}  # one count for two names
        if seqeval:
            self._tallies["seqeval"] = Tally({"types": 0})
        self._invalid = {"gold": 0, "predicted": 0}
        self._number = 0

    def add(self, gold: Document, predicted: Document) -> None:
        """Score the entities of a document as one sequence of tags over its written words.

        Where gold has no layer of entities the document is skipped; where the prediction has none, it is all O.
        """
        if gold.entities is not None:
            cut = words(gold.text, "none")
            self.add_tags(tags(cut, gold.entities), tags(cut, predicted.entities or ()))

    def add_tags(self, gold: Sequence[str], predicted: Sequence[str]) -> None:
        """Score one sequence: a gold and a predicted tag for each token.

        Raises `DataError`, which counts sequences from 0, where the two differ in length and for a tag that is not
        O, B-type or I-type.
        """
        if len(gold) != len(predicted):
            raise DataError(f"sequence {self._number}: {len(gold)} gold and {len(predicted)} predicted tags")
        try:
            (sound, orphans), (predicted_sound, predicted_orphans) = chunks(gold), chunks(predicted)
        except DataError as error:
            raise DataError(f"sequence {self._number}: {error}") from None
        self._number += 1
        self._invalid["gold"] += len(orphans)
        self._invalid["predicted"] += len(predicted_orphans)
        self._tallies["strict"].add(set(sound), set(predicted_sound))
        self._tallies["repair"].add({*sound, *orphans}, {*predicted_sound, *predicted_orphans})
        if "seqeval" in self._tallies:
            self._tallies["seqeval"].add(_by_seqeval(gold), _by_seqeval(predicted))

    def to_json(self) -> dict[str, Any]:
        """Each reading (the table at the head of this module): ``micro`` and ``types``, as `Score.to_json` has them.

        ``invalid_transitions``: how many tags of gold and of the predictions may not follow the one before them.
        """
        record: dict[str, Any] = {}
        for reading, tally in self._tallies.items():
            scores = tally.scores()
            types = {label: value.to_json() for label, value in scores.types.items()}
            record[reading] = {"micro": scores.micro.to_json(), "types": types}
        return {**record, "invalid_transitions": dict(self._invalid)}


def chunks(tags: Sequence[str]) -> tuple[list[Chunk], list[Chunk]]:
    """The mentions that begin with a B tag, and those that an orphan I tag would begin, each in text order.

    Each orphan is one invalid transition. Raises `DataError` for a tag that is not O, B-type or I-type.
    """
    sound: list[Chunk] = []
    orphans: list[Chunk] = []
    into, label, start = sound, "", 0  # the mention that is open; no label: none is
    for place, tag in enumerate(tags):
        if tag == "O":
            if label:
                into.append((label, start, place))
                label = ""
            continue
        begins, name = _split(tag)
        if begins or name != label:
            if label:
                into.append((label, start, place))
            into, label, start = sound if begins else orphans, name, place
    if label:
        into.append((label, start, len(tags)))
    return sound, orphans


@lru_cache(maxsize=4096)
def _split(tag: str) -> tuple[bool, str]:
    """Whether a tag other than O is a B tag, and its type."""
    if not tag.startswith(("B-", "I-")) or not tag[2:]:
        raise DataError(f"{tag!r} is no IOB2 tag, expected O, B-type or I-type")
    return tag[0] == "B", tag[2:]


def _by_seqeval(tags: Sequence[str]) -> set[Chunk]:
    from seqeval.scheme import IOB2, Entities  # type: ignore[import-untyped,unused-ignore]

    (found,) = Entities([list(tags)], IOB2).entities
    return {(entity.tag, entity.start, entity.end) for entity in found}
