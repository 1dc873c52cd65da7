"""Whether time for each word and memory grow with the input: from 1,000 to 50,000 articles, and with their length.

Each size is labelled by a process of its own, with shards and manifest as `predict` does, in turns.
Many articles are the beginnings of real ones, used again under new ids, and the model is a small one with random
weights, so that what is measured is the engine (reading, batching, decoding, writing) rather than the arithmetic of an
encoder, which is the same for every window: growth would show sooner here. Lengths are measured with the shipped
labeller: real articles end to end are cut into ever longer ones, so that every size reads the same words.

    python benchmarks/predict_growth.py ARTICLES.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, BertConfig, BertModel

from khabar.backends import load
from khabar.contract import COMPACT
from khabar.document import Document
from khabar.formats import jsonl
from khabar.plan import in_order
from khabar.shards import label
from khabar.sources import articles
from khabar.tagger import Tagger

SMALL: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
COUNTS = (1_000, 5_000, 50_000)  # articles
LENGTHS = (100, 1_000, 10_000, 100_000)  # words of one article
TAGGED = {
    "entities": 0.25,
    "triggers": 0.05,
    "arguments": 0.3,
    "clitics": 0.3,
}  # words with another tag than O, as in news


def small(folder: Path, sample: Document) -> Path:
    """A model folder with the shipped labeller's ontology and windows, whose encoder is small and knows nothing."""
    tokenizer = AutoTokenizer.from_pretrained(COMPACT)
    torch.manual_seed(1)
    BertModel(BertConfig(vocab_size=len(tokenizer), **SMALL), add_pooling_layer=False).save_pretrained(
        folder / "encoder"
    )
    tokenizer.save_pretrained(folder / "encoder")
    shipped = Tagger.load(COMPACT, "cpu").reader
    tagger = Tagger.create(str(folder / "encoder"), shipped.ontology, shipped.heads)
    heads: dict[str, Any] = dict(tagger.model.heads.items())
    with torch.no_grad():
        for head in heads.values():
            head.weight.mul_(20.0)  # so that tags differ from word to word
        windows = tagger.reader.text_pass(tagger.reader.read(sample))
        for name, head in heads.items():
            scores = np.concatenate([row[name] for row in tagger.logits(windows)])
            lead = scores[:, 1:].max(axis=1) - scores[:, 0]
            head.bias[0] = float(np.quantile(lead, 1 - TAGGED[name]))
    tagger.save(folder / "model")
    return folder / "model"


def measure(model: Path, source: Path) -> None:
    """In a process of its own: label a file and print what it took, loading the model left out."""
    labeller = load(model, "cpu")
    engine = in_order(labeller.stream)
    labeller.label("قُتل جنديان في هجوم.")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        totals = label(partial(articles, [source]), engine, Path(folder) / "out", {})
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "words": totals["words"], "triggers": totals["triggers"], "MB": peak}))


def run(model: Path, source: Path) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, str(source), "--model", str(model)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(found.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path, help="JSONL with id and text")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--words", type=int, default=40, help="words of each of many articles")
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS, help="articles")
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS, help="words of one article")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        measure(options.model, options.articles)
        return
    texts = [document.text.split() for document in jsonl.read(options.articles)]
    console = Console(width=120)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = small(folder, Document("sample", " ".join(word for text in texts[:20] for word in text)))
        many, long = {}, {}
        for count in options.counts:
            again = islice(cycle(texts), count)
            many[count] = folder / f"{count}-articles.jsonl"
            jsonl.write(many[count], (Document(str(n), " ".join(t[: options.words])) for n, t in enumerate(again)))
        running = list(islice((word for text in cycle(texts) for word in text), max(options.lengths, default=0)))
        for length in options.lengths:
            starts = range(0, len(running), length)
            long[length] = folder / f"{length}-words.jsonl"
            jsonl.write(long[length], (Document(str(n), " ".join(running[n : n + length])) for n in starts))
        for title, sources, labeller in (("articles", many, model), ("words of one article", long, COMPACT)):
            if sources:
                console.print(grown(title, sources, labeller, options.turns))


def grown(title: str, sources: dict[int, Path], model: Path, turns: int) -> Table:
    """Medians over turns."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sources}
    for _ in range(turns):
        for size, source in sources.items():
            found[size].append(run(model, source))

    def median(rows: Sequence[dict[str, float]], of: str) -> float:
        return statistics.median(row[of] for row in rows)

    def each(rows: Sequence[dict[str, float]]) -> float:
        return statistics.median(1e6 * row["seconds"] / row["words"] for row in rows)

    result = Table(title=title)
    for header in (title, "words", "triggers", "µs a word", "to the first", "peak MB"):
        result.add_column(header, justify="right")
    first = each(next(iter(found.values())))
    for size, rows in found.items():
        result.add_row(
            f"{size:,}",
            f"{median(rows, 'words'):,.0f}",
            f"{median(rows, 'triggers'):,.0f}",
            f"{each(rows):.0f}",
            f"{each(rows) / first:.2f}",
            f"{median(rows, 'MB'):.0f}",
        )
    return result


if __name__ == "__main__":
    main()
