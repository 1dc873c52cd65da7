"""Gold that a tokenizer, its words, windows and tags could never produce, and why."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from khabar.arabic import clitic_offset
from khabar.bio import covering
from khabar.checks.inventory import Unit, units
from khabar.document import Mention
from khabar.features import ARGUMENTS, CLITICS, MAX_CLITICS, Reader, Reading
from khabar.oracle import recovered

__all__ = ["CAUSES", "lost"]

UNREADABLE = "no word of it is read"
DIVIDED = "two windows divide it"
SAME = "the same words have another label too"
SHARED = "shares a word with another mention"
START = "starts at no place that words and clitics have"
END = "ends inside a word"
OTHER_START = "another mention starts elsewhere in its word"
TRIGGER = "its trigger is lost"
FAR = "outside the window of its trigger"
UNKNOWN = "no cause found"
CAUSES = (UNREADABLE, DIVIDED, SAME, SHARED, START, END, OTHER_START, TRIGGER, FAR, UNKNOWN)


def lost(reader: Reader, reading: Reading) -> Iterator[tuple[Unit, str]]:
    """The units of gold that perfect heads would not predict (`khabar.oracle.recovered`), with the first of `CAUSES`.

    Only layers that the reader's heads answer count; a unit that is annotated twice is one.
    """
    answered = {layer for layer in ("entities", "triggers", "arguments") if layer in reader.heads}
    kept = set(units(recovered(reader, reading)))
    gold = [unit for unit in dict.fromkeys(units(reading.document)) if unit.layer in answered]
    windows = [instance.words for instance in reader.text_pass(reading)]
    for unit in gold:
        if unit not in kept:
            rivals = [u.mention for u in gold if (u.layer, u.trigger) == (unit.layer, unit.trigger) and u != unit]
            seen = windows
            if unit.layer == ARGUMENTS and unit.trigger is not None:
                instance = reader.argument_pass(reading, unit.trigger)
                if instance is None or not any(u.layer == "triggers" and u.mention == unit.trigger for u in kept):
                    yield unit, TRIGGER
                    continue
                seen = [instance.words]
            yield unit, _cause(reader, reading, unit, rivals, seen)


def _cause(reader: Reader, reading: Reading, unit: Unit, rivals: Sequence[Mention], seen: Sequence[range]) -> str:
    mention, text = unit.mention, reading.document.text
    covered = covering(reading.words, mention)
    if not covered:
        return UNREADABLE
    if not any(covered.start in part and covered[-1] in part for part in seen):
        return FAR if unit.layer == ARGUMENTS else DIVIDED
    taken = [covering(reading.words, rival) for rival in rivals]
    if covered in taken:
        return SAME
    if any(index in other for other in taken for index in covered):
        return SHARED
    first, last = reading.words[covered.start], reading.words[covered[-1]]
    letters = MAX_CLITICS if CLITICS in reader.heads else 0
    if mention.start not in _starts(text, first.start, first.end, letters):
        return START
    if not all(_is_invisible(character) for character in text[mention.end : last.end]) or mention.end > last.end:
        return END
    starts = {
        other.start
        for other in reading.document.mentions()
        if (found := covering(reading.words, other)) and found.start == covered.start
    }
    return OTHER_START if len(starts) > 1 else UNKNOWN


def _starts(text: str, start: int, end: int, letters: int) -> set[int]:
    """Where a mention may begin in a word: at its start, behind clitics, and behind what is invisible there."""
    result = set()
    for number in range(letters + 1):
        try:
            offset = clitic_offset(text, start, number)
        except ValueError:
            break
        while offset < end - 1 and _is_invisible(text[offset]):
            offset += 1
        if offset < end:
            result.add(offset)
    return result


def _is_invisible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"
