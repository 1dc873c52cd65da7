"""«قتل مسلحون ثلاثة جنود في كركوك. ودان محافظ كركوك الهجوم»: hand-written quotes of it become offsets."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Mention
from khabar.formats import jsonl, quotes
from khabar.ontology import EventType, Ontology

TEXT = "قتل مسلحون ثلاثة جنود في كركوك. ودان محافظ كركوك الهجوم"
ONTOLOGY = Ontology(
    "أحداث",
    entities={"PER": "شخص", "GPE": "بلد"},
    events={"Die": EventType("موت", ("Agent", "Victim", "Place")), "Attack": EventType("هجوم", ("Place",))},
)
RECORD = {
    "id": "خبر",
    "text": TEXT,
    "entities": [["كركوك", "GPE"], ["مسلحون", "PER"], ["محافظ كركوك", "PER"]],
    "events": [
        {"type": "Attack", "trigger": "الهجوم", "arguments": [["كركوك", "Place"]]},
        {
            "type": "Die",
            "trigger": "قتل",
            "arguments": [["مسلحون", "Agent"], ["ثلاثة جنود", "Victim"], ["كركوك", "Place"]],
        },
    ],
    "source": "وكالة",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ontology = tmp_path / "ontology.yaml"
    ontology.write_text(json.dumps(ONTOLOGY.to_json(), ensure_ascii=False), encoding="utf-8")
    return tmp_path


def write(folder: Path, record: Any, name: str = "article.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return path


def read(folder: Path, **changes: Any) -> Document:
    record = {"id": "خبر", "text": TEXT, "entities": [], "events": []} | changes
    return quotes.read(write(folder, record), ONTOLOGY)


def entities(folder: Path, text: str, *listed: list[str]) -> list[tuple[int, str, str]]:
    document = read(folder, text=text, entities=listed)
    return [(m.start, document.surface(m), m.label) for m in document.entities or ()]


def test_quotes_become_offsets(folder: Path) -> None:
    document = quotes.read(write(folder, RECORD), ONTOLOGY)
    # The second Kirkuk is part of a longer entity, so it is none of its own.
    assert [document.surface(m) for m in document.entities or ()] == ["مسلحون", "كركوك", "محافظ كركوك"]
    killing, attack = document.events or ()
    assert [document.surface(a) for a in killing.arguments] == ["مسلحون", "ثلاثة جنود", "كركوك"]
    # Each event takes the Kirkuk of its own sentence.
    assert killing.arguments[2].start == TEXT.index("كركوك")
    assert attack.arguments == (Mention(TEXT.rindex("كركوك"), TEXT.rindex("كركوك") + 5, "Place"),)
    assert document.meta == {"source": "وكالة"}


def test_an_entity_is_every_occurrence_with_or_without_clitics(folder: Path) -> None:
    text = "بغداد وبغداد فلبغداد، بغدادي سبغداد «بغداد»"
    assert [start for start, *_ in entities(folder, text, ["بغداد", "GPE"])] == [0, 7, 15, 37]


def test_marks_belong_to_their_word(folder: Path) -> None:
    assert entities(folder, "بغدادُ بغداد", ["بغداد", "GPE"]) == [(7, "بغداد", "GPE")]
    assert entities(folder, "بغدادُ بغداد", ["بغدادُ", "GPE"]) == [(0, "بغدادُ", "GPE")]


def test_context_chooses_one_occurrence(folder: Path) -> None:
    found = entities(folder, TEXT, ["محافظ ⟦كركوك⟧", "GPE"])
    assert found == [(TEXT.rindex("كركوك"), "كركوك", "GPE")]
    assert entities(folder, TEXT, ["⟦كركوك⟧", "GPE"]) == entities(folder, TEXT, ["كركوك", "GPE"])
    event = {"type": "Die", "trigger": "⟦قتل⟧ مسلحون", "arguments": [["محافظ ⟦كركوك⟧", "Place"]]}
    (killing,) = read(folder, events=[event]).events or ()
    assert killing.arguments[0].start == TEXT.rindex("كركوك")


def test_what_is_listed_twice_is_there_once(folder: Path) -> None:
    event = {"type": "Attack", "trigger": "الهجوم", "arguments": [["كركوك", "Place"], ["كركوك", "Place"]]}
    document = read(folder, entities=[["كركوك", "GPE"], ["كركوك", "GPE"]], events=[event, event])
    assert len(document.entities or ()) == 2
    assert len(document.events or ()) == 1
    assert len(document.events[0].arguments) == 1  # type: ignore[index]


def die(**changes: Any) -> dict[str, Any]:
    return {"events": [{"type": "Die", "trigger": "قتل", "arguments": []} | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entities": [["بغداد", "GPE"]]}, "quote 'بغداد' is not in the text as words of their own"),
        ({"entities": [["سلحون", "PER"]]}, "quote 'سلحون' is not in the text as words of their own"),
        ({"entities": [["كركو", "GPE"]]}, "quote 'كركو' is not in the text as words of their own"),
        ({"entities": [["كركوك⟧", "GPE"]]}, "is not in the text as words of their own"),
        ({"entities": [["", "GPE"]]}, "quote '': a mention is not empty"),
        ({"entities": [["في ⟦⟧", "GPE"]]}, "a mention is not empty"),
        ({"entities": [["كركوك.", "GPE"]]}, "no space or punctuation at its edges"),
        ({"entities": [[" كركوك", "GPE"]]}, "no space or punctuation at its edges"),
        ({"entities": [["في ⟦كركوك", "GPE"]]}, "quote 'في ⟦كركوك': ⟦ without ⟧"),
        ({"text": "في كركوك في كركوك", "entities": [["في ⟦كركوك⟧", "GPE"]]}, "context .* occurs 2 times"),
        (
            {"entities": [["محافظ كركوك", "PER"], ["محافظ", "PER"]]},
            "'محافظ': every occurrence lies inside a longer",
        ),
        ({"entities": [["كركوك", "PER"], ["كركوك", "GPE"]]}, "entity 'كركوك': every occurrence"),
        ({"entities": [["كركوك", "LOC"]]}, "entity type 'LOC' at 25 is not in ontology"),
        ({"entities": [["كركوك"]]}, "not enough values to unpack"),
        ({"entities": [[5, "GPE"]]}, "'int' object"),
        (die(trigger="كركوك"), "trigger 'كركوك' occurs 2 times: give context"),
        (die(trigger="اعتقل"), "quote 'اعتقل' is not in the text"),
        (die(type="Meet"), "event type 'Meet' at 0 is not in ontology"),
        (die(arguments=[["مسلحون", "Target"]]), "Die at 0 admits no role 'Target'"),
        (die(arguments=[["بغداد", "Place"]]), "quote 'بغداد' is not in the text"),
        ({"events": [{"type": "Die", "trigger": "قتل"}]}, "an event lacks 'arguments'"),
        ({"events": ["قتل"]}, "string indices"),
        ({"id": 5}, "expected an object with a str id"),
        ({"text": None}, "expected an object with a str text"),
        ({"entities": None}, "expected an object with a list entities"),
        ({"events": {}}, "expected an object with a list events"),
        ({"text": "\ud800"}, "surrogate"),
    ],
)
def test_what_cannot_be_resolved_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    record = {"id": "خبر", "text": TEXT, "entities": [], "events": []} | changes
    path = folder / "article.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=f"article.json: .*{message}"):
        quotes.read(path, ONTOLOGY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "x",\n]', "line 2: not JSON"),
        (b"[]", "expected an object with a str id"),
        (b"\xff", "utf-8"),
    ],
)
def test_a_file_that_is_no_article_is_named(folder: Path, content: bytes, message: str) -> None:
    path = folder / "article.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"article.json: .*{message}"):
        quotes.read(path, ONTOLOGY)


def test_a_missing_space_between_digit_and_letter_parts_words(folder: Path) -> None:
    text = "يوم 25نوفمبر2016وقتل جندي"
    document = read(
        folder,
        text=text,
        entities=[["25نوفمبر2016", "GPE"]],
        events=[{"type": "Die", "trigger": "قتل", "arguments": [["جندي", "Victim"]]}],
    )
    assert [document.surface(mention) for mention in document.mentions()] == ["25نوفمبر2016", "قتل", "جندي"]


def test_a_glued_digit_is_found_only_where_no_whole_word_is(folder: Path) -> None:
    text = "قتل 16 جنديا بعد أن قصفت طائرة إف16"
    event = {"type": "Die", "trigger": "قصفت", "arguments": [["16", "Victim"]]}
    document = read(folder, text=text, entities=[["16", "GPE"]], events=[event])
    assert {mention.start for mention in document.mentions()} == {4, text.index("قصفت")}


def test_texts_that_stand_elsewhere_are_annotated_by_id(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = folder / "texts.jsonl"
    jsonl.write(texts, [Document("خبر", TEXT, meta={"category": "عالم", "source": "أخرى"})])
    labels = write(folder, {key: value for key, value in RECORD.items() if key != "text"}, "labels.json")
    run(monkeypatch, folder, labels, "--texts", texts, "--output", folder / "out.jsonl")
    [document] = jsonl.read(folder / "out.jsonl")
    assert document == quotes.read(write(folder, RECORD | {"category": "عالم"}), ONTOLOGY)
    stranger = write(folder, {"id": "غريب", "entities": [], "events": []}, "stranger.json")
    with pytest.raises(DataError, match=r"stranger\.json: the texts have no document 'غريب'"):
        quotes.read(stranger, ONTOLOGY, {})


words = st.text("ابتوفكلم", min_size=1, max_size=4)
separators = st.sampled_from([" ", "، ", ". ", "؟ ", "\n", " «", "» ", " (", "\u200f ", " 😀 "])


@given(st.lists(st.tuples(words, separators), min_size=1, max_size=12), st.data())
def test_a_quoted_word_is_found_wherever_it_stands(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(word + separator for word, separator in pairs)
    quote = data.draw(st.sampled_from([word for word, _ in pairs]))
    spans = quotes._find(text, quote)
    assert all(text[start:end] == quote for start, end in spans)
    places, start = [], 0
    for word, separator in pairs:
        if word.endswith(quote) and len(word) - len(quote) <= 3 and not word[: -len(quote)].strip("وفبكل"):
            places.append(start + len(word) - len(quote))
        start += len(word) + len(separator)
    assert [start for start, _ in spans] == places


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: Path | str) -> None:
    argv = ["quotes", *map(str, arguments), "--ontology", str(folder / "ontology.yaml")]
    monkeypatch.setattr(sys, "argv", argv)
    quotes.main()


def test_the_command_lists_what_quotes_became_and_writes_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = write(folder, RECORD), folder / "articles.jsonl"
    run(monkeypatch, folder, path, "--output", output)
    listed = capsys.readouterr().out
    assert "خبر: 10 words" in listed
    assert "مسلحون [PER] · كركوك [GPE] · محافظ كركوك [PER]" in listed
    assert "Die «قتل» Agent: مسلحون · Victim: ثلاثة جنود · Place: كركوك" in listed
    (line,) = output.read_text(encoding="utf-8").splitlines()
    assert Document.from_json(json.loads(line)) == quotes.read(path, ONTOLOGY)


def test_the_command_without_output_only_checks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder, RECORD)
    before = set(folder.iterdir())
    monkeypatch.setattr(sys, "argv", ["quotes", str(path), "--ontology", str(folder / "ontology.yaml")])
    with pytest.warns(RuntimeWarning, match="khabar.formats.quotes"):  # it is imported here already
        runpy.run_module("khabar.formats.quotes", run_name="__main__")
    assert "خبر" in capsys.readouterr().out
    assert set(folder.iterdir()) == before


def test_the_command_names_every_bad_file_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, output = write(folder, RECORD), folder / "articles.jsonl"
    bad = write(folder, RECORD | {"entities": [["بغداد", "GPE"]]}, "bad.json")
    with pytest.raises(SystemExit, match="1 of 2 files have errors; nothing was written"):
        run(monkeypatch, folder, bad, good, "--output", output)
    captured = capsys.readouterr()
    assert "ERROR" in captured.err
    assert "bad.json" in captured.err
    assert "خبر" in captured.out
    assert not output.exists()


def test_the_command_needs_an_ontology(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["quotes", "article.json"])
    with pytest.raises(SystemExit):
        quotes.main()
