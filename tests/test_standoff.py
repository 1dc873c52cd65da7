"""«قصفت طائرات مواقع في حلب»: labels of an article that may not be passed on, joined with whoever's copy of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Event, Mention
from khabar.formats import jsonl, standoff, trec

TEXT = "قصفت طائرات مواقع في حلب"
DOCUMENT = Document(
    "خبر-1",
    TEXT,
    (Mention(21, 24, "GPE"),),
    (Event(Mention(0, 4, "Attack"), (Mention(5, 11, "Instrument"), Mention(21, 24, "Place"))),),
    {"category": "عالم"},
)
RECORD = f"""<DOC>
<DOCNO>JA-1</DOCNO>
<URL>http://example.org/<قصف>/1</URL>
<TITLE>قصف "حلب" & ريفها</TITLE>
<ABSTRACT>

</ABSTRACT>
<TEXT>
{TEXT}
</TEXT>
</DOC>
"""


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_trec_records_become_documents(tmp_path: Path) -> None:
    [document] = trec.read(write(tmp_path / "1.txt", RECORD))
    assert (document.id, document.text) == ("JA-1", TEXT)
    assert document.meta == {"url": "http://example.org/<قصف>/1", "title": 'قصف "حلب" & ريفها'}
    assert document.entities is None


def test_a_folder_of_trec_files_is_read_in_order_of_paths(tmp_path: Path) -> None:
    write(tmp_path / "b" / "2.txt", RECORD.replace("JA-1", "JA-2").replace("\n", "\r\n"))
    write(tmp_path / "a" / "1.txt", RECORD + RECORD.replace("JA-1", "JA-3").replace(TEXT, ""))
    write(tmp_path / "README.txt", "اقرأ")
    report: Counter[str] = Counter()
    documents = list(trec.read(tmp_path, report=report))
    assert [document.id for document in documents] == ["JA-1", "JA-3", "JA-2"]
    assert documents[2].text == TEXT
    assert report == {"file without a <DOC> record": 1, "document without text": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<DOC><TEXT>خبر</TEXT></DOC>", r"1\.txt: record 1: no field \['docno'\]"),
        ("<DOC><DOCNO>1</DOCNO></DOC>", r"1\.txt: record 1: no field \['text'\]"),
        ("خبر", r"no <DOC> record in 1 files"),
        ("<DOC><DOCNO>1</DOCNO><DOC><DOCNO>2</DOCNO></DOC>", r"1\.txt: a <DOC> without its </DOC>"),
        ("<DOC><DOCNO>1</DOCNO><TEXT>أ</TEXT><TEXT>ب</TEXT></DOC>", r"record 1: a field is there twice"),
    ],
)
def test_what_is_no_trec_record_is_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        list(trec.read(write(tmp_path / "1.txt", content)))


def test_a_trec_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(trec.read(tmp_path / "1.txt"))


@pytest.mark.parametrize("form", ["jsonl", "jsonl folder", "trec file", "trec folder"])
def test_labels_find_their_text_in_any_copy(form: str, tmp_path: Path) -> None:
    standoff.write(tmp_path / "labels.jsonl", [DOCUMENT])
    if form.startswith("jsonl"):
        source = tmp_path / "copy" / "articles.jsonl"
        jsonl.write(source, [Document("عندنا", TEXT + "\n"), Document("آخر", "خبر آخر")])
        source = source.parent if form == "jsonl folder" else source
    else:
        source = write(tmp_path / "copy" / "1.txt", RECORD)
        source = source if form == "trec file" else source.parent
    assert list(standoff.read(tmp_path / "labels.jsonl", source)) == [DOCUMENT]


def test_no_word_of_the_text_is_written(tmp_path: Path) -> None:
    standoff.write(tmp_path / "labels.jsonl", [replace(DOCUMENT, meta={"title": TEXT, "category": "عالم"})])
    written = (tmp_path / "labels.jsonl").read_text(encoding="utf-8")
    assert not any(word in written for word in TEXT.split())


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool))
def test_any_text_is_found_again(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("standoff")
    document = Document("1", text, (Mention(0, len(text), "ORG"),), ())
    standoff.write(folder / "labels.jsonl", [document])
    jsonl.write(folder / "copy.jsonl", [Document("2", text)])
    assert list(standoff.read(folder / "labels.jsonl", folder / "copy.jsonl")) == [document]


def test_a_text_that_is_missing_is_an_error(tmp_path: Path) -> None:
    standoff.write(tmp_path / "labels.jsonl", [DOCUMENT])
    jsonl.write(tmp_path / "copy.jsonl", [Document("خبر-1", "نص تغير")])
    with pytest.raises(
        DataError, match=r"labels\.jsonl: line 1: .*copy\.jsonl has no text with the checksum of 'خبر-1'"
    ):
        list(standoff.read(tmp_path / "labels.jsonl", tmp_path / "copy.jsonl"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: expected an object with id and sha256"),
        ("[]", "line 2: expected an object with id and sha256"),
        ('{"id": "1"}', "line 2: expected an object with id and sha256"),
        ('{"id": "1", "sha256": []}', "line 2: expected an object with id and sha256"),
        (
            json.dumps(
                {
                    "id": "1",
                    "sha256": standoff.checksum(TEXT),
                    "entities": [{"start": 0, "end": 99, "type": "GPE"}],
                }
            ),
            "line 2: document '1': GPE 0..99 ends after the text",
        ),
    ],
)
def test_a_line_that_is_no_annotation_is_named(line: str, message: str, tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.jsonl", f"\n{line}\n")
    with pytest.raises(DataError, match=message):
        list(standoff.read(labels, write(tmp_path / "1.txt", RECORD)))


def test_a_text_with_space_at_its_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="white space at the ends"):
        standoff.write(tmp_path / "labels.jsonl", [Document("1", "خبر\n")])
