"""A model folder in another format, written only where it labels as the model does."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from khabar import contract, graph, plain
from khabar.agreement import Agreement, Tags, agreement, tags
from khabar.cards import CARD, inherited, metadata, with_front_matter
from khabar.contract import WEIGHTS, ModelError
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.features import Instance
from khabar.labeller import Labeller
from khabar.metrics import score
from khabar.onnx import OnnxLabeller
from khabar.tagger import Tagger

__all__ = ["FORMATS", "QUANTIZE", "export"]

log = logging.getLogger(__name__)
RECORD = "export.json"
QUANTIZE = ("none", "int8")
LOST_F1, LEAST_AGREEMENT = 0.005, 0.99  # what an export may lose before it is refused
_LIBRARIES = {
    "onnx": ("khabar", "torch", "transformers", "onnx", "onnxruntime", "onnxscript", "numpy"),
    "transformers": ("khabar", "torch", "transformers", "tokenizers", "safetensors"),
}


class _Measure(NamedTuple):
    f1: dict[str, float]
    tags: Tags
    words_per_second: float


def export(
    checkpoint: Path | str,
    output: Path | str,
    corpus: Corpus,
    format: str = "onnx",  # noqa: A002 - the key that the script takes
    quantize: str = "none",
    head: str | None = None,
    split: str = "dev",
    calibration: int = 24,
    force: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a model folder that another runtime reads, and what was measured beside it (``export.json``).

    Args:
        checkpoint: a model folder that training wrote.
        output: the folder to write; it appears whole, when it has passed.
        corpus, split: what the model and the export are compared on.
        format: a key of `FORMATS`.
        quantize: ``none`` (float32) or, of ONNX, ``int8``.
        head: of transformers, which takes one: ``entities`` or ``triggers``; none where the model has only one of them.
        calibration: articles of the corpus' train, spread over it, whose activations set the scales of int8.
        force: write it even where it labels worse than it may.
        overwrite: replace a folder that is there.

    Returns what ``export.json`` holds. Raises `ModelError` where the mean F1 of entities, triggers and arguments falls
    by more than 0.5 points, or fewer than 99 % of the words keep their tags; and where the model cannot be translated.

    """
    source, output = Path(checkpoint), Path(output)
    if format not in FORMATS:
        raise DataError(f"format {format!r}: expected one of {sorted(FORMATS)}")
    if quantize not in QUANTIZE:
        raise DataError(f"quantize {quantize!r}: expected one of {list(QUANTIZE)}")
    if format != "onnx" and quantize != "none":
        raise DataError(f"quantize={quantize} is of format=onnx, not of format={format}")
    if format == "onnx" and head is not None:
        raise DataError(f"head={head} is of format=transformers: format=onnx writes every head")
    if output.exists() and not (overwrite and (output / RECORD).is_file()):
        raise DataError(f"{output}: is there already; name another output, or overwrite=true an earlier export")
    whole = tagger = Tagger.load(source, "cpu")
    if format == "transformers":
        tagger = plain.narrowed(whole, plain.chosen(whole.reader.heads, head))
    gold = corpus.split(split)
    texts = _spread(corpus.split("train"), calibration) if quantize == "int8" else []
    if not gold:
        raise DataError(f"{corpus.name}: split {split!r} is empty: there is nothing to compare on")
    types = {event.type for document in (*gold, *texts) for event in document.events or ()}
    if unknown := types - tagger.reader.ontology.events.keys():
        raise DataError(
            f"{corpus.name}: the model has no event types {sorted(unknown)}: name the corpus that it learned (data=…)"
        )
    before = _measured(tagger, gold)
    with contract.replaced(output) as staging:
        exported = FORMATS[format](tagger, source, staging, _instances(tagger, texts))
        after = _measured(exported, gold)
        same = agreement(before.tags, after.tags)
        f1 = {"before": _rounded(before.f1), "after": _rounded(after.f1)}
        if tagger is not whole:  # what khabar makes of all heads together
            together = _rounded(_measured(whole, gold).f1)
            f1["khabar"] = {name: together[name] for name in before.f1}
        record = {
            "format": format,
            "quantize": quantize,
            "source": {"sha256": hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()},
            **({"opset": graph.OPSET} if format == "onnx" else {"head": tagger.reader.heads[0]}),
            "versions": {name: version(name) for name in _LIBRARIES[format]},
            "machine": {"processor": _processor(), "threads": os.cpu_count()},
            "compared on": {"corpus": corpus.name, "data": corpus.hash, "split": split, "documents": len(gold)},
            "calibrated on": len(texts),
            "f1": f1,
            "agreement": round(same.share, 5),
            "agreement of labelled words": round(same.share_labelled, 5),
            "words_per_second": {"before": round(before.words_per_second), "after": round(after.words_per_second)},
        }
        log.info("%s", json.dumps({name: record[name] for name in ("f1", "agreement", "words_per_second")}))
        if faults := _faults(before, after, same):
            if not force:
                raise ModelError(f"{output}: not written: {'; '.join(faults)} (force=true writes it all the same)")
            log.warning("%s: written although %s", output, "; ".join(faults))
        record["forced"] = faults
        (staging / RECORD).write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (staging / CARD).write_text(_card(whole, source, record), encoding="utf-8")
    return record


def _onnx(tagger: Tagger, source: Path, folder: Path, texts: Sequence[Instance]) -> Labeller:
    """Fill the folder of an ONNX export, in int8 where there are instances to calibrate on."""
    graph.write(tagger, source, folder, texts)
    return OnnxLabeller.load(folder)


def _transformers(tagger: Tagger, _source: Path, folder: Path, _texts: Sequence[Instance]) -> Labeller:
    """Fill the folder of one head for transformers."""
    plain.write(tagger, folder)
    return plain.PlainLabeller.load(folder, tagger.reader)


FORMATS: dict[str, Callable[[Tagger, Path, Path, Sequence[Instance]], Labeller]] = {
    "onnx": _onnx,
    "transformers": _transformers,
}


def _measured(labeller: Labeller, gold: Sequence[Document]) -> _Measure:
    counts: Counter[str] = Counter()
    began = time.perf_counter()
    predicted = list(labeller.tag(gold, report=counts))
    seconds = time.perf_counter() - began
    instances = _instances(labeller, gold)
    found = tags(labeller.reader, instances, labeller.logits(instances))
    heads = labeller.reader.heads
    f1 = {name: value for name, value in score(gold, predicted).headline().items() if name.partition("_")[0] in heads}
    return _Measure(f1, found, counts["words"] / seconds)


def _instances(labeller: Labeller, documents: Sequence[Document]) -> list[Instance]:
    """The windows of the documents, and the argument passes of their own triggers."""
    reader = labeller.reader
    return [instance for document in documents for instance in reader.instances(reader.read(document))]


def _faults(before: _Measure, after: _Measure, same: Agreement) -> list[str]:
    """In words, what the export may not lose and did."""
    found = []
    if before.f1 and (lost := _mean(before.f1) - _mean(after.f1)) > LOST_F1:
        found.append(f"mean F1 falls by {100 * lost:.2f} points, at most {100 * LOST_F1:g} are allowed")
    if same.share < LEAST_AGREEMENT:
        found.append(f"{100 * same.share:.2f} % of words keep their tags, at least {100 * LEAST_AGREEMENT:g} must")
    return found


def _mean(scores: dict[str, float]) -> float:
    return sum(scores.values()) / len(scores)


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def _spread(documents: Sequence[Document], number: int) -> list[Document]:
    if number < 1 or not documents:
        raise DataError(f"int8 takes at least one article to calibrate on, got {min(number, len(documents))}")
    return list(documents[:: max(1, len(documents) // number)][:number])


def _processor() -> str:
    """The processor's name where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _card(tagger: Tagger, source: Path, record: dict[str, Any]) -> str:
    """What the hub reads, as on the model's own card, then what the folder is."""
    head = record.get("head")
    block = metadata([head] if head else tagger.reader.heads, inherited(source))
    if head:
        return with_front_matter(block | {"library_name": "transformers"}, plain.described(tagger, head, record))
    return with_front_matter(block, graph.described(tagger, record))
