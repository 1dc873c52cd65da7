"""From the raw text of an article to the words AraBERT reads, and back.

AraBERT was pretrained on cleaned text: no diacritics, spaces around punctuation, URLs replaced. Here that
cleaning is a table of rules, applied to an `AlignedText` that remembers for each character where in the raw
text it came from. Above this module nobody handles a preprocessed offset: there are raw offsets and words.
"""

from __future__ import annotations

import html
import re
import shutil
import unicodedata
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "PREPROCESSING",
    "AlignedText",
    "FarasaUnavailable",
    "Preprocessing",
    "Rule",
    "Word",
    "clitic_offset",
    "preprocess",
    "sentences",
    "words",
]

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


@dataclass(frozen=True, slots=True)
class Word:
    """`form`: what the encoder reads, maybe nothing; `start`, `end`: code points into the raw text."""

    form: str
    start: int
    end: int


class Rule(NamedTuple):
    """One step of preprocessing. Text in which `cue` is not found is not searched for `pattern`."""

    pattern: re.Pattern[str]
    replacement: Replacement
    cue: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a checkpoint expects of its text.

    `segmenter` maps a line of space-separated words to the same line segmented by Farasa (`و+ال+عراق`), and
    `clitics` the segments of one such token to the tokens that the checkpoint reads (`و+ ال+ عراق`).
    """

    name: str
    rules: tuple[Rule, ...]
    segmenter: Callable[[str], str] | None = None
    clitics: Callable[[Sequence[str]], list[str]] = list


class FarasaUnavailable(RuntimeError):
    """The checkpoint reads text segmented by Farasa, and something that Farasa needs is missing."""


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

_SECOND_GENERATION = (
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

_FIRST_GENERATION = (
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

_UNTOUCHED = (_rule(r"[^\w\s\u0640-\u0652]|_", _punctuation),)

# Segments that are clitics; what is in both lists is read as a prefix where its place leaves a choice.
_PREFIXES = frozenset(("ال", "و", "ف", "ب", "ك", "ل", "لل", "س"))
_SUFFIXES = frozenset(
    (
        *("ه", "ها", "ك", "ي", "هما", "كما", "نا", "كم", "هم", "هن", "كن"),
        *("ا", "ان", "ين", "ون", "وا", "ات", "ت", "ن", "ة"),
    )
)


def _first_generation_clitics(segments: Sequence[str]) -> list[str]:
    return [
        f"{segment}+" if segment in _PREFIXES else f"+{segment}" if segment in _SUFFIXES else segment
        for segment in segments
    ]


def _second_generation_clitics(segments: Sequence[str]) -> list[str]:
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


@cache
def _farasa_process() -> Callable[[str], str]:
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
    segment: Callable[[str], str] = segmenter.segment
    return segment


def _farasa(line: str) -> str:
    """Farasa by way of farasapy, started at the first call. Raises: FarasaUnavailable."""
    return _farasa_process()(line)


_SCHEMES = (
    Preprocessing("none", _UNTOUCHED),
    Preprocessing("arabertv02", _SECOND_GENERATION),
    Preprocessing("araelectra", _SECOND_GENERATION),
    Preprocessing("arabertv2", _SECOND_GENERATION, _farasa, _second_generation_clitics),
    Preprocessing("arabertv01", _FIRST_GENERATION),
    Preprocessing("arabertv1", _FIRST_GENERATION, _farasa, _first_generation_clitics),
)
PREPROCESSING: Mapping[str, Preprocessing] = MappingProxyType({scheme.name: scheme for scheme in _SCHEMES})


def _scheme(preprocessing: str | Preprocessing) -> Preprocessing:
    if isinstance(preprocessing, Preprocessing):
        return preprocessing
    if preprocessing not in PREPROCESSING:
        raise ValueError(f"preprocessing is {preprocessing!r}, expected one of {', '.join(PREPROCESSING)}")
    return PREPROCESSING[preprocessing]


def _apply(raw: str, rules: Sequence[Rule]) -> AlignedText:
    aligned = AlignedText.of(raw)
    for pattern, replacement, cue in rules:
        if cue is None or cue.search(aligned.text):
            aligned = aligned.sub(pattern, replacement)
    return aligned


def preprocess(raw: str, preprocessing: str | Preprocessing = "arabertv02") -> AlignedText:
    """The text that the encoder reads, single-spaced, aligned with the raw text.

    Raises: ValueError for an unknown name; as `words` does where the text is segmented by Farasa.
    """
    scheme = _scheme(preprocessing)
    if scheme.segmenter is None:
        aligned = _apply(raw, scheme.rules)
        return aligned.sub(_OUTER_SPACE, "").sub(_WIDE_SPACE, " ")
    read = [word for word in words(raw, scheme) if word.form]
    lengths = [len(word.form) + 1 for word in read]
    starts = array("I", (word.start for word, n in zip(read, lengths, strict=True) for _ in range(n)))
    ends = array("I", (word.end for word, n in zip(read, lengths, strict=True) for _ in range(n)))
    return AlignedText(" ".join(word.form for word in read), starts[:-1], ends[:-1])


_OUTER_SPACE = re.compile(r"\A\s+|(?<!\s)\s+\Z")
_WIDE_SPACE = re.compile(r"\s{2,}|[^\S ]")
_TOKEN = re.compile(r"\S+")


def words(raw: str, preprocessing: str | Preprocessing = "arabertv02") -> list[Word]:
    """The words of a text, in order; every raw character that is not white space is in exactly one.

    Joined by spaces, the forms that are not empty are the output of AraBERT's own preprocessor. What it drops
    (an emoji, a tag) is a word of empty form, except that diacritics and foreign letters belong to the word
    they are written in. Tokens that share an extent are one word, whose form then contains a space.

    Raises:
        ValueError: the name is unknown, or the segmenter changed more than it divided.
        FarasaUnavailable: the text has to be segmented, and Farasa cannot run here.

    """
    scheme = _scheme(preprocessing)
    aligned = _apply(raw, scheme.rules)
    starts, ends = aligned.starts, aligned.ends
    found: list[Word] = []
    done = 0
    for token in _TOKEN.finditer(aligned.text):
        form, start, end = token[0], starts[token.start()], ends[token.end() - 1]
        while raw[end - 1].isspace():
            end -= 1
        if start < done:
            form, start = f"{found[-1].form} {form}", found.pop().start
        elif start > done and not raw[done:start].isspace():
            start = _unread(raw, done, start, found)
        found.append(Word(form, start, end))
        done = end
    _unread(raw, done, len(raw), found)
    return found if scheme.segmenter is None else _segmented(found, scheme.segmenter, scheme.clitics)


def _unread(raw: str, start: int, end: int, found: list[Word]) -> int:
    """Account for raw[start:end], of which nothing is read; returns where the next word starts."""
    done = start
    while found and done < end and _is_written_in_word(raw[done]):
        done += 1
    if done > start:
        found[-1] = Word(found[-1].form, found[-1].start, done)
    while done < end < len(raw) and _is_written_in_word(raw[end - 1]):
        end -= 1
    found.extend(Word("", done + run.start(), done + run.end()) for run in _TOKEN.finditer(raw[done:end]))
    return end


def _is_written_in_word(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character)[0] in "LMN"


_LAMS = re.compile("ل(?:ا?ل)+")
_LINE = 128  # words that Farasa is given at a time: farasapy warns of long lines


def _segmented(
    found: Sequence[Word], segment: Callable[[str], str], clitics: Callable[[Sequence[str]], list[str]]
) -> list[Word]:
    """The same words, each with the space-joined tokens of its segments as form."""
    forms = [word.form for word in found if word.form]
    lines = [" ".join(forms[i : i + _LINE]) for i in range(0, len(forms), _LINE)]
    tokens = [token for line in lines for token in segment(line).split()]
    result: list[Word] = []
    taken = 0
    for word in found:
        first, letters = taken, _letters(word.form)
        if word.form and not letters and taken < len(tokens):
            taken += not _letters(tokens[taken])  # a lone mark, which the segmenter may have dropped
        while _letters("".join(tokens[first:taken])) != letters:
            taken += 1
            if taken > len(tokens) or taken - first > 2 * len(word.form):
                raise ValueError(f"the segmenter's {tokens[first:taken]} do not spell {word.form!r}")
        # The token before the first is the last one, as in the reference: it matters for brackets only.
        read = [part for i in range(first, taken) for part in _parts(tokens[i - 1], tokens[i], clitics)]
        result.append(Word(" ".join(filter(None, read)), word.start, word.end))
    if taken < len(tokens):
        raise ValueError(f"the segmenter gave more than the text: {tokens[taken : taken + 10]}")
    return result


def _letters(text: str) -> str:
    """What segmentation leaves alone: it writes للعراق as ل+ال+عراق, للغة as ل+ال+لغة, and may drop marks."""
    letters = "".join(c for c in text if c not in "+ " and unicodedata.category(c) != "Mn")
    return _LAMS.sub("لل", letters)


def _parts(before: str, token: str, clitics: Callable[[Sequence[str]], list[str]]) -> list[str]:
    if token in ("[", "]"):
        return []
    if token in ("رابط", "بريد", "مستخدم") and before in ("[", "]"):
        return [f"[{token}]"]
    return clitics(token.split("+"))


_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_TERMINAL = frozenset(".!?؟…")
_CLOSING = frozenset("»”’)]}›")
_QUOTES = frozenset("\"'")


def sentences(raw: str, words: Sequence[Word]) -> list[range]:
    """Sentences as ranges of word numbers, each word in exactly one.

    A sentence ends at a line break, and at . ! ? ؟ … together with the quotes and brackets that these close;
    not at a dot within a number or a Latin name, or after a single letter (أ. ف. ب).
    """
    found: list[range] = []
    first = i = 0
    while i < len(words):
        if ends := _ends_sentence(raw, words, i):
            while i + 1 < len(words) and _still_belongs(raw, words, first, i + 1):
                i += 1
        i += 1
        if ends or i == len(words) or _LINE_BREAK.search(raw, words[i - 1].end, words[i].start):
            found.append(range(first, i))
            first = i
    return found


def _ends_sentence(raw: str, words: Sequence[Word], i: int) -> bool:
    word = words[i]
    mark = raw[word.end - 1]
    if mark != ".":
        return mark in _TERMINAL
    before, after = raw[max(word.end - 2, 0)], raw[word.end : word.end + 1]
    if (after.isascii() and after.isalpha()) or (before.isdigit() and after.isdigit()):
        return False
    glued = raw[words[i - 1].start : word.start] if i and words[i - 1].end == word.start else ""
    spelt = [character for character in glued if character.isalnum() and character != "\u0640"]
    return len(spelt) != 1 or spelt[0].isdigit()


def _still_belongs(raw: str, words: Sequence[Word], first: int, i: int) -> bool:
    """Whether word `i`, after the end of the sentence that began at `first`, is still part of it."""
    word, end = words[i], words[i - 1].end
    text = raw[word.start : word.end]
    if _LINE_BREAK.search(raw, end, word.start):
        return False
    if text in _QUOTES:
        # It closes what the sentence opened, or leans on the full stop.
        opened = raw.count(text, words[first].start, word.start) % 2 == 1
        return opened or (word.start == end and not raw[word.end : word.end + 1].isalnum())
    return set(text) <= _TERMINAL | _CLOSING or (word.start == end and not word.form)


def clitic_offset(raw: str, word_start: int, letters: int) -> int:
    """The raw offset behind `letters` letters from `word_start` and the diacritics and tatweel on the last.

    Both offsets count code points. Raises: ValueError where the word has fewer letters.
    """
    offset = word_start
    for _ in range(letters):
        if offset >= len(raw) or raw[offset].isspace():
            raise ValueError(f"fewer than {letters} letters from {word_start}: {raw[word_start:offset]!r}")
        offset += 1
        while offset < len(raw) and _is_on_letter(raw[offset]):
            offset += 1
    return offset


def _is_on_letter(character: str) -> bool:
    """Diacritics, tatweel, and invisible marks such as the zero-width joiner."""
    return character == "\u0640" or unicodedata.category(character) in ("Mn", "Me", "Cf")
