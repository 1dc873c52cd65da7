"""Offsets in UTF-16 units, as JavaScript and Java count them: what lies beyond U+FFFF, most emoji, counts twice."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["Units"]


class Units:
    """The UTF-16 offsets of a text."""

    def __init__(self, text: str) -> None:
        self._wide = [place for place, character in enumerate(text) if character > "\uffff"]
        self._units = [place + before for before, place in enumerate(self._wide)]
        self.length = len(text) + len(self._wide)
        """Units of the whole text."""

    def of(self, offset: int) -> int:
        """The offset in units of an offset in code points."""
        return offset + bisect_left(self._wide, offset)

    def back(self, units: int) -> int | None:
        """The offset in code points; ``None`` where it lies within a character or outside the text."""
        before = bisect_left(self._units, units)
        if not 0 <= units <= self.length or (before and self._units[before - 1] == units - 1):
            return None
        return units - before
