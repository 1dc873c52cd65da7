"""Score predictions against gold: strict spans for entities, triggers and arguments, seqeval beside them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from tqdm import tqdm

from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.features import ARGUMENTS, ENTITIES, TRIGGERS
from khabar.formats import jsonl, lines
from khabar.metrics import pairs, score
from khabar.sequences import Sequences
from khabar.tables import tables
from khabar.tagger import Tagger

__all__ = ["compare", "evaluate"]

log = logging.getLogger(__name__)
SCHEMA = 1


def evaluate(
    checkpoint: Path | str,
    corpus: Corpus,
    output: Path | str,
    split: str = "test",
    device: str = "auto",
    batch_tokens: int = 2048,
) -> dict[str, Any]:
    """Label a split and score it.

    Args:
        checkpoint: a model folder that training wrote.
        corpus, split: the gold documents. Layers that the model does not answer are not scored.
        output: folder for ``report.json``, ``predictions.jsonl`` and, where gold has events,
            ``predictions_gold_triggers.jsonl`` (arguments found for gold triggers).

    Returns the report, and prints it as tables.

    """
    output = Path(output)
    tagger = Tagger.load(Path(checkpoint), device)
    heads = tagger.reader.heads
    gold = [
        replace(
            document,
            entities=document.entities if ENTITIES in heads else None,
            events=document.events if TRIGGERS in heads else None,
        )
        for document in corpus.split(split)
    ]
    progress = tqdm(gold, desc=f"labelling {split}", unit="document")
    predicted = list(tagger.tag(progress, batch_tokens=batch_tokens))
    jsonl.write(output / "predictions.jsonl", predicted)
    given = None
    if ARGUMENTS in heads and any(document.events for document in gold):
        given = list(tagger.tag(gold, gold_triggers=True, batch_tokens=batch_tokens))
        jsonl.write(output / "predictions_gold_triggers.jsonl", given)
    report = {"checkpoint": str(checkpoint), "corpus": corpus.name, "data": corpus.hash, "split": split}
    return _write(output, report, gold, predicted, given)


def compare(
    gold: Sequence[Path | str],
    predicted: Sequence[Path | str],
    output: Path | str,
    gold_triggers: Sequence[Path | str] = (),
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Score prediction files against gold files, pooled: the folds of a cross-validation are one set of documents.

    ``labels`` are the gold's names of predicted types and roles, where a model of another ontology is scored; what
    is predicted under a label that they do not name is left out. Only layers that are in both are scored. Raises
    `DataError` where documents do not match.
    """
    truth = [document for path in gold for document in jsonl.read(path)]
    found, given = (
        [document if labels is None else _renamed(document, labels) for path in paths for document in jsonl.read(path)]
        for paths in (predicted, gold_triggers)
    )
    if not found:
        raise DataError(f"no predictions in {[str(path) for path in predicted]}")
    if all(document.entities is None for document in found):
        truth = [replace(document, entities=None) for document in truth]
    if all(document.events is None for document in found):
        truth = [replace(document, events=None) for document in truth]
    report = {"gold": [str(path) for path in gold], "predicted": [str(path) for path in predicted]}
    return _write(Path(output), report, truth, found, given or None)


def _renamed(document: Document, labels: Mapping[str, str]) -> Document:
    def renamed(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
        return tuple(replace(mention, label=labels[mention.label]) for mention in mentions if mention.label in labels)

    events = document.events or ()
    return replace(
        document,
        entities=None if document.entities is None else renamed(document.entities),
        events=None
        if document.events is None
        else tuple(Event(trigger, renamed(e.arguments)) for e in events for trigger in renamed([e.trigger])),
    )


def _write(
    output: Path,
    about: dict[str, Any],
    gold: Sequence[Document],
    predicted: Sequence[Document],
    given: Sequence[Document] | None,
) -> dict[str, Any]:
    scores = score(gold, predicted)
    with_gold = score(gold, given) if given is not None else None
    report = {"schema": SCHEMA, **about, "scores": scores.to_json()}
    if with_gold is not None:
        report["scores_gold_triggers"] = {
            kind: value for kind, value in with_gold.to_json().items() if kind.startswith("A")
        }
    if any(document.entities is not None for document in gold):
        report["seqeval"] = _seqeval(gold, predicted)
    lines.write(output / "report.json", [json.dumps(report, ensure_ascii=False, indent=2)])
    console = Console()
    for table in tables(scores, with_gold):
        console.print(table)
    if "seqeval" in report:
        console.print(f"seqeval, strict IOB2 over words: F1 {100 * report['seqeval']['micro']['f1']:.2f}")
    log.info("report in %s", output / "report.json")
    return report


def _seqeval(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, Any]:
    """The field's number for entities: tags over words, where a clitic before a name does not show."""
    sequences = Sequences()
    for pair in pairs(gold, predicted):
        sequences.add(*pair)
    found: dict[str, Any] = sequences.to_json()["seqeval"]
    return found
