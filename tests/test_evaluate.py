"""«قصفت الطائرات مدينة حلب»: the report says what was found of it, strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from khabar import corpus as corpora
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.evaluate import compare, evaluate
from khabar.formats import jsonl
from khabar.ontology import Ontology
from khabar.tagger import Tagger


@pytest.fixture(scope="module")
def folder(trained: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation on the four articles of test, which the model knows."""
    output = tmp_path_factory.mktemp("evaluation")
    evaluate(trained, corpus, output, device="cpu")
    return output


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def test_the_report_says_what_was_scored(report: dict[str, Any], corpus: Corpus, trained: Path) -> None:
    assert report["schema"] == 1
    assert (report["checkpoint"], report["corpus"], report["split"]) == (str(trained), "أخبار", "test")
    assert report["data"] == corpus.hash
    assert report["scores"]["documents"] == {"entities": 4, "events": 4}


def test_the_report_holds_every_kind_of_score(report: dict[str, Any]) -> None:
    scores = report["scores"]
    assert {"entities", "TI", "TC", "AI", "AC"} <= scores.keys()
    assert {"AI", "AC"} <= report["scores_gold_triggers"].keys()
    assert not {"entities", "TI", "TC"} & report["scores_gold_triggers"].keys()
    assert scores["entities"]["micro"]["f1"] > 0.5
    assert set(scores["entities"]["types"]) == {"PER", "ORG", "GPE", "TIME"}
    assert report["scores_gold_triggers"]["AC"]["micro"]["f1"] > 0.5


def test_words_do_not_show_a_clitic_and_spans_do(
    corpus: Corpus, tmp_path: Path, documents: tuple[Document, ...]
) -> None:
    document = documents[1]  # ببغداد
    assert document.entities is not None
    whole_words = [replace(m, start=m.start - 1) if m.label == "GPE" else m for m in document.entities]
    jsonl.write(tmp_path / "gold.jsonl", [replace(document, events=None)])
    jsonl.write(tmp_path / "found.jsonl", [replace(document, entities=tuple(whole_words), events=None)])
    found = compare([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
    assert found["scores"]["entities"]["micro"]["f1"] == 0.5
    assert found["seqeval"]["micro"]["f1"] == 1.0


def test_predictions_are_kept(folder: Path, corpus: Corpus, trained: Path) -> None:
    gold = corpus.split("test")
    found = list(jsonl.read(folder / "predictions.jsonl"))
    assert [d.id for d in found] == [d.id for d in gold]
    assert found == list(Tagger.load(trained, "cpu").tag(gold))
    given = list(jsonl.read(folder / "predictions_gold_triggers.jsonl"))
    assert [[e.trigger for e in d.events or ()] for d in given] == [[e.trigger for e in d.events or ()] for d in gold]


def test_scores_are_printed(trained: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(trained, corpus, tmp_path, device="cpu")
    printed = capsys.readouterr().out
    assert "seqeval, strict IOB2" in printed
    for unit in ("PER", "Attack"):
        assert unit in printed


def test_layers_that_the_model_does_not_answer_are_not_scored(make_tagger: Any, corpus: Corpus, tmp_path: Path) -> None:
    make_tagger(("entities",)).save(tmp_path / "model")
    report = evaluate(tmp_path / "model", corpus, tmp_path / "out", device="cpu")
    assert report["scores"]["documents"] == {"entities": 4}
    assert "TC" not in report["scores"]
    assert not (tmp_path / "out" / "predictions_gold_triggers.jsonl").exists()


def test_layers_that_gold_does_not_have_are_not_scored(
    trained: Path, tmp_path: Path, ontology: Ontology, documents: tuple[Document, ...]
) -> None:
    corpora.write(tmp_path / "c", "وقائع", ontology, {"test": [replace(documents[4], entities=None)]})
    report = evaluate(trained, Corpus(tmp_path / "c"), tmp_path / "out", device="cpu")
    assert report["scores"]["documents"] == {"events": 1}
    assert "seqeval" not in report


# Files against files


def test_folds_are_pooled(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    parts = (documents[:2], documents[2:5])
    files = [tmp_path / f"{n}.jsonl" for n in range(4)]
    for part, gold, found in zip(parts, files[:2], files[2:], strict=True):
        jsonl.write(gold, part)
        jsonl.write(found, [replace(part[0], entities=(), events=()), *part[1:]])
    report = compare(files[:2], files[2:], tmp_path / "out", gold_triggers=files[:2])
    assert report["gold"] == [str(path) for path in files[:2]]
    assert report["scores"]["documents"] == {"entities": 5, "events": 5}
    units = sum(len(d.entities or ()) for d in documents[:5])
    missed = sum(len(part[0].entities or ()) for part in parts)
    assert report["scores"]["entities"]["micro"]["recall"] == pytest.approx((units - missed) / units)
    assert report["scores_gold_triggers"]["AC"]["micro"]["f1"] == 1.0
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == report


def test_predictions_of_another_ontology_are_read_under_the_names_of_gold(tmp_path: Path) -> None:
    text = "قصف الجيش حلب وخرجت مظاهرة"
    gold = Document("1", text, None, (Event(Mention(0, 3, "ASSAULT"), (Mention(10, 13, "Target"),)),))
    events = (
        Event(Mention(0, 3, "Conflict:Attack", 0.9), (Mention(4, 9, "Agent"), Mention(10, 13, "Target"))),
        Event(Mention(20, 26, "Contact:Meet")),
    )
    jsonl.write(tmp_path / "gold.jsonl", [gold])
    jsonl.write(tmp_path / "found.jsonl", [Document("1", text, (Mention(10, 13, "GPE"),), events)])
    labels = {"Conflict:Attack": "ASSAULT", "Target": "Target"}
    report = compare([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out", labels=labels)
    assert report["scores"]["TC"]["micro"]["f1"] == 1.0
    assert report["scores"]["AC"]["micro"]["f1"] == 1.0
    assert "entities" not in report["scores"]


@pytest.mark.parametrize("layer", ["entities", "events"])
def test_a_layer_that_no_prediction_has_is_not_scored(
    layer: str, tmp_path: Path, documents: tuple[Document, ...]
) -> None:
    jsonl.write(tmp_path / "gold.jsonl", documents[:3])
    absent: dict[str, Any] = {layer: None}
    jsonl.write(tmp_path / "found.jsonl", [replace(d, **absent) for d in documents[:3]])
    report = compare([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
    assert report["scores"]["documents"] == {({"entities", "events"} - {layer}).pop(): 3}


def test_documents_that_do_not_match_are_refused(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    gold, found = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    jsonl.write(gold, documents[:2])
    wrong: dict[str, tuple[list[Document], str]] = {
        "none": ([], "no predictions"),
        "one missing": (list(documents[:1]), "was not predicted"),
        "one too many": (list(documents[:3]), "not in gold"),
        "other text": ([replace(documents[0], text=documents[0].text + "."), documents[1]], "text differ"),
    }
    for predicted, message in wrong.values():
        jsonl.write(found, predicted)
        with pytest.raises(DataError, match=message):
            compare([gold], [found], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mention_is_right_only_with_its_type_and_both_edges(tmp_path: Path) -> None:
    text = "قصفت الطائرات مدينة حلب"
    jsonl.write(tmp_path / "gold.jsonl", [Document("خبر", text, (Mention(20, 23, "GPE"),))])
    for entity in (Mention(20, 23, "ORG"), Mention(14, 23, "GPE"), Mention(20, 22, "GPE")):
        jsonl.write(tmp_path / "found.jsonl", [Document("خبر", text, (entity,))])
        report = compare([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
        assert report["scores"]["entities"]["micro"]["f1"] == 0.0
