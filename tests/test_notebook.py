"""«زار ماكرون لبنان»: what a notebook gets of a document, a text, and the labeller that ships."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given

import khabar
from khabar import DataError, Document, Event, Mention
from khabar.formats.doc import convert
from khabar.frames import ENTITIES, EVENTS, frames
from khabar.tagger import Tagger
from test_viewer import documents

VISIT = Document(
    "زيارة",
    "زار ماكرون لبنان وبيروت.",
    (Mention(4, 10, "PER", 0.9), Mention(11, 16, "GPE"), Mention(18, 23, "GPE")),
    (
        Event(Mention(0, 3, "Meet", 0.8), (Mention(4, 10, "Entity", 0.7), Mention(11, 16, "Place"))),
        Event(Mention(0, 3, "Move")),
    ),
    {"source": "سانا"},
)


def test_entities_and_events_are_tables() -> None:
    tables = VISIT.to_frame()
    assert list(tables.entities.columns) == list(ENTITIES)
    assert tables.entities.text.tolist() == ["ماكرون", "لبنان", "بيروت"]
    assert tables.entities.score.isna().tolist() == [False, True, True]
    rows = tables.events[["event", "type", "text", "role", "argument_text", "argument_start"]].astype(object)
    assert rows.where(rows.notna(), None).to_numpy().tolist() == [
        [0, "Meet", "زار", "Entity", "ماكرون", 4],
        [0, "Meet", "زار", "Place", "لبنان", 11],
        [1, "Move", "زار", None, None, None],
    ]


def test_tables_have_their_columns_where_nothing_is_there() -> None:
    for documents_ in ([], [Document("1", "نص")], [Document("1", "نص", (), ())]):
        entities, events = frames(documents_)
        assert (len(entities), len(events)) == (0, 0)
        assert entities.dtypes.astype(str).to_dict() == ENTITIES
        assert list(events.columns) == list(EVENTS)


def test_a_doc_of_spacy_holds_every_mention() -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed: khabar[spacy]")
    doc = VISIT.to_spacy()
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("ماكرون", "PER"), ("لبنان", "GPE"), ("بيروت", "GPE")]
    assert [(span.text, span.label_) for span in doc.spans["triggers"]] == [("زار", "Meet"), ("زار", "Move")]
    assert [span.label_ for span in doc.spans["arguments"]] == ["Entity", "Place"]
    assert doc.spans["arguments"].attrs["events"] == [0, 0]
    assert json.loads(doc.user_data["khabar"])["meta"] == {"source": "سانا"}
    assert convert(VISIT, doc.vocab).vocab is doc.vocab


@given(documents())
def test_the_text_of_a_doc_is_the_article(document: Document) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed: khabar[spacy]")
    doc = convert(document, spacy.blank("ar").vocab)
    assert doc.text == document.text
    assert [(e.start_char, e.end_char) for e in doc.ents] == [(m.start, m.end) for m in document.entities or ()]
    assert len(doc.spans["triggers"]) == len(document.events or ())


def test_a_missing_spacy_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(DataError, match=r"pip install 'khabar\[spacy\]'"):
        VISIT.to_spacy()


def test_a_text_becomes_a_document_and_texts_a_list(untrained: Tagger) -> None:
    one = untrained.label("زار ماكرون لبنان.")
    assert isinstance(one, Document)
    assert (one.id, one.text) == ("1", "زار ماكرون لبنان.")
    assert one.entities is not None
    several = untrained.label(text for text in ["زار ماكرون لبنان.", ""])
    assert [document.id for document in several] == ["1", "2"]
    assert several[0] == one
    assert untrained.label([]) == []


@pytest.mark.parametrize("texts", [[None], ["نص", VISIT], [b"x"]])
def test_a_text_is_a_string(untrained: Tagger, texts: Any) -> None:
    with pytest.raises(DataError, match=rf"text {len(texts)}: expected a string, got \w+; tag\(\) takes documents"):
        untrained.label(texts)


def test_the_labeller_that_ships_is_loaded_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from khabar import backends, contract

    asked = []
    monkeypatch.setattr(backends, "load", lambda folder, **options: asked.append((folder, options)))
    khabar.load()
    khabar.load("runs/model", device="cpu")
    assert asked == [(contract.COMPACT, {}), ("runs/model", {"device": "cpu"})]
    assert khabar.load.__module__ == "khabar"  # no module took its name
