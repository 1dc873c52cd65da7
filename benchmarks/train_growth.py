"""Whether memory grows with the corpus that is trained on: from 10,000 to 1,000,000 generated documents.

Each size is a process of its own that runs `khabar.train.train`: it tokenises the corpus, then fits a small encoder
with random weights for some steps on batches from all over it. Two memories are printed, at their highest: *own* is
what the process holds for itself (RssAnon of /proc), *resident* counts the mapped files too, which the system takes
back when others need the room. Documents are a sentence long, each with a number of its own and an entity.

    python benchmarks/train_growth.py
    python benchmarks/train_growth.py --counts 10000 100000 --steps 100
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import torch
from transformers import AutoTokenizer, BertConfig, BertModel, TrainingArguments

from arithmetic import machine
from khabar import cache
from khabar import corpus as corpora
from khabar.contract import COMPACT
from khabar.corpus import Corpus
from khabar.document import Document, Mention
from khabar.ontology import Ontology
from khabar.tagger import Tagger
from khabar.train import train

COUNTS = (10_000, 100_000, 1_000_000)
SMALL: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
CITIES = ("الرباط", "تونس", "القاهرة", "بغداد", "بيروت", "صنعاء", "الخرطوم", "دمشق")
BEFORE = "افتُتح معرض الكتاب في "


class Generated(Sequence[Document]):
    """So many documents, made when they are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        """A document by its number."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self.size))]
        if index >= self.size:
            raise IndexError(index)
        city = CITIES[index % len(CITIES)]
        mention = Mention(len(BEFORE), len(BEFORE) + len(city), "GPE")
        return Document(f"{index}", f"{BEFORE}{city} وزاره {index} زائرا.", (mention,))


class Watch(threading.Thread):
    """Looks at the memory of this process ten times a second; what was highest, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.resident = 0.0

    def run(self) -> None:
        """Look, for ever."""
        while True:
            found = dict(re.findall(r"(RssAnon|VmRSS):\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8")))
            self.own = max(self.own, int(found["RssAnon"]) / 1024)
            self.resident = max(self.resident, int(found["VmRSS"]) / 1024)
            time.sleep(0.1)


def measure(encoder: Path, corpus: Path, steps: int) -> None:
    """In a process of its own: tokenise and train, and print what it took."""
    logging.disable(logging.WARNING)
    watch = Watch()
    task: dict[str, Any] = {"heads": ["entities"], "length": 128}
    model = partial(Tagger.create, str(encoder))
    reader = model(ontology=Corpus(corpus).ontology, **task).reader
    watch.start()
    began = time.perf_counter()
    cache.tokenised(reader, Corpus(corpus), "train", cache=corpus / "cache")
    first = time.perf_counter()
    cache.tokenised(reader, Corpus(corpus), "train", cache=corpus / "cache")
    second = time.perf_counter()
    quiet: dict[str, Any] = {"report_to": [], "disable_tqdm": True, "per_device_train_batch_size": 16}
    arguments = partial(TrainingArguments, max_steps=steps, **quiet)
    train(model, task, Corpus(corpus), arguments, corpus / "run", cache=corpus / "cache", precision="float32")
    size = sum(path.stat().st_size for path in (corpus / "cache").rglob("*.arrow"))
    found = {
        "tokenised": first - began,
        "again": second - first,
        "trained": time.perf_counter() - second,
        "own": watch.own,
        "resident": watch.resident,
        "files": size / 1e6,
    }
    print(json.dumps(found))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS, help="documents")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--encoder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.corpus:
        measure(options.encoder, options.corpus, options.steps)
        return
    print(f"{machine()}; {options.steps} steps of 16 documents\n")
    print(
        "| documents | Arrow files, MB | tokenised in | found again in | trained in | own memory, MB | resident, MB |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = AutoTokenizer.from_pretrained(COMPACT)
        torch.manual_seed(1)
        network = BertModel(BertConfig(vocab_size=len(tokenizer), **SMALL), add_pooling_layer=False)
        network.save_pretrained(folder / "encoder")
        tokenizer.save_pretrained(folder / "encoder")
        ontology = Ontology.from_json("معرض", {"GPE": "مدينة"})
        for count in options.counts:
            corpora.write(folder / f"{count}", f"{count}", ontology, {"train": Generated(count)})
            command = [sys.executable, __file__, "--corpus", str(folder / f"{count}"), "--steps", str(options.steps)]
            command += ["--encoder", str(folder / "encoder")]
            ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            found = json.loads(ran.stdout.splitlines()[-1])
            seconds = " | ".join(f"{found[part]:.1f} s" for part in ("tokenised", "again", "trained"))
            print(
                f"| {count:,} | {found['files']:.0f} | {seconds} | {found['own']:.0f} | {found['resident']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
