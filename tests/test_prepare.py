"""«خرج المتظاهرون إلى الشوارع في الخرطوم»: prepared once, it is in one split, counted, and found again."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.ontology import Ontology
from khabar.prepare import Reader, chained, every, folds_by, listed, prepare

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
TEXT = "خرج المتظاهرون إلى الشوارع في الخرطوم"
MARCH = Event(Mention(0, 3, "PROTEST"), (Mention(4, 14, "Source"),))
ONTOLOGY = Ontology.from_json("g", {"LOC": "مكان"}, {"PROTEST": {"gloss": "احتجاج", "roles": ["Source"]}})


def articles(number: int, prefix: str = "خبر") -> list[Document]:
    """Documents of three articles in turn, the text of each its own."""
    return [
        Document(
            f"{prefix}-{n}",
            f"{TEXT} {prefix} {n}",
            (Mention(30, 37, "LOC"),),
            (MARCH,),
            {"article": str(n % 3)},
        )
        for n in range(1, number + 1)
    ]


def reader(documents: Iterable[Document], **counts: int) -> Reader:
    def read(report: Counter[str]) -> Iterable[Document]:
        report.update(counts)
        yield from documents

    return read


def ids(documents: Iterable[Document]) -> list[str]:
    return [document.id for document in documents]


def test_splits_are_read_carved_checked_and_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    splits = {"test": reader(articles(2, "test")), "train": reader(articles(20), repaired=3)}
    carve = {"dev": partial(every, step=10, start=4)}
    (manifest,) = prepare("أخبار", tmp_path / "c", splits, ontology=ONTOLOGY, carve=carve)
    corpus = Corpus(tmp_path / "c")
    assert corpus.manifest == manifest
    assert corpus.splits == ("train", "dev", "test")
    assert ids(corpus.split("dev")) == ["خبر-4", "خبر-14"]
    assert len(corpus.split("train")) == 18
    assert corpus.split("test") == articles(2, "test")
    assert corpus.ontology == ONTOLOGY
    assert manifest["report"] == {"train": {"repaired": 3}}
    assert ("khabar.prepare", logging.WARNING, "أخبار train: repaired: 3") in caplog.record_tuples
    table = caplog.messages[-1].splitlines()
    assert table[2].split() == ["train", "18", "144", "18", "18", "18"]


def test_a_split_may_have_several_sources(tmp_path: Path) -> None:
    both = partial(chained, [reader(articles(2, "أ"), repaired=1), reader(articles(3, "ب"), repaired=2)])
    (manifest,) = prepare("أخبار", tmp_path / "c", {"train": both}, ontology=ONTOLOGY)
    assert ids(Corpus(tmp_path / "c").split("train")) == ["أ-1", "أ-2", "ب-1", "ب-2", "ب-3"]
    assert manifest["report"] == {"train": {"repaired": 3}}


def test_without_an_ontology_the_types_found_are_taken(tmp_path: Path) -> None:
    prepare("أخبار", tmp_path, {"train": reader(articles(3))})
    assert Corpus(tmp_path).ontology == Ontology.from_json(
        "أخبار", {"LOC": "LOC"}, {"PROTEST": {"gloss": "PROTEST", "roles": ["Source"]}}
    )


def test_the_same_text_in_two_splits_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = {
        "train": reader([Document("أ", TEXT)]),
        "test": reader([Document("ب", TEXT), Document("ج", "آخر")]),
    }
    prepare("أخبار", tmp_path, splits)
    assert "documents with the text of another split: 1: test ب = train أ" in caplog.text


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": articles(2), "test": articles(1)}, "document 'خبر-1' is in split 'train' and 'test'"),
        ({"train": articles(2) * 2}, "document 'خبر-1' is in split 'train' and 'train'"),
        ({"train": articles(2), "test": []}, "split 'test' has no documents"),
        (
            {"train": [Document("أ", TEXT, (Mention(0, 3, "PER"),))]},
            "entity type 'PER' at 0 is not in ontology",
        ),
    ],
)
def test_splits_that_cannot_be_a_corpus_are_refused(
    tmp_path: Path, splits: dict[str, list[Document]], message: str
) -> None:
    readers = {split: reader(documents) for split, documents in splits.items()}
    with pytest.raises(DataError, match=message):
        prepare("أخبار", tmp_path / "c", readers, ontology=ONTOLOGY)
    assert not (tmp_path / "c").exists()


def test_a_split_is_carved_by_a_list(tmp_path: Path) -> None:
    path = tmp_path / "dev.txt"
    path.write_text("# قائمة\nخبر-2\n\nخبر-3\n", encoding="utf-8")
    assert listed(articles(4), path) == {"خبر-2", "خبر-3"}
    with pytest.raises(DataError, match=r"dev\.txt: line 4: no document 'خبر-3' to carve"):
        listed(articles(2), path)


def test_carving_needs_a_train_and_a_new_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a split train to carve and no split 'test' yet"):
        prepare("أ", tmp_path, {"test": reader(articles(2))}, carve={"test": partial(every, step=2, start=1)})
    with pytest.raises(DataError, match="expected 1 <= start <= step"):
        every(articles(2), step=2, start=3)


def test_folds_never_part_a_group_and_test_each_document_once(tmp_path: Path) -> None:
    documents = [Document(str(n), f"{TEXT} {n}", meta={"article": str(n * n % 23)}) for n in range(60)]
    folds = partial(folds_by, key="article", number=3, dev=4)
    (tmp_path / "fold-7").mkdir()
    (tmp_path / "fold-7" / "manifest.json").write_text("{}", encoding="utf-8")
    manifests = prepare("g", tmp_path, {"all": reader(documents)}, folds=folds)
    assert [manifest["name"] for manifest in manifests] == ["g/fold-0", "g/fold-1", "g/fold-2"]
    assert not (tmp_path / "fold-7" / "manifest.json").exists()  # a fold of an earlier run with more of them
    tested: list[str] = []
    for fold in range(3):
        corpus = Corpus(tmp_path / f"fold-{fold}")
        assert corpus.splits == ("train", "dev", "test")
        parts = {split: corpus.split(split) for split in corpus.splits}
        groups = [{document.meta["article"] for document in part} for part in parts.values()]
        assert sum(map(len, groups)) == len(set.union(*groups))
        assert sorted(ids(d for part in parts.values() for d in part), key=int) == ids(documents)
        assert len(parts["dev"]) in range(6, 16)
        tested += ids(parts["test"])
    assert sorted(tested, key=int) == ids(documents)
    assert folds(documents) == folds(documents)


def test_where_folds_are_refused_earlier_ones_stay(tmp_path: Path) -> None:
    documents = [Document(str(n), f"{TEXT} {n}", meta={"article": str(n)}) for n in range(30)]
    prepare("g", tmp_path, {"all": reader(documents)}, folds=partial(folds_by, key="article", number=3))
    with pytest.raises(DataError, match="no 'typo' in its meta"):
        prepare("g", tmp_path, {"all": reader(documents)}, folds=partial(folds_by, key="typo", number=3))
    assert Corpus(tmp_path / "fold-0").split("train")


def test_folds_need_the_key_and_enough_groups() -> None:
    with pytest.raises(DataError, match="document 'أ': no 'article' in its meta"):
        folds_by([Document("أ", TEXT)], key="article")
    with pytest.raises(DataError, match="at least 5 groups of documents, got 3"):
        folds_by(articles(9), key="article")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "prepare_data.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8")


def test_the_script_prepares_what_the_configuration_says(tmp_path: Path) -> None:
    columns = "".join(f"{token} O\n" for token in TEXT.split()[:-1]) + "الخرطوم I-LOC\n"
    (tmp_path / "أخبار").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "أخبار" / f"{split}.txt").write_text(columns + f"\n{split} O\n", encoding="utf-8")
    # Hydra wants quotes around letters that are not Latin.
    done = run(tmp_path, "data=conll", 'source="أخبار"', "data.prepare.name=news", "data.prepare.output=out")
    assert done.returncode == 0, done.stderr
    assert "news train: orphan I- tag repaired: 1" in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert {split: record["entities"] for split, record in manifest["splits"].items()} == dict.fromkeys(
        ("train", "dev", "test"), 1
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "أخبار"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=jsonl"], "error: say where the corpus is: source=FOLDER"),
        (["data=jsonl", "source=absent"], "error: absent/train.jsonl: there is no such file"),
        (["data=jsonl", "source=.", "data.prepare.sort=true"], "Key 'sort' is not in struct"),
    ],
)
def test_the_script_says_what_is_wrong(tmp_path: Path, arguments: list[str], message: str) -> None:
    failed = run(tmp_path, *arguments)
    assert failed.returncode != 0
    assert message in failed.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not (SHARED / "gsr").exists(), reason="the corpora are not on this machine")
@pytest.mark.parametrize(
    ("data", "source", "folder", "expected"),
    [
        ("anercorp", "anercorp", "", {"train": (179, 8046), "dev": (20, 954), "test": (47, 2285)}),
        ("wojood", "wojood_sample", "", {"train": (1114, 2312), "dev": (158, 385), "test": (357, 711)}),
        ("gsr", "gsr", "fold-4", {"train": (301, 0), "dev": (43, 0), "test": (86, 0)}),
    ],
)
def test_published_corpora_are_prepared(
    tmp_path: Path, data: str, source: str, folder: str, expected: dict[str, tuple[int, int]]
) -> None:
    done = run(ROOT, f"data={data}", f"source={SHARED / source}", f"data.prepare.output={tmp_path}")
    assert done.returncode == 0, done.stderr
    corpus = Corpus(tmp_path / folder)
    counts = {split: (r["documents"], r["entities"]) for split, r in corpus.manifest["splits"].items()}
    assert counts == expected
    assert sum(len(corpus.split(split)) for split in corpus.splits) == sum(n for n, _ in expected.values())
