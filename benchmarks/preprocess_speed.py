"""Characters a second that `khabar.arabic.words` and the reference preprocessor read, single thread.

    python benchmarks/preprocess_speed.py articles.jsonl

`words` returns words with raw offsets; the reference (package `arabert`) returns the bare text.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from arabert.preprocess import ArabertPreprocessor

from khabar.arabic import words


def speed(read: Callable[[str], object], texts: Sequence[str]) -> float:
    """Characters a second of one pass over the texts."""
    started = time.perf_counter()
    for text in texts:
        read(text)
    return sum(map(len, texts)) / (time.perf_counter() - started)


def main() -> None:
    """Read the articles with both, in turn, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path, help='JSON lines with a "text"')
    parser.add_argument("--limit", type=int, default=2000, help="articles to read")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each, in turn")
    arguments = parser.parse_args()
    with arguments.articles.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(arguments.limit), strict=False)]
    readers = {"khabar": words, "arabert": ArabertPreprocessor("bert-base-arabertv02").preprocess}
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(arguments.rounds):
        for name, read in readers.items():
            speeds[name].append(speed(read, texts))
    print(f"{len(texts):,} articles, {sum(map(len, texts)):,} characters, {arguments.rounds} rounds")
    for name, values in speeds.items():
        print(f"{name:8} {median(values) / 1e6:.2f} M characters/s")
    ratios = [ours / theirs for ours, theirs in zip(speeds["khabar"], speeds["arabert"], strict=True)]
    print(f"{'ratio':8} {median(ratios):.2f}")


if __name__ == "__main__":
    main()
