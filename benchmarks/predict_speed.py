"""How fast articles are labelled: khabar beside what else labels Arabic text with an encoder of the same shape.

All sides label the same articles, in turns within one process; what is printed are medians over the turns. Two tables:

- *entities*: khabar in PyTorch and, of the folders given with ``--onnx``, in ONNX Runtime; the token-classification
  pipeline of transformers with the same weights, at the best of several batch sizes; and where they are installed,
  CAMeL Tools' NER (the same weights again) and GLiNER (an encoder of the same shape, random weights).
  The pipeline and CAMeL Tools are given the windows that khabar cuts (whole sentences, as many subwords as khabar reads
  at once), so that nothing is truncated and every side reads the same words; what their tags differ in is counted.
  A second pipeline is given one sentence an input, as such models are mostly used: it reads no context.
- *whole*: entities, triggers and arguments, which only khabar answers.

Each side is measured in bulk (words a second) and with one article at a time (milliseconds an article). What the
arithmetic reaches is the floating-point work of the subwords read, padding not counted, against the best that a large
matrix multiplication in the same number format reaches here.
SpanMarker (transformers below 5) and spaCy-transformers (below 4.53) cannot be installed beside khabar.

    python benchmarks/predict_speed.py ARTICLES.jsonl --onnx runs/onnx runs/onnx-int8
    python benchmarks/predict_speed.py ARTICLES.jsonl --shape arabert --articles 60
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForTokenClassification, pipeline
from transformers.utils import logging as transformers_logging

from arithmetic import arabert_shaped, machine, operations, peak
from khabar import bio
from khabar.backends import load
from khabar.contract import COMPACT, Precision
from khabar.document import Document
from khabar.encoder import bf16_is_native
from khabar.features import CLITICS, ENTITIES
from khabar.formats import jsonl
from khabar.labeller import Labeller
from khabar.tagger import Tagger
from khabar.windows import windows

SIZES = (1, 4, 8, 16, 32)  # of the pipeline's batches


@dataclass
class Side:
    """One labeller: a function of articles, and what was measured of it."""

    name: str
    label: Callable[[Sequence[Document]], Any]
    format: str = "float32"
    rates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def turn(self, documents: Sequence[Document], alone: Sequence[Document]) -> None:
        """Label the articles in bulk, then some one by one."""
        began = time.perf_counter()
        self.label(documents)
        self.rates.append(time.perf_counter() - began)
        for document in alone:
            began = time.perf_counter()
            self.label([document])
            self.waits.append(time.perf_counter() - began)


Texts = Mapping[str, Sequence[str]]  # of each article by id: its windows as khabar reads them, words between spaces


def only(labeller: Labeller, heads: Sequence[str]) -> Labeller:
    """The labeller with some of its heads."""
    labeller.reader = replace(labeller.reader, heads=tuple(head for head in labeller.reader.heads if head in heads))
    return labeller


def cut(labeller: Labeller, documents: Sequence[Document]) -> tuple[Texts, Texts]:
    """The windows of the text pass as texts, for the sides that do not cut articles themselves; and the sentences."""
    reader = labeller.reader
    wide: dict[str, list[str]] = {}
    single: dict[str, list[str]] = {}
    for document in documents:
        reading = reader.read(document)
        forms = [word.form for word in reading.words]
        parts = windows(reading.sentences, reading.lengths, reader.length - 2, reader.context)
        wide[document.id] = [" ".join(forms[part.start : part.end]) for part in parts]
        single[document.id] = [" ".join(forms[part.start : part.stop]) for part in reading.sentences]
    return wide, single


def classifier(tagger: Tagger, folder: Path) -> Path:
    """The encoder and the entity head of a tagger as a plain token classification model."""
    names = bio.tag_names(tagger.reader.labels(ENTITIES))
    config: Any = tagger.model.encoder.config
    make: Any = AutoModelForTokenClassification
    config.id2label, config.label2id = dict(enumerate(names)), {name: number for number, name in enumerate(names)}
    model = make.from_config(config, dtype=torch.float32)
    getattr(model, model.base_model_prefix).load_state_dict(tagger.model.encoder.state_dict())
    model.classifier.load_state_dict(tagger.model.heads[ENTITIES].state_dict())
    model.save_pretrained(folder)
    tagger.reader.tokenizer.save_pretrained(folder)
    return folder


def pipelined(folder: Path, texts: Texts, sample: Sequence[Document], inputs: str) -> Side:
    """The pipeline at the batch size that is fastest on a sample."""
    run = pipeline("token-classification", model=str(folder), device="cpu")

    def label(documents: Sequence[Document], size: int) -> Any:
        return run([text for document in documents for text in texts[document.id]], batch_size=size)

    def seconds(size: int) -> float:
        began = time.perf_counter()
        label(sample, size)
        return time.perf_counter() - began

    best = min(SIZES, key=seconds)
    return Side(f"transformers pipeline, batches of {best} {inputs}", lambda documents: label(documents, best))


def camel(folder: Path, texts: Texts) -> Side:
    """CAMeL Tools' named entity recogniser on the same model."""
    # Its import fetches the list of its own models, of which none is read here: an empty one keeps it off the network.
    (folder / "catalogue.json").write_text('{"version": "", "packages": {}, "components": {}}', encoding="utf-8")
    os.environ["CAMELTOOLS_DATA"] = str(folder)
    from camel_tools.ner import NERecognizer

    recogniser = NERecognizer(str(folder), use_gpu=False)

    def label(documents: Sequence[Document]) -> Any:
        return recogniser.predict([text.split() for document in documents for text in texts[document.id]])

    return Side("CAMeL Tools NER", label)


def gliner(encoder: Path, types: Sequence[str], texts: Texts) -> Side:
    """GLiNER on an encoder of the same shape, random weights; asked for the types of the ontology."""
    from gliner import GLiNER, GLiNERConfig

    config = GLiNERConfig(model_name=str(encoder), max_len=256, hidden_size=512, fine_tune=False)
    model = GLiNER.from_config(config)
    model.eval()

    def label(documents: Sequence[Document]) -> Any:
        return model.inference([t for document in documents for t in texts[document.id]], list(types), batch_size=8)

    return Side("GLiNER (random weights)", label)


def disagreement(labeller: Labeller, folder: Path, documents: Sequence[Document]) -> tuple[int, int]:
    """Words whose most probable tag differs between khabar and the pipeline, and words."""
    run = pipeline("token-classification", model=str(folder), device="cpu")
    instances = [i for d in documents for i in labeller.reader.text_pass(labeller.reader.read(d))]
    names = bio.tag_names(labeller.reader.labels(ENTITIES))
    wrong = total = 0
    found: Any = run([text for texts in cut(labeller, documents)[0].values() for text in texts], batch_size=8)
    for instance, scores, tokens in zip(instances, labeller.logits(instances), found, strict=True):
        theirs = {token["index"]: token["entity"] for token in tokens}
        for position, ours in zip(instance.positions, scores[ENTITIES].argmax(axis=1), strict=True):
            total += 1
            wrong += names[int(ours)] != theirs.get(position, "O")
    return wrong, total


def measure(sides: Sequence[Side], documents: Sequence[Document], turns: int) -> None:
    """All sides in turns, after a short one that is not counted."""
    alone = documents[:: max(1, len(documents) // 20)][:20]
    for side in sides:
        side.label(documents[:8])
    for _ in range(turns):
        for side in sides:
            side.turn(documents, alone)


def table(title: str, sides: Sequence[Side], words: int, work: float | None, peaks: dict[str, float]) -> Table:
    """Medians, and ratios to the first side."""
    result = Table(title=title)
    for header in ("", "words/s", "lowest to highest", "ratio", "one article, ms", "ratio", "of peak"):
        result.add_column(header, justify="right" if header else "left")
    first = sides[0]
    for side in sides:
        seconds, wait = statistics.median(side.rates), statistics.median(side.waits)
        share = f"{work / seconds / peaks[side.format]:.0%}" if work and side.format in peaks else ""
        result.add_row(
            side.name,
            f"{words / seconds:,.0f}",
            f"{words / max(side.rates):,.0f} to {words / min(side.rates):,.0f}",
            f"{statistics.median(first.rates) / seconds:.2f}",
            f"{1000 * wait:.0f}",
            f"{wait / statistics.median(first.waits):.2f}",
            share,
        )
    return result


def labeller_of(encoder: Path, folder: Path) -> Path:
    """The labeller's heads on an encoder with random weights; triggers are made rare."""
    shipped = Tagger.load(COMPACT, "cpu").reader
    tagger = Tagger.create(
        str(encoder),
        shipped.ontology,
        shipped.heads,
        length=shipped.length,
        context=shipped.context,
        argument_length=shipped.argument_length,
    )
    with torch.no_grad():
        for head in tagger.model.heads.values():
            bias: Any = head.bias
            bias[0] = 3.0  # O, or no clitic: what most words are
    tagger.save(folder)
    return folder


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path, help="JSONL with id and text")
    parser.add_argument("--articles", type=int, default=300, dest="limit", help="the first so many (default: 300)")
    parser.add_argument("--shape", choices=("compact", "arabert"), default="compact")
    parser.add_argument("--model", type=Path, default=COMPACT, help="with --shape compact: the labeller")
    parser.add_argument("--onnx", type=Path, nargs="*", default=(), help="ONNX exports of the model")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tables", nargs="*", choices=("entities", "whole"), default=("entities", "whole"))
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    documents = [Document(d.id, d.text) for d in islice(jsonl.read(options.articles), options.limit)]
    console = Console(width=120)
    console.print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model
        if options.shape == "arabert":
            model = labeller_of(arabert_shaped(folder / "encoder"), folder / "model")
        peaks = peak()
        console.print(", ".join(f"{kind}: at most {rate / 1e9:.0f} GFLOPS" for kind, rate in peaks.items()))
        backends = {"PyTorch": model, **{f"ONNX Runtime, {path.name}": path for path in options.onnx}}
        precisions: tuple[Precision, ...] = ("float32", "bf16") if bf16_is_native() else ("float32",)

        def khabar(heads: Sequence[str] | None) -> list[Side]:
            sides = []
            for title, path in backends.items():
                for precision in precisions if path == model else ("float32",):
                    labeller = load(path, "cpu", precision=precision)
                    labeller = labeller if heads is None else only(labeller, heads)
                    kind = "int8" if "int8" in title else precision

                    def label(chosen: Sequence[Document], labeller: Labeller = labeller) -> Any:
                        return list(labeller.tag(chosen))

                    sides.append(Side(f"khabar, {title}, {kind}", label, kind))
            return sides

        tagger = Tagger.load(model, "cpu")
        reader = only(tagger, (ENTITIES, CLITICS))
        instances = [i for d in documents for i in reader.reader.text_pass(reader.reader.read(d))]
        words = sum(len(instance.words) for instance in instances)
        work = operations(tagger.model.encoder.config, [len(instance.input_ids) for instance in instances])
        where = f"{len(documents)} articles, {words:,} words, {options.shape} encoder"
        if "entities" in options.tables:
            plain = classifier(tagger, folder / "plain")
            texts, single = cut(reader, documents)
            pipelines = [
                pipelined(plain, kind, documents[:40], of) for kind, of in ((texts, "windows"), (single, "sentences"))
            ]
            sides = [*pipelines, *khabar((ENTITIES, CLITICS))]
            if importlib.util.find_spec("camel_tools"):
                sides.append(camel(plain, texts))
            if importlib.util.find_spec("gliner"):
                sides.append(gliner(plain, tuple(reader.reader.ontology.entities), texts))
            measure(sides, documents, options.turns)
            console.print(table(f"entities: {where}", sides, words, work, peaks))
            wrong, total = disagreement(reader, plain, documents[:60])
            console.print(f"tags that differ between the pipeline and khabar in float32: {wrong} of {total:,}")
        if "whole" in options.tables:
            sides = khabar(None)
            measure(sides, documents, options.turns)
            console.print(table(f"entities, triggers and arguments: {where}", sides, words, None, peaks))


if __name__ == "__main__":
    main()
