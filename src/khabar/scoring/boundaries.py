"""Where a predicted mention differs from the gold one it stands for, and what lies between their edges.

Arabic writes one-letter conjunctions and prepositions (و ف ب ل ك) and the article onto a word, so the edge of a
mention may lie inside one: that is told apart from further words, and from quotation marks and brackets around a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from khabar.arabic import fold
from khabar.document import Mention

__all__ = ["causes", "letters_before", "proclitics"]

_QUOTES = frozenset("\"'`«»‹›“”„‟‘’‚‛")
_BRACKETS = frozenset("()[]{}<>﴾﴿")
# Letters, digits, the marks on them, and invisible characters, which may stand inside a word.
_WORD = re.compile(
    r"(?:[^\W_]|[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08d3-\u08ff"
    r"\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff])+"
)
# A conjunction, a preposition, the article; behind ل the article is written ل alone (للعراق).
_PROCLITICS = re.compile("([وف]?)([بلك]?)(ال|(?<=ل)ل)?")


def proclitics(letters: str) -> tuple[str, ...] | None:
    """Divide folded letters at the start of a word: ``"وبال"`` is و, ب, ال and ``"لل"`` is ل, ال.

    Empty for no letters; ``None`` where letters are no clitics. Form alone is looked at: the و of وزير is one too.
    """
    match = _PROCLITICS.fullmatch(letters)
    if match is None:
        return None
    conjunction, preposition, article = match.groups()
    return tuple(part for part in (conjunction, preposition, article and "ال") if part)


def letters_before(text: str, offset: int) -> str:
    """What is written between the start of a word and ``offset`` inside it (code points), folded; else nothing."""
    if not _WORD.match(text, offset):
        return ""
    start = offset
    while start and _WORD.match(text[start - 1]):
        start -= 1
    return fold(text[start:offset])


def causes(text: str, gold: Mention, predicted: Mention) -> Iterator[tuple[str, str]]:
    """(``start`` or ``end``, cause) of each edge in which two mentions differ.

    A cause is what lies between the edges and which of the two mentions holds it: ``clitic و in prediction`` (the
    prediction starts before a conjunction), ``further word in gold``. Beside clitics, ``article ال``, ``quotation
    mark``, ``bracket``, other ``punctuation``, ``further word`` and ``further words`` there are ``diacritics``,
    ``white space`` (and what is invisible) and, where an edge cuts a word in another way, ``part of a word``.
    """
    if gold.start != predicted.start:
        low, high = sorted((gold.start, predicted.start))
        yield "start", f"{_between(text, low, high, True)} in {'gold' if gold.start == low else 'prediction'}"
    if gold.end != predicted.end:
        low, high = sorted((gold.end, predicted.end))
        yield "end", f"{_between(text, low, high, False)} in {'gold' if gold.end == high else 'prediction'}"


def _between(text: str, low: int, high: int, at_start: bool) -> str:
    """What ``text[low:high]`` is, at the start or the end of a mention."""
    visible = {c for c in text[low:high] if not c.isspace() and unicodedata.category(c) != "Cf"}
    if not visible:
        return "white space"
    if all(unicodedata.category(c)[0] == "M" for c in visible):
        return "diacritics"
    runs = [run for run in _WORD.finditer(text, low, high) if fold(run[0])]
    if not runs:
        if visible <= _QUOTES:
            return "quotation mark"
        return "bracket" if visible <= _BRACKETS else "punctuation"
    # What begins behind clitics is a word too: the شظايا of بشظايا.
    cut = letters_before(text, low)
    begins = not cut or (at_start and proclitics(cut) is not None)
    whole = sum((run.start() > low or begins) and not (run.end() == high and _WORD.match(text, high)) for run in runs)
    if whole:
        return "further word" if whole == 1 else "further words"
    if at_start and runs[-1].end() == high:
        parts = proclitics(letters_before(text, high)) or ()
        known = proclitics(cut) if runs[-1].start() == low else ()
        if known is not None and parts[: len(known)] == known and len(parts) > len(known):
            return " + ".join(f"{'article' if part == 'ال' else 'clitic'} {part}" for part in parts[len(known) :])
    return "part of a word"
