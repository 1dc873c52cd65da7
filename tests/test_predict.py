"""«زار ماكرون بيروت واجتمع بعون»: an article goes in as text, and comes out with its labels, in order."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from khabar.document import DataError, Document
from khabar.formats import jsonl
from khabar.predict import articles, main, predict
from khabar.tagger import Tagger
from khabar.view import terminal

TEXT = "زار الرئيس الفرنسي إيمانويل ماكرون لبنان واجتمع بميشال عون."


def ids(*sources: Path | str) -> list[str]:
    return [document.id for document in articles(sources)]


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def line(name: str, **fields: Any) -> str:
    return json.dumps({"id": name, "text": TEXT, **fields}, ensure_ascii=False) + "\n"


def pipe(monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


# Sources


def test_text_files_folders_and_jsonl_are_read_in_the_order_given(tmp_path: Path) -> None:
    one = put(tmp_path / "one.txt", TEXT)
    put(tmp_path / "many" / "b.txt", TEXT)
    put(tmp_path / "many" / "2016" / "a.txt", TEXT)
    put(tmp_path / "many" / "more.jsonl", line("م") + "\n" + line("ن"))
    lines = put(tmp_path / "lines.jsonl", line("ك") + line("ل"))
    assert ids(lines, tmp_path / "many", str(one)) == ["ك", "ل", "2016/a", "b", "م", "ن", "one"]


def test_a_folder_of_jsonl_alone_is_read(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.jsonl", line("أ"))
    put(tmp_path / "b.jsonl", line("ب"))
    assert ids(tmp_path) == ["أ", "ب"]


def test_standard_input_is_text_or_jsonl(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, TEXT + "\n")
    assert [(d.id, d.text) for d in articles(["-"])] == [("stdin", TEXT + "\n")]
    pipe(monkeypatch, "\n" + line("أ", meta={"n": 1}) + "\n" + line("ب"))
    assert [(d.id, d.text, d.meta) for d in articles(["-"])] == [("أ", TEXT, {"n": 1}), ("ب", TEXT, {})]


BAD: dict[str, tuple[str, str | bytes | None, str]] = {
    "no such file": ("gone.txt", None, r"gone\.txt: there is no such file"),
    "no such jsonl": ("gone.jsonl", None, r"gone\.jsonl: there is no such file"),
    "windows-1256": ("old.txt", "زار".encode("windows-1256"), r"old\.txt: not UTF-8 at byte 0 .*windows-1256"),
    "bad line": ("x.jsonl", line("أ").encode() + b"\xff\n", r"x\.jsonl: line 2: not UTF-8"),
    "not JSON": ("x.jsonl", line("أ") + "{", r"x\.jsonl: line 2: not JSON"),
    "no text": ("x.jsonl", '{"id": "أ"}', r"x\.jsonl: line 1: .*strings id and text"),
    "id twice": ("x.jsonl", line("أ") * 2, "'أ' is also on line 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_input_that_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    name, content, message = BAD[case]
    if content is not None:
        put(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        ids(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no"):
        ids(tmp_path)


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'story' comes twice"):
        ids(put(tmp_path / "a" / "story.txt", TEXT), put(tmp_path / "b" / "story.txt", TEXT))


def test_bad_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, line("أ") + "{]")
    with pytest.raises(DataError, match="standard input: line 2: not JSON"):
        ids("-")
    pipe(monkeypatch, b"\xc7\xe1")
    with pytest.raises(DataError, match="standard input: not UTF-8"):
        ids("-")


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
    good, bad = put(tmp_path / "a.jsonl", line("أ")), put(tmp_path / "b.jsonl", "{")
    with pytest.raises(DataError):
        predict(trained, [good, bad], output, device="cpu")
    assert output.read_text() == "before\n"
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "a.jsonl", "b.jsonl"}


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
    main([str(put(tmp_path / "in.txt", article)), "--output", str(tmp_path / "out.jsonl"), "--page", str(page)])
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
