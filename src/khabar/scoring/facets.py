"""Scores of the mentions that have something in common: their length, spelling, clitics, place in a window.

A facet sorts mentions into buckets by their span alone, never by their label or by whether they are right, so the
gold and the predicted mention of a correct unit share a bucket and each bucket has scores of its own. A mention
whose edge is wrong may be missed in one bucket and spurious in another.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from khabar.arabic import fold
from khabar.bio import covering
from khabar.document import Document, Mention
from khabar.features import Reader
from khabar.metrics import Score
from khabar.scoring.boundaries import letters_before, proclitics

__all__ = ["Describe", "Facets", "has_nationality", "subword_facets", "surfaces"]

Describe = Callable[[Document], Callable[[Mention], Mapping[str, str]]]
_Buckets = tuple[tuple[str, str], ...]  # facet, bucket

_TASHKEEL = re.compile("[\u064b-\u0652\u0670]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
# What an Arabic name is written with: letters, tashkeel, digits, spaces and the marks of common punctuation.
_ORDINARY = re.compile(r"[\u0621-\u063a\u0641-\u0652\u0660-\u066c\u06700-9 .,:;!?/%&+'\"()\[\]«»،؛؟–—-]*")

# Folded stems of the adjectives that Arabic news makes of states and peoples.
_PEOPLES = (
    "مصر|سور|عراق|لبنان|اردن|فلسطين|اسرائيل|سعود|يمن|كويت|قطر|بحرين|امارات|عمان|ليب|تونس|جزائر|مغرب|موريتان|سودان|"
    "صومال|جيبوت|اريتر|اثيوب|كين|اوغند|تنزان|رواند|كونغول|نيجر|نيجير|تشاد|سنغال|ترك|ايران|افغان|باكستان|هند|صين|"
    "يابان|كور|روس|اوكران|فرنس|بريطان|انجليز|انكليز|المان|ايطال|اسبان|برتغال|هولند|بلجيك|سويسر|سويد|نرويج|دنمارك|"
    "فنلند|بولند|يونان|قبرص|صرب|البان|بلغار|رومان|تشيك|نمساو|ايرلند|امريك|اميرك|كند|مكسيك|برازيل|ارجنتين|فنزويل|كوب|"
    "استرال|اندونيس|ماليز|فلبين|تايلند|فيتنام|شيشان|اذربيجان|نيبال|كرد|ارمن|تركمان|امازيغ|عرب|اوروب|افريق|اسيو|خليج"
)
_NATIONALITY = re.compile(rf"(?<!\w)[وف]?[بلك]?(?:ال|ل)?(?:{_PEOPLES})(?:ي|يه|يون|يين|يان|يتان|يتين|يات)(?!\w)")


class Facets:
    """Collects the scores of each bucket.

    Args:
        seen: folded surfaces of the training data, by layer (`surfaces`); makes the facet ``surface``.
        describe: further facets: of a document, a function from a mention to its bucket of each (`subword_facets`).

    The units are those of strict scoring: entities (type, span), triggers (event type, span: TC) and arguments
    (event type, role, span: AC).

    """

    def __init__(self, seen: Mapping[str, Iterable[str]] | None = None, describe: Describe | None = None) -> None:
        self._seen = {layer: frozenset(known) for layer, known in (seen or {}).items()}
        self._describe = describe
        # By layer and the buckets of a unit in every facet, so that a unit is counted once.
        self._counts: defaultdict[tuple[str, _Buckets], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, gold: Document, predicted: Document) -> None:
        """Count a document. A layer that is ``None`` in gold is left out."""
        spans: dict[tuple[int, int], _Buckets] = {}  # entities and arguments share many
        further = self._describe(gold) if self._describe else None
        predictions = dict(_units(predicted))
        for layer, units in _units(gold):
            truth, found, known = set(units), set(predictions.get(layer, ())), self._seen.get(layer)
            for unit in truth | found:
                span = (unit[0], unit[1])
                if span not in spans:
                    described = further(Mention(*span, "")) if further else {}
                    spans[span] = (*_facets(gold.text, *span), *described.items())
                buckets = spans[span]
                if known is not None:
                    surface = fold(gold.text[unit[0] : unit[1]])
                    buckets = (*buckets, ("surface", "seen" if surface in known else "unseen"))
                counts = self._counts[layer, buckets]
                counts[0] += unit in truth and unit in found
                counts[1] += unit in found
                counts[2] += unit in truth

    def to_json(self) -> dict[str, dict[str, dict[str, dict[str, float | int]]]]:
        """Layer -> facet -> bucket -> precision, recall, F1 and their counts; only what occurs.

        Facets: ``length`` (in words), ``clitic`` (what is written onto the word before the mention begins),
        ``spelling`` (tashkeel, Latin letters, odd characters), ``nationality`` (`has_nationality`),
        ``surface`` (seen or unseen in training), and those of ``describe``.
        """
        sums: defaultdict[tuple[str, str, str], Score] = defaultdict(Score)
        for (layer, buckets), counts in self._counts.items():
            for facet, bucket in buckets:
                sums[layer, facet, bucket] += Score(*counts)
        record: dict[str, Any] = {}
        for (layer, facet, bucket), score in sorted(sums.items()):
            record.setdefault(layer, {}).setdefault(facet, {})[bucket] = score.to_json()
        return record


def _units(document: Document) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The units of each layer that the document has; a unit begins with the span of its mention."""
    if document.entities is not None:
        yield "entities", [(m.start, m.end, m.label) for m in document.entities]
    if document.events is not None:
        triggers = [event.trigger for event in document.events]
        yield "triggers", [(m.start, m.end, m.label) for m in triggers]
        yield "arguments", [(m.start, m.end, m.label, e.type) for e in document.events for m in e.arguments]


def surfaces(documents: Iterable[Document]) -> dict[str, set[str]]:
    """The folded surfaces of ``entities``, ``triggers`` and ``arguments``, for telling seen from unseen."""
    found: dict[str, set[str]] = {"entities": set(), "triggers": set(), "arguments": set()}
    for document in documents:
        for layer, units in _units(document):
            found[layer].update(fold(document.text[start:end]) for start, end, *_ in units)
    return found


def has_nationality(surface: str) -> bool:
    """Whether a word has the form of an adjective of nationality: السوري, المصريين, وللعراقية.

    The rule: perhaps clitics and the article, the stem of a state or people that the news often names, and an
    ending of the nisba (ي ية يون يين يان يتان يتين يات). Endings alone will not do: most words in ي and ية are
    other adjectives (الوطني), nouns (بندقية) or names (علي). Its limits: peoples that are not listed; broken and
    bare plurals (عرب, أكراد, روس); مالي, of Mali or of money, is left out; and what is written like one counts
    (السعودية, the kingdom; تركي, the name).
    """
    return _NATIONALITY.search(fold(surface)) is not None


def _facets(text: str, start: int, end: int) -> _Buckets:
    """What a span of text shows of itself."""
    surface, written = text[start:end], letters_before(text, start)
    parts = proclitics(written)
    return (
        ("length", _length(sum(any(map(str.isalnum, word)) for word in surface.split()))),
        ("clitic", "none" if not written else "+".join(parts) if parts else "other letters"),
        ("spelling", _spelling(surface)),
        ("nationality", "yes" if has_nationality(surface) else "no"),
    )


def _length(words: int) -> str:
    if words <= 3:
        return str(max(words, 1))
    return "4-5" if words <= 5 else "6+"


def _spelling(surface: str) -> str:
    """The oddest of what a surface is written with."""
    arabic = _LATIN.sub("", surface)
    if not _ORDINARY.fullmatch(arabic):
        return "odd characters"
    if arabic != surface:
        return "Latin letters"
    return "tashkeel" if _TASHKEEL.search(surface) else "plain"


def subword_facets(reader: Reader) -> Describe:
    """Facets that take a tokenizer, of any mention that has a word to read.

    ``subwords``: whether the vocabulary has all of its words (``known``) or a part is read as the unknown token.
    ``window edge``: words between it and the nearest edge of the window that owns its first word, 0 where it
    crosses one. The start and the end of an article are no edges: nothing is cut off there.
    """
    unknown = reader.tokenizer.unk_token_id

    def of_document(document: Document) -> Callable[[Mention], Mapping[str, str]]:
        reading = reader.read(document)
        starts = [instance.words.start for instance in reader.text_pass(reading)]
        edges = [-len(reading.words), *starts[1:], 2 * len(reading.words)]

        def of_mention(mention: Mention) -> Mapping[str, str]:
            covered = covering(reading.words, mention)
            if not covered:
                return {}
            place = bisect_right(edges, covered.start) - 1
            return {
                "subwords": "unknown" if any(unknown in reading.subwords[word] for word in covered) else "known",
                "window edge": _distance(min(covered.start - edges[place], edges[place + 1] - covered.stop)),
            }

        return of_mention

    return of_document


def _distance(words: int) -> str:
    if words <= 1:
        return "0-1"
    return "2-4" if words <= 4 else "5+"
