"""«التقى الرئيس المصري نظيره العراقيّ ببغداد»: which mentions are found, by what they have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from khabar.document import Document, Event, Mention
from khabar.metrics import Score, score
from khabar.scoring.facets import Facets, has_nationality, subword_facets, surfaces
from khabar.tagger import Tagger

TEXT = "التقى الرئيس المصري نظيره العراقيّ ببغداد"


def mention(words: str, label: str, text: str = TEXT) -> Mention:
    start = text.index(words)
    return Mention(start, start + len(words), label)


MEETING = Event(mention("التقى", "Meet"), (mention("الرئيس المصري", "Entity"), mention("بغداد", "Place")))
GOLD = Document("لقاء", TEXT, entities=(mention("الرئيس المصري", "PER"), mention("بغداد", "GPE")), events=(MEETING,))


def bucket(text: str, words: str) -> dict[str, str]:
    """The bucket of one mention in each facet."""
    document = Document("نص", text, entities=(mention(words, "X", text),))
    facets = Facets()
    facets.add(document, document)
    return {facet: name for facet, (name,) in facets.to_json()["entities"].items()}


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("بغداد", "1"),
        ("مدينة بغداد", "2"),
        ("مدينة - بغداد", "2"),  # a dash is no word
        ("« »", "1"),
        ("من مدينة بغداد", "3"),
        ("أ ب ج د", "4-5"),
        ("أ ب ج د ه", "4-5"),
        ("أ ب ج د ه و", "6+"),
    ],
)
def test_length_in_words(words: str, length: str) -> None:
    assert bucket(words, words)["length"] == length


@pytest.mark.parametrize(
    ("text", "words", "clitic"),
    [
        ("في بغداد", "بغداد", "none"),
        ("ببغداد", "بغداد", "ب"),
        ("ببغداد", "ببغداد", "none"),  # an edge that a prediction has wrong
        ("وَبِبغداد", "بغداد", "و+ب"),
        ("للعراق", "عراق", "ل+ال"),
        ("سيقتل", "يقتل", "other letters"),
    ],
)
def test_what_is_written_onto_the_word_before(text: str, words: str, clitic: str) -> None:
    assert bucket(text, words)["clitic"] == clitic


@pytest.mark.parametrize(
    ("words", "spelling"),
    [
        ("الجيش السوري", "plain"),
        ("«فتح» (3)، ٢٠١٦", "plain"),
        ("مُحمّد", "tashkeel"),
        ("شركة Google", "Latin letters"),
        ("مُ Élysée", "Latin letters"),
        ("بغـداد", "odd characters"),  # tatweel
        ("ڤولفو", "odd characters"),
        ("بغداد\u200f", "odd characters"),
        ("🔴", "odd characters"),
    ],
)
def test_spelling(words: str, spelling: str) -> None:
    assert bucket(words, words)["spelling"] == spelling


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        ("الجيش السوري", True),
        ("سورية", True),
        ("جنود مصريين", True),
        ("«المصريون»", True),
        ("العراقيّ", True),
        ("وللأردنيات", True),
        ("ألماني", True),  # whose ال is no article
        ("الوطني", False),
        ("بندقية", False),
        ("علي", False),
        ("بحري", False),
        ("مصر", False),
        ("مصريتنا", False),
        ("العرب", False),  # a limit: no ending of the nisba
        ("البنك المالي", False),  # a limit: of money, not of Mali
        ("السعودية", True),  # a limit: the kingdom is called so
    ],
)
def test_adjectives_of_nationality(surface: str, expected: bool) -> None:
    assert has_nationality(surface) is expected


def test_each_bucket_has_scores_of_its_own() -> None:
    facets = Facets(seen=surfaces([replace(GOLD, entities=(mention("بغداد", "GPE"),))]))
    wrong = mention("ببغداد", "GPE")  # the clitic is no part of the name
    facets.add(GOLD, replace(GOLD, entities=(mention("الرئيس المصري", "PER"), wrong)))
    record = facets.to_json()
    assert list(record) == ["arguments", "entities", "triggers"]
    entities = record["entities"]
    assert list(entities) == ["clitic", "length", "nationality", "spelling", "surface"]
    assert entities["clitic"] == {"none": Score(1, 2, 1).to_json(), "ب": Score(0, 0, 1).to_json()}
    assert entities["nationality"] == {"no": Score(0, 1, 1).to_json(), "yes": Score(1, 1, 1).to_json()}
    assert entities["surface"] == {"seen": Score(0, 0, 1).to_json(), "unseen": Score(1, 2, 1).to_json()}
    assert record["arguments"]["surface"] == {"seen": Score(2, 2, 2).to_json()}
    assert json.loads(json.dumps(record)) == record


def test_seen_surfaces_are_compared_as_they_are_folded() -> None:
    train = Document("تدريب", "زار أحمد القاهرة", entities=(Mention(4, 8, "PER"),))
    assert surfaces([train, GOLD, replace(train, entities=None)]) == {
        "entities": {"احمد", "الرئيس المصري", "بغداد"},
        "triggers": {"التقي"},
        "arguments": {"الرئيس المصري", "بغداد"},
    }
    other = Document("اختبار", "زار احمَد", entities=(Mention(4, 9, "PER"),))
    facets = Facets(seen=surfaces([train]))
    facets.add(other, other)
    assert facets.to_json()["entities"]["surface"] == {"seen": Score(1, 1, 1).to_json()}


def test_layers_that_gold_does_not_have_are_left_out() -> None:
    facets = Facets()
    facets.add(replace(GOLD, events=None), GOLD)
    assert list(facets.to_json()) == ["entities"]
    facets.add(replace(GOLD, entities=None), replace(GOLD, events=None))  # nothing predicted: all missed
    assert facets.to_json()["triggers"]["length"]["1"] == Score(0, 0, 1).to_json()


def test_the_buckets_of_a_facet_make_up_the_strict_score(documents: tuple[Document, ...]) -> None:
    """Each prediction lacks some mentions and has some of another's label."""
    facets, predictions = Facets(), []
    for number, document in enumerate(documents):
        entities = tuple(
            replace(m, label="X") if place % 3 == 1 else m for place, m in enumerate(document.entities or ())
        )
        events = tuple(replace(e, arguments=e.arguments[number % 2 :]) for e in document.events or ())
        predictions.append(replace(document, entities=entities[: number % 4 + 1], events=events))
        facets.add(document, predictions[-1])
    units, record = score(documents, predictions).units, facets.to_json()
    for layer, kind in (("entities", "entities"), ("triggers", "TC"), ("arguments", "AC")):
        assert units[kind].micro.gold > 5
        for buckets in record[layer].values():
            total = [sum(found[column] for found in buckets.values()) for column in ("correct", "predicted", "gold")]
            assert Score(*map(int, total)) == units[kind].micro


def test_subwords_that_the_vocabulary_does_not_have(untrained: Tagger) -> None:
    text = "هاجم الجيش Qatar في الرقة"
    describe = subword_facets(untrained.reader)(Document("نص", text))
    assert describe(mention("الجيش", "X", text))["subwords"] == "known"
    assert describe(mention("Qatar", "X", text))["subwords"] == "unknown"
    assert describe(mention("الجيش Qatar", "X", text))["subwords"] == "unknown"
    assert describe(mention(" ", "X", text)) == {}  # no word to read


def test_distance_to_the_edge_of_a_window(make_tagger: Callable[..., Tagger]) -> None:
    reader = make_tagger(length=96, context=16, argument_length=96).reader
    document = Document("نص", "هاجم الجيش الرقة. " * 60)
    reading = reader.read(document)
    owned = [instance.words for instance in reader.text_pass(reading)]
    assert len(owned) > 2
    describe, count = subword_facets(reader)(document), len(reading.words)
    for number, word in enumerate(reading.words):
        window = next(words for words in owned if number in words)
        edges = [number - window.start] * (window.start > 0) + [window.stop - 1 - number] * (window.stop < count)
        expected = "0-1" if min(edges) <= 1 else "2-4" if min(edges) <= 4 else "5+"
        assert describe(Mention(word.start, word.end, "X"))["window edge"] == expected
    first, second = reading.words[owned[0].stop - 3], reading.words[owned[0].stop + 2]
    assert describe(Mention(first.start, second.end, "X"))["window edge"] == "0-1"  # it crosses one
    facets = Facets(describe=subword_facets(reader))
    whole = replace(document, entities=(Mention(0, 4, "X"),))
    facets.add(whole, whole)
    assert facets.to_json()["entities"]["window edge"] == {"5+": Score(1, 1, 1).to_json()}  # an article's start is none
