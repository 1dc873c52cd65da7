"""«التقى رئيس لبنان أمين عام الأمم المتحدة في بيروت»: every format gives this sentence and its names back."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from khabar.document import DataError, Document, Event, Mention
from khabar.formats import conll, huggingface, jsonl, lines, parquet, tags, text

SHARED = Path(__file__).parents[2] / "shared" / "data"
TEXT = "التقى رئيس لبنان أمين عام الأمم المتحدة في بيروت"
TOKENS = TEXT.split()
TAGS = ["O", "O", "B-LOC", "O", "O", "B-ORG", "I-ORG", "O", "B-LOC"]
COLUMNS = "".join(f"{token} {tag}\n" for token, tag in zip(TOKENS, TAGS, strict=True))
NAMES = [("لبنان", "LOC"), ("الأمم المتحدة", "ORG"), ("بيروت", "LOC")]


def names(document: Document) -> list[tuple[str, str]]:
    return [(document.surface(mention), mention.label) for mention in document.entities or ()]


def save(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- lines -----------------------------------------------------------------------------------------------


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, "zstd", asbytes=True))


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.txt", bytes), ("a.txt.gz", gzip.compress), ("a.txt.xz", lzma.compress), ("a.txt.zst", zstd)],
)
def test_files_are_unpacked(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = save(tmp_path / name, pack("\ufeffخبر\r\n\u2028\n\nآخر".encode()))
    assert list(lines.read(path)) == [(1, "خبر"), (2, "\u2028"), (3, ""), (4, "آخر")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            "خبر\nبغ".encode() + b"\xe6",
            r"a\.txt: line 2: not UTF-8 at byte 4 \(0xe6\).*windows-1256",
        ),
        ("a.gz", b"no gzip", r"a\.gz: cannot be unpacked"),
        ("a.gz", gzip.compress("خبر".encode() * 9, mtime=0)[:-9], r"a\.gz: cannot be unpacked"),
        ("a.gz", gzip.compress("خبر".encode() * 9, mtime=0)[:12] + b"\xff" * 30, r"a\.gz: cannot be unpacked"),
        ("a.xz", b"no xz", r"a\.xz: cannot be unpacked"),
        ("a.zst", b"no zstd", r"a\.zst: cannot be unpacked"),
        ("a.zst", zstd("خبر".encode() * 9)[:-3], r"a\.zst: cannot be unpacked"),
        ("absent.txt", None, r"absent\.txt: there is no such file"),
        ("", None, "expected a file, this is a folder"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        save(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        list(lines.read(tmp_path / name))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    lines.write(path, ["قديم"])
    with pytest.raises(DataError, match=r"a\.txt: line 2: lone surrogate at character 3"):
        lines.write(path, ["جديد", "نص \ud800"])
    assert path.read_text(encoding="utf-8") == "قديم\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["", *lines.PACKED])
def test_packed_files_repeat_byte_for_byte_and_may_follow_each_other(suffix: str, tmp_path: Path) -> None:
    one, two, both = (tmp_path / f"{name}.txt{suffix}" for name in ("one", "two", "both"))
    lines.write(one, ["خبر", "", "\u2028"])
    lines.write(two, (part for part in ["خبر", "", "\u2028"]))
    assert one.read_bytes() == two.read_bytes()
    both.write_bytes(one.read_bytes() + two.read_bytes())
    assert [line for _, line in lines.read(both)] == ["خبر", "", "\u2028"] * 2


@given(st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"\n", b"\r"))), st.integers(0, 5))
def test_a_line_that_is_too_long_is_passed_over(parts: list[bytes], longest: int) -> None:
    data = b"".join(part + b"\n" for part in parts)
    expected = [part.removesuffix(b"\r") for part in parts]
    found = list(lines.numbered(io.BytesIO(data), longest, first=2))
    assert found == [(n, line if len(line) <= longest else None) for n, line in enumerate(expected, start=2)]


# --- jsonl -----------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def random_documents(draw: st.DrawFn) -> Document:
    """Any text, with any entities that do not overlap and any events."""
    content = draw(TEXTS)
    places = st.integers(0, len(content))
    cuts = sorted(draw(st.sets(places, max_size=8)))
    entities = tuple(Mention(a, b, draw(TEXTS)) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
    mentions = st.lists(st.sets(places, min_size=2, max_size=2).map(sorted), max_size=4) if content else st.just([])
    events = tuple(Event(Mention(a, b, "Attack"), entities) for a, b in draw(mentions))
    return Document(
        id=draw(TEXTS),
        text=content,
        entities=draw(st.sampled_from([entities, None])),
        events=draw(st.sampled_from([events, None])),
        meta=draw(st.dictionaries(TEXTS, TEXTS | st.integers())),
    )


@given(documents=st.lists(random_documents(), unique_by=lambda document: document.id, max_size=4))
def test_jsonl_gives_back_what_it_wrote(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    jsonl.write(path, documents)
    assert list(jsonl.read(path)) == documents


@pytest.mark.parametrize("suffix", lines.PACKED)
@given(documents=st.lists(random_documents(), unique_by=lambda document: document.id, max_size=4))
def test_packed_jsonl_gives_back_what_it_wrote(
    suffix: str, tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round.jsonl{suffix}"
    jsonl.write(path, documents)
    assert list(jsonl.read(path)) == documents


# --- parquet ---------------------------------------------------------------------------------------------


@given(documents=st.lists(random_documents(), unique_by=lambda document: document.id, max_size=4))
def test_parquet_gives_back_what_it_wrote(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> None:
    path, twice = (tmp_path_factory.getbasetemp() / f"{name}.parquet" for name in ("round", "twice"))
    parquet.write(path, documents)
    assert list(parquet.read(path)) == documents
    parquet.write(twice, documents)
    assert path.read_bytes() == twice.read_bytes()


def test_parquet_keeps_scores_and_tells_nothing_there_from_not_annotated(tmp_path: Path) -> None:
    scored = Mention(0, 6, "X", 0.12344)
    documents = [
        Document("أ", TEXT, (scored,), (Event(scored, (scored,)), Event(Mention(1, 2, "Y")))),
        Document("ب", TEXT, (), None, {"عدد": 1, "قائمة": [None, 1.5]}),
        Document("ج", "", None, ()),
    ]
    parquet.write(tmp_path / "a.parquet", documents)
    assert pq.read_schema(tmp_path / "a.parquet") == parquet.SCHEMA
    assert [d.to_json() for d in parquet.read(tmp_path / "a.parquet")] == [d.to_json() for d in documents]


def test_parquet_is_written_in_row_groups_and_joined_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 3)
    monkeypatch.setattr(parquet, "CHARACTERS", 10)
    documents = [Document(str(n), "خ" * size) for n, size in enumerate([1, 1, 1, 1, 9, 50, 1])]
    one, two, both = (tmp_path / f"{name}.parquet" for name in ("one", "two", "both"))
    parquet.write(one, documents)
    parquet.write(two, [Document("آخر", "")])
    parquet.join([one, two], both)
    assert [pq.ParquetFile(both).metadata.row_group(n).num_rows for n in range(5)] == [3, 2, 1, 1, 1]
    assert list(parquet.read(both)) == [*documents, Document("آخر", "")]


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary", "large_binary", "binary_view"])
def test_parquet_of_others_needs_only_id_and_text(kind: str, tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "id": pyarrow.array(["أ"]).dictionary_encode(),
        "text": pyarrow.array(["خبر".encode()], pyarrow.binary()).cast(getattr(pyarrow, kind)()),
        "meta": [{"a": 1}],
        "time": [datetime(2016, 1, 2, 3, 4, 5)],
        "price": [Decimal("1.50")],
        "share": [float("nan")],
        "bytes": [b"\xff"],
        "tags": [["x", None]],
        "new": [True],
    }
    pq.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    meta = {
        "a": 1,
        "time": "2016-01-02T03:04:05",
        "price": "1.50",
        "share": None,
        "bytes": "/w==",
        "tags": ["x", None],
        "new": True,
    }
    assert list(parquet.read(tmp_path / "a.parquet")) == [Document("أ", "خبر", meta=meta)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["أ", "أ"], "text": ["", ""]}, r"a\.parquet: row 2: id 'أ' is also in row 1"),
        ({"id": ["أ"], "text": ["خ"], "meta": ["{"]}, r"a\.parquet: row 1: meta is not JSON"),
        ({"id": ["أ"], "text": ["خ"], "entities": [["X"]]}, r"row 1: document 'أ': entities and events must be lists"),
        ({"id": [None], "text": ["خ"]}, "row 1: .*null|of strings"),
    ],
)
def test_parquet_errors_name_file_row_and_id(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    pq.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        list(parquet.read(tmp_path / "a.parquet"))
    with pytest.raises(DataError, match="there is no such file"):
        list(parquet.read(tmp_path / "absent.parquet"))


@pytest.mark.parametrize(
    "document",
    [Document("أ", "", meta={"x": object()}), Document("أ", "", meta={"x": float("nan")}), Document("\ud800", "")],
)
def test_parquet_refuses_what_it_could_not_read_back(document: Document, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"document .* cannot be written as Parquet"):
        parquet.write(tmp_path / "a.parquet", [document])
    assert not list(tmp_path.iterdir())


# --- jsonl, read -----------------------------------------------------------------------------------------


def test_jsonl_needs_only_id_and_text(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", '{"id": "أ", "text": "خبر"}\n\n  \n{"id": "ب", "text": " "}\n')
    report: Counter[str] = Counter()
    assert list(jsonl.read(path, report=report)) == [Document("أ", "خبر"), Document("ب", " ")]
    assert report == {"document without text": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "ب", "text"', r"a\.jsonl: line 3: not JSON: .* at character 18"),
        ("[1]", r"a\.jsonl: line 3: expected a JSON object, got list"),
        ('{"id": 7, "text": ""}', r"a\.jsonl: line 3: expected a record with strings id and text"),
        ('{"id": "أ", "text": ""}', r"a\.jsonl: line 3: id 'أ' is also on line 1"),
        ('{"id": "ب", "text": "", "tags": []}', r"a\.jsonl: line 3: document 'ب': unknown keys \['tags'\]"),
        ('{"id": "ب", "text": "\\ud800"}', r"a\.jsonl: line 3: document 'ب': lone surrogate"),
        ('{"id": "\\ud800", "text": ""}', r"a\.jsonl: line 3: lone surrogate in the id"),
        (
            '{"id": "ب", "text": "خبر", "entities": [{"start": 0, "end": 4, "type": "X"}]}',
            r"a\.jsonl: line 3: document 'ب': X 0\.\.4 ends after the text \(3 code points\)",
        ),
    ],
)
def test_jsonl_errors_name_file_line_and_id(tmp_path: Path, line: str, message: str) -> None:
    path = save(tmp_path / "a.jsonl", '{"id": "أ", "text": "خبر"}\n\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        list(jsonl.read(path))


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("أ", ""), Document("أ", "")], "document 'أ' is there twice"),
        ([Document("أ", "", meta={"x": object()})], "document 'أ' cannot be written as JSON"),
        ([Document("أ", "", meta={"x": float("nan")})], "document 'أ' cannot be written as JSON"),
        ([Document("أ", "", meta={"x": "\udc00"})], "document 'أ' cannot be written as JSON"),
    ],
)
def test_jsonl_refuses_what_it_could_not_read_back(tmp_path: Path, documents: list[Document], message: str) -> None:
    with pytest.raises(DataError, match=message):
        jsonl.write(tmp_path / "a.jsonl", documents)
    assert not list(tmp_path.iterdir())


# --- tags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "written", "expected", "orphans"),
    [
        ("IOB2", "O B-A I-A B-A O", [(1, 3, "A"), (3, 4, "A")], 0),
        ("IOB2", "I-A I-A O I-B", [(0, 2, "A"), (3, 4, "B")], 2),
        ("IOB2", "B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")], 1),
        ("IOB2", "B-GPE-Cluster I-GPE-Cluster", [(0, 2, "GPE-Cluster")], 0),
        ("IOB1", "I-A I-A B-A I-B O", [(0, 2, "A"), (2, 3, "A"), (3, 4, "B")], 0),
        ("BIOES", "S-A S-A B-B I-B E-B O", [(0, 1, "A"), (1, 2, "A"), (2, 5, "B")], 0),
        ("BIOES", "B-A E-A I-A E-B B-C", [(0, 2, "A"), (2, 3, "A"), (3, 4, "B"), (4, 5, "C")], 2),
        ("BIOES", "U-A B-B I-B L-B", [(0, 1, "A"), (1, 4, "B")], 0),
    ],
)
def test_tags_are_read_as_conlleval_reads_them(
    scheme: tags.Scheme, written: str, expected: list[tuple[int, int, str]], orphans: int
) -> None:
    report: Counter[str] = Counter()
    assert tags.spans(written.split(), scheme=scheme, report=report) == expected
    assert report.total() == orphans


@pytest.mark.parametrize("tag", ["", "o", "B", "B-", "-LOC", "X-LOC", "LOC", "O-LOC"])
def test_a_tag_of_no_scheme_is_refused(tag: str) -> None:
    with pytest.raises(DataError, match="expected O or a tag like B-LOC"):
        tags.split_tag(tag)


def test_tags_must_be_as_many_as_tokens_and_sentences_at_least_one() -> None:
    with pytest.raises(DataError, match="as many tags as tokens, got 1 for 2"):
        list(tags.documents([(["في", "بيروت"], ["O"])], id_prefix="x"))
    with pytest.raises(DataError, match="at least one sentence per document"):
        list(tags.documents([], id_prefix="x", sentences_per_document=0))


# --- conll -----------------------------------------------------------------------------------------------


def test_conll_makes_a_document_of_tokens_and_tags(tmp_path: Path) -> None:
    (document,) = conll.read(save(tmp_path / "خبر.txt", COLUMNS))
    assert document.id == "خبر-0001"
    assert document.text == TEXT
    assert names(document) == NAMES


def test_conll_joins_sentences_and_keeps_to_document_boundaries(tmp_path: Path) -> None:
    path = save(tmp_path / "a.txt", f"-DOCSTART- O\n\n{COLUMNS}\n{COLUMNS}\n\n{COLUMNS}-DOCSTART- O\n\n{COLUMNS}\n")
    documents = list(conll.read(path, sentences_per_document=2, id_prefix="d"))
    assert [d.id for d in documents] == ["d-0001", "d-0002", "d-0003"]
    assert [d.text.count("\n") for d in documents] == [1, 0, 0]
    assert [names(d) for d in documents] == [NAMES * 2, NAMES, NAMES]


def test_conll_counts_whatever_it_repairs_or_drops(tmp_path: Path) -> None:
    content = "\ufeff\u200eبيروت\tI-LOC\tx\r\n\u200e \tO\tx\r\n$#$\tO\tx\r\n\u200eهنا\tB-MISC\tx\r\n\t\r\n"
    report: Counter[str] = Counter()
    (document,) = conll.read(
        save(tmp_path / "a.txt", content * 2),
        tag_column=1,
        separator="\t",
        strip=" \u200e\ufeff",
        skip_tokens=["$#$"],
        labels={"LOC": "GPE", "MISC": None},
        drop_duplicates=True,
        report=report,
    )
    assert document.text == "بيروت هنا"
    assert names(document) == [("بيروت", "GPE")]
    assert report == {
        "orphan I- tag repaired": 1,
        "empty token dropped": 2,
        "token $#$ skipped": 2,
        "entity of type MISC dropped": 1,
        "duplicate sentence dropped": 1,
    }


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("في O\nبيروت\n", {}, r"a\.txt: line 2: expected 2 columns, got 1"),
        ("في\n", {}, r"a\.txt: line 1: expected at least 2 columns, got 1"),
        ("في O\nبيروت B-LOC x\n", {}, r"a\.txt: line 2: expected 2 columns, got 3"),
        ("في O\n", {"tag_column": 3}, r"a\.txt: line 1: expected at least 4 columns, got 2"),
        ("في O\n\nبيروت LOC\n", {}, r"a\.txt: line 3: expected O or a tag like B-LOC, got 'LOC'"),
        ("في O\n", {"separator": "\t"}, r"a\.txt: line 1: expected at least 2 columns, got 1"),
    ],
)
def test_conll_errors_name_file_and_line(tmp_path: Path, content: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(conll.read(save(tmp_path / "a.txt", content), **options))


TOKEN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: len(t.split()) == 1)
SENTENCE = st.lists(
    st.tuples(TOKEN.map(lambda t: t.split()[0]), st.sampled_from(["O", "B-LOC", "I-LOC", "B-نوع", "I-نوع"])),
    min_size=1,
)


@given(sentences=st.lists(SENTENCE, min_size=1, max_size=4))
def test_conll_gives_back_what_it_wrote(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
) -> None:
    pairs = [tuple(zip(*sentence, strict=True)) for sentence in sentences]
    documents = list(tags.documents(pairs, id_prefix="round", sentences_per_document=2))  # type: ignore[arg-type]
    path = tmp_path_factory.getbasetemp() / "round.conll"
    conll.write(path, documents)
    assert list(conll.read(path, sentences_per_document=2)) == documents


def test_conll_refuses_mentions_inside_tokens_or_moves_and_counts_them(tmp_path: Path) -> None:
    document = Document("أ", "ببيروت ودمشق.  ", (Mention(1, 6, "LOC"), Mention(8, 10, "LOC"), Mention(10, 12, "X")))
    with pytest.raises(DataError, match=r"document 'أ': LOC 1\.\.6 'بيروت' does not stand at the edges of tokens"):
        conll.write(tmp_path / "a.txt", [document])
    report: Counter[str] = Counter()
    conll.write(tmp_path / "a.txt", [document], move_to_tokens=True, report=report)
    assert report == {"mention moved to the edges of tokens": 2, "mention dropped: no token of its own": 1}
    (moved,) = conll.read(tmp_path / "a.txt")
    assert names(moved) == [("ببيروت", "LOC"), ("ودمشق.", "LOC")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("أ", "خبر"), "document 'أ': its entities were not annotated"),
        (Document("أ", "خبر", (Mention(0, 3, "A B"),)), "document 'أ': white space in the type 'A B'"),
        (Document("أ", "خبر -DOCSTART-", ()), "document 'أ': the token '-DOCSTART-' would end the document"),
    ],
)
def test_conll_refuses_what_columns_cannot_hold(tmp_path: Path, document: Document, message: str) -> None:
    with pytest.raises(DataError, match=message):
        conll.write(tmp_path / "a.txt", [document])


# --- text ------------------------------------------------------------------------------------------------


def test_text_files_are_read_as_they_are_in_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "2015").mkdir()
    save(tmp_path / "b.txt", "")
    save(tmp_path / "2015" / "خبر.1.txt", "\ufeffسطر\r\nسطر\n")
    save(tmp_path / "notes.md", "no article")
    report: Counter[str] = Counter()
    assert list(text.read(tmp_path, report=report)) == [
        Document("2015/خبر.1", "سطر\r\nسطر\n"),
        Document("b", ""),
    ]
    assert report == {"document without text": 1}
    assert [d.id for d in text.read(tmp_path / "notes.md")] == ["notes"]


def test_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.txt files in this folder"):
        list(text.read(tmp_path))
    with pytest.raises(DataError, match="absent: there is no such file or folder"):
        list(text.read(tmp_path / "absent"))
    save(tmp_path / "a.txt", "خبر".encode("windows-1256"))
    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 at byte 0 .*windows-1256"):
        list(text.read(tmp_path))


# --- huggingface -----------------------------------------------------------------------------------------

LABELS = sorted(set(TAGS))


@pytest.fixture
def rows() -> datasets.Dataset:
    """Two rows of the sentence, its tags as class labels."""
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=LABELS)),
        }
    )
    return datasets.Dataset.from_dict({"tokens": [TOKENS] * 2, "ner_tags": [TAGS] * 2}, features=features)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the datasets library converts stays in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("form", ["split", "splits", "parquet", "folder", "jsonl"])
def test_local_sets_are_read_in_every_form(tmp_path: Path, rows: datasets.Dataset, form: str) -> None:
    path = tmp_path / "set"
    if form == "split":
        rows.save_to_disk(str(path))
    elif form == "splits":
        datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(path))
    elif form == "jsonl":
        path = tmp_path / "set.jsonl"
        row = json.dumps({"tokens": TOKENS, "ner_tags": TAGS})
        save(path, f"{row}\n{row}\n")
    else:
        path.mkdir()
        rows.to_parquet(str(path / "train.parquet"))
        path = path / "train.parquet" if form == "parquet" else path
    documents = list(huggingface.read(path, sentences_per_document=2, id_prefix="s"))
    assert [document.id for document in documents] == ["s-0001"]
    assert names(documents[0]) == NAMES * 2
    assert [d.id for d in huggingface.read(path)] == [f"{path.stem}-train-{n}" for n in ("0001", "0002")]


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        (
            {"tokens": ["في"], "ner_tags": ["O"]},
            {"split": "dev"},
            r"no split 'dev', expected one of \['train'\]",
        ),
        ({"tokens": ["في"], "tags": ["O"]}, {}, r"set train: no column 'ner_tags', expected one of"),
        (
            {"tokens": ["في"], "ner_tags": [3]},
            {},
            r"set train: row 0: expected ner_tags as strings or a ClassLabel",
        ),
        ({"tokens": ["في"], "ner_tags": ["LOC"]}, {}, r"set train: row 0: expected O or a tag like B-LOC"),
        (
            {"tokens": ["في", "هنا"], "ner_tags": ["O"]},
            {},
            r"set train: row 0: expected as many ner_tags as tokens",
        ),
        ({"tokens": [1], "ner_tags": ["O"]}, {}, r"set train: row 0: expected a list of strings as tokens"),
    ],
)
def test_a_wrong_set_is_named(
    tmp_path: Path, record: dict[str, list[Any]], options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "set"
    datasets.Dataset.from_list([record]).save_to_disk(str(path))
    with pytest.raises(DataError, match=message):
        list(huggingface.read(path, **options))


def test_a_file_that_is_no_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: expected a folder or a file of \.parquet, \.json, \.jsonl"):
        huggingface.read(save(tmp_path / "a.csv", "tokens"))
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read by the datasets library"):
        huggingface.read(save(tmp_path / "a.parquet", "no parquet"))


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    def info(_: huggingface_hub.HfApi, name: str, *, timeout: float) -> None:
        asked.append((name, timeout))
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    with pytest.raises(DataError, match=r"some/set: .*cannot be reached .*not known.*save_to_disk.*HF_HUB_OFFLINE=1"):
        huggingface.read("some/set")
    assert asked == [("some/set", 5.0)]


def test_a_name_that_the_hub_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(DataError, match="no/such/folder: no local file or folder, and no dataset on the hub"):
        huggingface.read("no/such/folder")


def test_a_set_of_the_hub_is_read_and_without_a_connection_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, rows: datasets.Dataset
) -> None:
    def load(name: str, configuration: str | None, *, split: str) -> datasets.Dataset:
        assert (name, configuration, split) == ("some/set", "ar", "validation")
        return rows

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets, "load_dataset", load)
    documents = list(huggingface.read("some/set", configuration="ar", split="validation"))
    assert [names(document) for document in documents] == [NAMES] * 2

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'some/set' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"some/set: .*OfflineModeIsEnabled.*give the path of that folder"):
        huggingface.read("some/set")


# --- the corpora themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "options", "sentences", "entities", "orphans"),
    [
        ("anercorp/ANERCorp_CamelLab_train.txt", {}, 3973, 9000, 39),
        ("anercorp/ANERCorp_CamelLab_test.txt", {}, 925, 2285, 74),
        ("wojood_sample/train.txt", {"tag_column": 1}, 1114, 2312, 1),
        ("wojood_sample/val.txt", {"tag_column": 1}, 158, 385, 0),
        ("wojood_sample/test.txt", {"tag_column": 1}, 357, 711, 0),
        ("wikifane/WikiFANE_Gold.txt.xz", {"separator": "\t", "strip": "\u200e\ufeff"}, 15763, 36595, 11),
    ],
)
def test_published_corpora_have_their_published_numbers(
    path: str, options: dict[str, Any], sentences: int, entities: int, orphans: int
) -> None:
    if not (SHARED / path).exists():
        pytest.skip(f"{path} is not on this machine")
    report: Counter[str] = Counter()
    documents = list(conll.read(SHARED / path, **options, report=report))
    assert len(documents) == sentences
    assert sum(len(document.entities or ()) for document in documents) == entities
    assert report["orphan I- tag repaired"] == orphans
    for document in documents:
        edges = [(document.text[m.start - 1 : m.start], document.text[m.end : m.end + 1]) for m in document.mentions()]
        assert all(before in ("", " ") and after in ("", " ") for before, after in edges)


def test_a_split_without_labels_is_not_read_as_the_last_class(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=LABELS)),
        }
    )
    hidden = datasets.Dataset.from_dict({"tokens": [TOKENS], "ner_tags": [[-1] * len(TOKENS)]}, features=features)
    hidden.save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match="expected ner_tags from 0, got -1"):
        list(huggingface.read(tmp_path / "set"))
