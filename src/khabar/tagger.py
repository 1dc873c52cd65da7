"""The labeller in PyTorch: made on a pretrained encoder, calibrated, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer

from khabar import contract
from khabar.calibration import temperature
from khabar.contract import WEIGHTS, ModelError, Precision, readable_length
from khabar.document import Document
from khabar.encoder import bf16_is_native, blank, locate, pick_device, pretrained
from khabar.features import ARGUMENTS, IGNORE, MARKERS, Floats, Reader
from khabar.labeller import Labeller
from khabar.model import Model, tensors
from khabar.ontology import Ontology
from khabar.scoring.reliability import Reliability

__all__ = ["Tagger"]

_READER_SETTINGS = ("preprocessing", "length", "context", "argument_length", "segments")


@dataclass
class Tagger(Labeller):
    """The labeller that is trained, in PyTorch; with ``bf16`` it computes in bfloat16 where that loses little."""

    reader: Reader
    model: Model
    temperatures: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    bf16: bool = False

    @classmethod
    def create(
        cls,
        encoder: str,
        ontology: Ontology,
        heads: Sequence[str],
        attention_dropout: float = 0.0,
        dropout: float | None = None,
        masked: float = 0.0,
        frozen: int = 0,
        keep_heads: bool = False,
        **settings: Any,
    ) -> Tagger:
        """A tagger with untrained heads on a pretrained encoder.

        Args:
            encoder: ``compact`` (ships with the package), a folder, or a name on the model hub.
            ontology, heads: what to label.
            attention_dropout: of attention weights in training. Drawing it takes a quarter of the time of a step
                on a CPU and rules out the fused attention kernels, so it is off unless asked for.
            dropout: of hidden states in training, where it is not to be the encoder's own. Drawing it takes a sixth of
                the time of a step on a CPU; ``masked`` is another way to keep a model from learning by heart.
            masked: share of subwords hidden in training (`khabar.model.Model`).
            frozen: lower layers of the encoder that are left as they are, embeddings included: training is faster.
            keep_heads: go on from the heads of a model folder too, where its ontology is this one.
            settings: of `khabar.features.Reader`.

        Raises `ModelError` where the encoder, or its heads, cannot be had.

        """
        tokenizer, network = pretrained(encoder, attention_dropout, dropout, frozen)
        segments = getattr(network.config, "type_vocab_size", 0) > 1
        if not segments and ARGUMENTS in heads:
            tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
            network.resize_token_embeddings(len(tokenizer))
        for name in ("length", "argument_length"):
            settings[name] = min(settings.get(name, getattr(Reader, name)), readable_length(network.config))
        reader = Reader(tokenizer, ontology, tuple(heads), segments=segments, **settings)
        if masked and tokenizer.mask_token_id is None:
            raise ModelError(f"{encoder}: masked={masked} needs a mask token, which the tokenizer does not have")
        mask = (int(tokenizer.mask_token_id or 0), masked)
        tagger = cls(reader, Model(network, reader.sizes(), getattr(network.config, "hidden_dropout_prob", 0.1), mask))
        if keep_heads:
            tagger._take_heads(Path(locate(encoder)))
        return tagger

    def _take_heads(self, folder: Path) -> None:
        record = contract.read(folder)
        theirs, ours = Ontology.from_json(**record["ontology"]), self.reader.ontology
        if [*theirs.entities, *theirs.events.items()] != [*ours.entities, *ours.events.items()]:  # order is tags' order
            raise ModelError(f"{folder}: cannot keep heads of ontology {theirs.name!r} for {ours.name!r}")
        if missing := set(self.reader.heads) - record["heads"].keys():
            raise ModelError(f"{folder}: cannot keep heads that it does not have: {sorted(missing)}")
        weights = load_file(folder / WEIGHTS)
        self.model.heads.load_state_dict({name: weights[f"heads.{name}"] for name in self.model.heads.state_dict()})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def device_type(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.type

    @property
    def precision(self) -> str:
        """``float32`` or ``bf16``."""
        return "bf16" if self.bf16 else "float32"

    def compute(self, batch: Mapping[str, Any]) -> dict[str, Floats]:
        """The arrays of a batch -> logits, (batch, words, tags) for each head."""
        device = self.device
        autocast = torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()
        self.model.eval()
        with torch.inference_mode(), autocast:
            output = self.model(**{name: tensor.to(device) for name, tensor in tensors(batch).items()})["logits"]
            return {head: scores.float().cpu().numpy() for head, scores in output.items()}

    def calibrate(self, documents: Iterable[Document]) -> None:
        """Fit a temperature (Guo et al. 2017) and a threshold for each head on documents that were not trained on.

        The threshold is the score below which leaving mentions out gains more F1 than it loses. The most probable
        tags of a window are those that are most often right as a whole, not those of the best F1 over mentions.
        """
        documents = list(documents)
        self.temperatures, self.thresholds = {}, {}
        readings = [self.reader.read(document) for document in documents]
        instances = [instance for reading in readings for instance in self.reader.instances(reading)]
        if not instances:
            return
        logits = self.logits(instances)
        targets = [self.reader.targets(instance) for instance in instances]
        for head in self.reader.heads:
            labels = np.concatenate([np.asarray(target[head], dtype=np.int64) for target in targets])
            scores = np.concatenate([row[head] for row in logits])
            kept = labels != IGNORE
            self.temperatures[head] = round(temperature(scores[kept], labels[kept]), 4)
        reliability = Reliability()
        for gold, found in zip(documents, self.tag(documents), strict=True):
            reliability.add(gold, found)
        for head, kind in reliability.to_json().items():
            best = max(kind["curve"], key=itemgetter("f1"), default={"threshold": 0.0})
            self.thresholds[head] = round(best["threshold"], 4)

    def save(self, folder: Path, half: bool = False) -> None:
        """Write the model folder: weights, encoder config, tokenizer and contract; replaced as a whole.

        With ``half`` the weights are rounded to float16: half the size, for models that are passed on.
        """
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        if half:
            weights = {n: tensor.half() if tensor.is_floating_point() else tensor for n, tensor in weights.items()}
        record = {
            "heads": self.reader.sizes(),
            "ontology": self.reader.ontology.to_json(),
            "reader": {name: getattr(self.reader, name) for name in _READER_SETTINGS},
            "vocabulary": len(self.reader.tokenizer),
            "dropout": self.model.dropout.p,
            "temperatures": self.temperatures,
            "thresholds": self.thresholds,
            "meta": self.meta,
        }
        config: Any = self.model.encoder.config
        with contract.replaced(folder) as staging:
            config.save_pretrained(staging)
            self.reader.tokenizer.save_pretrained(staging)
            save_file(weights, staging / WEIGHTS, metadata={"format": "pt"})
            (staging / WEIGHTS).chmod(0o644)  # safetensors makes it for its owner alone
            contract.write(staging, record)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", precision: Precision = "float32") -> Tagger:
        """Read a model folder; ``precision`` ``auto`` is bf16 where there are units for it.

        Raises `ModelError` with the reason where its parts do not fit each other.
        """
        record = contract.read(folder)
        reader = contract.reader(folder, record, AutoTokenizer.from_pretrained)
        model = Model(blank(AutoConfig.from_pretrained(folder)), record["heads"], record["dropout"])
        try:
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{folder}: {WEIGHTS} does not fit the contract: {error}") from error
        thresholds = record.get("thresholds", {})  # which folders of older versions do not have
        chosen = pick_device(device)
        model.eval().to(chosen)
        bf16 = precision == "bf16" or (precision == "auto" and bf16_is_native(chosen))
        return cls(reader, model, record["temperatures"], thresholds, record["meta"], bf16)
