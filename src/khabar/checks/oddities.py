"""What looks wrong with texts and offsets: mentions that cut a word, odd edges, clitics left in, strange characters."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from khabar.arabic import fold
from khabar.checks.inventory import Unit, units
from khabar.document import Document

__all__ = ["Oddity", "clitics_left_in", "letters_before", "of_offsets", "of_text"]

CLITICS = frozenset("وفبكل")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "«": "»", "“": "”", "‹": "›", "﴿": "﴾"}
_AT_EDGES = frozenset("%٪‰@#&-+/\\_*")  # punctuation by Unicode, part of what is written: 5%, @name, -3
_LINE_BREAKS = frozenset("\n\r\v\f\x85\u2028\u2029")


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something odd: ``check`` is a key of `khabar.check.CHECKS`; without a unit it is of the document's text."""

    check: str
    unit: Unit | None = None
    detail: str = ""


def of_text(document: Document) -> Iterator[Oddity]:
    """Text that is empty, and characters that no reader of the text sees as the writer meant them.

    These are the replacement character, controls other than tabs and line ends, private use, unassigned code points,
    and presentation forms (letters coded by their shape, as PDF extraction leaves them).
    """
    if not document.text.strip():
        yield Oddity("empty_text")
    odd = Counter(character for character in document.text if _is_odd(character))
    if odd:
        yield Oddity("odd_characters", detail=", ".join(f"U+{ord(c):04X} {n} times" for c, n in sorted(odd.items())))


def of_offsets(document: Document) -> Iterator[Oddity]:
    """Mentions whose edges are odd, and units that are annotated twice (scorers count them once)."""
    text = document.text
    found = Counter((unit.layer, unit.label, unit.mention, unit.trigger) for unit in units(document))
    for unit in units(document):
        mention = unit.mention
        surface = text[mention.start : mention.end]
        if surface[0].isspace() or surface[-1].isspace():
            yield Oddity("space_at_edge", unit)
        if marks := _outer_punctuation(surface):
            yield Oddity("punctuation_at_edge", unit, marks)
        if not _LINE_BREAKS.isdisjoint(surface.strip()):
            yield Oddity("over_line_end", unit)
        before = letters_before(text, mention.start)
        if (before and not (len(before) <= 2 and CLITICS.issuperset(before))) or _is_on_letter(text[mention.start]):
            yield Oddity("starts_inside_word", unit, before)
        if _joined(text, mention.end):
            yield Oddity("ends_inside_word", unit, _letters_after(text, mention.end))
        identity = (unit.layer, unit.label, unit.mention, unit.trigger)
        if found.pop(identity, 0) > 1:
            yield Oddity("repeated_unit", unit)


def letters_before(text: str, start: int) -> str:
    """The letters of its word that stand before ``start``, without diacritics and tatweel: clitics, or half a word."""
    first = start
    while _joined(text, first):
        first -= 1
    return "".join(character for character in text[first:start] if not _is_on_letter(character))


def clitics_left_in(documents: Iterable[Document]) -> Iterator[tuple[Document, Unit]]:
    """Mentions that seem to hold a clitic: وبغداد, where بغداد is a mention of the same label elsewhere.

    Suspects, not mistakes: a mention that begins with its word and with و ف ب ك or ل, and without that letter is,
    folded, a whole mention of the label, or begins with the article and a word that another mention of the label
    begins with. What is left must have three letters. للعراق is looked up as العراق.
    """
    surfaces: dict[tuple[str, str], set[str]] = defaultdict(set)
    heads: dict[tuple[str, str], set[str]] = defaultdict(set)
    texts = list(documents)
    for document in texts:
        for unit in units(document):
            surface = fold(document.surface(unit.mention))
            surfaces[unit.layer, unit.mention.label].add(surface)
            heads[unit.layer, unit.mention.label].add(surface.partition(" ")[0])
    for document in texts:
        for unit in units(document):
            if letters_before(document.text, unit.mention.start):
                continue
            surface = fold(document.surface(unit.mention))
            rest = "ا" + surface[1:] if surface.startswith("لل") else surface[1:]
            head = rest.partition(" ")[0]
            if surface[:1] not in CLITICS or len(head) < 3:
                continue
            label = (unit.layer, unit.mention.label)
            if rest in surfaces[label] or (head.startswith("ال") and len(head) >= 5 and head in heads[label]):
                yield document, unit


def _joined(text: str, offset: int) -> bool:
    """Whether the characters on both sides of an offset are written in one word."""
    if not 0 < offset < len(text) or not _is_letter(text[offset - 1]) or not _is_letter(text[offset]):
        return False
    before = offset - 1
    while before and _is_on_letter(text[before]):
        before -= 1
    # 50كم: a number and its unit are two words that no space parts.
    return _is_on_letter(text[offset]) or text[before].isdigit() == text[offset].isdigit()


def _letters_after(text: str, end: int) -> str:
    last = end
    while _joined(text, last):
        last += 1
    return text[end:last]


def _outer_punctuation(surface: str) -> str:
    """Punctuation at the edges of a mention that is no part of it: not a bracket whose partner is inside too."""
    found = []
    for edge in (surface[0], surface[-1]) if len(surface) > 1 else (surface[0],):
        paired = any(edge in pair and surface.count(pair[0]) == surface.count(pair[1]) for pair in _BRACKETS.items())
        spelt = edge == "." and (surface.count(".") > 1 or len(surface.rstrip(".").split(" ")[-1]) == 1)  # أ.ف.ب.
        if unicodedata.category(edge)[0] == "P" and edge not in _AT_EDGES and not paired and not spelt:
            found.append(edge)
    return " ".join(found)


def _is_letter(character: str) -> bool:
    return character.isalnum() or _is_on_letter(character)


def _is_on_letter(character: str) -> bool:
    """Diacritics and tatweel."""
    return character == "\u0640" or unicodedata.category(character) in ("Mn", "Me")


def _is_odd(character: str) -> bool:
    code = ord(character)
    shaped = 0xFB50 <= code <= 0xFDCF or 0xFE70 <= code <= 0xFEFC
    return (
        code == 0xFFFD
        or (shaped and character not in _BRACKETS and character not in _BRACKETS.values())
        or (unicodedata.category(character) in ("Cc", "Co", "Cn") and character not in "\t\n\r")
    )
