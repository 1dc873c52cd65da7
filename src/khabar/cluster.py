"""Labelling on a Ray cluster (``khabar[ray]``): a pool of workers that each hold the model once.

One task reads the sources and cuts them into chunks, on the machine that runs the command; Ray Data hands these to the
workers as they become free, holds the reader back when they are behind, starts a worker that died again and gives its
chunks anew; what is labelled comes back in order. Chunks are those of the local engine, so is the output.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata

from khabar import contract
from khabar.backends import BACKENDS, load
from khabar.document import DataError, Document
from khabar.plan import Chunk, End, Engine, Plan

__all__ = ["Worker", "engine"]

log = logging.getLogger(__name__)
RETRIES = 5  # of a chunk whose worker died: one that kills every worker must not be tried for ever
IN_FLIGHT = 2  # chunks at a worker: one is labelled while the next one travels


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker is: the model folder and its fingerprint, how it is loaded, threads, subwords in a batch."""

    model: str
    fingerprint: str
    loading: Mapping[str, Any]
    threads: int
    batch_tokens: int


def engine(worker: Worker, workers: int, address: str | None, resources: Mapping[str, float]) -> Engine:
    """`khabar.engines.ray`, which says what the parameters are; ``resources`` are ``num_cpus`` and ``num_gpus``."""

    def label(plan: Plan) -> Generator[Chunk]:
        started = not ray.is_initialized()
        if started:
            _connect(address)
        try:
            _check(workers, resources)
            context = DataContext.get_current().copy()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            context.target_max_block_size = 1  # byte: a chunk is passed on as soon as it is read
            context.target_min_block_size = 0
            here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
            with DataContext.current(context):
                chunks = ray.data.read_datasource(
                    _Chunks(plan, str(Path.cwd())), override_num_blocks=1, num_cpus=0, label_selector=here
                ).map_batches(
                    _Labelling,
                    fn_constructor_kwargs={"worker": worker},
                    batch_size=1,
                    compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=IN_FLIGHT),
                    **resources,
                    max_restarts=-1,
                    max_task_retries=RETRIES,
                )
            last = False
            # Of what is fetched ahead, a batch is given only when the next is there: chunks would come one late.
            for rows in chunks.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
                record = json.loads(rows["chunk"][0].as_py())
                if "error" in record:
                    raise DataError(record["error"])
                if last := record.get("last", False):
                    break
                yield _chunk(record)
            if not last:
                raise RuntimeError("the cluster did not give back every chunk")
        finally:
            if started:
                ray.shutdown()

    return label


def _connect(address: str | None) -> None:
    logging.getLogger("ray").setLevel(logging.WARNING)
    dashboard: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", logging_level=logging.WARNING, log_to_driver=False, **dashboard)
    except ConnectionError as error:
        raise DataError(f"address={address}: no Ray cluster answers: {error}") from None
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _check(workers: int, resources: Mapping[str, float]) -> None:
    """Raise `DataError` for more than the machines have now, which would be waited for without end."""
    if workers < 1 or resources["num_cpus"] < 1:
        raise DataError(f"{workers} workers of {resources['num_cpus']:g} CPU: expected at least one of each")
    needed = {"CPU": resources["num_cpus"], "GPU": resources["num_gpus"]}
    every: Any = ray.nodes  # untyped
    nodes = [node["Resources"] for node in every() if node["Alive"]]
    room = sum(min(int(node.get(name, 0) // each) for name, each in needed.items() if each) for node in nodes)
    if workers > room:
        each = " and ".join(f"{number:g} {name}" for name, number in needed.items() if number)
        raise DataError(f"{workers} workers of {each} each, but the cluster has room for {room}: give fewer, or less")


class _Chunks(Datasource):
    """The chunks of a plan, one a row; read anew from the beginning where the task that reads them is lost."""

    def __init__(self, plan: Plan, folder: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._plan, self._folder = plan, folder

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: the input is a stream."""
        return None

    def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
        """One task."""
        nothing_known = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(_reader(self._plan, self._folder), nothing_known)]


def _reader(plan: Plan, folder: str) -> Callable[[], Iterable[Any]]:
    def read() -> Iterator[Any]:
        os.chdir(folder)  # sources are named from where the command was given
        try:
            for chunk in plan():
                yield pa.table({"chunk": [_dumps(chunk)]})
            yield pa.table({"chunk": [json.dumps({"last": True})]})
        except DataError as error:  # of the input; as a row, since Ray wraps what is raised in its own words
            yield pa.table({"chunk": [json.dumps({"error": str(error)})]})

    return read


class _Labelling:
    """Holds the model, and labels chunk after chunk."""

    def __init__(self, worker: Worker) -> None:
        self.batch_tokens, self.error = worker.batch_tokens, ""
        try:
            self.labeller = load(worker.model, threads=worker.threads, **worker.loading)
            weights = BACKENDS[worker.loading["backend"]]
            if contract.fingerprint(Path(worker.model), weights) != worker.fingerprint:
                raise DataError(f"{worker.model}: another model than where the command was given")
        except DataError as error:  # said as an answer, since Ray wraps what is raised in its own words
            self.error = json.dumps({"error": f"{socket.gethostname()}: {error}"})

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Rows of chunks -> rows of labelled chunks."""
        return {"chunk": [self.error or self._label(text) for text in batch["chunk"]]}

    def _label(self, text: str) -> str:
        record = json.loads(text)
        if "shard" not in record:
            return text
        chunk = _chunk(record)
        found, counts = next(self.labeller.stream([chunk.documents], batch_tokens=self.batch_tokens))
        return _dumps(replace(chunk, documents=found, counts=counts))


def _dumps(chunk: Chunk) -> str:
    record = {
        "shard": chunk.shard,
        "documents": [document.to_json() for document in chunk.documents],
        "end": chunk.end and asdict(chunk.end),
        "counts": chunk.counts,
    }
    return json.dumps(record, ensure_ascii=False)


def _chunk(record: Mapping[str, Any]) -> Chunk:
    end, counts = record["end"], record["counts"]
    return Chunk(
        record["shard"],
        [Document.from_json(document) for document in record["documents"]],
        end and End(end["records"], end["input"], tuple(end["refused"])),
        None if counts is None else Counter(counts),
    )
