"""How fast an encoder is fine-tuned for entities: khabar beside the recipe that one would start from.

Both sides train on the same documents of a prepared corpus, from the same encoder folder, for the same epochs, round
by round in turns within one process; what is printed are medians over the rounds.

- *khabar*: `khabar.train.train` with the configuration that `scripts/train.py experiment=NAME` composes; ``--set
  KEY=VALUE`` changes it.
- *plain*: the defaults of the token-classification example of transformers (`run_ner.py`), written out here: a sentence
  an example, `AutoModelForTokenClassification` with the dropout of the encoder's config, labels on first subwords,
  `Trainer` with batches of eight at random, padded to their longest, fused AdamW at 5e-5 falling to nothing, float32.
  Sentences are those that khabar cuts, their words preprocessed alike.

What is timed are the epochs: reading and tokenising the corpus, loading, saving and scoring are left out on both sides.
A word of the corpus counts once an epoch, however often windows read it; padding does not count. *Of peak* is the
arithmetic of the encoder over the subwords that are read, forward and backward, without padding, against what a large
matrix product in the same number format reaches here. *Computed* are positions of batches for each subword of the
corpus: padding, special tokens, and context that is read again. ``--score`` labels dev with what each round trained and
gives strict micro F1, every round with a seed of its own.

    python benchmarks/train_speed.py data/prepared/anercorp --limit 20
    python benchmarks/train_speed.py data/prepared/anercorp --limit 4 --shape arabert
    python benchmarks/train_speed.py data/prepared/anercorp --limit 40 --epochs 3 --rounds 3 --score
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers import trainer as transformers_trainer
from transformers.utils import logging as transformers_logging

from arithmetic import arabert_shaped, machine, operations, peak
from khabar import bio
from khabar import corpus as corpora
from khabar.contract import COMPACT
from khabar.corpus import Corpus
from khabar.document import Document, Mention
from khabar.encoder import bf16_is_native, pretrained
from khabar.features import ENTITIES, IGNORE, Reader
from khabar.metrics import score
from khabar.tagger import Tagger
from khabar.train import train

CONFIGS = Path(__file__).parents[1] / "configs"
Name = Literal["khabar", "plain"]


@dataclass
class Watch:
    """What the epochs of one training took, and what they read."""

    seconds: float = 0.0
    epochs: int = 0
    steps: int = 0
    lengths: list[int] = field(default_factory=list)  # subwords of the inputs of an epoch
    computed: int = 0  # positions of the batches of an epoch, padding included


class Clock(TrainerCallback):
    """Times the epochs of whatever `Trainer` runs, from the first batch to the last: both sides alike."""

    watch = Watch()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count what an epoch reads, before the time begins to run."""
        loader = kwargs["train_dataloader"]
        self.watch.lengths = [len(loader.dataset[row]["input_ids"]) for row in range(len(loader.dataset))]
        random = torch.get_rng_state()
        batches = [[self.watch.lengths[row] for row in batch] for batch in loader.batch_sampler]
        torch.set_rng_state(random)
        self.watch.computed = sum(max(batch) * len(batch) for batch in batches)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """The time runs."""
        self.began = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The time stands still while an epoch is saved or scored."""
        self.watch.seconds += time.perf_counter() - self.began
        self.watch.epochs += 1
        self.watch.steps = state.global_step


def trained_by_khabar(
    encoder: Path, corpus: Corpus, folder: Path, epochs: int, seed: int, changes: Sequence[str]
) -> Callable[[Sequence[Document]], Iterable[Document]]:
    """Train as ``scripts/train.py`` would; returns what labels."""
    overrides = [
        "model=compact",
        f"model.encoder={encoder}",
        f"data.corpus.path={corpus.path}",
        f"trainer.num_train_epochs={epochs}",
        "tracker=none",
        "+trainer.disable_tqdm=true",
        f"seed={seed}",
        "name=speed",
        f"output={folder}",
        *changes,
    ]
    with initialize_config_dir(str(CONFIGS.resolve()), version_base="1.3"):
        config = compose("train", overrides)
    names = [str(name) for name in config if name not in ("data", "also", "name", "hydra", "ontology")]
    parameters = instantiate(OmegaConf.masked_copy(config, names), _convert_="all")
    return Tagger.load(train(corpus=corpus, **parameters), "cpu").tag


class Sentences:
    """Sentences of a corpus as the plain recipe reads them: tokenised words, labels on first subwords."""

    def __init__(self, tokenizer: Any, corpus: Corpus) -> None:
        self.tokenizer = tokenizer
        self.reader = Reader(tokenizer, corpus.ontology, (ENTITIES,))  # for its words, sentences and labels

    def rows(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        """An example for each sentence; ``word_ids`` and ``place`` say where its tags belong."""
        found = []
        for number, document in enumerate(documents):
            reading = self.reader.read(document)
            for sentence in reading.sentences:
                words = reading.words[sentence.start : sentence.stop]
                row = self.tokenizer([word.form for word in words], is_split_into_words=True, truncation=True)
                tags = bio.encode(words, document.entities or (), self.reader.labels(ENTITIES))
                ids = row.word_ids()
                first = [i for i, word in enumerate(ids) if word is not None and word != ids[i - 1]]
                labels = [IGNORE] * len(ids)
                for place in first:
                    labels[place] = tags[ids[place]]
                row = {**row, "labels": labels}
                found.append({"row": row, "document": number, "words": words, "first": first})
        return found


def trained_plainly(
    encoder: Path, corpus: Corpus, folder: Path, epochs: int, seed: int
) -> Callable[[Sequence[Document]], Iterable[Document]]:
    """Train with the recipe of the example; returns what labels."""
    set_seed(seed)
    names = bio.tag_names(tuple(corpus.ontology.entities))
    make: Any = AutoModelForTokenClassification
    model = make.from_pretrained(encoder, num_labels=len(names), dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
    sentences = Sentences(tokenizer, corpus)
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=8,
        seed=seed,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    rows: Any = [found["row"] for found in sentences.rows(corpus.split("train"))]
    Trainer(model, arguments, DataCollatorForTokenClassification(tokenizer), rows).train()
    model.eval()

    def label(documents: Sequence[Document]) -> list[Document]:
        mentions: list[list[Mention]] = [[] for _ in documents]
        for found in sentences.rows(documents):
            inputs = {name: torch.tensor([ids]) for name, ids in found["row"].items() if name != "labels"}
            with torch.inference_mode():
                logits = model(**inputs).logits[0, found["first"]].numpy()
            for span in bio.decode(logits[None], [len(logits)], None)[0]:
                start, end = found["words"][span.first].start, found["words"][span.last].end
                mentions[found["document"]].append(
                    Mention(start, end, tuple(corpus.ontology.entities)[span.label], span.score)
                )
        return [Document(d.id, d.text, tuple(m)) for d, m in zip(documents, mentions, strict=True)]

    return label


@dataclass
class Side:
    """What the rounds of one side gave."""

    rates: list[float] = field(default_factory=list)  # words a second
    shares: list[float] = field(default_factory=list)  # of the peak
    computed: float = 0.0
    steps: int = 0
    scores: list[float] = field(default_factory=list)


def markdown(sides: dict[Name, Side], epochs: int) -> str:
    """The table, with ratios to the plain recipe."""
    plain = statistics.median(sides["plain"].rates)
    rows = [
        "| | words/s | lowest to highest | ratio | of peak | computed | steps an epoch | dev F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, side in sides.items():
        rate = statistics.median(side.rates)
        cells = [
            name,
            f"{rate:.0f}",
            f"{min(side.rates):.0f} to {max(side.rates):.0f}",
            f"{rate / plain:.2f}",
            f"{statistics.median(side.shares):.0%}",
            f"{side.computed:.2f}",
            f"{side.steps / epochs:.0f}",
            ", ".join(f"{100 * f1:.1f}" for f1 in side.scores),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a prepared corpus whose entities are whole words")
    parser.add_argument("--shape", choices=("compact", "arabert"), default="compact")
    parser.add_argument("--encoder", type=Path, help="another encoder folder, in place of --shape")
    parser.add_argument("--limit", type=int, help="train on the first so many documents")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--experiment", default="anercorp", help="the configuration of khabar's side")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of it; may be given again")
    parser.add_argument("--score", action="store_true", help="F1 of both sides on dev")
    parser.add_argument("--dev-limit", type=int, help="score the first so many documents of dev")
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("khabar").setLevel(logging.ERROR)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    callbacks: list[Any] = transformers_trainer.DEFAULT_CALLBACKS  # of every Trainer
    callbacks.append(Clock)
    whole = Corpus(options.corpus)
    documents = whole.split("train")[: options.limit]
    dev = whole.split("dev")[: options.dev_limit] if options.score else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Without dev: neither side scores while it trains.
        corpora.write(folder / "corpus", whole.name, whole.ontology, {"train": documents})
        corpus = Corpus(folder / "corpus")
        encoder = options.encoder or folder / "encoder"
        if options.shape == "arabert":
            arabert_shaped(encoder)
        elif not options.encoder:
            tokenizer, network = pretrained(str(COMPACT), 0.0)
            network.save_pretrained(encoder)
            tokenizer.save_pretrained(encoder)
        readings = list(map(Sentences(AutoTokenizer.from_pretrained(encoder), corpus).reader.read, documents))
        words = sum(len(reading.words) for reading in readings)
        subwords = sum(sum(reading.lengths) for reading in readings)
        peaks = peak()
        sides: dict[Name, Side] = {"khabar": Side(), "plain": Side()}
        changes = [f"experiment={options.experiment}", *options.set]
        for seed in range(1, options.rounds + 1):
            for side_name, side in sides.items():
                Clock.watch = watch = Watch()
                where = folder / f"{side_name}-{seed}"
                if side_name == "khabar":
                    label = trained_by_khabar(encoder, corpus, where, options.epochs, seed, changes)
                else:
                    label = trained_plainly(encoder, corpus, where, options.epochs, seed)
                kind = "bf16" if side_name == "khabar" and bf16_is_native() else "float32"
                config = pretrained(str(encoder), 0.0)[1].config
                work = 3 * operations(config, watch.lengths) * watch.epochs
                side.rates.append(words * watch.epochs / watch.seconds)
                side.shares.append(work / watch.seconds / peaks[kind])
                side.computed, side.steps = watch.computed / subwords, watch.steps
                if dev:
                    side.scores.append(score(dev, label(dev)).units["entities"].micro.f1)
    rate = ", ".join(f"{kind} {value / 1e9:.0f} GFLOPS at most" for kind, value in peaks.items())
    print(
        f"\n{machine()}, {rate}; {options.encoder or options.shape} encoder; {whole.name}, {len(documents)} documents"
    )
    print(f"of train, {words:,} words, {options.epochs} epochs, {options.rounds} rounds\n")
    print(markdown(sides, options.epochs))


if __name__ == "__main__":
    main()
