"""Tokens a second that khabar's scorers and seqeval in strict mode get through, single thread.

Articles of made-up words with entities, and predictions that get some of them wrong, are written once; then, in
turns within one process, these score them: seqeval (its one call for precision, recall and F1 in strict IOB2), the
tag scorer (`khabar.scoring.sequences`, which finds strict, repaired and discarded mentions at once, and scores types)
and the document scorer (`khabar.metrics.score`, which pairs the documents up first). All must come to the same F1.
Seconds are of processor time, so that what else the machine does weighs less.

    python benchmarks/scorer_speed.py
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from khabar.document import Document, Mention
from khabar.metrics import score
from khabar.scoring.sequences import Sequences, chunks

TYPES = ("PER", "ORG", "GPE", "LOC", "TIME", "FAC")
WORD = "خبر"


def sentence(length: int, density: float, dice: random.Random) -> list[str]:
    """IOB2 tags; about `density` of the tokens begin an entity of one to four tokens."""
    tags: list[str] = []
    while len(tags) < length:
        if dice.random() < density:
            label = dice.choice(TYPES)
            tags += [f"B-{label}", *[f"I-{label}"] * dice.choice((0, 0, 1, 1, 2, 3))]
        else:
            tags.append("O")
    return tags[:length]


def mistaken(tags: Sequence[str], part: float, dice: random.Random) -> list[str]:
    """The tags with `part` of the entities dropped, and as many of another type."""
    found = list(tags)
    for label, start, end in chunks(tags)[0]:
        luck = dice.random()
        if luck < part:
            found[start:end] = ["O"] * (end - start)
        elif luck < 2 * part:
            other = dice.choice([name for name in TYPES if name != label])
            found[start:end] = [f"B-{other}", *[f"I-{other}"] * (end - start - 1)]
    return found


def article(number: int, tags: Sequence[str]) -> Document:
    """The document whose words, with a space between, are tagged so."""
    step = len(WORD) + 1
    entities = (Mention(start * step, end * step - 1, label) for label, start, end in chunks(tags)[0])
    return Document(str(number), " ".join([WORD] * len(tags)), entities=tuple(entities))


def main() -> None:
    """Score with each, in turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="tokens to score")
    parser.add_argument("--length", type=int, default=250, help="tokens of an article")
    parser.add_argument("--density", type=float, default=0.08, help="entities a token")
    parser.add_argument("--mistakes", type=float, default=0.1, help="part of the entities missed, and part mistyped")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each, in turn")
    options = parser.parse_args()
    dice = random.Random(1)
    gold = [sentence(options.length, options.density, dice) for _ in range(options.tokens // options.length)]
    predicted = [mistaken(tags, options.mistakes, dice) for tags in gold]
    gold_documents, documents = ([article(n, tags) for n, tags in enumerate(side)] for side in (gold, predicted))

    def by_seqeval() -> float:
        scores = precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2, zero_division=0)
        return float(scores[2])

    def by_tags() -> float:
        sequences = Sequences(seqeval=False)
        for pair in zip(gold, predicted, strict=True):
            sequences.add_tags(*pair)
        return float(sequences.to_json()["strict"]["micro"]["f1"])

    def by_documents() -> float:
        return score(gold_documents, documents).units["entities"].micro.f1

    scorers: dict[str, Callable[[], float]] = {
        "seqeval, strict IOB2": by_seqeval,
        "tags: khabar.scoring.sequences": by_tags,
        "documents: khabar.metrics": by_documents,
    }
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    f1 = set()
    for _ in range(options.rounds):
        for name, scorer in scorers.items():
            began = time.process_time()
            f1.add(round(scorer(), 12))
            seconds[name].append(time.process_time() - began)
    if len(f1) != 1:
        raise SystemExit(f"the scorers do not agree: {sorted(f1)}")
    tokens, entities = sum(map(len, gold)), sum(len(document.entities or ()) for document in gold_documents)
    table = Table(title=f"{tokens:,} tokens, {len(gold):,} articles, {entities:,} entities, F1 {100 * f1.pop():.2f}")
    for header in ("scorer", "median", "lowest to highest", "tokens/s", "times as fast"):
        table.add_column(header, justify="left" if header == "scorer" else "right")
    medians = {name: median(found) for name, found in seconds.items()}
    slowest = medians["seqeval, strict IOB2"]
    for name, found in seconds.items():
        spread = f"{min(found):.2f} to {max(found):.2f} s"
        rate, ratio = f"{tokens / medians[name]:,.0f}", f"{slowest / medians[name]:.1f}"
        table.add_row(name, f"{medians[name]:.2f} s", spread, rate, ratio)
    Console(width=100).print(table, f"Python {platform.python_version()}, one thread of {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
