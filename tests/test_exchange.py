"""«قصف 🔴 الجيش مواقع»: a labelled article goes out to the tools that people annotate with, and comes back the same."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from khabar import corpus as corpora
from khabar.convert import FORMATS, convert
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.features import HEADS
from khabar.formats import brat, cas, docbin, doccano, folders, jsonl, label_studio, oneie, rows
from khabar.formats.utf16 import Units
from khabar.ontology import Ontology
from khabar.predict import predict
from khabar.tagger import Tagger
from khabar.train import train

NEEDED = {"cas": "cassis", "spacy": "spacy"}


def needs(package: str) -> Any:
    return pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)


def put(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


TEXT = "قصف 🔴 الجيش مواقع\nفي حلب."
ARMY, SITES, ALEPPO = (6, 11), (12, 17), (21, 24)
ARTICLE = Document(
    "2016/حلب",
    TEXT,
    (Mention(*ARMY, "ORG", 0.9), Mention(*ALEPPO, "GPE", 0.5)),
    (
        Event(
            Mention(0, 3, "Conflict:Attack", 0.8),
            (Mention(*ARMY, "Attacker", 0.7), Mention(*SITES, "Target", 0.6), Mention(*ALEPPO, "Place", 0.5)),
        ),
        Event(Mention(0, 3, "Conflict:Attack", 0.8)),  # another event in the same word
    ),
    {"source": "سانا", "year": 2016},
)
ONTOLOGY = Ontology.from_json(
    "حرب",
    {"ORG": "منظمة", "GPE": "بلد & مدينة"},
    {"Conflict:Attack": {"gloss": "هجوم", "roles": ["Attacker", "Target", "Place"]}},
)


# --- what the formats look like --------------------------------------------------------------------------


def test_brat_is_a_folder_of_texts_and_lines(tmp_path: Path) -> None:
    report: Counter[str] = Counter()
    crossing = replace(ARTICLE, entities=(Mention(12, 24, "GPE"),), events=(ARTICLE.events or ())[1:])
    brat.write(tmp_path / "out", [crossing], report=report)
    assert (tmp_path / "out" / "2016" / "حلب.txt").read_text(encoding="utf-8") == TEXT
    assert (tmp_path / "out" / "2016" / "حلب.ann").read_text(encoding="utf-8").splitlines() == [
        "T1\tGPE 12 17;18 24\tمواقع في حلب",
        "T2\tConflict_x3A_Attack 0 3\tقصف",
        "T3\tArgument 6 11\tالجيش",
        "T4\tArgument 12 17\tمواقع",
        "T5\tArgument 21 24\tحلب",
        "E1\tConflict_x3A_Attack:T2 Attacker:T3 Target:T4 Place:T5",
    ]
    assert "Conflict_x3A_Attack\tAttacker*:<ANY>" in (tmp_path / "out" / "annotation.conf").read_text()
    assert "Conflict_x3A_Attack | Conflict:Attack" in (tmp_path / "out" / "visual.conf").read_text()
    assert report == {"metadata of a document lost": 1, "score lost": 4}


def test_brat_is_read_as_people_write_it(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "قصف الجيش حلب ودمشق وقتل مدنيين")
    lines = [
        "T1\tAttack 0 3\tقصف",
        "T2\tORG 4 9\tالجيش",
        "T3\tGPE 10 13;15 19\tحلب دمشق",  # discontinuous
        "T4\tGPE 15 19\tدمشق",  # within the last
        "T5\tDie 21 24\tقتل",
        "E1\tAttack:T1 Attacker:T2 Place:T3 Place2:T4 Effect:E2",
        "E2\tDie:T5",
        "R1\tPartOf Arg1:T4 Arg2:T2",
        "*\tEquiv T2 T4",
        "A1\tNegated E1",
        "#1\tAnnotatorNotes T1\tملاحظة",
        "N1\tReference T2 Wikidata:Q1\tالجيش",
    ]
    put(tmp_path / "a.ann", "\n".join(lines) + "\n")
    put(tmp_path / "b.txt", "بلا لجنة")
    report: Counter[str] = Counter()
    (document,) = brat.read(tmp_path, report=report)
    assert document.entities == (Mention(4, 9, "ORG"), Mention(10, 19, "GPE"))
    roles = ((4, 9, "Attacker"), (10, 19, "Place"), (15, 19, "Place"), (21, 24, "Effect"))
    attack = Event(Mention(0, 3, "Attack"), tuple(Mention(*role) for role in roles))
    assert document.events == (attack, Event(Mention(21, 24, "Die")))
    assert report == {
        "discontinuous mention: its gaps are filled": 1,
        "entity dropped: it overlaps a longer one": 1,
        "argument that is an event: its trigger is kept": 1,
        **{f"brat {kind} left out": 1 for kind in ("relation", "equivalence", "attribute", "note", "normalisation")},
        "text without .ann left out": 1,
    }


def test_label_studio_gets_predictions_with_scores_and_its_configuration(tmp_path: Path) -> None:
    label_studio.write(tmp_path / "tasks.json", [ARTICLE], ontology=ONTOLOGY)
    (task,) = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert task["data"]["text"] == TEXT
    assert task["data"]["meta"] == {"source": "سانا", "year": 2016}
    (prediction,) = task["predictions"]
    assert 0.5 < prediction["score"] < 0.9
    region = prediction["result"][0]
    assert region == {
        "id": "s0",
        "from_name": "entities",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 6, "end": 11, "text": "الجيش", "labels": ["ORG"]},
        "score": 0.9,
    }
    relation = next(result for result in prediction["result"] if result["type"] == "relation")
    assert (relation["labels"], relation["to_id"], relation["direction"]) == (["Attacker"], "s0", "right")
    view = ElementTree.fromstring((tmp_path / "tasks.xml").read_text(encoding="utf-8"))
    assert [label.get("value") for label in view.iter("Label")] == ["ORG", "GPE", "Conflict:Attack", "Argument"]
    assert [relation.get("value") for relation in view.iter("Relation")] == ["Attacker", "Target", "Place"]


def region(start: int, end: int, label: str, control: str = "label", **fields: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label], **fields}
    return {"id": f"{control}{start}", "from_name": control, "to_name": "text", "type": "labels", "value": value}


def task(*results: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"text": TEXT, "url": "x"}, "annotations": [{"result": list(results), **fields}]}


def exported(tmp_path: Path, *tasks: Any) -> Path:
    return put(tmp_path / "export.json", json.dumps(tasks))


def test_label_studio_is_read_as_it_exports(tmp_path: Path) -> None:
    relation = {
        "type": "relation",
        "from_id": "label6",
        "to_id": "triggers0",
        "direction": "left",
        "labels": ["Attacker"],
    }
    choice = {"type": "choices", "from_name": "kind", "to_name": "text", "value": {"choices": ["a"]}}
    whole = task(region(6, 11, "ORG", text="الجيش"), region(0, 3, "Attack", "triggers"), relation, choice)
    cancelled = {"result": [region(0, 3, "ORG")], "was_cancelled": True, "updated_at": "2026-02-01"}
    older = {"result": [region(0, 3, "GPE")], "updated_at": "2025-01-01"}
    whole["annotations"][0]["updated_at"] = "2026-01-01"
    whole["annotations"] += [cancelled, older]
    whole["predictions"] = [{"result": [region(0, 3, "PER")]}]
    report: Counter[str] = Counter()
    document, untouched = label_studio.read(exported(tmp_path, whole, {"data": {"text": "نص"}}), report=report)
    assert (document.id, document.meta) == ("7", {"url": "x"})
    assert document.entities == (Mention(6, 11, "ORG"),)
    assert document.events == (Event(Mention(0, 3, "Attack"), (Mention(6, 11, "Attacker"),)),)
    assert untouched == Document("2", "نص")
    assert report == {
        "cancelled annotation left out": 1,
        "further annotation of a task left out": 1,
        "Label Studio choices left out": 1,
        "task without annotation": 1,
    }


@pytest.mark.parametrize("text", ["الجيش", "ال\\nجيش"])
def test_offsets_of_early_label_studio_count_utf16_units(text: str, tmp_path: Path) -> None:
    path = exported(tmp_path, task(region(7, 12, "ORG", text=text)))
    report: Counter[str] = Counter()
    (document,) = label_studio.read(path, report=report)
    assert document.entities == (Mention(6, 11, "ORG"),)
    assert report == {"task with offsets in UTF-16 units": 1}
    bare = exported(tmp_path, task(region(7, 12, "ORG")))  # nothing says so: then the caller does
    assert [d.entities for d in label_studio.read(bare, utf16=True)] == [(Mention(6, 11, "ORG"),)]
    with pytest.raises(DataError, match=r"task 1: region 'label5': None does not stand at 5\.\.6 \(UTF-16 units\)"):
        list(label_studio.read(exported(tmp_path, task(region(5, 6, "ORG"))), utf16=True))


def test_doccano_records_are_those_of_a_project_with_relations(tmp_path: Path) -> None:
    report: Counter[str] = Counter()
    doccano.write(tmp_path / "d.jsonl", [ARTICLE], report=report)
    record = json.loads((tmp_path / "d.jsonl").read_text(encoding="utf-8"))
    assert record["entities"][0] == {"id": 0, "label": "ORG", "start_offset": 6, "end_offset": 11}
    assert record["entities"][2]["label"] == "Trigger:Conflict:Attack"
    assert record["relations"][0] == {"id": 0, "from_id": 3, "to_id": 0, "type": "Attacker"}
    assert report == {"score lost": 7}


@pytest.mark.parametrize("key", ["label", "labels"])
def test_older_doccano_records_are_lists(key: str, tmp_path: Path) -> None:
    path = put(tmp_path / "d.jsonl", json.dumps({"id": 3, "text": TEXT, key: [[6, 11, "ORG"]], "Comments": ["؟"]}))
    report: Counter[str] = Counter()
    assert list(doccano.read(path, report=report)) == [Document("3", TEXT, (Mention(6, 11, "ORG"),))]
    assert report == {"doccano comment left out": 1}


ACE = {
    "doc_id": "AFP_1",
    "sent_id": "AFP_1-1",
    "tokens": ["حكمت", "محكمة", "باكستانية", "أمس", "."],
    "entity_mentions": [
        {"id": "E1", "text": "محكمة", "entity_type": "ORG", "mention_type": "NOM", "start": 1, "end": 3},
        {"id": "E2", "text": "باكستانية", "entity_type": "GPE", "mention_type": "NAM", "start": 2, "end": 3},
    ],
    "relation_mentions": [{"id": "R1"}],
    "event_mentions": [
        {
            "id": "EV1",
            "event_type": "Justice:Sentence",
            "trigger": {"text": "حكمت", "start": 0, "end": 1},
            "arguments": [{"entity_id": "E1", "text": "محكمة", "role": "Adjudicator"}],
        }
    ],
}


def test_oneie_sentences_make_a_document(tmp_path: Path) -> None:
    second = {**ACE, "sentence": "حكمت  محكمة باكستانية أمس.", "relation_mentions": []}
    path = put(tmp_path / "ace.json", f"{json.dumps(ACE)}\n{json.dumps(second)}\n")
    report: Counter[str] = Counter()
    (document,) = oneie.read(path, report=report)
    assert document.text == "حكمت محكمة باكستانية أمس .\nحكمت  محكمة باكستانية أمس."
    assert [document.surface(m) for m in document.entities or ()] == ["محكمة باكستانية"] * 2
    assert [document.surface(e.arguments[0]) for e in document.events or ()] == ["محكمة باكستانية"] * 2
    assert report == {"relation left out": 1, "entity dropped: it overlaps a longer one": 2}


def test_what_is_not_on_tokens_or_in_one_sentence_is_reported_to_oneie(tmp_path: Path) -> None:
    text = "وصل وزير ببغداد. قتل جندي."
    events = (Event(Mention(0, 3, "Go"), (Mention(10, 15, "Place"), Mention(21, 25, "Person"))),)
    report: Counter[str] = Counter()
    document = Document("١", text, (Mention(10, 15, "GPE"), Mention(17, 20, "MISC")), events)
    oneie.write(tmp_path / "o.json", [document], report=report)
    records = [json.loads(line) for line in (tmp_path / "o.json").read_text(encoding="utf-8").splitlines()]
    assert records[0]["tokens"] == ["وصل", "وزير", "ببغداد", "."]
    assert records[0]["event_mentions"][0]["arguments"][0]["text"] == "ببغداد"
    assert report == {
        "mention moved to the edges of tokens": 1,
        "argument dropped: not in the sentence of its trigger": 1,
    }


def test_xmi_counts_utf16_units(tmp_path: Path) -> None:
    needs("cassis")
    cas.write(tmp_path / "out", [ARTICLE])
    root = ElementTree.parse(tmp_path / "out" / "2016" / "حلب.xmi").getroot()
    (army, _) = (node for node in root if node.tag.endswith("NamedEntity"))
    assert (army.get("begin"), army.get("end"), army.get("value")) == ("7", "12", "ORG")


def test_a_docbin_trains_spacy(tmp_path: Path) -> None:
    spacy = needs("spacy")
    docbin.write(tmp_path / "train.spacy", [ARTICLE])
    nlp = spacy.blank("ar")
    (doc,) = spacy.tokens.DocBin().from_disk(tmp_path / "train.spacy").get_docs(nlp.vocab)
    assert doc.text == TEXT
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("الجيش", "ORG"), ("حلب", "GPE")]
    example = importlib.import_module("spacy.training").Example(nlp.make_doc(TEXT), doc)
    assert example.get_aligned_ner().count("U-ORG") == 1


def test_rows_load_in_datasets(tmp_path: Path) -> None:
    datasets = needs("datasets")
    rows.write(tmp_path / "out", [ARTICLE, Document("خال", "نص")])
    found = datasets.load_from_disk(str(tmp_path / "out"))
    assert found["id"] == [ARTICLE.id, "خال"]
    assert found[0]["events"][1]["arguments"][0] == {"start": 6, "end": 11, "role": "Attacker", "score": 0.7}
    assert found[1]["entities"] is None


# --- the tools' own parsers ------------------------------------------------------------------------------


def test_a_brat_parser_finds_what_was_written(tmp_path: Path) -> None:
    parser = needs("pybrat.parser").BratParser()
    brat.write(tmp_path / "out", [replace(ARTICLE, id="حلب")])
    (example,) = parser.parse(tmp_path / "out")
    assert {(e.mention, e.type) for e in example.entities} >= {("الجيش", "ORG"), ("مواقع", "Argument")}
    assert all(TEXT[e.start : e.end] == e.mention for e in example.entities)
    found = sorted((event.trigger.mention, len(event.arguments)) for event in example.events)
    assert found == [("قصف", 0), ("قصف", 3)]


def test_label_studio_accepts_its_configuration_and_tasks(tmp_path: Path) -> None:
    interface = needs("label_studio_sdk.label_interface").LabelInterface(label_studio.configuration(ONTOLOGY))
    interface.validate()
    label_studio.write(tmp_path / "tasks.json", [ARTICLE])
    (found,) = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert interface.validate_prediction(found["predictions"][0], return_errors=True) == []
    wrong = [{**found["predictions"][0]["result"][0], "from_name": "أسماء"}]
    assert interface.validate_prediction({"result": wrong}, return_errors=True)


# --- round trips -----------------------------------------------------------------------------------------

LABELS = st.sampled_from(
    ["ORG", "Conflict:Attack", "نوع", "a_x3A_b", "x_", "Place2", "1", "_x3A", "دور آخر", '😀|<&">']
)
CHARACTERS = st.sampled_from("ابت 😀\n\u0651\u0301\u200f\r\u2028\t<&._؟") | st.characters(exclude_categories=["Cs"])


@st.composite
def articles(draw: st.DrawFn) -> Document:
    """Random text, entities side by side, events that share triggers and arguments, layers that may be missing."""
    text = draw(st.text(CHARACTERS, max_size=25))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    extents = [(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
    ends = st.integers(0, len(text))
    inside = st.tuples(ends, ends).filter(lambda x: x[0] < x[1])
    choices = [st.sampled_from(extents)] if extents else []
    mention = st.builds(lambda x, y: Mention(x[0], x[1], y), st.one_of(inside, *choices), LABELS)
    entities = tuple(Mention(a, b, draw(LABELS)) for a, b in extents if draw(st.booleans()))
    event = st.builds(Event, mention, st.lists(mention, max_size=3).map(tuple))
    events: list[Event] = draw(st.lists(event, max_size=3)) if text else []
    if draw(st.booleans()) and events:
        events.append(Event(events[0].trigger, events[-1].arguments))
    layers = draw(st.sampled_from([(1, 1), (1, 0), (0, 1), (0, 0)]))
    name = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
    meta = draw(st.dictionaries(st.sampled_from(["source", "سنة"]), st.none() | st.integers() | st.text(max_size=3)))
    try:
        json.dumps(meta, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        meta = {}
    return Document(name, text, entities if layers[0] else None, tuple(events) if layers[1] else None, meta)


def unbroken(document: Document) -> Document:
    """What brat holds: mentions without line breaks at their edges, and no word on what was not annotated."""

    def mention(found: Mention) -> Mention | None:
        breaks = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
        surface = document.surface(found)
        start = found.start + len(surface) - len(surface.lstrip(breaks))
        end = found.end - len(surface) + len(surface.rstrip(breaks))
        return Mention(start, end, found.label) if start < end else None

    def kept(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
        return tuple(m for m in map(mention, mentions) if m is not None)

    events = [(mention(event.trigger), kept(event.arguments)) for event in document.events or ()]
    left = tuple(Event(trigger, arguments) for trigger, arguments in events if trigger is not None)
    return Document(document.id, document.text, kept(document.entities or ()), left or None)


def there_and_back(module: Any, documents: list[Document], path: Path) -> tuple[list[Document], Counter[str]]:
    report: Counter[str] = Counter()
    module.write(path, documents, report=report)
    return list(module.read(path, report=report)), report


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("round") / "out"


ROUND: dict[str, tuple[Any, int]] = {
    "label_studio": (label_studio, 60),
    "doccano": (doccano, 100),
    "spacy": (docbin, 30),
    "huggingface": (rows, 10),
}


@pytest.mark.parametrize("name", ROUND)
def test_what_was_written_is_read(name: str, fresh: Callable[[], Path]) -> None:
    module, examples = ROUND[name]
    if name in NEEDED:
        needs(NEEDED[name])

    @settings(max_examples=examples)
    @given(article=articles())
    def check(article: Document) -> None:
        found, report = there_and_back(module, [article], fresh())
        assert found == [article]
        assert set(report) <= {"task without annotation"}

    check()


@settings(max_examples=100)
@given(article=articles())
def test_brat_gives_back_all_but_line_breaks_at_edges(fresh: Callable[[], Path], article: Document) -> None:
    found, _ = there_and_back(brat, [article], fresh())
    assert found == [unbroken(article)]


@settings(max_examples=30)
@given(article=articles())
def test_xmi_gives_back_whatever_xml_can_hold(fresh: Callable[[], Path], article: Document) -> None:
    needs("cassis")
    if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", article.text + article.id):
        with pytest.raises(DataError, match="cannot be written as XML"):
            cas.write(fresh(), [article])
        return
    found, report = there_and_back(cas, [article], fresh())
    assert found == [article]
    assert not report


@settings(max_examples=60)
@given(article=articles())
def test_oneie_keeps_texts_and_whatever_stands_on_tokens(fresh: Callable[[], Path], article: Document) -> None:
    once, _ = there_and_back(oneie, [article], fresh())
    assert [document.text for document in once] == [article.text]
    twice, report = there_and_back(oneie, once, fresh())
    assert twice == once
    assert set(report) <= {"layer that was not annotated, now empty lost"}


@given(text=st.text(CHARACTERS))
def test_utf16_units_are_those_of_the_encoding(text: str) -> None:
    units = Units(text)
    assert units.length == len(text.encode("utf-16-le")) // 2
    offsets = [units.of(offset) for offset in range(len(text) + 1)]
    assert offsets == [len(text[:offset].encode("utf-16-le")) // 2 for offset in range(len(text) + 1)]
    back = [units.back(offset) for offset in range(-1, units.length + 2)]
    assert [offset for offset in back if offset is not None] == list(range(len(text) + 1))


@pytest.mark.parametrize(
    "name", ["2015/خبر", ".", "..", "a/../b", "/", "a//b", "c:\\d", "50%", "%2F", "x.", "\0", "./"]
)
def test_ids_become_names_of_files_and_come_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / (folders.file_name(name) + ".txt")
    assert path.resolve().is_relative_to(tmp_path)
    assert folders.identifier(folders.file_name(name)) == name
    folders.put(path, b"")
    assert path.is_file()


# --- hostile input ---------------------------------------------------------------------------------------

BRAT: dict[str, tuple[str, str]] = {
    "no tab": ("T1 ORG 0 3 قصف", r"line 1: expected an annotation like"),
    "no offsets": ("T1\tORG\tقصف", r"line 1: expected 'T1\tTYPE START END\ttext'"),
    "outside": ("T1\tORG 20 99\tقصف", r"line 1: 20 99 is no stretch of a text of 25"),
    "empty": ("T1\tORG 3 3\t", r"line 1: 3 3 is no stretch"),
    "elsewhere": ("T1\tORG 1 4\tقصف", r"line 1: 'قصف' does not stand at 1 4"),
    "twice": ("T1\tORG 0 3\tقصف\nT1\tORG 0 3\tقصف", r"line 2: T1 is there twice"),
    "no trigger": ("\nE1\tAttack:T9", r"line 2: there is no T9"),
    "no argument": ("T1\tAttack 0 3\tقصف\nE1\tAttack:T1 Place:T2", r"line 2: there is no T2"),
    "no event": ("E1\tAttack", r"line 1: expected an event like"),
    "huge escape": ("T1\tA_xFFFFFF_ 0 3\tكذا", r"line 1: 'كذا' does not stand"),
}


@pytest.mark.parametrize("case", BRAT)
def test_what_is_not_brat_is_named(case: str, tmp_path: Path) -> None:
    content, message = BRAT[case]
    put(tmp_path / "a.txt", TEXT)
    put(tmp_path / "a.ann", content + "\n")
    with pytest.raises(DataError, match=r"a\.ann: " + message):
        list(brat.read(tmp_path))


LABEL_STUDIO: dict[str, tuple[Any, str]] = {
    "no list": ({"data": {}}, "expected a list of tasks, got dict"),
    "no data": ([[]], "task 1: expected a task with data"),
    "no text": ([task(), {"data": {"text": 5}}], "task 2: expected a task with data and a string 'text'"),
    "no result": ([{**task(), "annotations": [{}]}], r"task 1: not what Label Studio exports \(KeyError: 'result'\)"),
    "no offsets": ([task(region("a", 3, "ORG"))], "task 1: region 'labela': expected integers"),  # type: ignore[arg-type]
    "label": ([task(region(0, 3, 5))], "task 1: expected a string as label, got 5"),  # type: ignore[arg-type]
    "score": ([task({**region(0, 3, "ORG"), "score": "؟"})], "task 1: expected a number as score of 'ORG'"),
    "outside": ([task(region(20, 99, "ORG"))], r"task 1: region 'label20': None does not stand at 20\.\.99"),
    "elsewhere": ([task(region(0, 3, "ORG", text="حلب"))], r"task 1: region 'label0': 'حلب' does not stand at 0\.\.3"),
}


@pytest.mark.parametrize("case", LABEL_STUDIO)
def test_what_label_studio_does_not_export_is_named(case: str, tmp_path: Path) -> None:
    tasks, message = LABEL_STUDIO[case]
    with pytest.raises(DataError, match=r"export\.json: " + message):
        list(label_studio.read(put(tmp_path / "export.json", json.dumps(tasks))))


LINES: dict[str, tuple[Any, str, str]] = {
    "doccano: not JSON": (doccano, "{", "line 1: line 1: not JSON"),
    "doccano: no text": (doccano, "{}", "line 1: expected an object with a string text"),
    "doccano: short list": (doccano, '{"text": "a", "label": [[0, 1]]}', "line 1: expected labels as lists"),
    "doccano: no offset": (doccano, '{"text": "a", "entities": [{"label": "X"}]}', "line 1: .*KeyError"),
    "doccano: outside": (doccano, '{"text": "a", "label": [[0, 9, "X"]]}', "line 1: document '1': X 0..9 ends after"),
    "doccano: loose relation": (
        doccano,
        '{"text": "a", "entities": [], "relations": [{"from_id": 0, "to_id": 1, "type": "x"}]}',
        "line 1: expected a relation of two",
    ),
    "doccano: odd layers": (doccano, '{"text": "a", "layers": ["x"]}', r"line 1: unknown layers \['x'\]"),
    "oneie: no tokens": (oneie, '{"doc_id": "a"}', "line 1: expected an object with a list of strings as tokens"),
    "oneie: no id": (oneie, '{"tokens": []}', "line 1: expected a string doc_id"),
    "oneie: outside": (
        oneie,
        json.dumps({**ACE, "tokens": ["حكمت"]}),
        "line 1: expected 0 <= start < end <= 1 tokens, got 1 and 3",
    ),
    "oneie: no entity": (oneie, json.dumps({**ACE, "entity_mentions": []}), "line 1: there is no entity 'E1'"),
    "oneie: in parts": (
        oneie,
        "\n".join(json.dumps({"doc_id": name, "tokens": []}) for name in "aba"),
        "line 3: document 'a' began on an earlier line",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_lines_that_are_no_records_are_named(case: str, tmp_path: Path) -> None:
    module, content, message = LINES[case]
    with pytest.raises(DataError, match=r"x\.jsonl: " + message):
        list(module.read(put(tmp_path / "x.jsonl", content + "\n")))


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "huggingface"])  # a name there is one on the hub
def test_a_source_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    if name in NEEDED:
        needs(NEEDED[name])
    with pytest.raises(DataError, match=r"gone"):
        list(FORMATS[name].read(tmp_path / "gone"))


@pytest.mark.parametrize(("name", "file"), [("spacy", "x.spacy"), ("cas", "x.xmi")])
@pytest.mark.parametrize("content", ["", "خبر", "<xmi/>", "<a xmlns='b'>"])
def test_a_file_of_another_kind_is_named(name: str, file: str, content: str, tmp_path: Path) -> None:
    needs(NEEDED[name])
    put(tmp_path / "TypeSystem.xml", "<typeSystemDescription xmlns='http://uima.apache.org/resourceSpecifier'/>")
    with pytest.raises(DataError, match=re.escape(file)):
        list(FORMATS[name].read(put(tmp_path / file, content)))


def test_names_that_stand_for_something_else_are_refused(tmp_path: Path) -> None:
    for module, label in (
        (label_studio, "Argument"),
        (doccano, "Argument"),
        (doccano, "Trigger:x"),
        (brat, "Argument"),
    ):
        with pytest.raises(DataError, match=f"document 'س': entity type '{label}'"):
            module.write(tmp_path / "x", [Document("س", "نص", (Mention(0, 2, label),))])
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["label_studio", "doccano", "cas", "spacy", "huggingface"])
@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "\ud800"])
def test_metadata_that_is_not_json_is_named(name: str, value: Any, tmp_path: Path) -> None:
    if name in NEEDED:
        needs(NEEDED[name])
    with pytest.raises(DataError, match="document 'س' cannot be written as JSON"):
        FORMATS[name].write(tmp_path / "x", [Document("س", "نص", meta={"x": value})])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [brat, cas])
def test_a_folder_appears_whole_and_replaces_nothing(module: Any, tmp_path: Path) -> None:
    if module is cas:
        needs("cassis")
    with pytest.raises(DataError, match="'أ' is there twice"):
        module.write(tmp_path / "out", [Document("أ", "نص"), Document("أ", "نص")])
    with pytest.raises(DataError, match="the id of one document is a folder of another's"):
        module.write(
            tmp_path / "out", [Document("a", "نص"), Document(f"a.{'txt' if module is brat else 'xmi'}/b", "نص")]
        )
    assert not list(tmp_path.iterdir())
    put(tmp_path / "out" / "mine", "")
    with pytest.raises(DataError, match="this folder is not empty"):
        module.write(tmp_path / "out", [])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- the verb --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_converted_and_says_what_it_loses(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if name in NEEDED:
        needs(NEEDED[name])
    jsonl.write(tmp_path / "in.jsonl", [ARTICLE])
    report = convert("jsonl", name, tmp_path / "in.jsonl", tmp_path / "out", ontology=ONTOLOGY)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == len(report)
    back = convert(name, "jsonl", tmp_path / "out", tmp_path / "back.jsonl")
    (found,) = jsonl.read(tmp_path / "back.jsonl")
    if name not in ("conll", "oneie"):  # these are of tokens and sentences, and it crosses both
        assert (found.entities, found.events) == (ARTICLE.entities, ARTICLE.events)
    assert back == {}
    lossless = {"jsonl", "parquet", "label_studio", "spacy", "huggingface"}
    assert ("score lost" in report) == (name not in lossless)
    assert (found == ARTICLE) == (name in lossless | {"doccano", "cas"})


def test_columns_hold_one_layer(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in.jsonl", [ARTICLE])
    report = convert("jsonl", "conll", tmp_path / "in.jsonl", tmp_path / "out.txt", writing={"layer": "triggers"})
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()[2:4] == ["قصف B-Conflict:Attack", "🔴 O"]
    assert report["entity dropped: it overlaps a longer one"] == 1  # two events in one word
    convert("conll", "jsonl", tmp_path / "out.txt", tmp_path / "back.jsonl", reading={"layer": "triggers"})
    (found,) = jsonl.read(tmp_path / "back.jsonl")
    assert (found.entities, found.events) == (None, (Event(Mention(0, 3, "Conflict:Attack")),))


def test_a_conversion_that_cannot_be_is_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "in.jsonl", "")
    with pytest.raises(DataError, match="there is no format 'xml', expected one of jsonl, parquet, conll"):
        convert("jsonl", "xml", source, tmp_path / "out")
    with pytest.raises(DataError, match="source and output are one"):
        convert("jsonl", "doccano", source, source)
    with pytest.raises(DataError, match=r"doccano has no parameters \['part'\], expected some of \[\]"):
        convert("jsonl", "doccano", source, tmp_path / "out", writing={"part": "annotations"})
    with pytest.raises(DataError, match=r"conll has no parameters \['colour'\]"):
        convert("conll", "jsonl", source, tmp_path / "out", reading={"colour": 1})
    jsonl.write(source, [ARTICLE])
    with pytest.raises(DataError, match="is not in ontology"):
        convert("jsonl", "doccano", source, tmp_path / "out", ontology=Ontology("خالية"))


# --- predict, correct, train -----------------------------------------------------------------------------


def test_labels_are_predicted_corrected_in_label_studio_and_learned(
    trained: Path, encoder: Path, corpus: Corpus, short_run: Callable[..., Any], tmp_path: Path
) -> None:
    put(tmp_path / "new" / "حلب.txt", "عاجل 🔴 قصفت الطائرات مدينة حلب فقتل عشرة مدنيين.")
    predict(trained, [tmp_path / "new"], tmp_path / "labelled.jsonl", device="cpu")
    tasks = tmp_path / "tasks.json"
    convert("jsonl", "label_studio", tmp_path / "labelled.jsonl", tasks, ontology=corpus.ontology)

    # A person opens the task, changes what is wrong and adds what is missing; this is what Label Studio then exports.
    (task,) = json.loads(tasks.read_text(encoding="utf-8"))
    (predicted,) = task.pop("predictions")
    assert 0 < predicted["score"] <= 1
    mended = [result for result in predicted["result"] if result["type"] != "relation"]
    mended = [r for r in mended if r["from_name"] != "entities"] + [region(27, 30, "GPE", "entities", text="حلب")]
    for result in mended:
        result.pop("score", None)
    export = [{**task, "id": 1, "annotations": [{"id": 1, "completed_by": 1, "result": mended}]}]
    convert("label_studio", "jsonl", put(tmp_path / "export.json", json.dumps(export)), tmp_path / "corrected.jsonl")

    (corrected,) = jsonl.read(tmp_path / "corrected.jsonl")
    assert (corrected.id, corrected.entities) == ("حلب", (Mention(27, 30, "GPE"),))
    assert corrected.surface(Mention(27, 30, "GPE")) == "حلب"
    assert all(mention.score is None for mention in corrected.mentions())
    train_, dev = corpus.split("train"), corpus.split("dev")
    splits = {"train": [*train_, replace(corrected, id="جديد")], "dev": dev}
    corpora.write(tmp_path / "more", "more", corpus.ontology, splits)
    folder = train(
        lambda **keys: Tagger.create(str(encoder), **keys),
        {"heads": list(HEADS), "length": 96, "context": 16, "argument_length": 128},
        Corpus(tmp_path / "more"),
        short_run(num_train_epochs=1),
        tmp_path / "run",
        learning_rate=5e-3,
        precision="float32",
        record={},
    )
    assert Tagger.load(folder, "cpu").reader.heads == HEADS
