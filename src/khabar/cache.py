"""What a corpus split teaches, tokenised once by every core and kept in a folder named after all that decides it.

A split is cut into shards of documents; each becomes one Arrow file (`khabar.dataset.write`), in this process where
they are few, else in processes that read their documents themselves. The folder takes its name when everything is in
it, so that what a killed run leaves is never read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from tqdm import tqdm

from khabar import dataset
from khabar.corpus import Corpus, Shard
from khabar.dataset import Rows
from khabar.document import DataError
from khabar.features import Reader
from khabar.formats import lines
from khabar.ontology import Ontology
from khabar.tokenizer import Tokenizer

__all__ = ["default_folder", "read", "tokenised"]

log = logging.getLogger(__name__)

FORMAT = 2
SHARD = 1024  # documents
INDEX, LOCK = "index.json", "lock"
SETTINGS = ("preprocessing", "length", "context", "argument_length", "segments", "learn_context")  # of a reader
# What is learned from a document is decided by these modules too: with another version of one, it is read anew.
CODE = (
    "arabic",
    "batches",
    "bio",
    "cleaning",
    "dataset",
    "document",
    "edges",
    "farasa",
    "features",
    "oracle",
    "windows",
)


def default_folder() -> Path:
    """``$KHABAR_CACHE``, or ``khabar`` in the user's cache folder."""
    if chosen := os.environ.get("KHABAR_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "khabar"


def tokenised(
    reader: Reader,
    corpus: Corpus,
    split: str,
    limit: int | None = None,
    cache: Path | None = None,
    processes: int | None = None,
) -> tuple[list[Path], Counter[str]]:
    """The Arrow files of what the first ``limit`` documents of a split teach, made where they are not there yet.

    Args:
        cache: the folder that they are kept in (`default_folder`); one process at a time makes them, others wait.
        processes: that tokenise; one for each core unless given. What they write does not depend on it.

    Returns the files in order, and what was counted: documents, and what `khabar.dataset.learned` counts.
    Raises `DataError` where the split cannot be read, or a document has types that the reader's ontology lacks.

    """
    shards = corpus.shards(split, SHARD, limit)
    record = {
        "format": FORMAT,
        "split": corpus.manifest["splits"][split]["sha256"],
        "documents": sum(shard.documents for shard in shards),
        **_contract(reader),
    }
    # Keys keep their order: that of the types is the order of the labels.
    name = hashlib.sha256(json.dumps(record).encode()).hexdigest()[:32]
    folder = (cache or default_folder()) / name
    if not (folder / INDEX).is_file():
        try:
            with _alone(folder) as staging:
                if staging:
                    counts = _fill(staging, reader, shards, f"{corpus.name}, {split}", processes or _cores())
                    lines.write(staging / INDEX, [json.dumps({**record, "counts": counts}, ensure_ascii=False)])
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {error}; name another folder: cache=…") from None
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return [folder / _file(number) for number in range(len(shards))], Counter(index["counts"])


def read(
    reader: Reader,
    parts: Sequence[tuple[Corpus, str]],
    limit: int | None = None,
    text_repeats: int = 1,
    cache: Path | None = None,
) -> tuple[Rows, Counter[str]]:
    """What an epoch reads of some splits, and what was counted (`tokenised`); says what gold could never be produced.

    Raises `DataError` where there is nothing to read.
    """
    files: list[Path] = []
    counts: Counter[str] = Counter()
    for corpus, split in parts:
        found, counted = tokenised(reader, corpus, split, limit, cache)
        files.extend(found)
        counts.update(counted)
    for message, number in counts.items():
        if number and message != "documents":
            log.log(logging.INFO if message.startswith("gold") else logging.WARNING, "%s: %d", message, number)
    rows = Rows(files, text_repeats)
    if not len(rows):
        raise DataError("the training split holds no words")
    return rows, counts


def _contract(reader: Reader) -> dict[str, Any]:
    """All of a reader that decides what is learned from a document."""
    tokenizer = reader.tokenizer
    content = json.loads(getattr(tokenizer, "backend_tokenizer", tokenizer).to_str())
    for state in ("truncation", "padding"):  # of the last call
        content.pop(state, None)
    special = [getattr(tokenizer, f"{name}_token_id") for name in ("unk", "cls", "bos", "sep", "eos")]
    code = hashlib.sha256()
    for module in CODE:
        code.update((Path(__file__).parent / f"{module}.py").read_bytes())
    return {
        "tokenizer": hashlib.sha256(json.dumps([content, special], sort_keys=True).encode()).hexdigest(),
        "ontology": reader.ontology.to_json(),
        "heads": list(reader.heads),
        **{name: getattr(reader, name) for name in SETTINGS},
        "code": code.hexdigest(),
    }


@contextmanager
def _alone(folder: Path) -> Iterator[Path | None]:
    """An empty folder to fill, which then takes the name ``folder``; ``None`` where another process has made it.

    The lock is a file in the folder that is filled: a process that is killed lets go of it, and the next one clears
    away what it left.
    """
    staging = folder.with_name(f".{folder.name}.partial")
    with _locked(staging, folder):
        if (folder / INDEX).is_file():
            shutil.rmtree(staging, ignore_errors=True)
            yield None
            return
        for path in staging.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
        yield staging
        for path in staging.iterdir():
            lines.sync(path)
        shutil.rmtree(folder, ignore_errors=True)  # a folder without its index, which nothing here writes
        os.replace(staging, folder)
        lines.sync(folder.parent)


def _locked(staging: Path, folder: Path) -> IO[bytes]:
    """The lock of a folder that is filled, held until it is closed; waits for it."""
    while True:
        staging.mkdir(parents=True, exist_ok=True)
        try:
            lock = (staging / LOCK).open("ab")
        except FileNotFoundError:  # since then the folder was given its name
            continue
        with suppress(ImportError):  # where there are no such locks
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            # Else whoever held it is done, or failed and took it away.
            if (folder / INDEX).is_file() or os.path.samestat(os.fstat(lock.fileno()), (staging / LOCK).stat()):
                return lock
        lock.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _file(number: int) -> str:
    return f"part-{number:05}.arrow"


def _fill(folder: Path, reader: Reader, shards: Sequence[Shard], title: str, processes: int) -> Counter[str]:
    """Write the file of each shard; what is counted of them all."""
    counts: Counter[str] = Counter()
    work = [(folder / _file(number), shard) for number, shard in enumerate(shards)]
    total = sum(shard.documents for shard in shards)
    with tqdm(total=total, desc=f"reading {title}", unit="document") as bar:
        if processes == 1 or len(shards) < 3:  # a process takes as long to start as a thousand short documents
            for path, shard in work:
                counts.update(dataset.write(path, reader, _shown(shard, bar)))
        else:
            settings = folder / "reader"
            reader.tokenizer.save_pretrained(settings)
            record = {"heads": list(reader.heads), **{name: getattr(reader, name) for name in SETTINGS}}
            record["ontology"] = reader.ontology.to_json()
            lines.write(settings / "reader.json", [json.dumps(record, ensure_ascii=False)])
            for shard, found in _spread(settings, work, min(processes, len(work))):
                counts.update(found)
                bar.update(shard.documents)
            shutil.rmtree(settings)
    return counts


def _shown(shard: Shard, bar: Any) -> Iterator[Any]:
    for document in shard.read():
        yield document
        bar.update(1)


def _spread(
    settings: Path, work: Sequence[tuple[Path, Shard]], processes: int
) -> Iterator[tuple[Shard, Mapping[str, int]]]:
    """Have processes write the files; each shard with what was counted, as they come.

    They are started as commands rather than forked or by multiprocessing: this process may have threads of its own, and
    the script that called us no guard around what it does.
    """
    queue: SimpleQueue[tuple[Path, Shard]] = SimpleQueue()
    for item in work:
        queue.put(item)
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "khabar.cache", str(settings)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="utf-8")
        for _ in range(processes)
    ]

    done: SimpleQueue[Any] = SimpleQueue()

    def drive(process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        try:
            while True:
                file, shard = queue.get_nowait()
                process.stdin.write(json.dumps([str(file), asdict(shard)]) + "\n")
                process.stdin.flush()
                if not (line := process.stdout.readline()):
                    raise RuntimeError("a process that tokenises ended before its work was done")
                answer = json.loads(line)
                if "error" in answer:
                    raise DataError(answer["error"])
                done.put((shard, answer))
        except Empty:
            pass
        except Exception as error:  # for the thread that waits
            done.put(error)

    with ExitStack() as stack:
        for process in running:
            stack.enter_context(process)
        threads = stack.enter_context(ThreadPoolExecutor(processes))
        for process in running:
            stack.callback(process.kill)
            threads.submit(drive, process)
        for _ in work:
            if isinstance(found := done.get(), Exception):
                raise found
            yield found


def main() -> None:
    """A process of `_spread`: reads shards from standard input until it is closed, and answers each with its counts."""
    settings = Path(sys.argv[1])
    record = json.loads((settings / "reader.json").read_text(encoding="utf-8"))
    ontology = Ontology.from_json(**record.pop("ontology"))
    reader = Reader(Tokenizer.load(settings), ontology, **record)
    for line in sys.stdin:
        path, shard = json.loads(line)
        try:
            answer: dict[str, Any] = dict(dataset.write(Path(path), reader, Shard(**shard).read()))
        except (DataError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
