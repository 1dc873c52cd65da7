"""«أعلنت الوزارة نتائج الانتخابات في تونس»: a corpus keeps it, and says so if one letter of it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khabar import corpus
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.ontology import EventType, Ontology

TEXT = "أعلنت الوزارة نتائج الانتخابات في تونس"
ONTOLOGY = Ontology("انتخابات", {"LOC": "مكان"}, {"Elect": EventType("انتخاب", ("Place",))})
PLACE = Mention(34, 38, "LOC")
NEWS = Document("خبر", TEXT, (PLACE,), (Event(Mention(20, 30, "Elect"), (Mention(34, 38, "Place"),)),))
OTHER = Document("آخر", "لا شيء", entities=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus of two splits."""
    corpus.write(
        tmp_path / "c",
        "تونس",
        ONTOLOGY,
        {"train": [NEWS], "dev": [OTHER]},
        {"train": {"fixed": 2}, "dev": {}},
    )
    return tmp_path / "c"


def test_a_corpus_gives_back_its_documents_and_types(folder: Path) -> None:
    found = Corpus(str(folder))
    assert (found.name, found.splits) == ("تونس", ("train", "dev"))
    assert found.split("train") == [NEWS]
    assert found.split("dev") == [OTHER]
    assert found.ontology == ONTOLOGY


def test_the_manifest_says_what_is_in_it(folder: Path) -> None:
    manifest = Corpus(folder).manifest
    assert manifest["version"] == corpus.VERSION
    assert manifest["report"] == {"train": {"fixed": 2}}
    counts = {key: value for key, value in manifest["splits"]["train"].items() if key != "sha256"}
    assert counts == {"documents": 1, "words": 6, "entities": 1, "events": 1, "arguments": 1}


def test_the_hash_is_of_the_documents_and_their_splits(tmp_path: Path, folder: Path) -> None:
    def made(splits: dict[str, list[Document]]) -> str:
        corpus.write(tmp_path / "other", "name", ONTOLOGY, splits)
        return Corpus(tmp_path / "other").hash

    assert made({"dev": [OTHER], "train": [NEWS]}) == Corpus(folder).hash
    assert made({"train": [OTHER], "dev": [NEWS]}) != Corpus(folder).hash


def test_a_changed_split_is_refused(folder: Path) -> None:
    file = folder / "train.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("تونس", "تونش"), encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.jsonl: changed since it was prepared \(sha256 "):
        Corpus(folder).split("train")
    assert Corpus(folder).split("dev") == [OTHER]


def test_what_is_missing_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'test', expected one of \['train', 'dev'\]"):
        Corpus(folder).split("test")
    (folder / "dev.jsonl").unlink()
    with pytest.raises(DataError, match=r"dev\.jsonl: the manifest has this split, but the file is missing"):
        Corpus(folder).split("dev")
    with pytest.raises(DataError, match=r"no prepared corpus here .*prepare_data\.py"):
        _ = Corpus(tmp_path).splits


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected version 1, got None"),
        ('{"version": 0}', "expected version 1, got 0"),
    ],
)
def test_another_manifest_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / corpus.MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        _ = Corpus(folder).hash


def test_a_folder_with_a_manifest_is_complete(folder: Path) -> None:
    (folder / "README.md").write_text("stays", encoding="utf-8")
    broken = Document("ب", "", meta={"x": float("nan")})
    with pytest.raises(DataError):
        corpus.write(folder, "تونس", ONTOLOGY, {"train": [NEWS], "dev": [broken]})
    assert not (folder / corpus.MANIFEST).exists()
    manifest = corpus.write(folder, "تونس", ONTOLOGY, {"train": [NEWS]})
    assert json.loads((folder / corpus.MANIFEST).read_text(encoding="utf-8")) == manifest
    assert (folder / "README.md").exists()
