"""«زار الوزير القاهرة ثم عاد إلى بغداد»: a document carries it, mentions are ranges of it, JSON keeps it."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Event, Mention

TEXT = "زار الوزير القاهرة ثم عاد إلى بغداد"
VISIT = Event(Mention(0, 3, "Transport"), (Mention(11, 18, "Destination"), Mention(4, 10, "Artifact")))
RETURN = Event(Mention(22, 25, "Transport"))
DOCUMENT = Document(
    "زيارة",
    TEXT,
    entities=(Mention(30, 35, "GPE"), Mention(4, 10, "PER"), Mention(11, 18, "GPE")),
    events=(RETURN, VISIT),
    meta={"source": "وكالة", "year": 2024},
)


def test_a_mention_is_the_text_between_its_offsets() -> None:
    assert [DOCUMENT.surface(m) for m in DOCUMENT.entities or ()] == ["الوزير", "القاهرة", "بغداد"]
    assert [DOCUMENT.surface(m) for m in DOCUMENT.mentions()] == [
        *("الوزير", "القاهرة", "بغداد"),
        *("زار", "الوزير", "القاهرة"),
        "عاد",
    ]


def test_layers_are_kept_in_text_order() -> None:
    assert [event.trigger.start for event in DOCUMENT.events or ()] == [0, 22]
    assert [argument.label for argument in VISIT.arguments] == ["Artifact", "Destination"]
    assert VISIT.type == "Transport"


def test_values_are_frozen_compared_by_value_and_hashed() -> None:
    with pytest.raises(FrozenInstanceError):
        DOCUMENT.text = ""  # type: ignore[misc]
    assert replace(DOCUMENT) == DOCUMENT
    assert len({DOCUMENT, replace(DOCUMENT)}) == 1
    assert Mention(0, 3, "PER", score=0.9) == Mention(0, 3, "PER")
    assert len({Mention(0, 3, "PER", score=0.9), Mention(0, 3, "PER")}) == 1


def test_a_layer_that_was_not_annotated_differs_from_an_empty_one() -> None:
    kinds: list[dict[str, Any]] = [{}, {"entities": ()}, {"events": ()}, {"entities": (), "events": ()}]
    for layers in kinds:
        document = Document("أ", TEXT, **layers)
        assert document.to_json().keys() - {"id", "text"} == layers.keys()
        assert Document.from_json(document.to_json()) == document
        assert list(document.mentions()) == []


def test_the_json_of_the_guidelines() -> None:
    scored = replace(DOCUMENT, entities=(Mention(4, 10, "PER", score=0.123456),))
    assert scored.to_json() == {
        "id": "زيارة",
        "text": TEXT,
        "entities": [{"start": 4, "end": 10, "type": "PER", "score": 0.1235}],
        "events": [
            {
                "trigger": {"start": 0, "end": 3, "type": "Transport"},
                "arguments": [
                    {"start": 4, "end": 10, "role": "Artifact"},
                    {"start": 11, "end": 18, "role": "Destination"},
                ],
            },
            {"trigger": {"start": 22, "end": 25, "type": "Transport"}, "arguments": []},
        ],
        "meta": {"source": "وكالة", "year": 2024},
    }
    assert Document.from_json(scored.to_json()).entities[0].score == 0.1235  # type: ignore[index]


def test_an_event_may_be_written_without_arguments() -> None:
    record = {"id": "أ", "text": TEXT, "events": [{"trigger": {"start": 22, "end": 25, "type": "Transport"}}]}
    assert Document.from_json(record).events == (RETURN,)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 3), (4, 3)])
def test_a_mention_is_not_empty_nor_outside(start: int, end: int) -> None:
    with pytest.raises(DataError, match=rf"'PER': expected 0 <= start < end, got {start}\.\.{end}"):
        Mention(start, end, "PER")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"entities": (Mention(30, 36, "GPE"),)},
            r"'أ': GPE 30\.\.36 ends after the text \(35 code points\)",
        ),
        ({"events": (Event(Mention(0, 3, "T"), (Mention(0, 99, "R"),)),)}, r"'أ': R 0\.\.99 ends after"),
        ({"events": (Event(Mention(0, 99, "T")),)}, r"'أ': T 0\.\.99 ends after"),
        ({"entities": (Mention(4, 10, "A"), Mention(9, 12, "B"))}, "'أ': entities overlap"),
        ({"entities": (Mention(4, 10, "A"), Mention(4, 10, "A"))}, "'أ': entities overlap"),
        ({"entities": (Mention(0, 20, "A"), Mention(4, 10, "B"))}, "'أ': entities overlap"),
    ],
)
def test_a_document_refuses_what_is_not_in_its_text(layers: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Document("أ", TEXT, **layers)


def test_entities_may_touch_and_events_may_share() -> None:
    shared = Mention(4, 10, "Artifact")
    Document("أ", TEXT, entities=(Mention(0, 4, "A"), Mention(4, 10, "B"), Mention(30, 35, "C")))
    Document("أ", TEXT, events=(Event(Mention(0, 3, "T"), (shared,)), Event(Mention(0, 3, "U"), (shared,))))


def test_text_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(DataError, match="'أ': lone surrogate at 2"):
        Document("أ", "زا\ud800ر")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 7}, "strings id and text, got id 7"),
        ({"id": None}, "strings id and text, got id None"),
        ({"text": None}, "strings id and text, got id 'GPE'"),
        ({"entity": []}, r"document 'GPE': unknown keys \['entity'\], expected"),
        ({"meta": "وكالة"}, "document 'GPE': expected an object as meta, got 'وكالة'"),
        ({"entities": 3}, "document 'GPE': entities and events must be lists of objects"),
        ({"entities": "abc"}, "document 'GPE': entities and events must be lists of objects"),
        ({"entities": [[0, 3, "PER"]]}, "document 'GPE': entities and events must be lists of objects"),
        ({"entities": [{"start": 0, "end": 3}]}, "document 'GPE': expected a mention .* a string type"),
        ({"entities": [{"start": True, "end": 3, "type": "PER"}]}, "document 'GPE': expected a mention"),
        ({"entities": [{"start": 0, "end": 3.0, "type": "PER"}]}, "document 'GPE': expected a mention"),
        (
            {"entities": [{"start": 0, "end": 3, "type": "PER", "score": "0.5"}]},
            "document 'GPE': expected a number as score of a mention, got '0.5'",
        ),
        # The type is the document's id, too; the message names the document all the same.
        (
            {"entities": [{"start": 3, "end": 3, "type": "GPE"}]},
            "document 'GPE': mention 'GPE': expected 0 <=",
        ),
        ({"entities": [{"start": 0, "end": 99, "type": "GPE"}]}, "^document 'GPE': GPE 0..99 ends after"),
        ({"events": [{"arguments": []}]}, r"document 'GPE': entities and events .*\('trigger'\)"),
        ({"events": ["زار"]}, "document 'GPE': entities and events must be lists of objects"),
        (
            {"events": [{"trigger": {"start": 0, "end": 3, "type": "T"}, "arguments": None}]},
            "document 'GPE': entities and events must be lists of objects",
        ),
        (
            {"events": [{"trigger": {"start": 0, "end": 3, "type": "T"}, "argument": []}]},
            r"document 'GPE': unknown keys \['argument'\] of an event",
        ),
        (
            {"events": [{"trigger": {"start": 0, "end": 3, "type": "T"}, "arguments": [{"start": 0, "end": 1}]}]},
            "document 'GPE': expected a mention .* a string role",
        ),
    ],
)
def test_bad_records_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Document.from_json({"id": "GPE", "text": TEXT} | change)


@pytest.mark.parametrize("record", [[], "زار", 3, None])
def test_a_record_is_an_object(record: Any) -> None:
    with pytest.raises(DataError, match="expected an object with id and text"):
        Document.from_json(record)


# Any text that UTF-8 can write, and what Arabic news holds: marks, ligatures, bidi controls, emoji.
texts = st.text(min_size=1, max_size=20) | st.text("اللهُّـﷺ٣\u200f\u202e😀\n", min_size=1, max_size=20)
labels = st.sampled_from(["PER", "Life:Die", "شخص", '😀 "x"']) | st.text(max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True).map(sorted))
    spans = [(a, b) for a in cuts for b in cuts if a < b] or [(0, len(text))]
    scores = st.sampled_from([None, 0, 0.25, 0.9999, 1.0])

    def mentions(spans: st.SearchStrategy[tuple[int, int]]) -> st.SearchStrategy[Mention]:
        return st.builds(lambda span, *rest: Mention(*span, *rest), spans, labels, scores)

    anywhere = mentions(st.sampled_from(spans))
    disjoint = [mentions(st.just(span)) for span in zip(cuts[::2], cuts[1::2], strict=False)]
    events = st.builds(Event, anywhere, st.lists(anywhere, max_size=2).map(tuple))
    return Document(
        draw(st.text(max_size=5)),
        text,
        entities=draw(st.none() | st.tuples(*disjoint)),
        events=draw(st.none() | st.lists(events, max_size=2).map(tuple)),
        meta=draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)),
    )


@given(documents())
def test_every_document_comes_back_from_its_json(document: Document) -> None:
    line = json.dumps(document.to_json(), ensure_ascii=False)
    back = Document.from_json(json.loads(line))
    assert back == document
    assert [m.score for m in back.mentions()] == [m.score for m in document.mentions()]
    for mention in back.mentions():
        surface = back.surface(mention)
        assert surface == document.text[mention.start : mention.end]
        assert len(surface) == mention.end - mention.start > 0
