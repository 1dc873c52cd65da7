"""Fine-tune a tagger with the Hugging Face `Trainer`; everything a run needs to be repeated is in its folder."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from khabar.cache import read
from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.encoder import bf16_is_native
from khabar.formats import lines
from khabar.metrics import score
from khabar.model import Collator
from khabar.ontology import Ontology
from khabar.record import card, headline, surroundings
from khabar.runs import is_finished, last_checkpoint
from khabar.tagger import Tagger
from khabar.trainer import DocumentTrainer, parameter_groups

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(
    model: Callable[..., Tagger],
    task: Mapping[str, Any],
    corpus: Corpus,
    trainer: Callable[..., TrainingArguments],
    output: Path | str,
    also: Sequence[Corpus] = (),
    ontology: Ontology | None = None,
    limit: int | None = None,
    text_repeats: int = 1,
    batch_tokens: int | None = None,
    train_context: int | None = None,
    cache: Path | str | None = None,
    seed: int = 1,
    learning_rate: float = 5e-5,
    head_learning_rate: float = 5e-4,
    patience: int = 3,
    precision: Literal["auto", "float32", "bf16"] = "auto",
    dev: Literal["choose", "learn"] = "choose",
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Train on the ``train`` split, choose the epoch on ``dev``, and write the model folder.

    Args:
        model: makes a tagger from ``ontology``, ``heads`` and window settings: `Tagger.create` with its encoder.
        task: ``heads`` and the window settings of `khabar.features.Reader`.
        corpus: where train and dev come from; without a dev split the last epoch is kept.
        trainer: makes the `TrainingArguments` from an output folder, the seed and what this function decides.
        output: the run's folder: checkpoints while it runs, then ``model/``, ``run.json`` and TensorBoard logs.
        also: further corpora whose train splits are learned in the same run; each document teaches only
            the layers it is annotated with.
        ontology: the types to learn; by default the union of the corpora's.
        limit: learn from the first so many documents of each train split, and choose on as many of dev: a quick look.
        text_repeats: how often an epoch reads each window of text. Arguments bring one input for each trigger, so that
            in a corpus rich in events the windows, which teach entities and triggers, are few beside them.
        batch_tokens: subwords of a batch, padding counted, in place of the trainer's number of inputs: many short
            inputs go together then, or a few long ones.
        train_context: subwords of neighbouring text that windows read on each side in training, where that is not to
            be ``task``'s ``context``: what is read again takes time and teaches nothing new.
        cache: the folder where tokenised corpora are kept for the next run (`khabar.cache.default_folder`).
        head_learning_rate: of the linear heads, which start from nothing.
        patience: epochs without a better dev score before the run stops.
        precision: ``auto`` is bf16 where the processor or GPU has units for it.
        dev: ``choose`` the epoch on the dev split and fit temperatures and thresholds on it; or ``learn`` from it too,
            for a fixed number of epochs that was chosen before: the last run before a test split is scored.
        overwrite: begin again where ``output`` holds a run.
        record: the resolved configuration, kept with the run; a run is resumed only with an equal one.

    Returns the model folder. A finished run is left as it is; an interrupted one resumes from its last checkpoint.
    Raises `DataError` where ``output`` holds a run of another configuration.

    """
    output = Path(output)
    config = {name: value for name, value in (record or {}).items() if name not in ("overwrite", "cache")}
    settings = {"config": config, "data": {str(c.path): c.hash for c in (corpus, *also)}, "seed": seed}
    folder = output / "model"
    if is_finished(output, settings, overwrite):
        log.info("%s holds this run, finished; overwrite=true trains it again", output)
        return folder

    for name, number in {"limit": limit, "text_repeats": text_repeats, "batch_tokens": batch_tokens}.items():
        if number is not None and number < 1:
            raise DataError(f"{name}={number}: expected at least 1")
    set_seed(seed)
    held_out = corpus.split("dev")[:limit] if "dev" in corpus.splits else []
    parts = [(part, "train") for part in (corpus, *also)]
    if dev == "learn" and held_out:
        parts, held_out = [*parts, (corpus, "dev")], []
    ontology = ontology or _union([part.ontology for part in (corpus, *also)])
    tagger = model(ontology=ontology, **task)
    reader = tagger.reader if train_context is None else replace(tagger.reader, context=train_context)
    rows, counts = read(reader, parts, limit, text_repeats, Path(cache) if cache else None)
    documents, words, subwords = counts["documents"], int(rows.words.sum()), int(rows.lengths.sum())
    log.info(
        "%d documents, %d inputs an epoch (%d words, %d subwords), %d documents in dev",
        documents,
        len(rows),
        words,
        subwords,
        len(held_out),
    )

    tagger.bf16 = bf16 = precision == "bf16" or (precision == "auto" and bf16_is_native())
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(output / "tensorboard")
    arguments = trainer(
        output_dir=str(output / "checkpoints"),
        seed=seed,
        learning_rate=learning_rate,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        eval_strategy="epoch" if held_out else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=bool(held_out),
        metric_for_best_model="eval_f1" if held_out else None,
        greater_is_better=True if held_out else None,
    )
    optimiser = torch.optim.AdamW(
        parameter_groups(tagger, learning_rate, head_learning_rate, arguments.weight_decay), fused=True
    )
    runner = DocumentTrainer(
        tagger,
        held_out,
        rows,
        batch_tokens,
        model=tagger.model,
        args=arguments,
        data_collator=Collator(tagger.reader),
        optimizers=(optimiser, None),
        callbacks=[EarlyStoppingCallback(patience)] if held_out else [],
    )
    checkpoint = last_checkpoint(output / "checkpoints")
    done = 0.0  # epochs that an interrupted run left behind
    if checkpoint:
        done = json.loads((Path(checkpoint) / "trainer_state.json").read_text(encoding="utf-8"))["epoch"]
        log.info("resuming from %s", checkpoint)
    began = time.perf_counter()
    runner.train(resume_from_checkpoint=checkpoint)
    seconds = time.perf_counter() - began

    tagger.calibrate(held_out)
    scores = score(held_out, tagger.tag(held_out)).to_json() if held_out else {}
    history = [row for row in runner.state.log_history if "eval_f1" in row or "loss" in row]
    run = {
        **settings,
        **surroundings(),
        "device": str(tagger.device),
        "precision": "bf16" if bf16 else "float32",
        "train": {
            "documents": documents,
            "inputs": len(rows),
            "words": words,
            "subwords": subwords,
        },
        "seconds": round(seconds, 1),
        "epochs": runner.state.epoch,
        "words_per_second": round(words * ((runner.state.epoch or 0) - done) / seconds, 1),
        "temperatures": tagger.temperatures,
        "thresholds": tagger.thresholds,
        "dev": scores,
        "history": history,
    }
    tagger.meta = {"data": settings["data"], "seed": seed, "dev": headline(scores)}
    tagger.save(folder)
    lines.write(folder / "README.md", [card(run, (corpus, *also), tagger.reader)])
    lines.write(output / "run.json", [json.dumps(run, ensure_ascii=False, indent=2)])
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    log.info("model in %s", folder)
    return folder


def _union(ontologies: Sequence[Ontology]) -> Ontology:
    """Every type of every ontology; raises `DataError` where two give an event type other roles."""
    merged = ontologies[0]
    for other in ontologies[1:]:
        for name in merged.events.keys() & other.events.keys():
            if merged.events[name] != other.events[name]:
                raise DataError(f"ontologies {merged.name!r} and {other.name!r} differ in event type {name!r}")
        merged = Ontology(
            f"{merged.name}+{other.name}",
            {**other.entities, **merged.entities},
            {**other.events, **merged.events},
        )
    return merged
