"""What continued masked-language-model training of the compact encoder costs and brings, before any labels.

Unlabelled articles are preprocessed and cut into inputs of 128 subwords; whole words are hidden (15 %: of their
subwords 80 % become the mask, 10 % another one, 10 % stay; Devlin et al. 2019), and only what is hidden is predicted,
by a head that shares the encoder's word embeddings and begins with the frequencies of the subwords. Printed are the
mean loss of every 50 steps, and that of 64 inputs that are held out. The encoder is written as a folder that
``model.encoder`` takes.

    python benchmarks/masked_language_model.py runs/adapted ARTICLES.jsonl MORE.jsonl.xz --minutes 30
    python scripts/train.py experiment=anercorp model=compact model.encoder=runs/adapted
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from arithmetic import machine
from khabar.arabic import words
from khabar.contract import replaced
from khabar.encoder import pretrained
from khabar.formats import jsonl

LENGTH, BATCH, HIDDEN, HELD_OUT = 128, 8, 0.15, 64
LONGEST = 3000  # characters read of an article, so that a few long ones are not most of it


class Head(nn.Module):
    """Hidden states -> scores of every subword."""

    def __init__(self, embeddings: Tensor, frequencies: Tensor) -> None:
        super().__init__()
        self.embeddings = [embeddings]  # the encoder's: in a list, so that they are no parameters of the head too
        size = embeddings.shape[1]
        self.dense, self.norm = nn.Linear(size, size), nn.LayerNorm(size)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.bias = nn.Parameter((frequencies / frequencies.sum()).log())

    def forward(self, hidden: Tensor) -> Tensor:
        """(subwords, width) -> (subwords, vocabulary)."""
        return functional.linear(self.norm(functional.gelu(self.dense(hidden))), self.embeddings[0], self.bias)


class Inputs:
    """A stream of subwords and the number of the word that each is of, cut into inputs."""

    def __init__(self, tokenizer: Any, paths: Sequence[Path], subwords: int, generator: torch.Generator) -> None:
        self.tokenizer, self.generator = tokenizer, generator
        ids: list[int] = []
        numbers: list[int] = []
        for text in _texts(paths):
            forms = [word.form for word in words(text, "arabertv02") if word.form]
            for cut in (*tokenizer(forms, add_special_tokens=False)["input_ids"], [tokenizer.sep_token_id]):
                number = numbers[-1] + 1 if numbers else 0
                ids.extend(cut)
                numbers.extend([number] * len(cut))
            if len(ids) >= subwords:
                break
        self.size = LENGTH - 2
        whole = len(ids) // self.size
        if whole <= HELD_OUT:
            raise SystemExit(f"expected text for more than {HELD_OUT} inputs of {LENGTH} subwords, got {whole}")
        self.ids = torch.tensor(ids[: whole * self.size]).view(whole, self.size)
        self.numbers = torch.tensor(numbers[: whole * self.size]).view(whole, self.size)
        self.order = torch.randperm(whole, generator=generator)

    def masked(self, rows: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (rows, 128), which of their subwords are hidden, and what these are."""
        generator = generator or self.generator
        edge = torch.full((len(rows), 1), 0)
        ids = torch.cat([edge + self.tokenizer.cls_token_id, self.ids[rows], edge + self.tokenizer.sep_token_id], 1)
        numbers = torch.cat([edge - 1, self.numbers[rows], edge - 1], 1)
        _, places = torch.unique(numbers, return_inverse=True)
        hidden = (torch.rand(int(places.max()) + 1, generator=generator) < HIDDEN)[places]
        hidden &= (ids != self.tokenizer.sep_token_id) & (numbers >= 0)
        dice, shown = torch.rand(ids.shape, generator=generator), ids.clone()
        shown[hidden & (dice < 0.8)] = self.tokenizer.mask_token_id
        others = hidden & (dice >= 0.9)
        shown[others] = torch.randint(len(self.tokenizer), (int(others.sum()),), generator=generator)
        return shown, hidden, ids[hidden]


def _texts(paths: Sequence[Path]) -> Iterator[str]:
    """The articles of all files in an order that is always the same."""
    every = [document.text[:LONGEST] for path in paths for document in jsonl.read(path)]
    yield from (every[place] for place in np.random.default_rng(1).permutation(len(every)))


def main() -> None:
    """Train and write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("articles", type=Path, nargs="+", help="JSONL with id and text, also packed")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--subwords", type=int, default=3_000_000, help="of text that are cut into inputs")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate of the encoder")
    parser.add_argument("--encoder", default="compact")
    options = parser.parse_args()
    print(machine())
    torch.manual_seed(1)
    tokenizer, encoder = pretrained(options.encoder, attention_dropout=0.0)
    inputs = Inputs(tokenizer, options.articles, options.subwords, torch.Generator().manual_seed(1))
    print(f"{inputs.ids.numel():,} subwords in {len(inputs.ids):,} inputs", flush=True)
    frequencies = torch.bincount(inputs.ids.flatten(), minlength=len(tokenizer)).float() + 1
    head = Head(encoder.get_input_embeddings().weight, frequencies)
    groups = [
        {"params": list(encoder.parameters()), "lr": options.rate},
        {"params": list(head.parameters()), "lr": 1e-3},
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    every = [parameter for group in groups for parameter in group["params"]]

    def loss(rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        shown, hidden, gold = inputs.masked(rows, generator)
        states = encoder(input_ids=shown, attention_mask=torch.ones_like(shown)).last_hidden_state
        return functional.cross_entropy(head(states[hidden]), gold)

    def held_out() -> float:
        encoder.eval()
        with torch.inference_mode():
            found = loss(inputs.order[:HELD_OUT], torch.Generator().manual_seed(7)).item()
        encoder.train()
        return found

    print(f"held out: {held_out():.2f}", flush=True)
    began, steps = time.perf_counter(), 0
    losses: list[float] = []
    batches = torch.split(inputs.order[HELD_OUT:], BATCH)
    for batch in cycle(batches):
        share = (time.perf_counter() - began) / (60 * options.minutes)
        if share >= 1:
            break
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * min(1, (steps + 1) / 60) * (1 - share)
        found = loss(batch)
        torch.autograd.backward(found)
        nn.utils.clip_grad_norm_(every, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        steps += 1
        losses.append(found.item())
        if steps % 50 == 0:
            seconds = time.perf_counter() - began
            print(f"{steps} steps, {seconds:.0f} s, loss {sum(losses) / len(losses):.2f}", flush=True)
            losses = []
    print(f"{steps} steps, {steps * BATCH * inputs.size:,} subwords; held out: {held_out():.2f}")
    with replaced(options.output) as folder:
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
