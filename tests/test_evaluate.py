"""«قصفت الطائرات مدينة حلب»: the report says what was found of it, strictly."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from khabar import corpus as corpora
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.evaluate import evaluate, score_files, score_tags
from khabar.formats import jsonl
from khabar.html import ReportUnavailable
from khabar.ontology import Ontology
from khabar.results import read_counts
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
    assert report["schema"] == 2
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
    found = score_files([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
    assert found["scores"]["entities"]["micro"]["f1"] == 0.5
    assert found["sequences"]["seqeval"]["micro"]["f1"] == 1.0


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
    assert "tags over words" in printed
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
    assert not {"sequences", "overlap"} & report.keys()


def test_the_report_holds_everything_that_a_reviewer_asks_for(report: dict[str, Any]) -> None:
    assert {"overlap", "sequences", "ceaf", "calibration", "errors", "propagation_loss"} <= report.keys()
    for kind in ("entities", "TC", "AC"):
        low, high = report["scores"][kind]["micro"]["interval"]
        assert 0 <= low <= report["scores"][kind]["micro"]["f1"] <= high <= 1
        lost = report["scores_gold_triggers"]["AC"]["micro"]["f1"] - report["scores"]["AC"]["micro"]["f1"]
    assert report["propagation_loss"]["AC"] == pytest.approx(lost)
    assert report["sequences"]["strict"] == report["sequences"]["seqeval"]
    assert report["calibration"]["before"].keys() == report["calibration"]["after"].keys()
    assert {"subwords", "window edge", "surface"} <= report["errors"]["facets"]["entities"].keys()


def test_temperatures_change_scores_and_nothing_else(folder: Path) -> None:
    after, before = (list(jsonl.read(folder / f"predictions{name}.jsonl")) for name in ("", "_uncalibrated"))
    assert after == before
    scores = [[m.score for d in documents for m in d.mentions()] for documents in (after, before)]
    assert scores[0] != scores[1]


def test_the_folder_holds_a_page_and_the_counts_of_each_document(folder: Path, corpus: Corpus) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    counts = read_counts(folder / "counts.jsonl")
    assert list(counts["entities"].ids) == [document.id for document in corpus.split("test")]
    assert all(document.id in page for document in corpus.split("test"))


def test_calibration_intervals_and_the_page_may_be_left_out(
    trained: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def page(*_: object) -> str:
        raise ReportUnavailable("pip install 'khabar[report]'")

    monkeypatch.setattr("khabar.report.page", page)
    found = evaluate(trained, corpus, tmp_path, device="cpu", calibration=False, draws=0)
    assert "before" not in found["calibration"]
    assert "interval" not in found["scores"]["entities"]["micro"]
    assert not (tmp_path / "report.html").exists()
    assert "no report.html: pip install 'khabar[report]'" in caplog.text


# Files against files


def test_files_are_scored_without_torch(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    jsonl.write(tmp_path / "gold.jsonl", documents)
    code = (
        "import sys\n"
        "from khabar.evaluate import score_files\n"
        "score_files(['gold.jsonl'], ['gold.jsonl'], 'out', draws=100)\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["scores"]["AC+"]["micro"]["f1"] == 1.0


def test_what_train_has_seen_is_scored_apart(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    jsonl.write(tmp_path / "train.jsonl", documents[:1])  # knows الرقة, not بغداد
    jsonl.write(tmp_path / "gold.jsonl", documents[:2])
    files = [tmp_path / "gold.jsonl"]
    report = score_files(files, files, tmp_path / "out", train=[tmp_path / "train.jsonl"])
    surface = report["errors"]["facets"]["entities"]["surface"]
    assert (surface["seen"]["gold"], surface["unseen"]["gold"]) == (4, 2)


def test_the_page_shows_the_articles_with_the_most_mistakes(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    jsonl.write(tmp_path / "gold.jsonl", documents[:4])
    worst = replace(documents[2], entities=(), events=())
    jsonl.write(tmp_path / "found.jsonl", [*documents[:2], worst, documents[3]])
    score_files([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out", examples=1)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "خَمسةُ" in page
    assert not any(document.id in page for document in (*documents[:2], documents[3]))


TAGS = {  # predicted tags of «زار وليد العلم بغداد» -> F1 under strict, repair, discard
    "O B-PER I-PER B-LOC": (1.0, 1.0, 1.0),
    "O I-PER I-PER B-LOC": (2 / 3, 1.0, 2 / 3),
    "O B-PER I-LOC B-LOC": (0.5, 0.4, 0.5),
    "O O O O": (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("predicted", TAGS)
def test_tags_are_scored_as_they_stand(predicted: str, tmp_path: Path) -> None:
    tokens = "زار وليد العلم بغداد".split()
    for name, row in (("gold", "O B-PER I-PER B-LOC"), ("found", predicted)):
        text = "\n".join(f"{token} {tag}" for token, tag in zip(tokens, row.split(), strict=True))
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    report = score_tags([tmp_path / "gold"], [tmp_path / "found"], tmp_path / "out")
    found = tuple(report["sequences"][name]["micro"]["f1"] for name in ("strict", "repair", "discard"))
    assert found == pytest.approx(TAGS[predicted])
    (tmp_path / "short").write_text("زار O\n", encoding="utf-8")
    with pytest.raises(DataError, match="sentence 1: expected the same tokens"):
        score_tags([tmp_path / "gold"], [tmp_path / "short"], tmp_path / "out")


def test_folds_are_pooled(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    parts = (documents[:2], documents[2:5])
    files = [tmp_path / f"{n}.jsonl" for n in range(4)]
    for part, gold, found in zip(parts, files[:2], files[2:], strict=True):
        jsonl.write(gold, part)
        jsonl.write(found, [replace(part[0], entities=(), events=()), *part[1:]])
    report = score_files(files[:2], files[2:], tmp_path / "out", gold_triggers=files[:2])
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
    report = score_files([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out", labels=labels)
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
    report = score_files([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
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
            score_files([gold], [found], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_a_mention_is_right_only_with_its_type_and_both_edges(tmp_path: Path) -> None:
    text = "قصفت الطائرات مدينة حلب"
    jsonl.write(tmp_path / "gold.jsonl", [Document("خبر", text, (Mention(20, 23, "GPE"),))])
    for entity in (Mention(20, 23, "ORG"), Mention(14, 23, "GPE"), Mention(20, 22, "GPE")):
        jsonl.write(tmp_path / "found.jsonl", [Document("خبر", text, (entity,))])
        report = score_files([tmp_path / "gold.jsonl"], [tmp_path / "found.jsonl"], tmp_path / "out")
        assert report["scores"]["entities"]["micro"]["f1"] == 0.0
