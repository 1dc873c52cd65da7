"""Check a corpus: copies across splits, labels, offsets, how the splits differ, gold that no model could produce."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from khabar.checks import ceiling, leaks, oddities
from khabar.checks.findings import Findings, place
from khabar.checks.inventory import LAYERS, Splits, admitted, divergence, labels, novelty, statistics, units
from khabar.corpus import Corpus
from khabar.document import DataError, Document
from khabar.features import CLITICS
from khabar.formats import jsonl, lines
from khabar.ontology import Ontology

__all__ = ["Folder", "check"]

log = logging.getLogger(__name__)
SCHEMA = 1


@dataclass(frozen=True)
class Folder:
    """A folder of JSONL files that nobody prepared, each a split; what `khabar.corpus.Corpus` is with a manifest."""

    path: Path | str
    ontology: Ontology | None = None

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The names of the files, train, dev and test first. Raises `DataError` where there are none."""
        names = {file.stem for file in Path(self.path).glob("*.jsonl")}
        if not names:
            raise DataError(f"{self.path}: expected a folder with JSONL files, train.jsonl and the like")
        usual = ("train", "dev", "test")
        return (*(name for name in usual if name in names), *sorted(names - set(usual)))

    @property
    def name(self) -> str:
        """The name of the folder."""
        return Path(self.path).resolve().name


def check(
    corpus: Corpus | Folder,
    output: Path | str,
    *,
    model: Callable[..., Any] | None = None,
    task: Mapping[str, Any] | None = None,
    threshold: float | None = 0.8,
    shingle: int = 5,
    shortest: int = 5,
    group: str | None = "article",
    shift: float = 0.05,
    severity: Mapping[str, str] | None = None,
    shown: int = 20,
) -> dict[str, Any]:
    """Check the splits of a corpus, print what was found and write it as JSON.

    Args:
        corpus: a prepared corpus, or a folder of JSONL files.
        output: the JSON file.
        model: makes a tagger (`khabar.tagger.Tagger.create` with an encoder): what of gold it could never produce is
            then found out with its tokenizer and the windows of ``task``, whose heads the corpus does not have are
            left out.
        threshold, shingle, shortest: of `khabar.checks.duplicates.find`.
        group: key of the documents' meta; those of one value (sentences of one article) belong in one split.
        shift: Jensen-Shannon divergence of label shares from train, in bits, that is worth a warning.
        severity: check to ``error``, ``warning`` or ``note``, where not that of `khabar.checks.findings.CHECKS`.
        shown: examples kept of each check and split.

    Returns the report; ``errors`` in it is the number of findings that are errors.

    """
    findings = Findings(severity or {}, shown)
    splits = {split: list(_read(corpus, split, findings)) for split in corpus.splits}
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "corpus": corpus.name,
        "path": str(corpus.path),
        "data": corpus.hash if isinstance(corpus, Corpus) else None,
        "statistics": statistics(splits),
        "labels": labels(splits),
        "unseen": novelty(splits),
    }
    _check_groups(splits, group, findings)
    report["shift"] = _check_labels(report["labels"], corpus.ontology, splits, shift, findings)
    _check_offsets(splits, findings)
    report["copies"] = leaks.copies(splits, threshold, shingle, shortest, findings)
    if model is not None:
        report["ceiling"] = _check_ceiling(splits, corpus.ontology, model, dict(task or {}), findings)
    report |= {**findings.totals(), "findings": findings.to_json()}
    lines.write(output, [json.dumps(report, ensure_ascii=False, indent=2)])
    console = Console()
    for table in _tables(report):
        console.print(table)
    log.info("%d errors, %d warnings; report in %s", report["errors"], report["warnings"], output)
    return report


def _read(corpus: Corpus | Folder, split: str, findings: Findings) -> Iterator[Document]:
    """Every line that is a document; the others are findings, so that one run names them all."""
    if isinstance(corpus, Corpus):
        try:
            yield from corpus.split(split)
            return
        except DataError as error:
            findings.add("unreadable", split, detail=str(error))
    file, seen = Path(corpus.path) / f"{split}.jsonl", set()
    if not file.is_file():
        return
    for number, line in lines.read(file):
        if line.strip():
            try:
                document = jsonl.loads(line, f"{file}: line {number}")
            except DataError as error:
                findings.add("unreadable", split, detail=str(error))
                continue
            if document.id in seen:
                findings.add("repeated_id", split, id=document.id, detail=f"line {number}")
            seen.add(document.id)
            yield document


def _check_groups(splits: Splits, group: str | None, findings: Findings) -> None:
    ids: dict[str, str] = {}
    groups: dict[str, str] = {}
    for split, documents in splits.items():
        for document in documents:
            if ids.setdefault(document.id, split) != split:
                findings.add("repeated_id", split, id=document.id, detail=f"also in {ids[document.id]}")
        for value in dict.fromkeys(str(d.meta[group]) for d in documents if group is not None and group in d.meta):
            if groups.setdefault(value, split) != split:
                findings.add("parted_group", split, detail=f"{group} {value} is also in {groups[value]}")


def _check_labels(
    counts: Mapping[str, Mapping[str, Mapping[str, int]]],
    ontology: Ontology | None,
    splits: Splits,
    limit: float,
    findings: Findings,
) -> dict[str, dict[str, float]]:
    """Labels against the ontology and against train; returns layer to split to divergence from train."""
    every = admitted(ontology) if ontology is not None else {}
    others = [split for split in splits if split != "train"] if "train" in splits else []
    shifts: dict[str, dict[str, float]] = defaultdict(dict)
    for split, documents in splits.items():
        for layer in ("entities", "events"):
            missing = [document.id for document in documents if getattr(document, layer) is None]
            for name in missing if len(missing) < len(documents) else ():
                findings.add("layer_missing", split, id=name, layer=layer)
        for document in documents if every else ():
            for unit in units(document):
                if unit.label not in every[unit.layer]:
                    findings.add("unknown_label", split, **place(document, unit))
    for layer, found in counts.items():
        if not found:
            continue
        for label in sorted(every.get(layer, set()) - found.keys()):
            findings.add("unused_label", "all", layer=layer, label=label)
        for split in others:
            shares = [{label: n[name] for label, n in found.items()} for name in ("train", split)]
            if not all(any(part.values()) for part in shares):
                continue
            shifts[layer][split] = round(divergence(*shares), 4)
            if shifts[layer][split] > limit:
                findings.add("shift", split, layer=layer, detail=f"{shifts[layer][split]} bits from train")
            for label, numbers in found.items():
                if numbers[split] and not numbers["train"]:
                    findings.add("unlearnable_label", split, layer=layer, label=label)
                if numbers["train"] and not numbers[split]:
                    findings.add("untested_label", split, layer=layer, label=label)
    return dict(shifts)


def _check_offsets(splits: Splits, findings: Findings) -> None:
    where = {id(document): split for split, documents in splits.items() for document in documents}
    every = [document for documents in splits.values() for document in documents]
    for document in every:
        for oddity in (*oddities.of_text(document), *oddities.of_offsets(document)):
            about = {"id": document.id} if oddity.unit is None else place(document, oddity.unit)
            findings.add(oddity.check, where[id(document)], **about, detail=oddity.detail)
    for document, unit in oddities.clitics_left_in(every):
        findings.add("clitic_left_in", where[id(document)], **place(document, unit))


def _check_ceiling(
    splits: Splits,
    ontology: Ontology | None,
    model: Callable[..., Any],
    task: dict[str, Any],
    findings: Findings,
) -> dict[str, Any]:
    """What perfect heads would miss; returns for each split what was read, and layer to cause to number."""
    if ontology is None:
        raise DataError("what a model could produce needs the types it knows: give an ontology (ontology=ahdath)")
    every = [document for documents in splits.values() for document in documents]
    there = {
        "entities": any(document.entities is not None for document in every),
        **dict.fromkeys(("triggers", "arguments"), any(document.events is not None for document in every)),
        CLITICS: True,
    }
    heads = [head for head in task.pop("heads", there) if there[head]]
    reader = model(ontology=ontology, heads=heads, **task).reader
    result: dict[str, Any] = {"heads": heads, "splits": {}}
    for split, documents in splits.items():
        read: Counter[str] = Counter(words=0, unread=0, shortened=0, unknown=0)
        causes: dict[str, Counter[str]] = defaultdict(Counter)
        for document in _of(ontology, documents):
            reading = reader.read(document)
            read["words"] += len(reading.words) + reading.unread
            read["unread"] += reading.unread
            read["shortened"] += reading.shortened
            read["unknown"] += sum(reader.tokenizer.unk_token_id in ids for ids in reading.subwords)
            for unit, cause in ceiling.lost(reader, reading):
                causes[unit.layer][cause] += 1
                findings.add("never_produced", split, **place(document, unit), detail=cause)
        result["splits"][split] = {"words": dict(read), "lost": {layer: dict(c) for layer, c in causes.items()}}
    return result


def _of(ontology: Ontology, documents: Iterable[Document]) -> Iterator[Document]:
    """Documents that the ontology admits; the others are findings already."""
    for document in documents:
        try:
            yield ontology.check(document)
        except DataError as error:
            log.warning("not held against the model: %s", error)


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """The numbers of the splits, what is copied, what a model could not produce, and all findings."""
    splits = report["statistics"]

    def empty(title: str, *columns: str) -> Table:
        return Table(*map(escape, columns), title=escape(f"{report['corpus']}: {title}"))  # a name is not markup

    table = empty("splits", "", *splits)
    for key in ("documents", "sentences", "words", "entities", "events", "arguments"):
        table.add_row(key, *(f"{numbers[key]:,}" for numbers in splits.values()))
    for key in ("documents", "sentences"):
        cells = (_cell(numbers["lengths"].get(key, {}), "median", "p95", "most") for numbers in splits.values())
        table.add_row(f"words a {key[:-1]}: median, 95 %, most", *cells)
    for title, by_layer in (("surfaces not in train", report["unseen"]), ("bits from train", report["shift"])):
        for layer, numbers in by_layer.items():
            table.add_row(f"{layer}: {title}", *(_share(numbers.get(split)) for split in splits))
    yield table
    for layer in ("entities", "triggers"):  # roles of every event type are a long list: the file has them
        if counts := report["labels"][layer]:
            table = empty(layer, layer, *splits)
            for label, numbers in counts.items():
                table.add_row(Text(label), *(f"{n:,}" for n in numbers.values()))
            yield table
    table = empty("copies", "", "in", "of", "also in", "exact", "near", "gold in them")
    for kind in ("documents", "sentences"):
        for row in report["copies"][kind]:
            table.add_row(kind, *(str(row[key]) for key in ("split", "of", "also_in", "exact", "near", "mentions")))
    yield table
    if "ceiling" in report:
        table = empty("gold that the model could never produce", "", *splits)
        found = report["ceiling"]["splits"]
        for layer in LAYERS:
            for cause in ceiling.CAUSES:
                numbers = [found[split]["lost"].get(layer, {}).get(cause, 0) for split in splits]
                if any(numbers):
                    table.add_row(f"{layer}: {cause}", *map(str, numbers))
        for key, name in (("unread", "words not read"), ("unknown", "words with unknown subwords")):
            table.add_row(name, *(str(found[split]["words"][key]) for split in splits))
        yield table
    table = empty("findings", "", "check", "number", "the first")
    for row in report["findings"]:
        first = row["examples"][0] if row["examples"] else {}
        said = " ".join(str(first[key]) for key in ("split", "id", "layer", "label", "text", "detail") if key in first)
        table.add_row(row["severity"], Text(row["meaning"]), f"{row['count']:,}", Text(said[:120]))
    yield table


def _cell(numbers: Mapping[str, int], *keys: str) -> str:
    return ", ".join(str(numbers[key]) for key in keys) if numbers else "–"


def _share(found: Any) -> str:
    if isinstance(found, dict):
        return f"{found['unseen'] / found['mentions']:.1%}"
    return "–" if found is None else f"{found:.4f}"
