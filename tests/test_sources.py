"""«وصل ألف خبر، وفيها ما لا يُقرأ»: what can be read is read, what cannot is named, and the others go on."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from khabar.document import DataError, Document
from khabar.sources import Refused, articles

TEXT = "زار الرئيس الفرنسي إيمانويل ماكرون لبنان واجتمع بميشال عون."


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def line(name: str, **fields: Any) -> str:
    return json.dumps({"id": name, "text": TEXT, **fields}, ensure_ascii=False) + "\n"


def pipe(monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data), 8)))


def ids(*sources: Path | str) -> list[str | None]:
    found = list(articles(sources))
    assert not [record for record in found if isinstance(record, Refused)]
    return [record.id for record in found]


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, "zstd", asbytes=True))


def table(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pyarrow.table(columns), path)
    return path


# What is read


def test_files_folders_and_records_are_read_in_the_order_given(tmp_path: Path) -> None:
    one = put(tmp_path / "one.txt", "\ufeff" + TEXT)
    put(tmp_path / "many" / "b.txt", TEXT)
    put(tmp_path / "many" / "2016" / "a.txt", TEXT)
    put(tmp_path / "many" / "more.jsonl", "\ufeff" + line("م") + "\n  \n" + line("ن"))
    put(tmp_path / "many" / "more.jsonl.gz", gzip.compress(line("و").encode()))
    table(tmp_path / "many" / "less.parquet", id=["ج"], text=[TEXT])
    lines = put(tmp_path / "lines.jsonl", line("ك") + line("ل"))
    assert ids(lines, tmp_path / "many", str(one)) == ["ك", "ل", "2016/a", "b", "ج", "م", "ن", "و", "one"]
    assert list(articles([one])) == [Document("one", TEXT)]


def test_what_labelling_left_in_a_folder_is_no_article(tmp_path: Path) -> None:
    for name in ("manifest.jsonl", "part-00000.errors.jsonl", ".part-00001.jsonl.7.partial"):
        put(tmp_path / name, "{}\n")
    put(tmp_path / "part-00000.jsonl", line("أ"))
    assert ids(tmp_path) == ["أ"]


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd)]
)
def test_packed_files_are_read_member_after_member(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = b"".join(pack(line(name).encode()) for name in "أبج")
    assert ids(put(tmp_path / f"x.jsonl{suffix}", data)) == ["أ", "ب", "ج"]


@pytest.mark.parametrize("before", ["", "\ufeff", "\n", " \r\n" * 30, "\ufeff\n"])
def test_standard_input_is_jsonl_where_it_begins_with_a_brace(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, before + line("أ", meta={"n": 1}) + "\n" + "{")
    assert list(articles(["-"])) == [
        Document("أ", TEXT, meta={"n": 1}),
        Refused(
            None,
            f"standard input: line {before.count(chr(10)) + 3}",
            "not JSON: Expecting property name enclosed in double quotes at character 1",
        ),
    ]


@pytest.mark.parametrize("text", [TEXT + "\n", "\n\n  " + TEXT, "[" + TEXT, '"{" ' + TEXT, " " * 500 + "x"])
def test_standard_input_is_else_one_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, text)
    assert list(articles(["-"])) == [Document("stdin", text)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("news", line("أ") + line("ب"), [Document("أ", TEXT), Document("ب", TEXT)]),
        ("news", TEXT, [Document("news", TEXT)]),
        ("news.jsonl", line("أ"), [Document("أ", TEXT)]),
        ("news.gz", gzip.compress(line("أ").encode()), [Document("أ", TEXT)]),
        ("news.xz", lzma.compress(line("أ").encode()), [Document("أ", TEXT)]),
        ("news.zst", zstd(line("أ").encode()), [Document("أ", TEXT)]),
    ],
)
def test_a_pipe_is_read_as_standard_input_is(
    name: str, content: str | bytes, expected: list[Document], tmp_path: Path
) -> None:
    os.mkfifo(named := tmp_path / name)  # what a shell's <(…) gives
    with ThreadPoolExecutor(1) as pool:
        data = content.encode() if isinstance(content, str) else content
        writing = pool.submit(named.write_bytes, data)
        assert list(articles([named])) == expected
        writing.result()


def test_an_id_may_come_twice(tmp_path: Path) -> None:
    assert ids(put(tmp_path / "a" / "story.txt", TEXT), put(tmp_path / "x.jsonl", line("أ") * 2)) == ["story", "أ", "أ"]


# What is refused: the article before it and the one after are read

BAD: dict[str, tuple[bytes | str, str | None, str]] = {
    "windows-1256": ('{"id": "x", "text": "زار"}'.encode("windows-1256"), None, "not UTF-8 at byte 21 .*windows-1256"),
    "not JSON": ("{", None, "not JSON: Expecting property name"),
    "half a line": (line("ب")[:30], None, "not JSON"),
    "nested too deeply": ('{"id":' + "[" * 100_000, None, "JSON that cannot be read"),
    "a number without end": ('{"id": "ب", "text": ' + "1" * 5000 + "}", None, "JSON that cannot be read"),
    "no object": ("[1]", None, "expected a JSON object, got list"),
    "no id": ('{"text": "خبر"}', None, "strings id and text"),
    "no text": ('{"id": "ب"}', "ب", "strings id and text"),
    "a text of another kind": ('{"id": "ب", "text": ["خبر"]}', "ب", "strings id and text"),
    "an unknown key": (line("ب", txt=""), "ب", r"document 'ب': unknown keys \['txt'\]"),
    "overlapping gold": (
        line("ب", entities=[{"start": 0, "end": 5, "type": "X"}, {"start": 2, "end": 6, "type": "Y"}]),
        "ب",
        "entities overlap",
    ),
    "a lone surrogate": ('{"id": "ب", "text": "\\ud800"}', "ب", "lone surrogate at 0"),
    "a lone surrogate as id": ('{"id": "\\ud800", "text": "خبر"}', None, "surrogates not allowed"),
    "a lone surrogate as label": (
        '{"id": "ب", "text": "خبر", "entities": [{"start": 0, "end": 9, "type": "\\ud800"}]}',
        "ب",
        "ends after the text",
    ),
    "metadata that is no JSON": ('{"id": "b", "text": "خبر", "meta": {"x": NaN}}', "b", "Out of range float"),
    "nothing": (line("ب", text=""), "ب", "empty"),
    "white space": (line("ب", text=" \n\t\u200f"), "ب", "no letter or digit"),
    "diacritics": (line("ب", text="\u064b\u064c\u0651"), "ب", "no letter or digit"),
    "emoji": (line("ب", text="🔴 🇱🇧 👨‍👩‍👧"), "ب", "no letter or digit"),
    "too long": (line("ب", text="خ" * 5001), "ب", r"5,001 characters: longer than 5,000 \(longest\)"),
    "5 MB of one line": (line("ب", text="خ" * 2_500_000), None, "a line of more than 1,128,576 bytes"),
    "5 MB of nothing": (b"x" * 5_000_000, None, "a line of more than 1,128,576 bytes"),
    "NUL": (b"\0" * 100, None, "not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_cannot_be_labelled_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, name, reason = BAD[case]
    bad = content.rstrip("\n").encode() if isinstance(content, str) else content
    data = line("أ").encode() + bad + b"\n" + line("ج").encode()
    source = put(tmp_path / "x.jsonl", data)
    pipe(monkeypatch, data)
    for given_, place in ((source, f"{source}: line 2"), ("-", "standard input: line 2")):
        before, refused, after = articles([given_], longest=5000)
        assert (before.id, after.id) == ("أ", "ج")
        assert isinstance(refused, Refused)
        assert (refused.id, refused.source) == (name, place)
        assert len(refused.reason) <= 501
        assert re.search(reason, refused.reason), refused.reason
        json.dumps(refused.reason, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        ("\u064b🔴".encode(), "no letter or digit"),
        ("زار".encode("windows-1256"), "not UTF-8 at byte 0"),
        (("خ" * 5001).encode(), "5,001 characters: longer than 5,000"),
        (b"x" * 30_000, "more than 5,000 characters: longer than 5,000"),
    ],
)
def test_a_text_that_cannot_be_labelled_is_refused(
    content: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.txt", TEXT)
    bad = put(tmp_path / "b.txt", content)
    put(tmp_path / "c.txt", TEXT)
    pipe(monkeypatch, content)
    found = [*articles([tmp_path], longest=5000), *articles(["-"], longest=5000)]
    assert [record.id for record in found] == ["a", "b", "c", "stdin"]
    for refused, place in ((found[1], str(bad)), (found[3], "standard input")):
        assert isinstance(refused, Refused)
        assert refused.source == place
        assert refused.reason.startswith(reason)


def test_a_row_that_cannot_be_labelled_is_refused(tmp_path: Path) -> None:
    binary = pyarrow.array(["أ".encode(), "ب".encode(), "ج".encode(), b"d", b"e"])
    text = pyarrow.array([TEXT.encode(), b"\xff", None, b"x", TEXT.encode()])
    source = table(
        tmp_path / "x.parquet", id=binary, text=text, meta=["{}", None, None, "[]", '{"a": 1}'], year=[1, 2, 3, 4, None]
    )
    assert list(articles([source])) == [
        Document("أ", TEXT, meta={"year": 1}),
        Refused(
            None,
            f"{source}: row 2",
            "text: not UTF-8 at byte 0 (0xff); older Arabic files are often "
            "windows-1256: iconv -f WINDOWS-1256 -t UTF-8",
        ),
        Refused("ج", f"{source}: row 3", "expected a record with strings id and text, got id 'ج'"),
        Refused(None, f"{source}: row 4", "expected a JSON object as meta, got list"),
        Document("e", TEXT, meta={"a": 1, "year": None}),
    ]


@given(st.lists(st.binary(max_size=30).filter(lambda data: b"\n" not in data), max_size=5))
def test_whatever_the_bytes_each_line_is_an_article_or_refused(
    tmp_path_factory: pytest.TempPathFactory, bad: list[bytes]
) -> None:
    source = put(tmp_path_factory.getbasetemp() / "any.jsonl", b"\n".join([*bad, line("أ").encode()]))
    *refused, last = articles([source])
    assert last == Document("أ", TEXT)
    assert all(isinstance(record, Refused) for record in refused)


def test_a_line_without_end_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    source = tmp_path / "x.jsonl"
    with source.open("wb") as file:
        file.truncate(60_000_000)  # NULs that take no room
    with source.open("ab") as file:
        file.write(b"\n" + line("أ").encode())
    tracemalloc.start()
    refused, good = articles([source], longest=1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(refused, Refused)
    assert good.id == "أ"
    assert peak < 6_000_000


# Sources that are broken

BROKEN: dict[str, tuple[dict[str, bytes | None], tuple[str, ...], str]] = {
    "not there": ({}, ("gone.txt",), r"gone\.txt: there is no such file or folder"),
    "an empty folder": ({"folder/x.csv": b""}, ("folder",), r"folder: no \*\.txt, \*\.jsonl or \*\.parquet files"),
    "twice": ({"a.txt": b"x"}, ("a.txt", "./a.txt"), "given twice"),
    "standard input twice": ({}, ("-", "-"), "given twice"),
    "in a folder": ({"folder/a.txt": b"x"}, ("folder/a.txt", "folder"), "given twice: it also lies in"),
    "no gzip": ({"x.jsonl.gz": b"{}"}, ("x.jsonl.gz",), r"x\.jsonl\.gz: cannot be unpacked"),
    "no zstd": ({"x.jsonl.zst": b"{}"}, ("x.jsonl.zst",), r"x\.jsonl\.zst: cannot be unpacked"),
    "no Parquet": ({"x.parquet": b"{}"}, ("x.parquet",), r"x\.parquet: cannot be read as Parquet"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_source_is_an_error(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, given_, message = BROKEN[case]
    for name, content in files.items():
        put(tmp_path / name, content or b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        list(articles(given_))


def test_a_source_that_is_not_there_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        articles([put(tmp_path / "a.txt", TEXT), tmp_path / "gone.txt"])
    with pytest.raises(DataError, match=r"a\.ndjson: expected text, JSON lines named \.jsonl, or \.parquet"):
        articles([put(tmp_path / "a.ndjson", "{}")])
    with pytest.raises(DataError, match="longest=0"):
        articles([tmp_path / "a.txt"], longest=0)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd)])
def test_what_came_before_a_cut_is_given(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = pack(line("أ").encode()) + pack("".join(line(f"{n:x}" * 50) for n in range(900)).encode())[:-9]
    records = articles([put(tmp_path / f"x.jsonl{suffix}", data)])
    assert next(records).id == "أ"
    with pytest.raises(DataError, match="cannot be unpacked"):
        list(records)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["أ"]}, r"expected the columns id and text.*got id \(string\)"),
        ({"id": [1], "text": ["خبر"]}, r"of strings; got id \(int64\), text \(string\)"),
    ],
)
def test_parquet_without_articles_is_an_error(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        list(articles([table(tmp_path / "x.parquet", **columns)]))
