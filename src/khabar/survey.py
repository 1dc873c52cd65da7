"""What a corpus holds and how well two people agree on it: the numbers of its datasheet."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from khabar.arabic import words
from khabar.bio import tags
from khabar.corpus import Corpus, count
from khabar.document import DataError, Document
from khabar.formats import lines, standoff
from khabar.metrics import score

__all__ = ["agreement", "cohen_kappa", "repeated", "survey"]

log = logging.getLogger(__name__)


def survey(
    corpora: Sequence[Path | str],
    output: Path | str,
    bars: Mapping[str, float] | None = None,
    frequent: Sequence[str] = (),
    sequence: int = 6,
    few: int = 2,
    first: Path | str | None = None,
    second: Path | str | None = None,
) -> dict[str, Any]:
    """Count what corpora hold, hold it against the bars they were made for, and print both.

    Args:
        corpora: folders of prepared corpora; the bars are for the first.
        output: the JSON file that all numbers are written to.
        bars: the least (or for ``repeated`` the greatest) number of ``documents``, ``words``, ``dev``, ``test``,
            triggers of a type in train (``triggers``; for the types of ``frequent``, ``frequent``), the share of
            articles with at most ``few`` events (``few``), and doubly annotated articles (``doubly``).
        frequent: event types that need more triggers.
        sequence: words of the sequences that should not occur in two articles.
        few: an article with so many events or fewer has few.
        first, second: stand-off annotation of the same articles by two people, scored against each other where
            their texts are in the corpora.

    """
    opened = {(corpus := Corpus(path)).name: corpus for path in corpora}
    if len(opened) < len(corpora):
        raise DataError(f"corpora need names of their own, got {list(opened)} for {[str(path) for path in corpora]}")
    documents = {name: {split: corpus.split(split) for split in corpus.splits} for name, corpus in opened.items()}
    report: dict[str, Any] = {name: _numbers(splits, sequence, few) for name, splits in documents.items()}
    if first and second:
        every = [document for splits in documents.values() for part in splits.values() for document in part]
        texts = {standoff.checksum(document.text): document for document in every}
        pairs = [list(_joined(path, texts)) for path in (first, second)]
        ids = [{record["id"] for _, _, record in standoff.records(path)} for path in (first, second)]
        report["agreement"] = {"articles": len(ids[0] & ids[1]), "compared": len(pairs[0]), **agreement(*pairs)}
    console = Console()
    for name in documents:
        console.print(_table(name, report[name]))
    if "agreement" in report:
        console.print_json(json.dumps(report["agreement"]))
    if bars:
        main = next(iter(opened))
        types = opened[main].ontology.events
        reached = _against(bars, report[main], report.get("agreement", {}), frequent, list(types))
        report["bars"] = {name: {"reached": value, "bar": bar, "met": met} for name, value, bar, met in reached}
        table = Table("", "reached", "bar", "", title="Bars")
        for name, value, bar, met in reached:
            table.add_row(name, f"{value:g}", f"{bar:g}", "met" if met else "MISSED")
        console.print(table)
    lines.write(output, [json.dumps(report, ensure_ascii=False, indent=2)])
    log.info("all numbers in %s", output)
    return report


def repeated(documents: Iterable[Document], length: int = 6) -> float:
    """The share of different sequences of ``length`` words that occur in more than one document.

    Words are runs of letters and digits as they are written; sequences do not run over the end of a line.
    """
    seen: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for document in documents:
        for line in document.text.split("\n"):
            forms = [word.form for word in words(line, "none") if any(map(str.isalnum, word.form))]
            for start in range(len(forms) - length + 1):
                seen[tuple(forms[start : start + length])].add(document.id)
    return sum(len(ids) > 1 for ids in seen.values()) / max(1, len(seen))


def agreement(first: Sequence[Document], second: Sequence[Document]) -> dict[str, float]:
    """How far two annotations of the same documents agree; symmetric.

    Strict F1 of ``entities``, ``triggers`` (span and type), ``arguments`` (event type, role and span) and
    ``attached_arguments`` (also the trigger), and Cohen's kappa of event types: ``kappa_words`` over all words
    (no trigger is a label too), ``kappa_types`` over the words that both have in a trigger. What has nothing to
    compare is left out.

    Raises `DataError` where the documents or their layers are not the same.
    """
    by_id = {document.id: document for document in second}
    for left in first:
        right = by_id.get(left.id, left)
        if (left.entities is None, left.events is None) != (right.entities is None, right.events is None):
            raise DataError(f"document {left.id!r}: the two annotated different layers")
    scores = score(first, second)
    kinds = {"entities": "entities", "triggers": "TC", "arguments": "AC", "attached_arguments": "AC+"}
    result = {name: scores.units[kind].micro.f1 for name, kind in kinds.items() if kind in scores.units}
    labels = [pair for document in first for pair in zip(_types(document), _types(by_id[document.id]), strict=True)]
    shared = [(left, right) for left, right in labels if "O" not in (left, right)]
    return result | {
        name: cohen_kappa(pairs) for name, pairs in (("kappa_words", labels), ("kappa_types", shared)) if pairs
    }


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Agreement beyond chance of two people's labels (Cohen 1960); 1 where chance alone explains all of it."""
    if not pairs:
        raise DataError("no labels to compare")
    left, right = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    observed = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(left[label] * right[label] for label in left) / len(pairs) ** 2
    return 1.0 if chance == 1 else (observed - chance) / (1 - chance)


def _types(document: Document) -> list[str]:
    """The event type of each word's trigger, O for none; of two triggers on a word, the first type by name."""
    cut = words(document.text, "none")
    result = ["O"] * len(cut)
    for event in sorted(document.events or (), key=lambda event: event.type, reverse=True):
        for index, tag in enumerate(tags(cut, [event.trigger])):
            if tag != "O":
                result[index] = event.type
    return result


def _joined(path: Path | str, texts: Mapping[str, Document]) -> Iterator[Document]:
    """Stand-off documents whose text is there; says how many are not."""
    absent = 0
    for place, key, record in standoff.records(path):
        if key in texts:
            yield standoff.join(place, record, texts[key].text)
        else:
            absent += 1
    if absent:
        log.warning("%s: %d articles are not in the corpora given, or were changed: left out", path, absent)


def _numbers(splits: Mapping[str, Sequence[Document]], sequence: int, few: int) -> dict[str, Any]:
    every = [document for documents in splits.values() for document in documents]
    lengths = sorted(len(document.text.split()) for document in every)
    return {
        "splits": {split: count(documents) for split, documents in splits.items()},
        "total": count(every),
        "words_an_article": {"least": lengths[0], "median": lengths[len(lengths) // 2], "most": lengths[-1]},
        "articles_with_few_events": sum(len(document.events or ()) <= few for document in every) / len(every),
        f"repeated_sequences_of_{sequence}": repeated(every, sequence),
        **{
            key: dict(Counter(str(document.meta[key]) for document in every if key in document.meta).most_common())
            for key in ("style", "country", "category")
        },
        "entities": _by_split(splits, lambda document: (mention.label for mention in document.entities or ())),
        "triggers": _by_split(splits, lambda document: (event.type for event in document.events or ())),
        "arguments": _by_split(splits, lambda document: (a.label for e in document.events or () for a in e.arguments)),
    }


def _by_split(splits: Mapping[str, Sequence[Document]], labels: Any) -> dict[str, dict[str, int]]:
    """Counts of labels: label to split to number, the most frequent first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for split, documents in splits.items():
        for document in documents:
            for label in labels(document):
                counts[label][split] += 1
    ordered = sorted(counts, key=lambda label: -counts[label].total())
    return {label: {split: counts[label][split] for split in splits} for label in ordered}


def _table(name: str, numbers: Mapping[str, Any]) -> Table:
    splits = numbers["splits"]
    table = Table("", *splits, "all", title=name)
    for key in ("documents", "words", "entities", "events", "arguments"):
        table.add_row(key, *(f"{splits[split][key]:,}" for split in splits), f"{numbers['total'][key]:,}")
    for layer in ("entities", "triggers", "arguments"):
        table.add_section()
        for label, counts in numbers[layer].items():
            table.add_row(f"{layer} {label}", *(f"{n:,}" for n in counts.values()), f"{sum(counts.values()):,}")
    return table


def _against(
    bars: Mapping[str, float],
    numbers: Mapping[str, Any],
    agreed: Mapping[str, Any],
    frequent: Sequence[str],
    types: Sequence[str],
) -> list[tuple[str, float, float, bool]]:
    """Rows of name, number reached, bar, and whether it is met."""
    splits = numbers["splits"]
    values: dict[str, float] = {
        "documents": numbers["total"]["documents"],
        "words": numbers["total"]["words"],
        "dev": splits.get("dev", {}).get("documents", 0),
        "test": splits.get("test", {}).get("documents", 0),
        "few": numbers["articles_with_few_events"],
        "repeated": next(value for key, value in numbers.items() if key.startswith("repeated_sequences")),
        "doubly": agreed.get("articles", 0),
    }
    if unknown := [*(bars.keys() - values.keys() - {"triggers", "frequent"}), *(set(frequent) - set(types))]:
        raise DataError(f"no bars or event types {unknown}, expected {[*values, 'triggers', 'frequent']} and {types}")
    rows = [
        (name, values[name], bar, values[name] <= bar if name == "repeated" else values[name] >= bar)
        for name, bar in bars.items()
        if name in values
    ]
    for label in types:
        bar = bars.get("frequent" if label in frequent else "triggers")
        if bar is not None:
            found = numbers["triggers"].get(label, {}).get("train", 0)
            rows.append((f"train triggers {label}", found, bar, found >= bar))
    return rows
