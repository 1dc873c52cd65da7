"""What adapters cost and save: LoRA against full fine-tuning on a part of a prepared corpus.

Each side is a training run (`khabar.train`) in a process of its own, so that its peak memory is its own: the same
documents, epochs, batches and seed, the compact encoder, entities, float32. The score is that of dev, where the epoch
is chosen; give a side several learning rates to choose its rate there too. No test split is read.

    python benchmarks/lora.py data/prepared/anercorp --limit 12 --epochs 3 full:1e-4 lora:1e-3 lora+checkpointing:1e-3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SIDES: dict[str, tuple[dict[str, Any], bool]] = {  # settings of the adapters, gradient checkpointing
    "full": ({}, False),
    "full+checkpointing": ({}, True),
    "lora": ({"r": 16, "alpha": 32}, False),
    "lora+checkpointing": ({"r": 16, "alpha": 32}, True),
}
SHARED = ("limit", "epochs", "batch", "length")  # options that each side's process is given


def megabytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(side: str, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    """Train one side here, and say what it took."""
    from transformers import TrainingArguments

    from khabar.corpus import Corpus
    from khabar.tagger import Tagger
    from khabar.train import train

    adapters, checkpointing = SIDES[side]
    Tagger.create("compact", Corpus(options.corpus).ontology, ["entities"])  # what is in memory before a step is taken
    before = megabytes()
    trainer = partial(
        TrainingArguments,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        gradient_checkpointing=checkpointing or None,
        warmup_steps=0.1,
        weight_decay=0.01,
        report_to=[],
        disable_tqdm=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(
            partial(Tagger.create, "compact"),
            {"heads": ["entities"], "length": options.length},
            Corpus(options.corpus),
            trainer,
            folder,
            peft=adapters,
            limit=options.limit,
            learning_rate=rate,
            head_learning_rate=1e-3,
            patience=options.epochs,
            precision="float32",
        )
        record = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
    epochs = [100 * row["eval_f1"] for row in record["history"] if "eval_f1" in row]
    return {
        "f1": max(epochs),
        "epochs": epochs,
        "parameters": record["parameters"],
        "before": before,
        "peak": megabytes(),
        "seconds": record["seconds"],
        "words": record["train"]["words"],
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a prepared corpus with entities")
    parser.add_argument("sides", nargs="+", metavar="SIDE:RATE", help=f"sides: {', '.join(SIDES)}")
    parser.add_argument("--limit", type=int, help="the first so many documents of train, and of dev")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4, help="windows in a batch")
    parser.add_argument("--length", type=int, default=160, help="subwords of a window")
    parser.add_argument("--here", action="store_true", help="run one side in this process and print it as JSON")
    options = parser.parse_args()
    sides = [(name, float(rate)) for name, _, rate in (side.partition(":") for side in options.sides)]
    if options.here:
        print(json.dumps(run(*sides[0], options)))
        return
    table = Table(title=f"{options.corpus.name}, compact encoder, {options.epochs} epochs, {os.cpu_count()} cores")
    for header in ("side", "learning rate", "dev F1", "each epoch", "trained", "memory before", "at most", "seconds"):
        table.add_column(header, justify="left" if header == "side" else "right")
    for (name, rate), side in zip(sides, options.sides, strict=True):
        shared = [f"--{key}={value}" for key, value in vars(options).items() if key in SHARED and value is not None]
        command = [sys.executable, __file__, str(options.corpus), side, *shared, "--here"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(done.splitlines()[-1])
        table.add_row(
            name,
            f"{rate:g}",
            f"{found['f1']:.2f}",
            " ".join(f"{value:.1f}" for value in found["epochs"]),
            f"{found['parameters']['trained'] / 1e6:.2f} M of {found['parameters']['all'] / 1e6:.1f} M",
            f"{found['before']:.0f} MB",
            f"{found['peak']:.0f} MB",
            f"{found['seconds']:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
