"""How a model is fitted: the `Trainer` with dev scored over documents, and the parameters by learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer

from khabar.batches import Grouped
from khabar.dataset import Rows
from khabar.document import Document
from khabar.metrics import score
from khabar.tagger import Tagger

__all__ = ["DocumentTrainer", "parameter_groups"]


class DocumentTrainer(Trainer):
    """The `Trainer`, with dev scored over documents, and batches of rows of like length.

    Args:
        tagger: whose model is trained.
        dev: what it is scored on.
        rows: what an epoch reads.
        batch_tokens: subwords of a batch, padding counted, in place of ``per_device_train_batch_size`` rows.

    """

    def __init__(
        self, tagger: Tagger, dev: Sequence[Document], rows: Rows, batch_tokens: int | None = None, **arguments: Any
    ) -> None:
        self.tagger = tagger
        self.dev = dev
        self.rows = rows
        self.batch_tokens = batch_tokens
        arguments["train_dataset"] = rows
        super().__init__(eval_dataset=[{}] if dev else None, **arguments)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of rows of like length, each process its share.

        Overridden because the `Trainer` knows batches of a number of rows alone, groups them by reading every row, and
        in an order that earlier random numbers decide; here seed and epoch do (`khabar.batches.Grouped`).
        """
        arguments = self.args
        seed = arguments.seed if arguments.data_seed is None else arguments.data_seed
        part = (arguments.process_index, arguments.world_size)
        sampler = Grouped(self.rows.lengths, self._train_batch_size, self.batch_tokens, seed, part)
        return _Loader(
            self.rows,  # type: ignore[arg-type] # a sequence
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=arguments.dataloader_num_workers,
            pin_memory=arguments.dataloader_pin_memory,
            persistent_workers=arguments.dataloader_persistent_workers,
            prefetch_factor=arguments.dataloader_prefetch_factor,
        )

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Label dev and score it.

        Overridden because scores are of documents: arguments are found for predicted triggers, in a second
        pass that a loop over fixed instances does not know.
        """
        scores = score(self.dev, self.tagger.tag(self.dev)).headline()
        values = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        values[f"{metric_key_prefix}_f1"] = sum(scores.values()) / max(1, len(scores))
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        return values


class _Loader(DataLoader[Any]):
    """A loader that the `Trainer` can tell the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Of which epoch the batches are that come next."""
        sampler: Any = self.batch_sampler
        sampler.set_epoch(epoch)


def parameter_groups(tagger: Tagger, rate: float, head_rate: float, decay: float) -> list[dict[str, Any]]:
    """Encoder and heads, each with and without weight decay (none on biases and layer norms)."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in tagger.model.named_parameters():
        if not parameter.requires_grad:
            continue
        groups.setdefault((name.startswith("heads."), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": found, "lr": head_rate if head else rate, "weight_decay": decay if matrix else 0.0}
        for (head, matrix), found in groups.items()
    ]
