"""Ontology + tokenizer + model: what labels documents, and the folder it lives in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer

from khabar import contract
from khabar.batches import Collator, batches
from khabar.calibration import temperature
from khabar.document import DataError, Document, Event, Mention
from khabar.edges import whole
from khabar.encoder import WEIGHTS, ModelError, blank, locate, pick_device, pretrained, readable_length
from khabar.features import ARGUMENTS, ENTITIES, IGNORE, MARKERS, TRIGGERS, Floats, Instance, Reader
from khabar.model import Model
from khabar.ontology import Ontology
from khabar.scoring.reliability import Reliability

__all__ = ["Tagger"]

_READER_SETTINGS = ("preprocessing", "length", "context", "argument_length", "segments")


@dataclass
class Tagger:
    """Finds entities, events and arguments.

    ``temperatures`` divide the logits of each head before decoding: calibration (Guo et al. 2017). A mention whose
    score is below the ``thresholds`` of its head is left out.
    ``meta`` is passed through the folder (what it was trained on, scores).
    """

    reader: Reader
    model: Model
    temperatures: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

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

    def features(self, instance: Instance, labels: bool = False) -> dict[str, Any]:
        """The plain lists that `Collator` pads."""
        result = {
            "input_ids": instance.input_ids,
            "token_type_ids": instance.token_type_ids,
            "positions": instance.positions,
        }
        return {**result, "labels": self.reader.targets(instance)} if labels else result

    def logits(
        self, instances: Sequence[Instance], batch_tokens: int = 2048, bf16: bool = False
    ) -> list[dict[str, Floats]]:
        """Calibrated logits of each instance, (words, tags) for each head.

        Instances are sorted by length into batches of at most ``batch_tokens`` subwords, padding counted.
        """
        collate = Collator(self.reader)
        result: list[dict[str, Floats]] = [{} for _ in instances]
        order = sorted(range(len(instances)), key=lambda index: len(instances[index].input_ids))
        device = self.device
        autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self.model.eval()
        with torch.inference_mode(), autocast:
            for rows in batches(order, [len(instance.input_ids) for instance in instances], batch_tokens):
                batch = collate([self.features(instances[row]) for row in rows])
                output = self.model(**{name: tensor.to(device) for name, tensor in batch.items()})["logits"]
                for head, scores in output.items():
                    values = (scores.float() / self.temperatures.get(head, 1.0)).cpu().numpy()
                    for place, row in enumerate(rows):
                        result[row][head] = values[place, : len(instances[row].words)]
        return result

    def tag(
        self,
        documents: Iterable[Document],
        gold_triggers: bool = False,
        batch_tokens: int = 2048,
        bf16: bool = False,
        chunk: int = 64,
        report: Counter[str] | None = None,
    ) -> Iterator[Document]:
        """Label documents, in order, with the layers this model answers; other layers become ``None``.

        With ``gold_triggers`` the triggers of each document's own events are kept and only their
        arguments are found. Documents are read in chunks, whose windows are batched together.
        ``report`` counts what was read: documents, words, those labelled, those of which preprocessing
        leaves nothing, those cut short for their length, windows, triggers.
        """
        pending, counts = iter(documents), Counter[str]() if report is None else report
        while group := list(islice(pending, chunk)):
            yield from self._tag(group, gold_triggers, {"batch_tokens": batch_tokens, "bf16": bf16}, counts)

    def _tag(
        self, group: Sequence[Document], gold_triggers: bool, run: Mapping[str, Any], counts: Counter[str]
    ) -> Iterator[Document]:
        reader = self.reader
        readings = [reader.read(document) for document in group]
        windows = [reader.text_pass(reading) for reading in readings]
        flat = [instance for instances in windows for instance in instances]
        counts["documents"] += len(group)
        counts["words"] += sum(len(reading.words) + reading.unread for reading in readings)
        counts["words labelled"] += sum(len(instance.words) for instance in flat)
        counts["words without a readable form"] += sum(reading.unread for reading in readings)
        counts["words cut short"] += sum(reading.shortened for reading in readings)
        counts["windows"] += len(flat)
        logits = self.logits(flat, **run)
        entities = self._by_document(ENTITIES, windows, flat, logits)
        triggers = self._by_document(TRIGGERS, windows, flat, logits)
        if gold_triggers:
            triggers = [list(dict.fromkeys(e.trigger for e in d.events or ())) for d in group]
            for document, found in zip(group, triggers, strict=True):
                if unknown := {trigger.label for trigger in found} - reader.ontology.events.keys():
                    raise DataError(f"document {document.id!r}: the model has no event types {sorted(unknown)}")
        events: list[list[Event]] | None = None
        if triggers is not None:
            events = [[] for _ in group]
            primed: list[tuple[int, Mention, Instance | None]] = []
            for index, (reading, found) in enumerate(zip(readings, triggers, strict=True)):
                for trigger in found:
                    answers = ARGUMENTS in reader.heads
                    primed.append((index, trigger, reader.argument_pass(reading, trigger) if answers else None))
            inputs = [instance for _, _, instance in primed if instance is not None]
            counts["triggers"] += len(primed)
            arguments = iter(self._mentions(ARGUMENTS, inputs, self.logits(inputs, **run)) if inputs else [])
            for index, trigger, instance in primed:
                found = [] if instance is None else next(arguments)
                named = [] if entities is None else entities[index]
                events[index].append(Event(trigger, tuple(dict.fromkeys(whole(a, named) for a in found))))
        for index, document in enumerate(group):
            yield replace(
                document,
                entities=None if entities is None else tuple(entities[index]),
                events=None if events is None or (gold_triggers and document.events is None) else tuple(events[index]),
            )

    def _by_document(
        self,
        head: str,
        windows: Sequence[Sequence[Instance]],
        flat: Sequence[Instance],
        logits: Sequence[Mapping[str, Floats]],
    ) -> list[list[Mention]] | None:
        if head not in self.reader.heads:
            return None
        found = iter(self._mentions(head, flat, logits))
        return [[mention for _ in instances for mention in next(found)] for instances in windows]

    def _mentions(
        self, head: str, instances: Sequence[Instance], logits: Sequence[Mapping[str, Floats]]
    ) -> list[list[Mention]]:
        """What a head finds in each instance, as far as it is sure enough of it."""
        least = self.thresholds.get(head, 0.0)
        every = self.reader.mentions(head, instances, logits)
        return [[mention for mention in found if (mention.score or 0.0) >= least] for found in every]

    def calibrate(self, documents: Iterable[Document], bf16: bool = False) -> None:
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
        logits = self.logits(instances, bf16=bf16)
        targets = [self.reader.targets(instance) for instance in instances]
        for head in self.reader.heads:
            labels = np.concatenate([np.asarray(target[head], dtype=np.int64) for target in targets])
            scores = np.concatenate([row[head] for row in logits])
            kept = labels != IGNORE
            self.temperatures[head] = round(temperature(scores[kept], labels[kept]), 4)
        reliability = Reliability()
        for gold, found in zip(documents, self.tag(documents, bf16=bf16), strict=True):
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
    def load(cls, folder: Path, device: str = "auto") -> Tagger:
        """Read a model folder. Raises `ModelError` with the reason where its parts do not fit each other."""
        record = contract.read(folder)
        try:
            ontology = Ontology.from_json(**record["ontology"])
            tokenizer = AutoTokenizer.from_pretrained(folder)
            reader = Reader(tokenizer, ontology, tuple(record["heads"]), **record["reader"])
            config = AutoConfig.from_pretrained(folder)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError(f"{folder}: the contract cannot be honoured: {error}") from error
        if reader.sizes() != record["heads"]:
            raise ModelError(f"{folder}: heads {record['heads']}, but its ontology needs {reader.sizes()}")
        if len(tokenizer) != record["vocabulary"]:
            raise ModelError(
                f"{folder}: the tokenizer has {len(tokenizer)} pieces, the model was made with {record['vocabulary']}"
            )
        longest = max(reader.length, reader.argument_length)
        if longest > readable_length(config):
            raise ModelError(
                f"{folder}: windows of {longest}, but the encoder reads {readable_length(config)} subwords"
            )
        model = Model(blank(config), record["heads"], record["dropout"])
        try:
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{folder}: {WEIGHTS} does not fit the contract: {error}") from error
        thresholds = record.get("thresholds", {})  # which folders of older versions do not have
        tagger = cls(reader, model.eval(), record["temperatures"], thresholds, record["meta"])
        model.to(pick_device(device))
        return tagger
