"""Fine-tune a tagger with the Hugging Face `Trainer`; everything a run needs to be repeated is in its folder."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments, set_seed

from khabar.batches import features
from khabar.corpus import Corpus
from khabar.dataset import read_instances
from khabar.document import DataError
from khabar.encoder import bf16_is_native
from khabar.formats import lines
from khabar.metrics import score
from khabar.model import Collator
from khabar.ontology import Ontology
from khabar.record import card, headline, surroundings
from khabar.runs import is_finished, last_checkpoint
from khabar.summaries import write_run
from khabar.tagger import Tagger
from khabar.tracking import track
from khabar.trainer import DocumentTrainer, judged, parameter_groups

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
    seed: int = 1,
    learning_rate: float = 5e-5,
    head_learning_rate: float = 5e-4,
    patience: int = 3,
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
        limit: learn from the first so many documents of each train split, and choose on as many of dev: a quick look.
        text_repeats: how often an epoch reads each window of text. Arguments bring one input for each trigger, so that
            in a corpus rich in events the windows, which teach entities and triggers, are few beside them.
        head_learning_rate: of the linear heads, which start from nothing.
        patience: epochs without a better dev score before the run stops.
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
    output = Path(output)
    config = {name: value for name, value in (record or {}).items() if name != "overwrite"}
    settings = {"config": config, "data": {str(c.path): c.hash for c in (corpus, *also)}, "seed": seed}
    folder = output / "model"
    if is_finished(output, settings, overwrite):
        log.info("%s holds this run, finished; overwrite=true trains it again", output)
        return folder

    follower = track(tracker, output, config, {str(c.path): c.hash for c in (corpus, *also)})
    if text_repeats < 1 or (limit is not None and limit < 1):
        raise DataError(f"expected limit and text_repeats of at least 1, got {limit} and {text_repeats}")
    set_seed(seed)
    documents = [document for part in (corpus, *also) for document in part.split("train")[:limit]]
    held_out = corpus.split("dev")[:limit] if "dev" in corpus.splits else []
    if dev == "learn":
        documents, held_out = [*documents, *held_out], []
    if held_out and objective not in (names := judged(score(held_out, held_out))):
        raise DataError(f"objective: expected a score that dev has, one of {', '.join(names)}, got {objective!r}")
    ontology = ontology or _union([part.ontology for part in (corpus, *also)])
    tagger = model(ontology=ontology, **task)
    instances = read_instances(tagger.reader, documents)
    instances = [i for i in instances for _ in range(text_repeats if i.trigger is None else 1)]
    rows = [features(tagger.reader, instance, labels=True) for instance in instances]
    words = sum(len(instance.words) for instance in instances)
    subwords = sum(len(instance.input_ids) for instance in instances)
    log.info(
        "%d documents, %d inputs an epoch (%d words, %d subwords), %d documents in dev",
        len(documents),
        len(instances),
        words,
        subwords,
        len(held_out),
    )

    tagger.bf16 = bf16 = precision == "bf16" or (precision == "auto" and bf16_is_native())
    arguments = trainer(
        output_dir=str(output / "checkpoints"),
        seed=seed,
        learning_rate=learning_rate,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch" if held_out else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=bool(held_out),
        metric_for_best_model=f"eval_{objective}" if held_out else None,
        greater_is_better=True if held_out else None,
        **follower.arguments,
    )
    optimiser = torch.optim.AdamW(
        parameter_groups(tagger, learning_rate, head_learning_rate, arguments.weight_decay), fused=True
    )
    runner = DocumentTrainer(
        tagger,
        held_out,
        model=tagger.model,
        args=arguments,
        train_dataset=rows,
        data_collator=Collator(tagger.reader),
        optimizers=(optimiser, None),
        callbacks=[*([EarlyStoppingCallback(patience)] if held_out else []), *follower.callbacks, *callbacks],
    )
    checkpoint = last_checkpoint(output / "checkpoints")
    done = 0.0  # epochs that an interrupted run left behind
    if checkpoint:
        done = json.loads((Path(checkpoint) / "trainer_state.json").read_text(encoding="utf-8"))["epoch"]
        log.info("resuming from %s", checkpoint)
    began = time.perf_counter()
    with follower.following():
        runner.train(resume_from_checkpoint=checkpoint)
    seconds = time.perf_counter() - began

    tagger.calibrate(held_out)
    found = score(held_out, tagger.tag(held_out)) if held_out else None
    scores = found.to_json() if found else {}
    history = [row for row in runner.state.log_history if "eval_f1" in row or "loss" in row]
    run = {
        **settings,
        **surroundings(),
        "device": str(tagger.device),
        "precision": "bf16" if bf16 else "float32",
        "train": {
            "documents": len(documents),
            "inputs": len(instances),
            "words": words,
            "subwords": subwords,
        },
        "seconds": round(seconds, 1),
        "epochs": runner.state.epoch,
        "words_per_second": round(words * ((runner.state.epoch or 0) - done) / seconds, 1),
        "temperatures": tagger.temperatures,
        "thresholds": tagger.thresholds,
        "dev": scores,
        "objective": {"name": objective, "value": judged(found)[objective] if found else None},
        "history": history,
    }
    tagger.meta = {"data": settings["data"], "seed": seed, "dev": headline(scores)}
    tagger.save(folder)
    lines.write(folder / "README.md", [card(run, (corpus, *also), tagger.reader)])
    pages = write_run(output, run, (corpus, *also))
    lines.write(output / "run.json", [json.dumps(run, ensure_ascii=False, indent=2)])
    follower.finish(
        {f"dev_{k}": v for k, v in (judged(found) if found else {}).items()}, [folder / "README.md", *pages]
    )
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
