"""«انقطع التيار ثم عاد»: what was labelled stays, what was not is labelled, and nobody sees that there was a cut."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from khabar import plan, shards
from khabar.document import DataError, Document
from khabar.formats import jsonl, lines, parquet
from khabar.manifest import MANIFEST, Manifest
from khabar.plan import in_order
from khabar.shards import label, label_file, read
from khabar.sources import Refused, articles

Chunks = Iterable[Sequence[Document]]
Labelled = Iterator[tuple[Sequence[Document], Counter[str]]]

DRIVER = Path(__file__).with_name("drive.py")
PACKAGES = Path(shards.__file__).parents[1]
SETTINGS = {"batch_tokens": 2048}


def stream(pattern: str) -> Callable[[], Iterator[Document | Refused]]:
    """A stream as a picture: ``d`` is a document, ``x`` a refused article."""
    return lambda: (
        Document(f"خبر {number}", "قُتل جنديان") if kind == "d" else Refused(None, f"سطر {number}", "فارغ")
        for number, kind in enumerate(pattern)
    )


def labelled(chunks: Chunks) -> Labelled:
    """Labels nothing, and counts words."""
    for chunk in chunks:
        yield [replace(d, entities=()) for d in chunk], Counter(words=2 * len(chunk), documents=len(chunk), windows=1)


def reading_ahead(chunks: Chunks, ahead: int = 3) -> Labelled:
    """An engine that takes chunks before it gives the first."""
    pending = iter(chunks)
    taken = list(islice(pending, ahead))
    while taken:
        yield from labelled([taken.pop(0)])
        taken.extend(islice(pending, 1))


engine = in_order(labelled)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def ids(folder: Path) -> list[str]:
    return [record.id or "" for record in articles([folder])]


# What is written


def test_a_folder_of_shards(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = label(stream("ddxddxxxdd"), engine, folder, SETTINGS, shard=4)
    assert sorted(content(folder)) == [
        "manifest.jsonl",
        "part-00000.errors.jsonl",
        "part-00000.jsonl",
        "part-00001.errors.jsonl",
        "part-00001.jsonl",
        "part-00002.jsonl",
    ]
    assert [document.id for document in jsonl.read(folder / "part-00000.jsonl")] == ["خبر 0", "خبر 1", "خبر 3"]
    errors = [json.loads(line) for _, line in lines.read(folder / "part-00001.errors.jsonl")]
    assert errors[0] == {"id": None, "source": "سطر 5", "reason": "فارغ", "record": 6}
    assert [error["record"] for error in errors] == [6, 7, 8]
    settings, first, *_, last = [json.loads(line) for _, line in lines.read(folder / MANIFEST)]
    assert settings == {"manifest": 2, "batch_tokens": 2048, "shard": 4, "format": "jsonl"}
    assert {key: first[key] for key in ("file", "records", "documents", "refused", "words", "counts")} == {
        "file": "part-00000.jsonl",
        "records": 4,
        "documents": 3,
        "refused": 1,
        "words": 6,
        "counts": {"windows": 1},
    }
    totals = {"shards": 3, "records": 10, "documents": 6, "refused": 4, "words": 12, "windows": 3}
    assert last == {"complete": True, **totals}
    assert report == totals


@pytest.mark.parametrize("labeller", [labelled, reading_ahead])
@pytest.mark.parametrize(
    "pattern", ["", "d", "x", "xxxx", "dddd", "ddddx", "xxxxd", "xxxxxxxxxxxxd", "dxxxxxxxxxxx", "d" * 13]
)
def test_whatever_the_stream_nothing_is_lost_or_repeated(
    pattern: str, labeller: Callable[[Chunks], Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "CHUNK", 3)
    report = label_file(stream(pattern), in_order(labeller), tmp_path / "out.jsonl", SETTINGS, shard=4)
    expected = [record for record in stream(pattern)() if isinstance(record, Document)]
    assert [d.id for d in jsonl.read(tmp_path / "out.jsonl")] == [d.id for d in expected]
    assert (report["documents"], report["refused"]) == (len(expected), pattern.count("x"))
    errors = tmp_path / "out.errors.jsonl"
    numbers = [json.loads(line)["record"] for _, line in lines.read(errors)] if errors.exists() else []
    assert numbers == [number for number, kind in enumerate(pattern, start=1) if kind == "x"]
    assert {path.name for path in tmp_path.iterdir()} <= {"out.jsonl", "out.errors.jsonl"}


def test_chunks_are_cut_at_shards_and_where_they_grow_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK", 3)
    monkeypatch.setattr(plan, "CHARACTERS", 10)
    seen: list[list[int]] = []

    def looking(chunks: Chunks) -> Labelled:
        for chunk in chunks:
            seen.append([len(document.text) for document in chunk])
            yield from labelled([chunk])

    sizes = [1, 1, 1, 1, 1, 9, 2, 50, 1]
    label(
        lambda: (Document(str(n), "خ" * size) for n, size in enumerate(sizes)),
        in_order(looking),
        tmp_path / "out",
        SETTINGS,
        shard=5,
    )
    assert seen == [[1, 1, 1], [1, 1], [9], [2], [50], [1]]


@pytest.mark.parametrize("kind", shards.FORMATS)
def test_one_file_is_what_its_shards_are_together(kind: str, tmp_path: Path) -> None:
    output = tmp_path / f"out.{kind}"
    label_file(stream("dd" * 20), engine, output, SETTINGS, shard=7, format=kind)
    read = parquet.read if kind == "parquet" else jsonl.read
    assert list(read(output)) == [replace(d, entities=()) for d in stream("dd" * 20)() if isinstance(d, Document)]
    label(stream("dd" * 20), engine, tmp_path / "folder", SETTINGS, shard=7, format=kind)
    assert [record.id for record in articles([tmp_path / "folder"])] == [record.id for record in articles([output])]


def test_error_records_of_an_earlier_run_go(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    label_file(stream("dx"), engine, output, SETTINGS)
    assert (tmp_path / "out.errors.jsonl").exists()
    label_file(stream("dd"), engine, output, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


# Going on


@pytest.mark.parametrize("bytes_left", [0, 1, 40, 200, -300, -100, -1])
def test_a_torn_manifest_is_as_good_as_its_whole_lines(bytes_left: int, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    label(stream("ddxddd"), engine, folder, SETTINGS, shard=2)
    whole = content(folder)
    (folder / MANIFEST).write_bytes(whole[MANIFEST][:bytes_left])
    (folder / ".part-00000.jsonl.77.partial").touch()  # of the process that was killed
    label(stream("ddxddd"), engine, folder, SETTINGS, shard=2)
    assert content(folder) == whole


def test_only_what_is_missing_is_labelled_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def failing(chunks: Chunks) -> Labelled:
        yield from islice(labelled(chunks), 2)
        raise OSError("the power went")

    folder, seen = tmp_path / "out", list[str]()

    def looking(chunks: Chunks) -> Labelled:
        for chunk in chunks:
            seen.extend(document.id for document in chunk)
            yield from labelled([chunk])

    with pytest.raises(OSError, match="the power went"):
        label(stream("dxdddd"), in_order(failing), folder, SETTINGS, shard=2)
    assert sorted(content(folder)) == [
        "manifest.jsonl",
        "part-00000.errors.jsonl",
        "part-00000.jsonl",
        "part-00001.jsonl",
    ]
    caplog.set_level("INFO")
    report = label(stream("dxdddd"), in_order(looking), folder, SETTINGS, shard=2)
    assert seen == ["خبر 4", "خبر 5"]
    assert caplog.messages == [f"{folder}: going on after 4 articles in 2 shards"]
    assert (report["documents"], report["refused"], report["words"]) == (5, 1, 10)


def test_a_finished_folder_is_checked_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "out"
    report = label(stream("ddx"), engine, folder, SETTINGS)
    caplog.set_level("INFO")
    assert label(stream("ddx"), engine, folder, SETTINGS) == report
    assert caplog.messages == [f"{folder}: complete: every shard is as it was written, nothing is left to do"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "the input is not what this shard was made from"),
        ("dxx", "the input is not what"),
        ("ddxd", "the input ended with this shard, and now goes on with 'خبر 3'"),
    ],
)
def test_a_finished_folder_is_not_taken_for_that_of_another_input(pattern: str, message: str, tmp_path: Path) -> None:
    label(stream("ddx"), engine, tmp_path / "out", SETTINGS)
    with pytest.raises(DataError, match=message):
        label(stream(pattern), engine, tmp_path / "out", SETTINGS)


def test_a_full_shard_may_be_followed_only_before_the_run_is_complete(tmp_path: Path) -> None:
    label(stream("ddxd"), engine, tmp_path / "out", SETTINGS, shard=2)
    with pytest.raises(DataError, match="complete, but the input goes on"):
        label(stream("ddxdd"), engine, tmp_path / "out", SETTINGS, shard=2)


def test_what_is_made_of_the_output_is_made_before_a_run_is_over(tmp_path: Path) -> None:
    """A kill while pages are written does not mean that everything is labelled again."""
    output = tmp_path / "out.jsonl"

    def killed() -> None:
        raise OSError("the power went")

    with pytest.raises(OSError, match="the power went"):
        label_file(stream("ddx"), engine, output, SETTINGS, finish=killed)
    seen: list[str | None] = []

    def refusing(chunks: Chunks) -> Labelled:
        pytest.fail("labelled again")
        yield from labelled(chunks)

    label_file(
        stream("ddx"),
        in_order(refusing),
        output,
        SETTINGS,
        finish=lambda: seen.extend(d.id for d in read(output, "jsonl")),
    )
    assert seen == ["خبر 0", "خبر 1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.errors.jsonl", "out.jsonl"]


def damage(folder: Path, name: str, data: bytes | None) -> None:
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "settings", "harm", "message"),
    [
        ("ddxd", {"batch_tokens": 64}, None, r"other settings: batch_tokens was 2048 and is 64\. Use those"),
        ("ddxd", {"khabar": "2"}, None, r"batch_tokens was 2048 and is None, khabar was None and is '2'"),
        ("dxdd", SETTINGS, None, r"part-00000\.jsonl: the input is not what this shard was made from"),
        ("ddd", SETTINGS, None, r"part-00001\.jsonl: the input is not what"),
        ("ddxd", SETTINGS, ("part-00000.jsonl", None), r"part-00000\.jsonl: this shard is missing"),
        ("ddxd", SETTINGS, ("part-00000.jsonl", b"{}\n"), r"part-00000\.jsonl: this shard was changed"),
        ("ddxd", SETTINGS, ("part-00001.errors.jsonl", None), r"part-00001\.errors\.jsonl: this shard is missing"),
        ("ddxd", SETTINGS, (MANIFEST, b'{"manifest": 2}\n{\n'), r"manifest\.jsonl: line 2: not JSON"),
        ("ddxd", SETTINGS, (MANIFEST, b'{"manifest": 2}\n[]\n'), r"line 2: expected a JSON object, got list"),
        ("ddxd", SETTINGS, (MANIFEST, b'{"audio": 1}'), r"manifest\.jsonl: not the manifest of labelled articles"),
        ("ddxd", SETTINGS, (MANIFEST, b"[]\n"), r"manifest\.jsonl: not the manifest of labelled articles"),
        ("ddxd", SETTINGS, (MANIFEST, None), r"out: this folder is not empty, and no manifest\.jsonl"),
    ],
)
def test_what_does_not_fit_is_named(
    pattern: str, settings: dict[str, Any], harm: tuple[str, bytes | None] | None, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    label(stream("ddxd"), engine, folder, SETTINGS, shard=2)
    data = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(data[: data.index(b'{"complete')])
    if harm:
        damage(folder, *harm)
    before = content(folder)
    with pytest.raises(DataError, match=message):
        label(stream(pattern), engine, folder, settings, shard=2)
    assert content(folder) == before


def test_shard_lines_of_something_else_are_refused(tmp_path: Path) -> None:
    Manifest(tmp_path / "out", SETTINGS).close()
    with (tmp_path / "out" / MANIFEST).open("a") as file:
        file.write('{"name": "a"}\n')
    with pytest.raises(DataError, match="not the manifest of labelled articles"):
        Manifest(tmp_path / "out", SETTINGS)


def test_bad_parameters_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="shard=0"):
        label(stream("d"), engine, tmp_path / "out", SETTINGS, shard=0)
    with pytest.raises(DataError, match=r"format='csv'.*jsonl, jsonl\.gz"):
        label(stream("d"), engine, tmp_path / "out", SETTINGS, format="csv")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file"):
        label(stream("d"), engine, tmp_path / "file", SETTINGS)
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(DataError, match="expected a file to write, this is a folder"):
        label_file(stream("d"), engine, tmp_path / "out.jsonl", SETTINGS)


def test_two_processes_do_not_label_into_one_folder(tmp_path: Path) -> None:
    held = Manifest(tmp_path / "out", SETTINGS)
    code = f"from pathlib import Path; from khabar.manifest import Manifest; Manifest(Path({str(held.folder)!r}), {{}})"
    other = subprocess.run([sys.executable, "-c", code], cwd=PACKAGES, capture_output=True, text=True)
    assert "another process is labelling into it" in other.stderr
    held.close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda chunks: reversed(list(labelled(chunks))),
        lambda chunks: islice(labelled(chunks), 1),
        lambda chunks: ((documents[:1], counts) for documents, counts in labelled(chunks)),
    ],
)
def test_an_engine_that_loses_or_moves_articles_is_found_out(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the engine"):
        label(stream("d" * 8), in_order(wrong), tmp_path / "out", SETTINGS, shard=4)


# Killed


def drive(*arguments: Path | str) -> str:
    command = [sys.executable, str(DRIVER), *map(str, arguments)]
    run = subprocess.run(command, cwd=PACKAGES, env={"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("moments", ["step", "random"])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(moments: str, tmp_path: Path) -> None:
    for kind in ("jsonl", "jsonl.gz", "parquet"):
        (tmp_path / kind).mkdir()
    kills = json.loads(drive(moments, tmp_path))
    assert min(kills.values()) >= (20 if moments == "step" else 1)
    assert len(ids(tmp_path / "jsonl" / "whole" / "out")) == 8


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    text = "قصفت الطائرات مدينة حلب فقتل عشرة مدنيين. " * 10
    peaks = []
    for count in (2_000, 40_000):
        source = tmp_path / f"{count}.jsonl"
        lines.write(source, (jsonl.dumps(Document(str(number), text)) for number in range(count)))
        peaks.append(int(drive("memory", source, tmp_path / f"{count}.jsonl.gz")))
    assert source.stat().st_size > 30e6
    assert peaks[1] - peaks[0] < 12, f"{peaks} MB"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    label(stream("ddd"), engine, folder, SETTINGS, shard=2)
    corrected = folder / "part-00000.corrected.jsonl"
    corrected.write_text("{}\n")
    label(stream("ddd"), engine, folder, SETTINGS, shard=2)
    assert corrected.read_text() == "{}\n"
    (folder / "part-00000.parquet").touch()
    with pytest.raises(DataError, match=r"part-00000\.parquet: not of this labelling, but named like its shards"):
        label(stream("ddd"), engine, folder, SETTINGS, shard=2)


def test_other_metadata_is_other_input(tmp_path: Path) -> None:
    def records(source: str) -> Callable[[], Iterator[Document | Refused]]:
        return lambda: iter([Document("خبر", "قصف", meta={"source": source})])

    label(records("سانا"), engine, tmp_path / "out", SETTINGS)
    with pytest.raises(DataError, match="the input is not what this shard was made from"):
        label(records("رويترز"), engine, tmp_path / "out", SETTINGS)
