"""Text that stands twice: documents and sentences that are the same, or nearly so, across splits or within one."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from khabar.arabic import fold, sentences, words
from khabar.document import DataError, Document

__all__ = ["Copies", "Copy", "Passage", "cut", "find", "jaccard", "key", "near", "whole"]

_WORD = re.compile(r"\w+")
_PERMUTATIONS = 128
_MISSED = 1e-3  # the greatest chance that a pair just at the threshold is not looked at


@dataclass(frozen=True, slots=True)
class Passage:
    """A document, or a sentence of one. ``start``, ``end``: code points into its text; ``key``: what is compared."""

    split: str
    document: Document
    start: int
    end: int
    key: str

    @property
    def text(self) -> str:
        """The passage as it is written."""
        return self.document.text[self.start : self.end]

    @property
    def words(self) -> int:
        """Words that have a letter or a digit."""
        return self.key.count(" ") + bool(self.key)


@dataclass(frozen=True, slots=True)
class Copy:
    """A passage that stands elsewhere too. ``similarity`` is 1 where the keys are equal, else the Jaccard index."""

    passage: Passage
    original: Passage
    similarity: float

    @property
    def exact(self) -> bool:
        """Whether the two have the same words in the same order."""
        return self.passage.key == self.original.key


def key(text: str) -> str:
    """The words of a text, folded (`khabar.arabic.fold`) and without punctuation: equal keys are the same text."""
    return " ".join(_WORD.findall(fold(text)))


def whole(split: str, document: Document) -> Passage:
    """A document as one passage."""
    return Passage(split, document, 0, len(document.text), key(document.text))


def cut(split: str, document: Document) -> Iterator[Passage]:
    """The sentences of a document."""
    found = words(document.text, "none")
    for sentence in sentences(document.text, found):
        start, end = found[sentence.start].start, found[sentence.stop - 1].end
        yield Passage(split, document, start, end, key(document.text[start:end]))


@dataclass(frozen=True)
class Copies:
    """Passages in the order they were read; their numbers by key; and the keys that are nearly the same."""

    passages: Sequence[Passage]
    groups: Mapping[str, Sequence[int]]
    neighbours: Mapping[str, Mapping[str, float]]

    def of(self, split: str, other: str) -> list[Copy]:
        """The passages of ``split`` that stand in ``other`` too; of one split, those that stand earlier in it.

        A passage is named once, with an exact copy where there is one, else with the most similar one.
        """
        first: dict[str, int] = {}
        for number, passage in enumerate(self.passages):
            if passage.split == other:
                first.setdefault(passage.key, number)
        result = []
        for number, passage in enumerate(self.passages):
            if passage.split == split:
                close = self.neighbours.get(passage.key, {})
                candidates = [(passage.key, 1.0), *sorted(close.items(), key=lambda item: (-item[1], item[0]))]
                for name, similarity in candidates:
                    if name in first and (split != other or first[name] < number):
                        result.append(Copy(passage, self.passages[first[name]], similarity))
                        break
        return result


def find(passages: Iterable[Passage], threshold: float | None = 0.8, shingle: int = 5, shortest: int = 5) -> Copies:
    """Group passages of at least ``shortest`` words that are the same; pair the groups that are nearly the same.

    Shorter passages (a byline, a date line) stand twice without being copied. ``threshold`` and ``shingle`` are
    those of `near`; without a threshold only exact copies are looked for.
    """
    kept = [passage for passage in passages if passage.words >= shortest]
    groups: dict[str, list[int]] = defaultdict(list)
    for number, passage in enumerate(kept):
        groups[passage.key].append(number)
    neighbours: dict[str, dict[str, float]] = defaultdict(dict)
    if threshold is not None:
        names = list(groups)
        for left, right, similarity in near(names, threshold, shingle):
            neighbours[names[left]][names[right]] = neighbours[names[right]][names[left]] = similarity
    return Copies(kept, dict(groups), dict(neighbours))


def near(texts: Sequence[str], threshold: float = 0.8, shingle: int = 5) -> Iterator[tuple[int, int, float]]:
    """Pairs of different texts whose sets of ``shingle`` characters have a Jaccard index of ``threshold`` or more.

    Yields (number of the earlier text, number of the later one, index). Candidates come from MinHash signatures in
    bands (Broder 1997; Indyk and Motwani 1998), and the index of each is then computed, so no pair is yielded that
    is not one; a pair just at the threshold is missed with a chance below 0.001, a more similar one with less.
    Signatures are seeded: the same texts give the same pairs.

    Raises `DataError` for a threshold outside (0, 1], and where the package datasketch is missing.
    """
    if not 0 < threshold <= 1 or shingle < 1:
        raise DataError(f"expected 0 < threshold <= 1 and 1 <= shingle, got {threshold} and {shingle}")
    minhash, index = _datasketch(threshold)
    shingles = lru_cache(maxsize=10_000)(lambda number: _shingles(texts[number], shingle))
    for number, text in enumerate(texts):
        pieces = shingles(number)
        signature = minhash([piece.encode() for piece in pieces])
        for other in sorted(index.query(signature)):
            # Sets of very different size cannot reach the threshold.
            if text != texts[other] and (similarity := jaccard(pieces, shingles(other))) >= threshold:
                yield other, number, similarity
        index.insert(number, signature)


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """What two sets share, of all that is in either; 1 for two empty ones."""
    together = len(left & right)
    return together / union if (union := len(left) + len(right) - together) else 1.0


def _shingles(text: str, size: int) -> frozenset[str]:
    return frozenset(text[start : start + size] for start in range(max(1, len(text) - size + 1)))


def _datasketch(threshold: float) -> tuple[Any, Any]:
    """What makes a signature of shingles, and the index of signatures."""
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        raise DataError(
            "near-duplicates need the package datasketch: pip install 'khabar[check]'; "
            "threshold=null looks for exact copies only"
        ) from None
    bands, rows = _bands(threshold)
    index: Any = MinHashLSH(num_perm=bands * rows, params=(bands, rows))
    empty: Any = MinHash(num_perm=bands * rows, hashfunc=zlib.crc32)

    def signature(pieces: Sequence[bytes]) -> Any:
        result = empty.copy()
        result.update_batch(pieces)
        return result

    return signature, index


def _bands(threshold: float) -> tuple[int, int]:
    """Bands and rows of a signature: as many rows as keep the chance to miss a pair at the threshold low."""
    fitting = [
        (_PERMUTATIONS // rows, rows)
        for rows in range(1, _PERMUTATIONS // 2 + 1)
        if (1 - threshold**rows) ** (_PERMUTATIONS // rows) <= _MISSED
    ]
    return max(fitting, key=lambda pair: pair[1], default=(_PERMUTATIONS, 1))
