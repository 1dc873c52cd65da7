"""Active selection: the documents whose labels the model is least sure of, to be corrected first.

How sure a model is of a document is the geometric mean of the scores of its mentions, arguments included. Its
negative logarithm is the length-normalised least confidence of sequence labelling (Shen et al. 2018, MNLP) over
mentions: plain least confidence (Culotta and McCallum 2005), the probability of the whole labelling, would always
choose the longest documents. A document in which nothing was found has no score to be unsure of and comes last.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable

from khabar.document import DataError, Document

__all__ = ["certainty", "number_of", "uncertain"]

_LEAST = 1e-12  # a score of zero has no logarithm


def certainty(document: Document) -> float:
    """The geometric mean of the scores of a document's mentions, 0 to 1; 1 where no mention has a score."""
    logarithms = [math.log(max(m.score, _LEAST)) for m in document.mentions() if m.score is not None]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else 1.0


def uncertain(documents: Iterable[Document], number: int) -> list[Document]:
    """The ``number`` documents that the model is least sure of, the least sure first; of equals, the earlier first.

    No more than ``number`` documents are held at a time.
    """
    if number < 1:
        raise DataError(f"expected to select at least one document, got {number}")
    heap: list[tuple[float, int, Document]] = []  # the surest, and of equals the latest, on top
    for place, document in enumerate(documents):
        entry = (-certainty(document), -place, document)  # places differ, so documents are never compared
        if len(heap) < number:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return [document for *_, document in sorted(heap, key=lambda entry: entry[:2], reverse=True)]


def number_of(how: str) -> int:
    """How many documents ``how`` selects; raises `DataError` where it says nothing known."""
    found = re.fullmatch(r"uncertain:(0*[1-9]\d*)", how)
    if found is None:
        raise DataError(f"expected a selection like uncertain:200, got {how!r}")
    return int(found[1])
