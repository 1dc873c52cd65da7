"""«قُتل أحد العمال فحل محله آخر»: labelling on a cluster, whose workers may die, gives what one process gives."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from khabar import engines
from khabar.document import DataError, Document
from khabar.formats import jsonl
from khabar.plan import Chunk
from khabar.predict import predict

ray = pytest.importorskip("ray", reason="Ray is not installed: khabar[ray]")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, for two workers; the engine joins what is there."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    yield
    ray.shutdown()


@pytest.fixture
def source(documents: tuple[Document, ...], tmp_path: Path) -> Path:
    """More chunks than the workers hold at a time, and a line that is no article."""
    path = tmp_path / "in.jsonl"
    again = islice(cycle(documents), 700)
    jsonl.write(path, (Document(f"خبر {number}", d.text, meta={"n": number}) for number, d in enumerate(again)))
    with path.open("a", encoding="utf-8") as file:
        file.write("{]\n")
    return path


def kill_a_worker(when: Path, killed: list[int]) -> None:
    """When the first shard is there, the way the kernel kills what takes too much memory."""
    while not list(when.glob("part-*")):
        time.sleep(0.01)
    every = psutil.Process().children(recursive=True)
    worker = next(process for process in every if "MapWorker" in " ".join(process.cmdline()))
    worker.kill()
    killed.append(worker.pid)


def test_a_cluster_gives_what_one_process_gives_though_a_worker_dies(
    cluster: None, trained: Path, source: Path, tmp_path: Path
) -> None:
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "cluster", killed), daemon=True)
    killer.start()
    on_cluster = predict(trained, [source], tmp_path / "cluster", partial(engines.ray, workers=2), shard=64)
    killer.join()
    assert killed
    alone = predict(trained, [source], tmp_path / "alone", shard=64)
    assert on_cluster == alone
    assert (alone["documents"], alone["refused"]) == (700, 1)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("cluster", "alone")]
    assert files[0] == files[1]


def test_a_chunk_is_given_back_before_the_next_one_is_there(
    cluster: None, trained: Path, documents: tuple[Document, ...], tmp_path: Path
) -> None:
    came = tmp_path / "came"

    def plan() -> Iterator[Chunk]:
        yield Chunk(0, documents[:1])
        for _ in range(600):
            if came.exists():
                yield Chunk(0, documents[1:2])
                return
            time.sleep(0.1)
        raise DataError("the first chunk was kept back")

    found = []
    for chunk in engines.ray(trained, workers=1).engine(plan):
        found.append([document.id for document in chunk.documents])
        came.touch()
    assert found == [[document.id] for document in documents[:2]]


def test_what_is_wrong_with_the_input_is_said_as_it_is_elsewhere(
    cluster: None, trained: Path, source: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(DataError, match=r"cut\.jsonl\.gz: cannot be unpacked"):
        predict(trained, [cut], tmp_path / "out", partial(engines.ray, workers=1))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workers": 3}, "3 workers of 1 CPU each, but the cluster has room for 2"),
        ({"workers": 0}, "0 workers of 1 CPU: expected at least one of each"),
        ({"workers": 1, "worker_gpus": 1}, "1 workers of 1 CPU and 1 GPU each, but the cluster has room for 0"),
    ],
)
def test_more_than_the_cluster_has_is_refused(
    asked: dict[str, Any], message: str, cluster: None, trained: Path, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        predict(trained, [source], tmp_path / "out", partial(engines.ray, **asked))


def test_standard_input_cannot_be_read_again(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a stream cannot be read again"):
        predict(trained, ["-"], tmp_path / "out", partial(engines.ray, workers=1))


def test_without_ray_the_message_names_the_extra(
    trained: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "khabar.cluster", raising=False)
    monkeypatch.delattr("khabar.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match=r"khabar\[ray\]"):
        predict(trained, [source], tmp_path / "out", engines.ray)
