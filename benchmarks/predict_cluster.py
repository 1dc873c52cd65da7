"""What a second worker of a Ray cluster is worth, and whether memory grows with the input.

- *workers*: the shipped labeller labels the same articles, cut to their first words, in this process with one thread,
  and on a local cluster with one and two workers of one thread each, in turns; from the first chunks that come back to
  the last, so that starting Ray and loading models is left out (it is printed beside).
- *memory*: a small model with random weights (as in `predict_growth`) and two workers label 1,000 and 50,000 articles,
  each in a process of its own. Resident memory, without what is shared, of all processes of the run is added up twice a
  second; what is printed is the highest sum in the first and the last third of the run.

    python benchmarks/predict_cluster.py ARTICLES.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from khabar.contract import COMPACT
from khabar.document import Document
from khabar.engines import ray
from khabar.formats import jsonl
from khabar.plan import Chunk, Engine, Plan, in_order
from khabar.shards import label
from khabar.sources import articles
from khabar.tagger import Tagger
from predict_growth import small

COUNTS = (1_000, 50_000)  # articles
WORDS = 60  # of an article, so that there are chunks enough for what begins and ends uneven to weigh little


def measure(model: Path, source: Path, workers: int) -> None:
    """In a process of its own: label a file with so many workers, none being this process, and print what it took."""
    times: list[tuple[float, int]] = []  # when each chunk came back, and its words

    def timed(engine: Engine) -> Engine:
        def watched(plan: Plan) -> Generator[Chunk]:
            for chunk in engine(plan):
                times.append((time.perf_counter(), chunk.counts["words"] if chunk.counts else 0))
                yield chunk

        return watched

    engine = ray(model, workers=workers).engine if workers else in_order(Tagger.load(model, "cpu").stream)
    began = time.perf_counter()
    used: list[float] = []
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(used, done))
    sampler.start()
    with tempfile.TemporaryDirectory() as folder:
        totals = label(partial(articles, [source]), timed(engine), Path(folder) / "out", {})
    done.set()
    sampler.join()
    third = max(1, len(used) // 3)
    first = max(1, workers)  # chunks that come back together: the others follow in their time
    print(
        json.dumps(
            {
                "words": totals["words"],
                "start": times[0][0] - began,
                "rate": sum(words for _, words in times[first:]) / (times[-1][0] - times[first - 1][0]),
                "first": max(used[:third]),
                "last": max(used[-third:]),
            }
        )
    )


def _sample(used: list[float], done: threading.Event) -> None:
    me = psutil.Process()
    while not done.wait(0.5):
        total = 0
        for process in (me, *me.children(recursive=True)):
            try:
                memory = process.memory_info()
            except psutil.NoSuchProcess:  # it ended since it was listed
                continue
            total += memory.rss - memory.shared
        used.append(total / 2**20)


def run(model: Path, source: Path, workers: int) -> dict[str, float]:
    """`measure` in a process of its own, with one thread."""
    command = [sys.executable, __file__, str(source), "--model", str(model), "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return dict(json.loads(found.stdout.splitlines()[-1]))


def workers(source: Path, turns: int) -> Table:
    """Medians over turns."""
    found: dict[int, list[dict[str, float]]] = {workers: [] for workers in (0, 1, 2)}
    for _ in range(turns):
        for number, rows in found.items():
            rows.append(run(COMPACT, source, number))
    table = Table(title=f"{found[0][0]['words']:,} words, compact labeller")
    for header in ("", "words/s", "ratio", "until the first chunk, s"):
        table.add_column(header, justify="right" if header else "left")
    rates = {number: statistics.median(row["rate"] for row in rows) for number, rows in found.items()}
    for number, rate in rates.items():
        title = f"ray, {number} worker{'s' * (number > 1)}" if number else "local, one thread"
        start = statistics.median(row["start"] for row in found[number])
        table.add_row(title, f"{rate:,.0f}", f"{rate / rates[1]:.2f}", f"{start:.0f}")
    return table


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path, help="JSONL with id and text")
    parser.add_argument(
        "--articles", type=int, default=640, dest="limit", help="the first so many (default: 640, ten chunks)"
    )
    parser.add_argument("--turns", type=int, default=3, help="of the table of workers; 0 leaves it out")
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS, help="articles of the memory table")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        measure(options.model, options.articles, options.workers)
        return
    console = Console(width=120)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "articles.jsonl"
        articles = islice(jsonl.read(options.articles), options.limit)
        jsonl.write(source, (Document(d.id, " ".join(d.text.split()[:WORDS])) for d in articles))
        if options.turns:
            console.print(workers(source, options.turns))
        texts = [document.text.split() for document in jsonl.read(options.articles)]
        model = small(folder, Document("sample", " ".join(word for text in texts[:20] for word in text)))
        table = Table(title="ray, 2 workers, small model")
        for header in ("articles", "words", "MB in the first third", "MB in the last third"):
            table.add_column(header, justify="right")
        for count in options.counts:
            source = folder / f"{count}.jsonl"
            again = islice(cycle(texts), count)
            jsonl.write(source, (Document(str(n), " ".join(text[:40])) for n, text in enumerate(again)))
            row = run(model, source, 2)
            table.add_row(f"{count:,}", f"{row['words']:,}", f"{row['first']:.0f}", f"{row['last']:.0f}")
        console.print(table)


if __name__ == "__main__":
    main()
