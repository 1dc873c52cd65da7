"""Fine-tune a tagger with the Hugging Face `Trainer`; everything a run needs to be repeated is in its folder."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments, set_seed

from khabar import checkpoints, processes
from khabar.cache import read
from khabar.cards import CARD, card, intervals
from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.encoder import bf16_is_native
from khabar.features import answerable
from khabar.formats import lines
from khabar.lora import adapt, merge
from khabar.metrics import score
from khabar.model import Collator
from khabar.ontology import Ontology
from khabar.record import headline, surroundings
from khabar.runs import is_finished
from khabar.summaries import write_run
from khabar.tagger import Tagger
from khabar.tracking import track
from khabar.trainer import DocumentTrainer, judged

__all__ = ["train"]

log = logging.getLogger(__name__)


@checkpoints.disk_errors_named
def train(
    model: Callable[..., Tagger],
    task: Mapping[str, Any],
    corpus: Corpus,
    trainer: Callable[..., TrainingArguments],
    output: Path | str,
    also: Sequence[Corpus] = (),
    ontology: Ontology | None = None,
    peft: Mapping[str, Any] | None = None,
    limit: int | None = None,
    text_repeats: int = 1,
    batch_tokens: int | None = None,
    train_context: int | None = None,
    learn_context: bool = False,
    cache: Path | str | None = None,
    seed: int = 1,
    learning_rate: float = 5e-5,
    head_learning_rate: float = 5e-4,
    patience: int = 3,
    eval_steps: int | None = None,
    save_steps: int | None = None,
    keep_checkpoints: int = 2,
    precision: Literal["auto", "float32", "bf16"] = "auto",
    dev: Literal["choose", "learn"] = "choose",
    objective: str = "f1",
    tracker: str = "tensorboard",
    callbacks: Sequence[TrainerCallback] = (),
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Train on the ``train`` split, choose the epoch on ``dev``, and write the model folder.

    Args:
        model: makes a tagger from ``ontology``, ``heads`` and window settings: `Tagger.create` with its encoder.
        task: ``heads`` and the window settings of `khabar.features.Reader`.
        corpus: where train and dev come from; without a dev split the last epoch is kept.
        trainer: makes the `TrainingArguments` from an output folder, the seed and what this function decides.
        output: the run's folder: checkpoints while it runs, then ``model/``, ``run.json``, ``summary.html`` with
            ``plots/``, and TensorBoard logs.
        also: further corpora whose train splits are learned in the same run; each document teaches only
            the layers it is annotated with.
        ontology: the types to learn; by default the union of the corpora's.
        peft: settings of `khabar.lora.adapt`, where adapters are trained in place of the whole encoder.
        limit: learn from the first so many documents of each train split, and choose on as many of dev: a quick look.
        text_repeats: how often an epoch reads each window of text. Arguments bring one input for each trigger, so that
            in a corpus rich in events the windows, which teach entities and triggers, are few beside them.
        batch_tokens: subwords of a batch, padding counted, in place of the trainer's number of inputs: many short
            inputs go together then, or a few long ones.
        train_context: subwords of neighbouring text that windows read on each side in training, where that is not to
            be ``task``'s ``context``: what is read again takes time.
        learn_context: whether windows teach those words too, which else teach in the window that owns them alone.
        cache: the folder where tokenised corpora are kept for the next run (`khabar.cache.default_folder`).
        head_learning_rate: of the linear heads, which start from nothing.
        patience: scores of dev without a better one before the run stops.
        eval_steps: steps between scores of dev, each followed by a checkpoint; by default one after each epoch.
        save_steps: steps between further checkpoints, for epochs that take long.
        keep_checkpoints: how many of the last checkpoints are kept, beside the best.
        precision: ``auto`` is bf16 where the processor or GPU has units for it.
        dev: ``choose`` the epoch on the dev split and fit temperatures and thresholds on it; or ``learn`` from it too,
            for a fixed number of epochs that was chosen before: the last run before a test split is scored.
        objective: the dev score that chooses the epoch, ends the run and is the value of a trial in a sweep: ``f1``,
            the mean of the layers, or ``entities_f1``, ``triggers_f1`` or ``arguments_f1``.
        tracker: who follows the run (`khabar.tracking`): none, tensorboard, mlflow, wandb or trackio.
        callbacks: further callbacks of the `Trainer`.
        overwrite: begin again where ``output`` holds a run.
        record: the resolved configuration, kept with the run; a run is resumed only with an equal one.

    Returns the model folder. A finished run is left as it is; an interrupted one resumes from its last checkpoint.
    Raises `DataError` where ``output`` holds a run of another configuration, and what `khabar.tracking.track` raises.

    """
    for name, value, choices in (
        ("precision", precision, ("auto", "float32", "bf16")),
        ("dev", dev, ("choose", "learn")),
    ):
        if value not in choices:
            raise DataError(f"{name}={value}: expected one of {', '.join(choices)}")
    output = Path(output)
    ontology = ontology or _union([part.ontology for part in (corpus, *also)])
    types = json.dumps(ontology.to_json(), ensure_ascii=False)  # in their order, which is that of the labels
    config = {name: value for name, value in (record or {}).items() if name not in ("overwrite", "cache")}
    settings = {
        "config": config,
        "data": {str(c.path): c.hash for c in (corpus, *also)},
        "types": hashlib.sha256(types.encode()).hexdigest(),
        "seed": seed,
    }
    folder = output / "model"
    scored = dev == "choose" and bool(corpus.manifest["splits"].get("dev", {}).get("documents"))
    bf16 = precision == "bf16" or (precision == "auto" and bf16_is_native())
    follower = track(tracker, output, config, {str(c.path): c.hash for c in (corpus, *also)})
    arguments = _arguments(
        partial(trainer, **follower.arguments),
        output / "checkpoints",
        seed=seed,
        learning_rate=learning_rate,
        bf16=bf16,
        objective=objective if scored else None,
        eval_steps=eval_steps,
    )
    if processes.first(lambda: is_finished(output, settings, overwrite)):
        log.info("%s holds this run, finished; overwrite=true trains it again", output)
        return folder

    for name, number in {"limit": limit, "text_repeats": text_repeats, "batch_tokens": batch_tokens}.items():
        if number is not None and number < 1:
            raise DataError(f"{name}={number}: expected at least 1")
    set_seed(seed)
    held_out = [
        answerable(ontology.check(document), task["heads"])
        for document in (corpus.split("dev")[:limit] if "dev" in corpus.splits else ())
    ]
    parts = [(part, "train") for part in (corpus, *also)]
    if dev == "learn" and held_out:
        parts, held_out = [*parts, (corpus, "dev")], []
    if held_out and objective not in (names := judged(score(held_out, held_out))):
        raise DataError(f"objective: expected a score that dev has, one of {', '.join(names)}, got {objective!r}")
    tagger = model(ontology=ontology, **task)
    if peft:
        adapt(tagger, **peft)
    context = tagger.reader.context if train_context is None else train_context
    if learn_context and not context:
        raise DataError("learn_context=true: these windows read no context that could teach")
    reader = replace(tagger.reader, context=context, learn_context=learn_context)
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

    tagger.bf16 = bf16
    runner = DocumentTrainer(
        tagger,
        held_out,
        rows,
        rates=(learning_rate, head_learning_rate),
        batch_tokens=batch_tokens,
        keep=keep_checkpoints,
        save_steps=save_steps,
        model=tagger.model,
        args=arguments,
        data_collator=Collator(tagger.reader),
        callbacks=[*([EarlyStoppingCallback(patience)] if held_out else []), *follower.callbacks, *callbacks],
    )
    checkpoint = processes.first(lambda: checkpoints.latest(output / "checkpoints", processes.world()))
    done = 0.0  # epochs that an interrupted run left behind
    if checkpoint:
        done = checkpoints.state(checkpoint)["epoch"]
        log.info("resuming from %s", checkpoint)
    began = time.perf_counter()
    with follower.following():
        runner.fit(checkpoint)
    seconds = time.perf_counter() - began
    if processes.rank():
        return processes.first(lambda: folder)  # when it is written
    trained = sum(parameter.numel() for parameter in tagger.model.parameters() if parameter.requires_grad)
    if peft:
        merge(tagger)

    tagger.calibrate(held_out)
    predicted = list(tagger.tag(held_out))
    found = score(held_out, predicted) if held_out else None
    scores = found.to_json() if found else {}
    history = [row for row in runner.state.log_history if "eval_f1" in row or "loss" in row]
    run = {
        **settings,
        **surroundings(),
        "device": str(tagger.device),
        "processes": processes.world(),
        "precision": "bf16" if bf16 else "float32",
        "train": {
            "documents": documents,
            "inputs": len(rows),
            "words": words,
            "subwords": subwords,
        },
        "parameters": {"all": sum(p.numel() for p in tagger.model.parameters()), "trained": trained},
        "seconds": round(seconds, 1),
        "epochs": runner.state.epoch,
        "words_per_second": round(words * ((runner.state.epoch or 0) - done) / seconds, 1),
        "temperatures": tagger.temperatures,
        "thresholds": tagger.thresholds,
        "dev": scores,
        "objective": {"name": objective, "value": judged(found)[objective] if found else None},
        "dev_intervals": intervals(held_out, predicted),
        "history": history,
    }
    tagger.meta = {"data": settings["data"], "seed": seed, "dev": headline(scores)}
    tagger.save(folder)
    lines.write(folder / CARD, [card(run, (corpus, *also), tagger.reader)])
    pages = write_run(output, run, (corpus, *also))
    lines.write(output / "run.json", [json.dumps(run, ensure_ascii=False, indent=2)])
    follower.finish({f"dev_{k}": v for k, v in (judged(found) if found else {}).items()}, [folder / CARD, *pages])
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    log.info("model in %s", folder)
    return processes.first(lambda: folder)


def _arguments(
    trainer: Callable[..., TrainingArguments],
    folder: Path,
    *,
    seed: int,
    learning_rate: float,
    bf16: bool,
    objective: str | None,
    eval_steps: int | None,
) -> TrainingArguments:
    """The trainer's arguments with what a run decides; ``objective`` is ``None`` where no dev is scored.

    Making them joins the other processes, where there are several. Raises `DataError` where the trainer decides the
    same, or needs what is not installed.
    """
    given = getattr(trainer, "keywords", {})
    if given.get("deepspeed") and find_spec("deepspeed") is None:
        raise DataError("trainer=deepspeed needs the extra khabar[deepspeed]: pip install 'khabar[deepspeed]'")
    scored = objective is not None
    often = {"eval_steps": eval_steps, "save_steps": eval_steps} if eval_steps and scored else {}
    decided: dict[str, Any] = {
        "output_dir": str(folder),
        "seed": seed,
        "learning_rate": learning_rate,
        "bf16": bf16,
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "remove_unused_columns": False,
        "average_tokens_across_devices": True,
        "logging_nan_inf_filter": False,
        "eval_strategy": ("steps" if often else "epoch") if scored else "no",
        "save_strategy": "steps" if often else "epoch",
        "save_total_limit": None,  # `DocumentTrainer` keeps and removes
        "load_best_model_at_end": scored,
        "metric_for_best_model": f"eval_{objective}" if scored else None,
        "greater_is_better": True if scored else None,
        "restore_callback_states_from_checkpoint": True,
        **often,
    }
    if both := sorted(decided.keys() & given.keys()):
        raise DataError(f"trainer.{both[0]}: expected no such key there: other keys of a run decide it")
    return trainer(**decided)


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
