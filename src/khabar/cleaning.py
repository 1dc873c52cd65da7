"""The cleaning that AraBERT's text went through before pretraining, done without losing the way back.

No diacritics, spaces around punctuation, URLs replaced: here that is a table of rules for each generation of
checkpoints, applied to an `AlignedText` that remembers for each character where in the raw text it came from.
"""

from __future__ import annotations

import html
import re
import unicodedata
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

__all__ = ["FIRST_GENERATION", "SECOND_GENERATION", "UNTOUCHED", "AlignedText", "Rule", "clean"]

# A replacement is put together from pieces: literal text, or a span (start, end) kept of the text searched.
Span = tuple[int, int]
Replacement = str | Callable[[re.Match[str]], str | Sequence[str | Span]]


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text and, for each of its characters, the half-open raw extent it came from.

    `starts` and `ends` have the length of `text`, hold code points into the raw text, and never decrease.
    Untouched text holds two `range`s, which cost nothing; an edit makes them `array('I')`: four bytes a
    character, and slices that are copied as blocks (a list copies and counts eight-byte references).
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, raw: str) -> AlignedText:
        """The raw text, each character aligned with itself."""
        return cls(raw, range(len(raw)), range(1, len(raw) + 1))

    def sub(self, pattern: re.Pattern[str], replacement: Replacement) -> AlignedText:
        r"""`re.sub` that keeps the alignment; `self` where nothing matches.

        `replacement` is a literal with group references (`" \1 "`), or a function from a match to a literal
        or to pieces. What it keeps of a match keeps its extents, and the character before a stretch that it
        leaves out is charged with that stretch. Literals around kept pieces are zero-width; a replacement
        that keeps nothing has the extent of the whole match, character for character.
        """
        if pattern.search(self.text) is None:
            return self
        text: list[str] = []
        starts, ends = array("I"), array("I")
        old_starts = self.starts if isinstance(self.starts, array) else array("I", self.starts)
        old_ends = self.ends if isinstance(self.ends, array) else array("I", self.ends)
        done = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            text.append(self.text[done:start])
            starts += old_starts[done:start]
            ends += old_ends[done:start]
            done = end
            pieces = _pieces(match, replacement)
            stops = [piece[0] for piece in pieces if not isinstance(piece, str)]
            whole = not stops and start < end
            stops.append(end)  # the character before the n-th kept piece is charged up to stops[n]
            nth = 0
            for piece in pieces:
                if isinstance(piece, str):
                    if whole:
                        left, right = old_starts[start], old_ends[end - 1]
                    else:
                        # Between its neighbours; inside them where both came out of one extent.
                        right = ends[-1] if ends else 0
                        left = min(right, old_starts[start]) if start < len(old_starts) else right
                    text.append(piece)
                    for _ in piece:
                        starts.append(left)
                        ends.append(right)
                else:
                    nth += 1
                    text.append(self.text[piece[0] : piece[1]])
                    starts += old_starts[piece[0] : piece[1]]
                    ends += old_ends[piece[0] : piece[1]]
                    start = stops[nth]
                    ends[-1] = old_ends[start - 1]
        text.append(self.text[done:])
        starts += old_starts[done:]
        ends += old_ends[done:]
        return AlignedText("".join(text), starts, ends)


@cache
def _template(replacement: str) -> tuple[str | int, ...]:
    """The literals and group numbers of a replacement."""
    parts = re.split(r"\\(\d)", replacement)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts) if part)


def _pieces(match: re.Match[str], replacement: Replacement) -> Sequence[str | Span]:
    if isinstance(replacement, str):
        pieces = [part if isinstance(part, str) else match.span(part) for part in _template(replacement)]
    else:
        made = replacement(match)
        pieces = [made] if isinstance(made, str) else list(made)
    return [piece for piece in pieces if isinstance(piece, str) or piece[0] < piece[1]]


class Rule(NamedTuple):
    """One step of preprocessing. Text in which `cue` is not found is not searched for `pattern`."""

    pattern: re.Pattern[str]
    replacement: Replacement
    cue: re.Pattern[str] | None = None


def _rule(pattern: str, replacement: Replacement, cue: str | None = None) -> Rule:
    return Rule(re.compile(pattern), replacement, re.compile(cue) if cue else None)


def _entity(match: re.Match[str]) -> str | list[str | Span]:
    character = html.unescape(match[0])
    return [match.span()] if character == match[0] else character


def _tag(match: re.Match[str]) -> str | list[str | Span]:
    return " " if match[0].endswith(">") else [match.span()]


def _digit(match: re.Match[str]) -> str:
    return str(int(match[0]))


def _punctuation(match: re.Match[str]) -> list[str | Span]:
    """BERT's idea of punctuation: that of Unicode, and every ASCII symbol."""
    alone = match[0].isascii() or unicodedata.category(match[0]).startswith("P")
    return [" ", match.span(), " "] if alone else [match.span()]


def _distinct(match: re.Match[str]) -> list[str | Span]:
    """The characters of a match without those that occurred in it before."""
    first: dict[str, Span] = {}
    for i, character in enumerate(match[0], match.start()):
        first.setdefault(character, (i, i + 1))
    return [" ", *first.values(), " "]


_LETTER = "\u0621-\u063a\u0641-\u064a"  # hamza to yeh, without tatweel
_HOST = r"-a-zA-Z0-9@:%._+~#="
_PUNCTUATION = r"""!"#$%'()*+,.:;\-<=·>?@\[\\\]^_`{|}~—٪’،؟\u0b4d“؛”\u06da»«–…‘"""

_TASHKEEL = _rule("[\u064b-\u0652]+", "")
_TATWEEL = _rule("\u0640+", "")
_REPEATED = _rule(r"([^\d\s])(\1)\1+", r"\1\2")

# A dot and a short lower-case ending inside a word; the character after :// may be anything, even a space.
_ADDRESS = rf"(?:https?://.)?(?:www\.)?[{_HOST}]{{2,256}}\.[a-z]{{2,6}}\b[{_HOST}?&/]*"
_ADDRESS_CUE = r"\.[a-z]{2}"

SECOND_GENERATION = (
    # &amp; &quot; &#1608; … a number too long to convert stays as it is.
    _rule(r"&(?:#[0-9]{1,4000}|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]{0,31});?", _entity, "&"),
    _TASHKEEL,
    _TATWEEL,
    # Web addresses, from what has a known ending to scraps of a scheme.
    _rule(_ADDRESS, " [رابط] ", _ADDRESS_CUE),
    _rule(r"https?://[a-zA-Z0-9_\-./~?=%&]+", " [رابط] "),
    _rule(r"www[a-zA-Z0-9_\-?=%&/.~]+", " [رابط] "),
    # Look-behind: start where a run of letters starts, or go through it once for each of its letters.
    _rule(r"(?:(?<![a-zA-Z])|(?<=\.com))[a-zA-Z]+\.com", " [رابط] ", r"\.com"),
    _rule(r"http\S*", " [رابط] "),
    _rule(r"www\S*", " [رابط] "),
    _rule("://", " [رابط] "),
    # E-mail addresses, then anything with an @ inside, then @mentions.
    _rule(r"(?<![\w-])[\w-]+@(?:[\w-]+\.)+[\w-]+", " [بريد] ", "@"),
    _rule(r"(?<!\S)\S+@\S+", " [بريد] ", "@"),
    _rule(r"@\w+", " [مستخدم] "),
    _rule("<br />", " "),
    # From < to the next >, across lines; also what merely stands between "less" and "greater" is lost.
    _rule("<[^>]+>?", _tag),
    _rule("[٠-٩]", _digit),
    _REPEATED,
    # The vocabulary has no slash, and nothing at all outside this list.
    _rule("/", "-"),
    _rule(rf"[^0-9{_LETTER}\u064b-\u066c\u0671-\u0674a-zA-Z\s{_PUNCTUATION}]+", " "),
    # Square brackets alone stay glued to their neighbours: they belong to the tokens above.
    _rule(rf"([^0-9{_LETTER}a-zA-Z\[\]\s])", r" \1 "),
    _rule(rf"(?<![0-9])([0-9]+)([{_LETTER}]+)", r" \1 \2 "),
    _rule(rf"(?<![{_LETTER}])([{_LETTER}]+)([0-9]+)", r" \1 \2 ", rf"[0-9](?<=[{_LETTER}].)"),
)

FIRST_GENERATION = (
    _TASHKEEL,
    # A date closed by a bracket, an artefact of the pretraining corpus.
    _rule(r"(?<!\d)\d+/[ء-ي]+/\d+\]", "", "/"),
    _TATWEEL,
    _rule("[«»]", ' " '),
    _rule(r"http\S*", "[رابط]"),
    _rule(r"www\S*", "[رابط]"),
    _rule(_ADDRESS, "[رابط]", _ADDRESS_CUE),
    _rule(r"(?<!\S)\S+@\S+", "[بريد]", "@"),
    _rule(r"@\w+", "[مستخدم]"),
    # A backslash and a dot: a slip of the reference, which the checkpoints were trained on.
    _rule("…", r"\."),
    _rule(r"\A\s+|(?<!\s)\s+\Z", ""),
    # A run of punctuation and white space: each character once.
    _rule(rf"[{_PUNCTUATION}【\s]{{2,}}", _distinct),
    *(_rule(rf"\[(?:\s+{name}\s*|{name}\s+)\]", f" [{name}] ", name) for name in ("رابط", "بريد", "مستخدم")),
    _REPEATED,
    _rule(rf"([^0-9{_LETTER}\u064b-\u0669\u0671-\u0673a-zA-Z\[\]\s])", r" \1 "),
)

UNTOUCHED = (_rule(r"[^\w\s\u0640-\u0652]|_", _punctuation),)


def clean(raw: str, rules: Sequence[Rule]) -> AlignedText:
    """The text after the rules, one after the other."""
    aligned = AlignedText.of(raw)
    for pattern, replacement, cue in rules:
        if cue is None or cue.search(aligned.text):
            aligned = aligned.sub(pattern, replacement)
    return aligned
