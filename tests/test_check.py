"""«نُشر خبر الهجوم نفسه مرتين»: what is wrong with a corpus is found before anything is learned from it."""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate

from khabar import corpus
from khabar.check import Folder, check
from khabar.checks import ceiling
from khabar.checks.findings import CHECKS, SEVERITIES, Findings
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.formats import jsonl
from khabar.ontology import Ontology
from khabar.tagger import Tagger

ROOT = Path(__file__).parents[1]
Splits = dict[str, list[Document]]


def plain(folder: Path, splits: Splits, ontology: Ontology | None = None) -> Folder:
    for split, documents in splits.items():
        jsonl.write(folder / f"{split}.jsonl", documents)
    return Folder(folder, ontology)


def found(report: dict[str, Any]) -> dict[str, int]:
    return {finding["check"]: finding["count"] for finding in report["findings"]}


@pytest.fixture
def clean(documents: tuple[Document, ...]) -> Splits:
    """Splits in which nothing is wrong."""
    whole = [d for d in documents if d.entities is not None and d.events is not None]
    return {"train": whole[:6], "dev": whole[6:8], "test": whole[8:]}


def test_a_clean_corpus_has_no_errors(clean: Splits, ontology: Ontology, tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus", "أخبار", ontology, clean)
    report = check(Corpus(tmp_path / "corpus"), tmp_path / "report.json", shift=1)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert (report["errors"], report["corpus"]) == (0, "أخبار")
    # The documents have للعراق, marked as عراق, and few types; nothing else is odd.
    assert found(report).keys() <= {"starts_inside_word", "untested_label", "unlearnable_label"}
    assert report["statistics"]["train"]["documents"] == 6
    assert [row["exact"] + row["near"] for kind in ("documents", "sentences") for row in report["copies"][kind]] == [
        0
    ] * 12


def copied(splits: Splits) -> Splits:
    return {**splits, "test": [*splits["test"], replace(splits["train"][0], id="نسخة")]}


def nearly_copied(splits: Splits) -> Splits:
    text = splits["train"][0].text.replace(".", " الماضي.")
    return {**splits, "test": [*splits["test"], Document("نسخة", text, (), ())]}


def copied_in_part(splits: Splits) -> Splits:
    text = splits["train"][0].text + "\nولم تصدر عن السلطات هناك أي تفاصيل أخرى."
    return {**splits, "test": [*splits["test"], Document("نسخة", text, (), ())]}


def twice_in_train(splits: Splits) -> Splits:
    return {**splits, "train": [*splits["train"], replace(splits["train"][0], id="نسخة")]}


def same_id(splits: Splits) -> Splits:
    return {**splits, "test": [*splits["test"], Document(splits["train"][0].id, "نص آخر", (), ())]}


def same_article(splits: Splits) -> Splits:
    train, test = (replace(splits[split][0], meta={"article": 7}) for split in ("train", "test"))
    return {**splits, "train": [train, *splits["train"][1:]], "test": [test, *splits["test"][1:]]}


def other_type(splits: Splits) -> Splits:
    return {**splits, "test": [*splits["test"], Document("آخر", "زار باريس", (Mention(4, 9, "CITY"),), ())]}


def other_role(splits: Splits) -> Splits:
    event = Event(Mention(0, 4, "Attack"), (Mention(5, 10, "Victim"),))  # a role of Die
    return {**splits, "train": [*splits["train"], Document("آخر", "هاجم الجيش", (), (event,))]}


def one_layer(splits: Splits) -> Splits:
    return {**splits, "train": [*splits["train"], Document("آخر", "لا جديد", (), None)]}


def all_attacks(splits: Splits) -> Splits:
    attack = Document("آخر", "هجوم هجوم", (), (Event(Mention(0, 4, "Attack")), Event(Mention(5, 9, "Attack"))))
    return {**splits, "train": [d for d in splits["train"] if "Attack" not in str(d.events)], "test": [attack]}


def no_meetings(splits: Splits) -> Splits:
    return {split: [d for d in documents if "Meet" not in str(d.events)] for split, documents in splits.items()}


WRONG: dict[str, tuple[Callable[[Splits], Splits], set[str]]] = {
    "a document in two splits": (copied, {"copied_document", "copied_sentence"}),
    "almost a document": (nearly_copied, {"nearly_copied_document", "nearly_copied_sentence"}),
    "half a document": (copied_in_part, {"copied_sentence", "partly_copied_document", "annotated_differently"}),
    "a document twice": (twice_in_train, {"repeated_document", "repeated_sentence"}),
    "an id in two splits": (same_id, {"repeated_id"}),
    "an article in two splits": (same_article, {"parted_group"}),
    "a type that is not in the ontology": (other_type, {"unknown_label", "unlearnable_label"}),
    "a role that the type does not admit": (other_role, {"unknown_label"}),
    "a layer that is missing": (one_layer, {"layer_missing"}),
    "a type that nobody annotated": (no_meetings, {"unused_label"}),
    "other labels than train": (all_attacks, {"shift", "unlearnable_label"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_found(case: str, clean: Splits, ontology: Ontology, tmp_path: Path) -> None:
    before = found(check(plain(tmp_path / "clean", clean, ontology), tmp_path / "clean.json", shift=0.5))
    spoil, expected = WRONG[case]
    report = check(plain(tmp_path / "folder", spoil(clean), ontology), tmp_path / "report.json", shift=0.5)
    after = found(report)
    # Every expected check fires that did not before, or more often; no other error does.
    assert all(after.get(name, 0) > before.get(name, 0) for name in expected), after
    graver = {finding["check"] for finding in report["findings"] if finding["severity"] == "error"}
    assert graver == {name for name in expected if CHECKS[name][0] == "error"}
    assert report["errors"] == sum(after[name] for name in graver)


def test_every_line_that_is_no_document_is_named(documents: tuple[Document, ...], tmp_path: Path) -> None:
    lines = [jsonl.dumps(documents[0]), "{", '{"id": "x"}', jsonl.dumps(documents[0]), ""]
    outside = '{"id": "y", "text": "نص", "entities": [{"start": 0, "end": 9, "type": "PER"}]}'
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, outside]), encoding="utf-8")
    report = check(Folder(tmp_path), tmp_path / "out" / "report.json")
    assert found(report).items() >= {"unreadable": 3, "repeated_id": 1}.items()
    said = [e["detail"] for f in report["findings"] if f["check"] == "unreadable" for e in f["examples"]]
    assert [detail.split(": ")[1] for detail in said] == ["line 2", "line 3", "line 6"]
    assert "ends after the text" in said[2]


def test_a_prepared_corpus_that_was_changed_is_still_checked(clean: Splits, ontology: Ontology, tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus", "أخبار", ontology, clean)
    jsonl.write(tmp_path / "corpus" / "test.jsonl", copied(clean)["test"])
    (tmp_path / "corpus" / "dev.jsonl").unlink()
    report = check(Corpus(tmp_path / "corpus"), tmp_path / "report.json")
    assert found(report).items() >= {"unreadable": 2, "copied_document": 1}.items()


def test_splits_of_a_folder_come_in_their_usual_order(tmp_path: Path) -> None:
    for name in ("test", "extra", "train"):
        (tmp_path / f"{name}.jsonl").touch()
    assert Folder(tmp_path).splits == ("train", "test", "extra")
    with pytest.raises(DataError, match="expected a folder with JSONL files"):
        check(Folder(tmp_path / "none"), tmp_path / "report.json")


def test_examples_are_bounded_and_counts_are_not() -> None:
    findings = Findings({}, shown=2)
    for number in range(5):
        findings.add("repeated_id", "dev", id=str(number), detail="")
    findings.add("empty_text", "train", id="x")
    (first, second) = findings.to_json()
    assert (first["check"], first["count"], second["check"]) == ("repeated_id", 5, "empty_text")  # errors first
    assert first["examples"] == [{"split": "dev", "id": "0"}, {"split": "dev", "id": "1"}]
    assert findings.totals() == {"errors": 5, "warnings": 1, "notes": 0}


def test_a_severity_can_be_another(clean: Splits, tmp_path: Path) -> None:
    folder = plain(tmp_path / "folder", copied(clean))
    report = check(folder, tmp_path / "report.json", severity={"copied_document": "note", "copied_sentence": "error"})
    assert report["errors"] == found(report)["copied_sentence"]
    with pytest.raises(DataError, match=r"no checks \['copies'\]"):
        check(folder, tmp_path / "report.json", severity={"copies": "note"})
    with pytest.raises(DataError, match=r"severity \['fatal'\]"):
        check(folder, tmp_path / "report.json", severity={"empty_text": "fatal"})


def test_every_check_has_a_severity_and_a_meaning() -> None:
    assert {severity for severity, _ in CHECKS.values()} == set(SEVERITIES)
    assert all(meaning for _, meaning in CHECKS.values())


# What a model could never produce

Marked = Sequence[tuple[int, int]]


def test_causes_of_gold_that_is_lost(make_tagger: Callable[..., Tagger]) -> None:
    def causes(document: Document, **settings: Any) -> dict[str, str]:
        reader = make_tagger(length=96, context=16, argument_length=96, **settings).reader
        lost = ceiling.lost(reader, reader.read(document))
        return {f"{unit.label} {document.surface(unit.mention)}": cause for unit, cause in lost}

    text = "هاجم الجيش مواقع داعش ببغداد 🔴"
    entities = (
        Mention(6, 10, "ORG"),  # behind one letter of الجيش: as behind a clitic
        Mention(11, 15, "ORG"),  # مواق
        Mention(20, 21, "ORG"),  # ش
        Mention(23, 28, "GPE"),
        Mention(29, 30, "PER"),  # the emoji
    )
    assert causes(Document("1", text, entities, None)) == {
        "ORG مواق": ceiling.END,
        "ORG ش": ceiling.START,
        "PER 🔴": ceiling.UNREADABLE,
    }
    assert causes(Document("1", text, entities, None), heads=["entities"]) == {
        "ORG لجيش": ceiling.START,
        "ORG مواق": ceiling.END,
        "ORG ش": ceiling.START,
        "GPE بغداد": ceiling.START,  # no head for clitics
        "PER 🔴": ceiling.UNREADABLE,
    }


def test_one_word_has_one_number_of_clitics(make_tagger: Callable[..., Tagger]) -> None:
    reader = make_tagger(heads=["entities", "triggers", "clitics"], length=96, argument_length=96).reader
    city = Mention(1, 6, "GPE")  # in ببغداد, whose first letter an annotator took for a part of the trigger
    document = Document("1", "ببغداد", (city,), (Event(Mention(0, 6, "Attack")),))
    (unit, cause), *rest = ceiling.lost(reader, reader.read(document))
    assert (unit.mention, cause, rest) == (city, ceiling.OTHER_START, [])


def test_marks_of_direction_are_no_part_of_a_mention(untrained: Tagger) -> None:
    reader = untrained.reader
    text = "قال \u200fالحوثيون\u200f و ر"
    for mention, expected in {
        Mention(5, 13, "ORG"): [],
        Mention(5, 12, "ORG"): [ceiling.END],  # its start is right
        Mention(16, 18, "ORG"): [ceiling.START],  # a space before a word of one letter
    }.items():
        document = Document("1", text, (mention,))
        assert [cause for _, cause in ceiling.lost(reader, reader.read(document))] == expected


def test_causes_of_arguments_that_are_lost(make_tagger: Callable[..., Tagger]) -> None:
    reader = make_tagger(length=96, context=16, argument_length=96).reader
    text = "هاجم الجيش مواقع داعش" + " ثم" * 300 + " في بغداد"
    attack, die = Mention(0, 4, "Attack"), Mention(0, 4, "Die")
    far = Mention(len(text) - 5, len(text), "Place")
    arguments = (Mention(5, 10, "Attacker"), Mention(5, 10, "Target"), Mention(5, 16, "Place"), far)
    document = Document("1", text, None, (Event(attack, arguments), Event(die, (Mention(5, 10, "Victim"),))))
    found = {(unit.label, unit.mention.end): cause for unit, cause in ceiling.lost(reader, reader.read(document))}
    assert found == {
        ("Die", 4): ceiling.SAME,  # Attack, first by name, keeps the word
        ("Die/Victim", 10): ceiling.TRIGGER,
        ("Attack/Target", 10): ceiling.SAME,
        ("Attack/Place", 16): ceiling.SHARED,
        ("Attack/Place", len(text)): ceiling.FAR,
    }


def test_a_mention_that_two_windows_divide(make_tagger: Callable[..., Tagger]) -> None:
    reader = make_tagger(heads=["entities"], length=96, context=0).reader
    text = " ".join(["الجيش"] * 60) + "\n" + " ".join(["بغداد"] * 60)  # too much for one window
    middle = text.index("\n")
    document = Document("1", text, (Mention(middle - 5, middle + 6, "ORG"),))
    assert len(reader.text_pass(reader.read(document))) > 1
    assert [cause for _, cause in ceiling.lost(reader, reader.read(document))] == [ceiling.DIVIDED]


def test_nothing_is_lost_that_keeps_to_words(untrained: Tagger, documents: tuple[Document, ...]) -> None:
    for document in documents:
        assert list(ceiling.lost(untrained.reader, untrained.reader.read(document))) == []


def test_the_check_says_what_a_model_could_never_produce(
    clean: Splits, encoder: Path, ontology: Ontology, tmp_path: Path
) -> None:
    half = Document("نصف", "زار لبنان", (Mention(4, 8, "GPE"),), None)
    odd = Document("غريب", "زار لبنان", (Mention(4, 9, "CITY"),), None)  # left out: the model has no such type
    folder = plain(tmp_path / "folder", {**clean, "test": [half, odd]}, ontology)
    model = instantiate({"_target_": "khabar.tagger.Tagger.create", "_partial_": True, "encoder": str(encoder)})
    task = {"heads": ["entities", "clitics"], "length": 96, "context": 16}
    report = check(folder, tmp_path / "report.json", model=model, task=task)
    assert report["ceiling"]["heads"] == ["entities", "clitics"]
    assert report["ceiling"]["splits"]["test"]["lost"] == {"entities": {ceiling.END: 1}}
    assert report["ceiling"]["splits"]["test"]["words"]["words"] == 2
    assert found(report)["never_produced"] == 1
    with pytest.raises(DataError, match="give an ontology"):
        check(replace(folder, ontology=None), tmp_path / "report.json", model=model)


# The script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> None:
        monkeypatch.setattr(sys, "argv", ["check_data.py", *overrides])
        GlobalHydra.instance().clear()
        runpy.run_path(str(ROOT / "scripts" / "check_data.py"), run_name="__main__")

    return run


def test_the_script_fails_where_there_is_an_error(
    script: Callable[..., None], clean: Splits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain(tmp_path / "clean", clean)
    script("folder=clean", "output=clean.json")
    assert json.loads((tmp_path / "clean.json").read_text(encoding="utf-8"))["errors"] == 0
    assert "findings" in capsys.readouterr().out
    plain(tmp_path / "copied", copied(clean))
    with pytest.raises(SystemExit) as end:
        script("folder=copied", "output=copied.json")
    assert end.value.code == 1
    script("folder=copied", "output=copied.json", "+severity.copied_document=warning")
    with pytest.raises(SystemExit, match=r"^error: gone: expected a folder with JSONL files"):
        script("folder=gone")
    with pytest.raises(SystemExit, match=r"^error: .*no prepared corpus here"):
        script("data=jsonl")


def test_the_shipped_corpus_has_no_errors(tmp_path: Path) -> None:
    report = check(Corpus(ROOT / "data" / "ahdath"), tmp_path / "report.json")
    assert report["errors"] == 0
    assert not any(row["exact"] + row["near"] for kind in ("documents", "sentences") for row in report["copies"][kind])


@pytest.mark.parametrize("overrides", [[], ["model=compact"], ["ontology=gsr", "folder=x"], ["data=gsr"]])
def test_the_keys_of_the_configuration_are_parameters_of_check(overrides: list[str]) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("check_data", overrides)
    rest = {str(name): value for name, value in config.items() if name not in ("data", "folder", "ontology")}
    inspect.signature(check).bind(corpus=None, **instantiate(rest, _convert_="all"))
    named = {"corpus", *rest} | {"model"}
    assert named == set(inspect.signature(check).parameters)
