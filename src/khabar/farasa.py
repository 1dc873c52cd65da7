"""The seam to Farasa, which divides words into segments: starting it, and fitting what it says to the words.

AraBERT v1 and v2 read `و+ ال+ عراق` where the text has والعراق. Farasa is a Java program behind the optional
package farasapy; nothing is imported or started before the first text that has to be segmented.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module

from khabar.document import DataError

__all__ = [
    "Clitics",
    "FarasaUnavailable",
    "Segmenter",
    "first_generation_clitics",
    "second_generation_clitics",
    "segment",
    "segmented",
]

# A line of space-separated words -> the same line segmented (`و+ال+عراق`).
Segmenter = Callable[[str], str]
# The segments of one word -> the tokens that the checkpoint reads (`و+ ال+ عراق`).
Clitics = Callable[[Sequence[str]], list[str]]


class FarasaUnavailable(DataError):
    """The checkpoint reads text segmented by Farasa, and something that Farasa needs is missing."""


@cache
def _process() -> Segmenter:
    needed = "AraBERT v1 and v2 read text segmented by Farasa"
    if shutil.which("java") is None:
        raise FarasaUnavailable(f"{needed}: install Java 8 or newer and put `java` on the PATH")
    try:
        farasa = import_module("farasa.segmenter").FarasaSegmenter
    except ImportError as error:
        raise FarasaUnavailable(f"{needed}: pip install khabar[farasa]") from error
    jar = farasa.bin_dir / "lib" / "FarasaSegmenterJar.jar"
    try:
        # farasapy fetches its jars here, and only logs it where it cannot. Its cache is a file for each line.
        segmenter = farasa(interactive=True, cache=False)
    except Exception as error:  # farasapy raises bare Exceptions
        raise FarasaUnavailable(f"{needed}: farasapy does not start ({error}); it runs {jar}") from error
    if not jar.is_file():
        raise FarasaUnavailable(f"{needed}: farasapy could not fetch {jar}; put Farasa's jar there")
    started: Segmenter = segmenter.segment
    return started


def segment(line: str) -> str:
    """Farasa by way of farasapy, started at the first call. Raises: FarasaUnavailable."""
    return _process()(line)


# Segments that are clitics; what is in both lists is read as a prefix where its place leaves a choice.
_PREFIXES = frozenset(("ال", "و", "ف", "ب", "ك", "ل", "لل", "س"))
_SUFFIXES = frozenset(
    (
        *("ه", "ها", "ك", "ي", "هما", "كما", "نا", "كم", "هم", "هن", "كن"),
        *("ا", "ان", "ين", "ون", "وا", "ات", "ت", "ن", "ة"),
    )
)


def first_generation_clitics(segments: Sequence[str]) -> list[str]:
    """A segment in one of the lists is a clitic wherever it stands."""
    return [
        f"{segment}+" if segment in _PREFIXES else f"+{segment}" if segment in _SUFFIXES else segment
        for segment in segments
    ]


def second_generation_clitics(segments: Sequence[str]) -> list[str]:
    """The last segment is no prefix, and kaf is one only where nothing but prefixes stands before it."""
    if len(segments) == 1:
        return list(segments)
    tokens: list[str] = []
    for place, segment in enumerate(segments, 1):
        suffix_kaf = segment == "ك" and tokens and not tokens[-1].endswith("+")
        if segment in _PREFIXES and place < len(segments) and not suffix_kaf:
            tokens.append(f"{segment}+")
        else:
            tokens.append(f"+{segment}" if segment in _SUFFIXES else segment)
    return tokens


_LAMS = re.compile("ل(?:ا?ل)+")
_LINE = 128  # words that Farasa is given at a time: farasapy warns of long lines


def segmented(forms: Sequence[str], segmenter: Segmenter, clitics: Clitics) -> list[str]:
    """For each form the tokens of its segments, joined by spaces; a form that is empty stays empty.

    Raises: ValueError where the segmenter changed more than it divided.
    """
    read = [form for form in forms if form]
    lines = [" ".join(read[i : i + _LINE]) for i in range(0, len(read), _LINE)]
    tokens = [token for line in lines for token in segmenter(line).split()]
    result: list[str] = []
    taken = 0
    for form in forms:
        first, letters = taken, _letters(form)
        if form and not letters and taken < len(tokens):
            taken += not _letters(tokens[taken])  # a lone mark, which the segmenter may have dropped
        while _letters("".join(tokens[first:taken])) != letters:
            taken += 1
            if taken > len(tokens) or taken - first > 2 * len(form):
                raise ValueError(f"the segmenter's {tokens[first:taken]} do not spell {form!r}")
        # The token before the first is the last one, as in the reference: it matters for brackets only.
        parts = [part for i in range(first, taken) for part in _parts(tokens[i - 1], tokens[i], clitics)]
        result.append(" ".join(filter(None, parts)))
    if taken < len(tokens):
        raise ValueError(f"the segmenter gave more than the text: {tokens[taken : taken + 10]}")
    return result


def _letters(text: str) -> str:
    """What segmentation leaves alone: it writes للعراق as ل+ال+عراق, للغة as ل+ال+لغة, and may drop marks."""
    letters = "".join(c for c in text if c not in "+ " and unicodedata.category(c) != "Mn")
    return _LAMS.sub("لل", letters)


def _parts(before: str, token: str, clitics: Clitics) -> list[str]:
    if token in ("[", "]"):
        return []
    if token in ("رابط", "بريد", "مستخدم") and before in ("[", "]"):
        return [f"[{token}]"]
    return clitics(token.split("+"))
