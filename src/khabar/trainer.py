"""How a model is fitted: the `Trainer` with dev scored over documents, and the parameters by learning rate."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.training_args import OptimizerNames

from khabar import checkpoints, processes
from khabar.batches import Grouped
from khabar.dataset import Rows
from khabar.document import DataError, Document
from khabar.features import IGNORE
from khabar.metrics import Scores, score
from khabar.tagger import Tagger

__all__ = ["DocumentTrainer", "Pace", "judged", "parameter_groups"]


class Pace(TrainerCallback):
    """Checkpoints within an epoch, and a loss in the history at every checkpoint.

    The loss is then never a sum that began before a checkpoint and ends after it. Where an epoch ends nothing is saved
    before dev was scored: the checkpoint that follows holds the score.
    """

    def __init__(self, save_steps: int | None) -> None:
        self._save_steps = save_steps

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Save every so many steps."""
        ends = control.should_training_stop or (state.epoch or 0) % 1 == 0
        if self._save_steps and state.global_step % self._save_steps == 0 and not ends:
            control.should_save = True
        return self.on_epoch_end(args, state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Log where something is saved or scored."""
        control.should_log = control.should_log or control.should_save or control.should_evaluate
        return control


class DocumentTrainer(Trainer):
    """The `Trainer`, with dev scored over documents, an exact loss, batches of like rows, and sealed checkpoints.

    The loss of a step is, for each head, the mean cross-entropy over all words that the step says something about,
    summed over heads, however the step is cut into micro-batches and processes.

    Args:
        tagger: what is trained.
        dev: the documents that are scored.
        rows: what an epoch reads.
        rates: the learning rate of the encoder and that of the heads.
        batch_tokens: subwords of a batch, padding counted, in place of ``per_device_train_batch_size`` rows.
        keep: how many checkpoints are kept, beside the best.
        save_steps: steps between checkpoints within an epoch.
        arguments: of the `Trainer`.

    """

    def __init__(
        self,
        tagger: Tagger,
        dev: Sequence[Document],
        rows: Rows,
        rates: tuple[float, float],
        batch_tokens: int | None = None,
        keep: int = 2,
        save_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        self.tagger, self.dev, self.rows, self._rates, self._keep = tagger, dev, rows, rates, keep
        self.batch_tokens = batch_tokens
        self._whole = copy.deepcopy(tagger.model) if arguments["args"].fsdp else None  # FSDP cuts the model up in place
        arguments["args"]._n_gpu = min(1, arguments["args"].n_gpu)  # a process has one device: no `DataParallel`
        arguments["train_dataset"] = rows if processes.world() == 1 else _Filled(rows)
        super().__init__(eval_dataset=[{}] if dev else None, **arguments)
        self.add_callback(Pace(save_steps))

    def fit(self, checkpoint: Path | None) -> None:
        """Train, from a checkpoint if there is one; the weights are then those of the best on dev, or the last."""
        if checkpoint and checkpoints.is_over(checkpoint):  # the run was ended after its training
            self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        else:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step = self.state.best_global_step or self.state.global_step
        chosen = checkpoints.place(Path(str(self.args.output_dir)), step)
        if self._whole is not None:
            self.tagger.model = self._whole.to(self.args.device)
        self.tagger.model.load_state_dict(load_file(chosen / "model.safetensors"))

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW over `parameter_groups`, where the `Trainer` knows one learning rate.

        Raises `DataError` where the arguments ask for another optimiser.
        """
        if self.optimizer is None:
            optimiser = OptimizerNames(self.args.optim).value
            if not optimiser.startswith("adamw_torch") or self.args.optim_args:
                raise DataError(f"trainer.optim={optimiser}: expected adamw_torch, without optim_args")
            groups = parameter_groups(self.tagger, *self._rates, self.args.weight_decay)
            betas = (self.args.adam_beta1, self.args.adam_beta2)
            self.optimizer = torch.optim.AdamW(groups, betas=betas, eps=self.args.adam_epsilon, fused=True)
        return self.optimizer

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
            self.train_dataset,  # type: ignore[arg-type] # a sequence
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=arguments.dataloader_num_workers,
            pin_memory=arguments.dataloader_pin_memory,
            persistent_workers=arguments.dataloader_persistent_workers,
            prefetch_factor=arguments.dataloader_prefetch_factor,
        )

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Label dev, each process a share of it, and score the whole.

        Overridden because scores are of documents: arguments are found for predicted triggers, in a second
        pass that a loop over fixed instances does not know.
        """
        self._check_weights()
        if self._whole is None:
            found = processes.shared(lambda share: list(self.tagger.tag(share)), self.dev)
        else:  # what is cut up is computed by all, in step
            found = list(self.tagger.tag(self.dev))
        scores = judged(score(self.dev, found))
        values = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        return values

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The micro-batches of a step, and how many words of all processes teach each head.

        Overridden because the `Trainer` counts one kind of label. What it does with a count is what is wanted: the
        model divides by it, and the gradients of all processes are summed.
        """
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        heads = list(batches[0]["labels"])
        words = torch.stack([sum((batch["labels"][head] != IGNORE).sum() for batch in batches) for head in heads])
        words = self.accelerator.reduce(words.to(device), reduction="sum")
        return batches, dict(zip(heads, words, strict=True))

    def training_step(self, *arguments: Any, **names: Any) -> Tensor:
        """A step of training; raises `DataError` where its loss is not a number.

        Overridden because the `Trainer` trains on.
        """
        loss: Tensor = super().training_step(*arguments, **names)
        if not torch.isfinite(loss):
            raise self._diverged(f"the loss is {loss.item()}")
        return loss

    def _save_checkpoint(self, *arguments: Any, **names: Any) -> None:
        """Write a checkpoint, seal it, and only then let older ones go.

        Overridden because the `Trainer` removes the last whole checkpoint before the next is on the disk.
        """
        self._check_weights()
        folder = Path(str(self.args.output_dir))
        checkpoint = checkpoints.place(folder, self.state.global_step)
        if self.args.should_save:
            (checkpoint / checkpoints.SEAL).unlink(missing_ok=True)
        super()._save_checkpoint(*arguments, **names)
        self.accelerator.wait_for_everyone()  # each process writes its random state
        if self.args.should_save:
            (checkpoint / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads
            checkpoints.seal(checkpoint, self.args.world_size)
            checkpoints.prune(folder, self._keep, self.state.best_global_step)

    def _check_weights(self) -> None:
        for name, parameter in self.tagger.model.named_parameters():
            if not torch.isfinite(parameter).all():
                raise self._diverged(f"{name} is no longer finite")

    def _diverged(self, what: str) -> DataError:
        return DataError(
            f"step {self.state.global_step + 1}, epoch {self.state.epoch or 0:.2f}: {what}. The last checkpoint is "
            "from before; a lower learning_rate or precision=float32 may help, with another output=… or overwrite=true"
        )


def judged(scores: Scores) -> dict[str, float]:
    """The scores that a run may be judged by: F1 of each layer (`Scores.headline`), and their mean as ``f1``."""
    layers = scores.headline()
    return {**layers, "f1": sum(layers.values()) / max(1, len(layers))}


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


class _Filled(Sequence[Mapping[str, Any]]):
    """Rows, and behind them one that teaches nothing, for a process that a batch has no row for."""

    def __init__(self, rows: Rows) -> None:
        row = rows[int(np.argmin(rows.lengths))]
        silent = {head: np.full_like(labels, IGNORE) for head, labels in row["labels"].items()}
        self._rows, self._silent = rows, {**row, "labels": silent}

    def __len__(self) -> int:
        return len(self._rows) + 1

    def __getitem__(self, index: Any) -> Any:
        """The features of a row."""
        return self._silent if index == len(self._rows) else self._rows[index]
