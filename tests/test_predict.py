"""«زار ماكرون بيروت واجتمع بعون»: an article goes in as text, and comes out with its labels, in order."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from khabar.document import DataError, Document
from khabar.formats import jsonl
from khabar.predict import REFUSED, main, predict
from khabar.sources import articles
from khabar.tagger import Tagger
from khabar.view import terminal

TEXT = "زار الرئيس الفرنسي إيمانويل ماكرون لبنان واجتمع بميشال عون."


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def line(name: str, **fields: Any) -> str:
    return json.dumps({"id": name, "text": TEXT, **fields}, ensure_ascii=False) + "\n"


# Labelling


def test_articles_come_back_labelled(trained: Path, tmp_path: Path, documents: tuple[Document, ...]) -> None:
    source = put(tmp_path / "in.jsonl", line("خبر", meta={"source": "أ ف ب", "page": 3}) + line("آخر"))
    report = predict(trained, [source], tmp_path / "new" / "out.jsonl", device="cpu")
    found = list(jsonl.read(tmp_path / "new" / "out.jsonl"))
    assert [(d.id, d.text, d.meta) for d in found] == [
        ("خبر", TEXT, {"source": "أ ف ب", "page": 3}),
        ("آخر", TEXT, {}),
    ]
    assert found[0].entities == documents[3].entities
    assert all(mention.score is not None and 0 < mention.score <= 1 for d in found for mention in d.mentions())
    assert report["documents"] == 2
    assert report["words"] == report["words labelled"] == 2 * 10


def test_gold_labels_of_the_input_are_replaced(trained: Path, tmp_path: Path) -> None:
    wrong = [{"start": 0, "end": 3, "type": "ORG"}]
    predict(trained, [put(tmp_path / "in.jsonl", line("خبر", entities=wrong))], tmp_path / "out.jsonl", device="cpu")
    (found,) = jsonl.read(tmp_path / "out.jsonl")
    assert "ORG" not in {mention.label for mention in found.entities or ()}


def test_output_appears_whole_or_not_at_all(trained: Path, tmp_path: Path) -> None:
    output = put(tmp_path / "out.jsonl", "before\n")
    good, broken = put(tmp_path / "a.jsonl", line("أ")), put(tmp_path / "b.jsonl.gz", "no gzip")
    with pytest.raises(DataError):
        predict(trained, [good, broken], output, device="cpu")
    assert output.read_text() == "before\n"
    put(broken, gzip.compress(line("ب").encode()))  # the same command again
    predict(trained, [good, broken], output, device="cpu")
    assert [d.id for d in jsonl.read(output)] == ["أ", "ب"]
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "a.jsonl", "b.jsonl.gz"}


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet", "out"])
def test_articles_that_cannot_be_read_are_recorded_and_the_others_labelled(
    name: str, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = put(tmp_path / "in.jsonl", line("أ") + "{\n" + line("ب", text="🔴") + line("ج"))
    report = predict(trained, [source], tmp_path / name, device="cpu", format="parquet")
    assert [record.id for record in articles([tmp_path / name])] == ["أ", "ج"]
    beside = {"out": "out/part-00000.errors.jsonl", "out.jsonl": "out.errors.jsonl"}
    errors = tmp_path / beside.get(name, f"{name}.errors.jsonl")
    assert [json.loads(error) for error in errors.read_text(encoding="utf-8").splitlines()] == [
        {
            "id": None,
            "source": f"{source}: line 2",
            "reason": "not JSON: Expecting property name enclosed in double quotes at character 1",
            "record": 2,
        },
        {"id": "ب", "source": f"{source}: line 3", "reason": "no letter or digit", "record": 3},
    ]
    assert (report["documents"], report["refused"], report["records"]) == (2, 2, 4)
    assert f"2 articles were refused: {str(errors).replace('00000', '*')} says why" in caplog.messages


def test_what_is_written_is_not_read(trained: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "in.jsonl", line("أ"))
    for sources, output in (([source], source), ([tmp_path], tmp_path / "out.jsonl"), ([tmp_path], tmp_path / "out")):
        with pytest.raises(DataError, match="this output lies in the source"):
            predict(trained, sources, output)
    with pytest.raises(DataError, match="html and output are one place"):
        predict(trained, [source], tmp_path / "out.jsonl", html=tmp_path / "out.jsonl")


def test_the_settings_of_a_run_are_in_its_manifest(trained: Path, tmp_path: Path) -> None:
    source, output = put(tmp_path / "in.jsonl", line("أ")), tmp_path / "out"
    predict(trained, [source], output, device="cpu", shard=7, longest=500)
    settings = json.loads((output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])
    model = settings.pop("model")
    assert len(model) == 64
    assert settings == {
        "manifest": 2,
        "khabar": version("khabar"),
        "backend": "torch",
        "device": "cpu",
        "precision": "float32",
        "batch_tokens": 2048,
        "longest": 500,
        "shard": 7,
        "format": "jsonl",
    }
    before = (output / "manifest.jsonl").read_bytes()
    report = predict(trained, [source], output, device="cpu", shard=7, longest=500)
    assert report["words labelled"] == 10
    assert (output / "manifest.jsonl").read_bytes() == before
    with pytest.raises(DataError, match="batch_tokens was 2048 and is 64"):
        predict(trained, [source], output, device="cpu", shard=7, longest=500, batch_tokens=64)


def test_words_too_long_to_be_read_whole_are_said(
    make_tagger: Any, one_segment_encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_tagger(("entities",), encoder=one_segment_encoder).save(tmp_path / "model")
    source = put(tmp_path / "in.txt", "ابجد" * 100 + " أمس")
    report = predict(tmp_path / "model", [source], tmp_path / "out.jsonl", device="cpu")
    assert report["words cut short"] == 1
    assert "1 words were too long to be read whole" in caplog.messages


# The command


def test_the_command_labels_and_shows(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = put(tmp_path / "in.txt", TEXT)
    output = tmp_path / "out.jsonl"
    main([str(source), "--model", str(trained), "--output", str(output), "--device", "cpu", "--show"])
    assert [d.id for d in jsonl.read(output)] == ["in"]
    printed = capsys.readouterr().out
    for shown in ("ماكرون", "PER", "Meet", "Entity", "entities", "events"):
        assert shown in printed


def test_the_model_may_be_named_by_the_environment(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHABAR_MODEL", str(trained))
    main([str(put(tmp_path / "in.txt", TEXT)), "--output", str(tmp_path / "out.jsonl")])
    assert len(list(jsonl.read(tmp_path / "out.jsonl"))) == 1


def test_without_a_model_the_shipped_labeller_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KHABAR_MODEL", raising=False)
    article = "لقي ثلاثة جنود مصرعهم في غارة جوية استهدفت مدينة الرقة شمالي سوريا، أمس السبت."
    page = tmp_path / "out.html"
    main([str(put(tmp_path / "in.txt", article)), "--output", str(tmp_path / "out.jsonl"), "--html", str(page)])
    [document] = jsonl.read(tmp_path / "out.jsonl")
    assert {"الرقة", "سوريا"} <= {document.surface(m) for m in document.entities or () if m.label == "GPE"}
    assert "Conflict:Attack" in {event.type for event in document.events or ()}
    assert "الرقة" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("model", "source"), [(True, "gone.txt"), (False, "in.txt")])
def test_errors_end_the_command_with_one_line(model: bool, source: str, trained: Path, tmp_path: Path) -> None:
    put(tmp_path / "in.txt", TEXT)
    folder = trained if model else tmp_path / "no-model"
    with pytest.raises(SystemExit, match=r"^error: .*(gone\.txt|no-model)"):
        main([str(tmp_path / source), "--model", str(folder), "--output", str(tmp_path / "out.jsonl")])


def test_the_module_runs_wherever_it_is_installed(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "khabar.predict", "-", "--model", str(trained), "--output", str(output)]
    run = subprocess.run(
        command, input=TEXT, cwd=tmp_path, env={**os.environ, "PYTHONUTF8": "1"}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    (found,) = jsonl.read(output)
    assert found == next(Tagger.load(trained, "cpu").tag([Document("stdin", TEXT)]))
    assert "1 documents" in run.stderr


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on(trained: Path, tmp_path: Path) -> None:
    """A SIGKILL once the second shard is there; the same command then ends with the bytes of one never killed."""
    texts = [" ".join([TEXT, "هاجم الجيش السوري مواقع تنظيم داعش في الرقة."] * (n % 5)) for n in range(160)]
    bad = {7: "{\n", 90: line("فارغ", text="")}
    source = put(
        tmp_path / "in.jsonl", "".join(bad.get(n) or line(f"خبر {n}", text=t or TEXT) for n, t in enumerate(texts))
    )
    options = ["--model", str(trained), "--device", "cpu", "--shard", "8"]
    output, whole = tmp_path / "killed" / "out.jsonl.gz", tmp_path / "whole" / "out.jsonl.gz"
    command = [sys.executable, "-m", "khabar.predict", str(source), *options, "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(Path(sys.modules[predict.__module__].__file__ or "").parents[1])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    second = output.parent / "out.jsonl.gz.parts" / "part-00001.jsonl.gz"
    while not second.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()
    for place in (output, whole):
        with pytest.raises(SystemExit) as end:
            main([str(source), *options, "--output", str(place)])
        assert end.value.code == REFUSED
    assert output.read_bytes() == whole.read_bytes()
    assert [d.id for d in jsonl.read(output)] == [f"خبر {n}" for n in range(160) if n not in bad]
    assert sorted(path.name for path in output.parent.iterdir()) == ["out.jsonl.gz", "out.jsonl.gz.errors.jsonl"]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Any:
    """`main` configures logging for the process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


# The rendering


def shown(document: Document) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(terminal(document))
    return console.export_text(styles=False)


def test_a_document_is_shown_with_its_entities_and_events(documents: tuple[Document, ...]) -> None:
    text = shown(documents[0])
    assert "الرقة" in text
    assert "4 entities" in text
    assert "1 events" in text
    assert "الجيش السوري · تنظيم داعش" in text
    rows = [part for part in text.splitlines() if "Attack" in part and "هاجم" in part]
    assert len(rows) == 1


def test_layers_that_were_not_annotated_are_not_shown(documents: tuple[Document, ...]) -> None:
    assert "0 events" in shown(documents[5])
    assert "events" not in shown(documents[6])
    assert "4 entities" not in shown(documents[7])
    assert "1 events" in shown(documents[7])


def test_mentions_are_marked_where_they_stand() -> None:
    text = "\n\n[هنا] لندن\n"
    document = Document("[خبر]", text, None)
    assert "[هنا] لندن" in shown(document)  # no markup is read in a text
    assert "[خبر]" in shown(document)
    start = text.index("لندن")
    marked = Document.from_json(
        {"id": "خبر", "text": text, "entities": [{"start": start, "end": start + 4, "type": "GPE", "score": 0.5}]}
    )
    console = Console(file=io.StringIO(), width=60, record=True, color_system="truecolor", force_terminal=True)
    console.print(terminal(marked))
    html = console.export_html(inline_styles=True)
    assert '">لندن</span>' in html


def test_scores_and_events_without_arguments_are_shown() -> None:
    record = {
        "id": "خبر",
        "text": "وقع هجوم",
        "events": [{"trigger": {"start": 4, "end": 8, "type": "Attack", "score": 0.875}, "arguments": []}],
    }
    text = shown(Document.from_json(record))
    assert "0.88" in text
    assert "–" in text
