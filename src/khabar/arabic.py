"""From the raw text of an article to the words AraBERT reads, and back.

A word is what the encoder reads and where that stands in the raw text. Above this module nobody handles a
preprocessed offset: there are raw offsets and words, and sentences as ranges of words.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from khabar import farasa
from khabar.cleaning import FIRST_GENERATION, SECOND_GENERATION, UNTOUCHED, AlignedText, Rule, clean

__all__ = ["PREPROCESSING", "Preprocessing", "Word", "clitic_offset", "fold", "preprocess", "sentences", "words"]


@dataclass(frozen=True, slots=True)
class Word:
    """`form`: what the encoder reads, maybe nothing; `start`, `end`: code points into the raw text."""

    form: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a checkpoint expects of its text.

    `segmenter` maps a line of space-separated words to the same line segmented by Farasa (`و+ال+عراق`), and
    `clitics` the segments of one such token to the tokens that the checkpoint reads (`و+ ال+ عراق`).
    """

    name: str
    rules: tuple[Rule, ...]
    segmenter: farasa.Segmenter | None = None
    clitics: farasa.Clitics = list


_SCHEMES = (
    Preprocessing("none", UNTOUCHED),
    Preprocessing("arabertv02", SECOND_GENERATION),
    Preprocessing("araelectra", SECOND_GENERATION),
    Preprocessing("arabertv2", SECOND_GENERATION, farasa.segment, farasa.second_generation_clitics),
    Preprocessing("arabertv01", FIRST_GENERATION),
    Preprocessing("arabertv1", FIRST_GENERATION, farasa.segment, farasa.first_generation_clitics),
)
PREPROCESSING: Mapping[str, Preprocessing] = MappingProxyType({scheme.name: scheme for scheme in _SCHEMES})


def _scheme(preprocessing: str | Preprocessing) -> Preprocessing:
    if isinstance(preprocessing, Preprocessing):
        return preprocessing
    if preprocessing not in PREPROCESSING:
        raise ValueError(f"preprocessing is {preprocessing!r}, expected one of {', '.join(PREPROCESSING)}")
    return PREPROCESSING[preprocessing]


_OUTER_SPACE = re.compile(r"\A\s+|(?<!\s)\s+\Z")
_WIDE_SPACE = re.compile(r"\s{2,}|[^\S ]")
_TOKEN = re.compile(r"\S+")


def preprocess(raw: str, preprocessing: str | Preprocessing = "arabertv02") -> AlignedText:
    """The text that the encoder reads, single-spaced, aligned with the raw text.

    Raises: ValueError for an unknown name; as `words` does where the text is segmented by Farasa.
    """
    scheme = _scheme(preprocessing)
    if scheme.segmenter is None:
        aligned = clean(raw, scheme.rules)
        return aligned.sub(_OUTER_SPACE, "").sub(_WIDE_SPACE, " ")
    read = [word for word in words(raw, scheme) if word.form]
    lengths = [len(word.form) + 1 for word in read]
    starts = array("I", (word.start for word, n in zip(read, lengths, strict=True) for _ in range(n)))
    ends = array("I", (word.end for word, n in zip(read, lengths, strict=True) for _ in range(n)))
    return AlignedText(" ".join(word.form for word in read), starts[:-1], ends[:-1])


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
    aligned = clean(raw, scheme.rules)
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
    if scheme.segmenter is None:
        return found
    forms = farasa.segmented([word.form for word in found], scheme.segmenter, scheme.clitics)
    return [Word(form, word.start, word.end) for form, word in zip(forms, found, strict=True)]


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


_MARKS = [c for c in map(chr, (*range(0x600, 0x700), *range(0x8A0, 0x900))) if unicodedata.category(c) == "Mn"]
_INVISIBLE = "\xad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\u2066\u2067\u2068\u2069\ufeff" + "".join(
    map(chr, range(0x202A, 0x202F))
)
_FOLDED = str.maketrans(
    "أإآٱىة" + "٠١٢٣٤٥٦٧٨٩" + "۰۱۲۳۴۵۶۷۸۹", "ااااي" + "ه" + "0123456789" * 2, "".join(_MARKS) + "\u0640" + _INVISIBLE
)


def fold(text: str) -> str:
    """A surface as it is compared: what writers of Arabic leave out or write in two ways makes no difference.

    Diacritics, tatweel and invisible marks (of direction, of joining) go; أ إ آ ٱ become ا, ى becomes ي and ة
    becomes ه; Arabic-Indic and Persian digits become Western ones, and white space one space, none at the ends.
    Hamza on و and ي stays. The result is NFC, and folding it again changes nothing. Names that differ only in
    what is folded (على, علي) become one, so this is for comparing, not for reading.
    """
    bare = unicodedata.normalize("NFC", text).translate(_FOLDED)
    # Composed once more: what stood between a letter and its accent may just have gone.
    return unicodedata.normalize("NFC", " ".join(bare.split()))
