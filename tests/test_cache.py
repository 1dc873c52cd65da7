"""«افتُتح معرض الكتاب في الرباط»: a corpus is tokenised once, by every core, and read from the disk from then on."""

from __future__ import annotations

import json
import logging
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from khabar import cache, dataset
from khabar import corpus as corpora
from khabar.batches import arrays, features
from khabar.cache import read, tokenised
from khabar.corpus import Corpus
from khabar.dataset import Rows
from khabar.document import DataError, Document, Mention
from khabar.features import Reader
from khabar.ontology import Ontology
from khabar.tagger import Tagger

TEXT = "افتُتح معرض الكتاب في الرباط"


@pytest.fixture(scope="module")
def reader(untrained: Tagger) -> Reader:
    """Reads all layers, in small windows."""
    return untrained.reader


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are written from now on."""
    found: list[Path] = []
    write = dataset.write

    def noted(path: Path, *rest: Any) -> Any:
        found.append(path)
        return write(path, *rest)

    monkeypatch.setattr(dataset, "write", noted)
    return found


@pytest.fixture
def many(tmp_path: Path, ontology: Ontology, documents: Sequence[Document]) -> Corpus:
    """Forty articles, in shards of ten."""
    again = [replace(documents[number % len(documents)], id=str(number)) for number in range(40)]
    corpora.write(tmp_path / "many", "كثير", ontology, {"train": again})
    return Corpus(tmp_path / "many")


# Rows


def test_rows_are_the_features_of_every_instance(reader: Reader, corpus: Corpus, tmp_path: Path) -> None:
    rows, counts = read(reader, [(corpus, "train")], cache=tmp_path)
    instances = [i for d in corpus.split("train") for i in reader.instances(reader.read(d))]
    assert len(rows) == len(instances)
    assert counts["documents"] == 12
    for row, instance in zip(rows, instances, strict=True):
        expected = features(reader, instance, labels=True)
        assert {name: list(values) for name, values in row["labels"].items()} == expected.pop("labels")
        assert {name: list(row[name]) for name in expected} == {name: list(expected[name]) for name in expected}
    assert list(rows.lengths) == [len(instance.input_ids) for instance in instances]
    assert list(rows.words) == [len(instance.words) for instance in instances]
    batch = arrays(reader, rows[2:5])
    assert batch["input_ids"].dtype == np.int64
    assert batch["input_ids"].shape == (3, max(rows.lengths[2:5]))
    assert list(rows[-1]["input_ids"]) == list(rows[len(rows) - 1]["input_ids"])
    with pytest.raises(IndexError, match=f"row {len(rows)} of {len(rows)}"):
        _ = rows[len(rows)]


def test_windows_are_repeated_and_triggers_are_not(reader: Reader, corpus: Corpus, tmp_path: Path) -> None:
    once, _ = read(reader, [(corpus, "train")], cache=tmp_path)
    thrice, _ = read(reader, [(corpus, "train")], text_repeats=3, cache=tmp_path)
    windows = sum(1 for row in once if not row["token_type_ids"].any())
    assert len(thrice) == len(once) + 2 * windows
    assert sorted(map(bytes, (row["input_ids"] for row in thrice))) == sorted(
        bytes(row["input_ids"]) for row in once for _ in range(1 if row["token_type_ids"].any() else 3)
    )


def test_a_process_that_loads_data_maps_the_files_itself(reader: Reader, corpus: Corpus, tmp_path: Path) -> None:
    rows, _ = read(reader, [(corpus, "train")], text_repeats=2, cache=tmp_path)
    sent = pickle.dumps(rows)
    assert len(sent) < 1000
    assert list(pickle.loads(sent)[7]["input_ids"]) == list(rows[7]["input_ids"])


def test_many_files_keep_no_file_open(reader: Reader, corpus: Corpus, tmp_path: Path) -> None:
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files, _ = tokenised(reader, corpus, "train", cache=tmp_path)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 200), hard))
    try:
        assert len(Rows(files * 400)) == 400 * len(Rows(files))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


# The cache


def test_the_second_time_nothing_is_tokenised(
    reader: Reader, many: Corpus, tmp_path: Path, built: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, counts = tokenised(reader, many, "train", cache=tmp_path)
    assert len(built) == 1
    assert tokenised(reader, many, "train", cache=tmp_path) == (first, counts)
    assert len(built) == 1
    caplog.clear()
    read(reader, [(many, "train")], cache=tmp_path)
    assert f"gold entities: {counts['gold entities']}" in caplog.messages  # what is said of gold is said again
    assert counts["gold entities"] > 40


Change = Callable[[Reader], Reader]


def turned(ontology: Ontology) -> Ontology:
    """The same types in another order, so that labels have other numbers."""
    return replace(ontology, entities=dict(reversed(list(ontology.entities.items()))))


@pytest.mark.parametrize(
    "change",
    [
        lambda reader: replace(reader, length=128),
        lambda reader: replace(reader, context=0),
        lambda reader: replace(reader, preprocessing="none"),
        lambda reader: replace(reader, heads=("entities",)),
        lambda reader: replace(reader, ontology=replace(reader.ontology, name="أخرى")),
        lambda reader: replace(reader, ontology=turned(reader.ontology)),
    ],
)
def test_another_reader_has_a_cache_of_its_own(reader: Reader, corpus: Corpus, tmp_path: Path, change: Change) -> None:
    assert tokenised(change(reader), corpus, "dev", 2, tmp_path)[0] != tokenised(reader, corpus, "dev", 2, tmp_path)[0]


def test_another_corpus_tokenizer_limit_or_version_has_a_cache_of_its_own(
    reader: Reader, corpus: Corpus, tmp_path: Path, one_segment_encoder: Path, ontology: Ontology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    found = [tokenised(reader, corpus, split, limit, tmp_path)[0][0] for split in ("train", "dev") for limit in (2, 3)]
    other = Tagger.create(str(one_segment_encoder), ontology, reader.heads, length=96, context=16).reader
    found.append(tokenised(replace(other, segments=True), corpus, "train", 2, tmp_path)[0][0])
    monkeypatch.setattr(cache, "CODE", cache.CODE[:-1])
    found.append(tokenised(reader, corpus, "train", 2, tmp_path)[0][0])
    assert len(set(found)) == 6
    everything = [tokenised(reader, corpus, "train", limit, tmp_path)[0] for limit in (None, 12, 99)]
    assert everything[0] == everything[1] == everything[2]


def test_a_half_written_cache_is_not_used(
    reader: Reader, many: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SHARD", 10)
    whole, _ = tokenised(reader, many, "train", cache=tmp_path / "whole", processes=1)
    write = dataset.write

    def killed(path: Path, *rest: Any) -> Any:
        if path.name == "part-00002.arrow":
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        return write(path, *rest)

    monkeypatch.setattr(dataset, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        tokenised(reader, many, "train", cache=tmp_path / "cache", processes=1)
    left = [path.name for path in (tmp_path / "cache").iterdir()]
    assert len(left) == 1
    assert left[0].endswith(".partial")
    monkeypatch.setattr(dataset, "write", write)
    again, _ = tokenised(reader, many, "train", cache=tmp_path / "cache", processes=1)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in whole]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [again[0].parent.name]


def test_processes_write_what_one_writes(
    reader: Reader, many: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SHARD", 10)
    one, counts = tokenised(reader, many, "train", cache=tmp_path / "one", processes=1)
    two, same = tokenised(reader, many, "train", cache=tmp_path / "two", processes=2)
    assert len(one) == len(two) == 4
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert counts == same
    assert {path.name for path in one[0].parent.iterdir()} == {path.name for path in two[0].parent.iterdir()}


def test_what_a_process_refuses_is_said(
    reader: Reader, tmp_path: Path, ontology: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SHARD", 1)
    fair = Document("معرض", TEXT, (Mention(22, 28, "LAW"),), ())
    several = [replace(fair, id=f"{number}", entities=()) for number in range(3)]
    corpora.write(tmp_path / "odd", "غريبة", ontology, {"train": [*several, fair]})
    for processes in (1, 2):
        with pytest.raises(DataError, match=r"'معرض'.* is not in ontology"):
            tokenised(reader, Corpus(tmp_path / "odd"), "train", cache=tmp_path / "cache", processes=processes)


def test_a_folder_that_cannot_be_written_is_named(reader: Reader, corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written.*name another folder: cache="):
        tokenised(reader, corpus, "train", cache=tmp_path / "file")


def test_the_folder_is_the_users_unless_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KHABAR_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path
    monkeypatch.delenv("KHABAR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache.default_folder() == tmp_path / "x" / "khabar"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_folder() == Path.home() / ".cache" / "khabar"


# Memory

MEASURE = """
import json, sys
from pathlib import Path
from khabar.batches import Grouped, arrays
from khabar.cache import read
from khabar.corpus import Corpus
from khabar.features import Reader
from transformers import PreTrainedTokenizerFast

encoder, folder = sys.argv[1:]
corpus = Corpus(folder)
reader = Reader(PreTrainedTokenizerFast.from_pretrained(encoder), corpus.ontology, ("entities",), length=96)
rows, _ = read(reader, [(corpus, "train")], cache=Path(folder) / "cache")
for batch in list(Grouped(rows.lengths, 8))[:400]:
    arrays(reader, [rows[row] for row in batch])
status = Path("/proc/self/status").read_text()
own = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("VmHWM", "RssAnon"))}
print(json.dumps({"rows": len(rows), **{name: int(size) / 1024 for name, size in own.items()}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_corpus(encoder: Path, tmp_path: Path, ontology: Ontology) -> None:
    def measured(count: int) -> dict[str, float]:
        documents = [Document(str(number), TEXT, (Mention(22, 28, "GPE"),)) for number in range(count)]
        corpora.write(tmp_path / str(count), "معرض", ontology, {"train": documents})
        command = [sys.executable, "-c", MEASURE, str(encoder), str(tmp_path / str(count))]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        return dict(json.loads(found.stdout.splitlines()[-1]))

    small, large = measured(1_500), measured(15_000)
    assert (small["rows"], large["rows"]) == (1_500, 15_000)
    assert large["RssAnon"] - small["RssAnon"] < 6  # MB; as lists of numbers the rows alone would take some 40
    assert large["VmHWM"] - small["VmHWM"] < 12  # what is mapped counts too, until others need the memory
