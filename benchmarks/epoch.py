"""How long an epoch takes: the compact encoder and one of AraBERT-base's shape, side by side.

Both train on the same windows of a prepared corpus, in turns within one process; what is printed are medians
over the turns and the time of an epoch at that rate. The AraBERT-shaped encoder has random weights (speed does
not depend on them) and, as its own tokenizer is on the model hub, reads the subwords of the compact one: AraBERT
cuts Arabic into fewer, so the real one is somewhat faster.

    python benchmarks/epoch.py data/prepared/anercorp
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers.trainer_pt_utils import LengthGroupedSampler

from arithmetic import arabert_shaped
from khabar.batches import features
from khabar.corpus import Corpus
from khabar.encoder import bf16_is_native
from khabar.model import Collator
from khabar.tagger import Tagger


class Side:
    """One encoder that trains on, batch after batch."""

    def __init__(self, encoder: str, corpus: Corpus, batch: int, length: int) -> None:
        documents = corpus.split("train")
        self.tagger = Tagger.create(encoder, corpus.ontology, ["entities"], length=length)
        reader = self.tagger.reader
        instances = [instance for document in documents for instance in reader.instances(reader.read(document))]
        rows: Any = [features(reader, instance, labels=True) for instance in instances]
        order = list(LengthGroupedSampler(batch, dataset=rows, generator=torch.Generator().manual_seed(1)))
        self.words = sum(len(row["positions"]) for row in rows)
        self.groups = [[rows[i] for i in order[start : start + batch]] for start in range(0, len(order), batch)]
        self.batches: Iterator[list[dict[str, Any]]] = cycle(self.groups)
        self.collate = Collator(reader)
        self.optimiser = torch.optim.AdamW(self.tagger.model.parameters(), lr=1e-5, fused=True)
        self.tagger.model.train()

    def turn(self, batches: int) -> float:
        """Train on some batches; words a second."""
        bf16 = bf16_is_native()
        words, began = 0, time.perf_counter()
        for group in islice(self.batches, batches):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = self.tagger.model(**self.collate(group))["loss"]
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            words += sum(len(row["positions"]) for row in group)
        return words / (time.perf_counter() - began)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a prepared corpus")
    parser.add_argument("--batches", type=int, default=8, help="batches a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side, after one that is not counted")
    parser.add_argument("--batch", type=int, default=8, help="windows in a batch")
    parser.add_argument("--length", type=int, default=160, help="subwords of a window")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        encoders = {"compact": "compact", "AraBERT-base shape": str(arabert_shaped(Path(folder)))}
        corpus = Corpus(options.corpus)
        sides = {name: Side(path, corpus, options.batch, options.length) for name, path in encoders.items()}
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(options.turns + 1):
            for name, side in sides.items():
                rate = side.turn(options.batches)
                if number:
                    rates[name].append(rate)
    precision = "bf16" if bf16_is_native() else "float32"
    table = Table(title=f"{corpus.name}, train split, {precision}, {os.cpu_count()} cores")
    for header in ("encoder", "parameters", "words/s", "lowest to highest", "one epoch"):
        table.add_column(header, justify="left" if header == "encoder" else "right")
    for name, side in sides.items():
        rate = statistics.median(rates[name])
        size = sum(parameter.numel() for parameter in side.tagger.model.parameters()) / 1e6
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        table.add_row(name, f"{size:.1f} M", f"{rate:.0f}", spread, f"{side.words / rate / 60:.1f} min")
    medians = [statistics.median(found) for found in rates.values()]
    Console().print(table, f"compact is {medians[0] / medians[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
