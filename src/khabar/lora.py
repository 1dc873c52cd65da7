"""Fine-tuning in little memory: low-rank adapters beside the encoder's linear layers (LoRA, Hu et al. 2022).

Only adapters and heads have gradients and optimiser states; the encoder keeps its weights. Before a model is saved the
adapters are added into the weights, so that its folder is like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from khabar.document import DataError
from khabar.features import ARGUMENTS, MARKERS
from khabar.tagger import Tagger

__all__ = ["ALL", "adapt", "merge"]

ALL = "all-linear"


def adapt(tagger: Tagger, r: int, alpha: int, dropout: float = 0.0, targets: str | Sequence[str] = ALL) -> None:
    """Put adapters into the encoder of a tagger, and leave nothing else of it to train but what a trigger is marked by.

    What marks the trigger in the argument pass was not learned in pretraining: the segment embeddings, or the two
    marker tokens of an encoder of one segment. Lower layers that are frozen stay without adapters.

    Args:
        tagger: as `Tagger.create` makes it.
        r: rank of the adapters: each adds r * (inputs + outputs) weights to a linear layer.
        alpha: the adapters' product is multiplied by alpha / r.
        dropout: of what the adapters read.
        targets: ``all-linear``, or the last parts of layers' names: ``[query, value]``, ``[attention.output.dense]``.

    Raises `DataError` where PEFT is not installed, or a target fits no layer.

    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise DataError("to train adapters (peft=lora): pip install 'khabar[peft]'") from None
    if r < 1 or alpha < 1 or not 0 <= dropout < 1:
        raise DataError(f"peft: expected r and alpha from 1, and dropout below 1, got {r}, {alpha} and {dropout}")
    encoder: Any = tagger.model.encoder
    layers = _layers(encoder, targets)
    marks = _marks(tagger)
    tagger.model.encoder = get_peft_model(
        encoder, LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=layers)
    )
    for parameter in marks:
        parameter.requires_grad_(True)


def merge(tagger: Tagger) -> None:
    """Add the adapters into the weights and take them out: the encoder is what it was before `adapt`, but trained.

    Raises `DataError` where a weight is not a finite number.
    """
    adapted: Any = tagger.model.encoder
    try:
        encoder = adapted.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise DataError(f"the adapters cannot be merged: {error}") from error
    if isinstance(words := encoder.get_input_embeddings(), _Marked):
        encoder.set_input_embeddings(words.merged())
    tagger.model.encoder = encoder


def _layers(encoder: nn.Module, targets: str | Sequence[str]) -> list[str]:
    """Names of the linear layers that are trained and fit a target."""
    found = [n for n, layer in encoder.named_modules() if isinstance(layer, nn.Linear) and layer.weight.requires_grad]
    if targets == ALL:
        return found
    wanted = [targets] if isinstance(targets, str) else list(targets)
    fitting = {target: [name for name in found if f".{name}".endswith(f".{target}")] for target in wanted}
    if missing := [target for target, names in fitting.items() if not names] or (not wanted and ["none"]):
        known = sorted({name.rpartition(".")[2] for name in found})
        raise DataError(f"peft.targets: no linear layer is called {missing}: expected {ALL}, or some of {known}")
    return sorted({name for names in fitting.values() for name in names})


def _marks(tagger: Tagger) -> list[nn.Parameter]:
    """What a trigger is marked by, where it is trained; markers get rows of their own beside the word embeddings."""
    encoder: Any = tagger.model.encoder
    words = encoder.get_input_embeddings()
    if ARGUMENTS not in tagger.reader.heads or not words.weight.requires_grad:
        return []
    if tagger.reader.segments:
        return [parameter for name, parameter in encoder.named_parameters() if "token_type_embeddings" in name]
    marked = _Marked(words, tagger.reader.tokenizer.convert_tokens_to_ids(list(MARKERS)))
    encoder.set_input_embeddings(marked)
    return [marked.rows]


class _Marked(nn.Module):
    """Word embeddings of which some rows alone are trained: no gradient of the whole matrix is ever made.

    Args:
        words: the embeddings, (vocabulary, width).
        ids: the rows that are trained.

    """

    def __init__(self, words: nn.Embedding, ids: Sequence[int]) -> None:
        super().__init__()
        self.words, self.ids = words, list(ids)
        self.rows = nn.Parameter(words.weight[self.ids].detach().clone())

    def forward(self, input_ids: Tensor) -> Tensor:
        """Ids, (batch, subwords), -> their embeddings, (batch, subwords, width)."""
        found: Tensor = self.words(input_ids)
        for row, number in zip(self.rows, self.ids, strict=True):
            found = torch.where((input_ids == number).unsqueeze(-1), row, found)
        return found

    def merged(self) -> nn.Embedding:
        """The embeddings with the trained rows in them."""
        with torch.no_grad():
            self.words.weight[self.ids] = self.rows
        return self.words
