"""Label a split with a model and judge what it says; or judge files of predictions, without model or torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from tqdm import tqdm

from khabar import report
from khabar.backends import load
from khabar.corpus import Corpus
from khabar.document import DataError, Document, Event, Mention
from khabar.features import ARGUMENTS, answerable
from khabar.formats import conll, jsonl, lines
from khabar.labeller import BATCH_TOKENS, Labeller
from khabar.scoring.facets import Describe, subword_facets, surfaces
from khabar.scoring.sequences import Sequences
from khabar.tables import summary

__all__ = ["evaluate", "score_files", "score_tags"]


@dataclass(frozen=True, slots=True)
class _Stream:
    """Documents that are read anew each time they are gone through, so that they need not be kept."""

    read: Callable[[], Iterable[Document]]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.read())


def evaluate(
    checkpoint: Path | str,
    corpus: Corpus,
    output: Path | str | None = None,
    split: str = "test",
    device: str = "auto",
    batch_tokens: int = BATCH_TOKENS,
    calibration: bool = True,
    draws: int = 10_000,
    examples: int = 50,
) -> dict[str, Any]:
    """Label a split and judge it.

    Args:
        checkpoint: a model folder that training or `khabar.export` (format=onnx) wrote.
        corpus, split: the gold documents. Layers that the model does not answer are not scored.
        output: folder for ``report.json``, ``report.html``, ``counts.jsonl`` (each document's counts, what
            `khabar.compare` reads), ``predictions.jsonl``, where gold has events ``predictions_gold_triggers.jsonl``
            (arguments found for gold triggers), and with ``calibration`` ``predictions_uncalibrated.jsonl`` (the same
            predictions with the scores they have without temperatures; takes as long as labelling does). By default
            ``evaluation-SPLIT`` beside the model.
        draws, examples: of `khabar.report.write`.

    Returns the report, and prints its scores.

    """
    output = Path(output or f"{checkpoint}/../evaluation-{split}")
    labeller = load(checkpoint, device)
    heads = labeller.reader.heads
    gold = [answerable(document, heads) for document in corpus.split(split)]

    def labelled(labeller: Labeller, what: str, gold_triggers: bool = False) -> Iterator[Document]:
        found = labeller.tag(gold, gold_triggers=gold_triggers, batch_tokens=batch_tokens)
        return iter(tqdm(found, total=len(gold), desc=f"labelling {split}{what}", unit="document"))

    def written(name: str, documents: Iterable[Document]) -> _Stream:
        jsonl.write(output / name, documents)
        return _Stream(lambda: jsonl.read(output / name))

    predicted = written("predictions.jsonl", labelled(labeller, ""))
    given = uncalibrated = None
    if ARGUMENTS in heads and any(document.events for document in gold):
        given = written("predictions_gold_triggers.jsonl", labelled(labeller, ", gold triggers", True))
    if calibration:
        cold = labelled(labeller.uncalibrated(), ", uncalibrated")
        uncalibrated = written("predictions_uncalibrated.jsonl", map(_kept, cold, predicted))
    evidence = report.Evidence(gold, predicted, given, uncalibrated)
    about = {"checkpoint": str(checkpoint), "corpus": corpus.name, "data": corpus.hash, "split": split}
    seen = surfaces(corpus.split("train")) if "train" in corpus.splits else None
    describe: Describe = subword_facets(labeller.reader)
    return report.write(output, about, evidence, seen, describe, draws, examples)


def score_files(
    gold: Sequence[Path | str],
    predicted: Sequence[Path | str],
    output: Path | str,
    gold_triggers: Sequence[Path | str] = (),
    uncalibrated: Sequence[Path | str] = (),
    train: Sequence[Path | str] = (),
    labels: Mapping[str, str] | None = None,
    draws: int = 10_000,
    examples: int = 50,
) -> dict[str, Any]:
    """Judge prediction files against gold files, pooled: the folds of a cross-validation are one set of documents.

    ``labels`` are the gold's names of predicted types and roles, where a model of another ontology is scored; what
    is predicted under a label that they do not name is left out. Only layers that are in both are scored. ``train``
    are the files that the model learned from: what it has seen is scored apart. Raises `DataError` where documents
    do not match.
    """

    def stream(paths: Sequence[Path | str], change: Callable[[Document], Document] | None = None) -> _Stream:
        every = _Stream(lambda: (document for path in paths for document in jsonl.read(path)))
        return every if change is None else _Stream(lambda: map(change, every))

    def named(document: Document) -> Document:
        return document if labels is None else _renamed(document, labels)

    found = stream(predicted, named)
    answered = _layers(found)
    if answered is None:
        raise DataError(f"no predictions in {[str(path) for path in predicted]}")

    def answerable(document: Document) -> Document:
        absent: dict[str, Any] = dict.fromkeys({"entities", "events"} - answered)
        return replace(document, **absent)

    evidence = report.Evidence(
        stream(gold, answerable),
        found,
        stream(gold_triggers, named) if gold_triggers else None,
        stream(uncalibrated, named) if uncalibrated else None,
    )
    about = {"gold": [str(path) for path in gold], "predicted": [str(path) for path in predicted]}
    return report.write(output, about, evidence, surfaces(stream(train)) if train else None, None, draws, examples)


def score_tags(
    gold: Sequence[Path | str], predicted: Sequence[Path | str], output: Path | str, tag_column: int = -1
) -> dict[str, Any]:
    """Score column files of the same tokens by their tags as they stand, under each convention for invalid ones.

    Writes and returns ``report.json``. Raises `DataError` that names the sentence where tokens differ.
    """
    sequences = Sequences()
    sides = [
        (sentence for path in paths for sentence in conll.sentences(path, tag_column=tag_column))
        for paths in (gold, predicted)
    ]
    for number, (truth, found) in enumerate(zip_longest(*sides), start=1):
        if truth is None or found is None or truth[0] != found[0]:
            here = [" ".join(side[0][:8]) if side else "nothing" for side in (truth, found)]
            raise DataError(
                f"sentence {number}: expected the same tokens, got {here[0]!r} in gold, {here[1]!r} predicted"
            )
        sequences.add_tags(truth[1], found[1])
    about = {"gold": [str(path) for path in gold], "predicted": [str(path) for path in predicted]}
    record = {"schema": report.SCHEMA, **about, "sequences": sequences.to_json()}
    lines.write(Path(output) / "report.json", [json.dumps(record, ensure_ascii=False, indent=2)])
    Console().print(summary(record))
    return record


def _layers(documents: Iterable[Document]) -> set[str] | None:
    """The layers that at least one document has; ``None`` where there is no document."""
    found: set[str] | None = None
    for document in documents:
        found = (found or set()) | {name for name in ("entities", "events") if getattr(document, name) is not None}
        if len(found) == 2:
            break
    return found


def _kept(document: Document, other: Document) -> Document:
    """A document with those of its mentions that the other one has too: temperatures change their scores alone."""
    entities = set(other.entities or ())
    arguments = {(event.trigger, argument) for event in other.events or () for argument in event.arguments}
    triggers = {event.trigger for event in other.events or ()}
    return replace(
        document,
        entities=None if document.entities is None else tuple(m for m in document.entities if m in entities),
        events=None
        if document.events is None
        else tuple(
            Event(e.trigger, tuple(a for a in e.arguments if (e.trigger, a) in arguments))
            for e in document.events
            if e.trigger in triggers
        ),
    )


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
