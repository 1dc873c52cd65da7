"""How a model is fitted: the `Trainer` with dev scored over documents, and the parameters by learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Trainer

from khabar.document import Document
from khabar.metrics import Scores, score
from khabar.tagger import Tagger

__all__ = ["DocumentTrainer", "judged", "parameter_groups"]


class DocumentTrainer(Trainer):
    """The `Trainer`, with dev scored over documents."""

    def __init__(self, tagger: Tagger, dev: Sequence[Document], **arguments: Any) -> None:
        self.tagger = tagger
        self.dev = dev
        super().__init__(eval_dataset=[{}] if dev else None, **arguments)

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Label dev and score it.

        Overridden because scores are of documents: arguments are found for predicted triggers, in a second
        pass that a loop over fixed instances does not know.
        """
        scores = judged(score(self.dev, self.tagger.tag(self.dev)))
        values = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        return values


def judged(scores: Scores) -> dict[str, float]:
    """The scores that a run may be judged by: F1 of each layer (`Scores.headline`), and their mean as ``f1``."""
    layers = scores.headline()
    return {**layers, "f1": sum(layers.values()) / max(1, len(layers))}


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
