"""One encoder, one linear head for each layer of annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from khabar.batches import arrays
from khabar.features import IGNORE, Reader

__all__ = ["Collator", "Model", "tensors"]


def tensors(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a batch (`khabar.batches.arrays`) as tensors that share their memory."""
    return {
        name: tensors(array) if isinstance(array, Mapping) else torch.from_numpy(array) for name, array in batch.items()
    }


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads the features of instances to the longest of the batch."""

    reader: Reader

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Features (`khabar.batches.features`) -> the tensors that `Model` reads."""
        return tensors(arrays(self.reader, features))


class Model(nn.Module):
    """An encoder whose hidden states at the first subword of each word feed linear heads.

    Args:
        encoder: any model of `transformers.AutoModel` that returns hidden states (batch, subwords, width).
        heads: outputs of each head by name.
        dropout: applied to the hidden states before the heads.
        mask: the id that hides subwords from the encoder in training, and the share of them it hides. Names that
            training never showed are then read from their context (cf. word dropout, Iyyer et al. 2015).

    """

    accepts_loss_kwargs = True  # the `Trainer` then tells `forward` what the whole step teaches

    def __init__(
        self,
        encoder: nn.Module,
        heads: Mapping[str, int],
        dropout: float = 0.1,
        mask: tuple[int, float] = (0, 0.0),
    ) -> None:
        super().__init__()
        self.mask_id, self.mask_share = mask
        self.encoder = encoder
        config: Any = encoder.config
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(config.hidden_size, size) for name, size in heads.items()})
        for name, parameter in self.heads.named_parameters():
            nn.init.normal_(parameter, std=0.0 if name.endswith("bias") else getattr(config, "initializer_range", 0.02))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        positions: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Mapping[str, Tensor] | None = None,
        num_items_in_batch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Read a batch.

        Args:
            input_ids, attention_mask, token_type_ids: (batch, subwords).
            positions: (batch, words), the first subword of each word; 0 in padding.
            labels: (batch, words) for each head, `IGNORE` where there is nothing to learn.
            num_items_in_batch: labelled words for each head, of the whole that this batch is a part of.

        Returns:
            ``logits``, (batch, words, tags) for each head; with labels also ``loss``, the sum over heads of the mean
            cross-entropy over labelled words (0 for a head that the batch says nothing about): of this batch, or
            its part in the mean over the whole.

        """
        if self.training and self.mask_share:
            concealed = torch.rand(input_ids.shape, device=input_ids.device) < self.mask_share
            concealed[:, 0] = False  # the token that opens the input
            input_ids = input_ids.masked_fill(concealed, self.mask_id)
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        first = hidden.gather(1, positions.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        first = self.dropout(first)
        logits = {name: head(first) for name, head in self.heads.items()}
        if labels is None:
            return {"logits": logits}
        losses = []
        for name, scores in logits.items():
            total = nn.functional.cross_entropy(
                scores.flatten(0, 1).float(), labels[name].flatten(), ignore_index=IGNORE, reduction="sum"
            )
            words = (labels[name] != IGNORE).sum() if num_items_in_batch is None else num_items_in_batch[name]
            losses.append(total / words.clamp(min=1))
        return {"loss": torch.stack(losses).sum(), "logits": logits}

    def activation_checkpointing_enable(self, **settings: Any) -> None:
        """Keep only the inputs of the encoder's layers and compute the rest again in the backward pass.

        The `Trainer` calls it where its ``gradient_checkpointing`` is true; ``settings`` are the encoder's.
        """
        encoder: Any = self.encoder
        encoder.activation_checkpointing_enable(**settings)

    def gradient_checkpointing_enable(self, **settings: Any) -> None:
        """The same, as earlier versions of the `Trainer` call it."""
        encoder: Any = self.encoder
        encoder.gradient_checkpointing_enable(**settings)
