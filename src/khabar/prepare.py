"""Prepare a corpus: read its splits, carve what is missing, check everything, write it with a manifest."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from khabar import corpus
from khabar.document import DataError, Document
from khabar.formats import lines
from khabar.ontology import EventType, Ontology

__all__ = ["chained", "every", "folds_by", "listed", "prepare"]

logger = logging.getLogger(__name__)

Reader = Callable[..., Iterable[Document]]
"""Takes ``report``, a `collections.Counter` of what was repaired or dropped."""

Splits = dict[str, list[Document]]

_ORDER = ("train", "dev", "test")
_SHOWN = 20  # copies named in one warning


def prepare(
    name: str,
    output: Path | str,
    splits: Mapping[str, Reader],
    *,
    ontology: Ontology | None = None,
    carve: Mapping[str, Callable[[Sequence[Document]], Collection[str]]] | None = None,
    folds: Callable[[Sequence[Document]], Sequence[Splits]] | None = None,
    licence: str | None = None,
) -> list[dict[str, Any]]:
    """Read, check and write a corpus; return the manifests, one for each folder written.

    ``splits`` maps the name of a split to its reader. ``carve`` maps the name of a new split to what chooses
    the ids that move to it from ``train`` (`listed`, `every`). ``folds`` makes, of all documents, as many
    corpora with splits of their own (`folds_by`), written to ``fold-0`` and so on below ``output``. Without
    an ``ontology``, the types found in the documents are taken, each its own gloss. ``licence`` is kept in the
    manifest, for the cards of models that learn from the corpus.

    Raises `DataError` for an id that is in two splits, for a type or role that the ontology does not have,
    and for whatever the readers raise; nothing is written then.
    """
    report = {split: Counter[str]() for split in splits}
    read = {
        split: list(tqdm(reader(report=report[split]), desc=f"{name} {split}", unit=" documents"))
        for split, reader in splits.items()
    }
    for split, choose in (carve or {}).items():
        _carve(read, split, choose)
    _check_ids(read)
    read = {split: read[split] for split in sorted(read, key=_place)}
    ontology = ontology or _found(name, [d for documents in read.values() for d in documents])
    for documents in read.values():
        for document in documents:
            ontology.check(document)
    if folds is None:
        corpora = {name: read}
    else:
        parts = folds([d for documents in read.values() for d in documents])
        for stale in Path(output).glob(f"fold-*/{corpus.MANIFEST}"):  # there may have been more folds before
            stale.unlink()
        corpora = {f"{name}/fold-{number}": part for number, part in enumerate(parts)}
    for split, counts in report.items():
        for message, number in sorted(counts.items()):
            logger.warning("%s %s: %s: %d", name, split, message, number)
    manifests = []
    for title, part in corpora.items():
        _warn_of_copies(title, part)
        folder = Path(output) / title.removeprefix(name).strip("/")
        manifest = corpus.write(folder, title, ontology, part, report, licence)
        manifests.append(manifest)
        logger.info("%s", _table(manifest))
    return manifests


def chained(readers: Sequence[Reader], *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Read several sources as one split, one after the other."""
    for reader in readers:
        yield from reader(report=report)


def listed(documents: Sequence[Document], path: Path | str) -> set[str]:
    """Choose the ids in a file, one a line; lines that begin with # are comments.

    Raises `DataError` for an id that no document has: the list was made for another form of the corpus.
    """
    present = {document.id for document in documents}
    ids = set()
    for number, line in lines.read(path):
        if (name := line.strip()) and not name.startswith("#"):
            if name not in present:
                raise DataError(f"{path}: line {number}: no document {name!r} to carve")
            ids.add(name)
    return ids


def every(documents: Sequence[Document], step: int, start: int) -> set[str]:
    """Choose every ``step``-th document from the ``start``-th on, counted from 1 as they were read."""
    if not 1 <= start <= step:
        raise DataError(f"expected 1 <= start <= step, got start {start}, step {step}")
    return {document.id for document in documents[start - 1 :: step]}


def folds_by(documents: Sequence[Document], key: str, number: int = 5, dev: int = 8) -> list[Splits]:
    """Make ``number`` corpora to cross-validate: documents of equal ``meta[key]`` are never parted.

    Each document is in ``test`` of one corpus; of the others about one in ``dev`` is in ``dev``. The same
    documents always give the same folds. Raises `DataError` for a document without the key, and for too few
    groups.
    """
    groups: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if key not in document.meta:
            raise DataError(f"document {document.id!r}: no {key!r} in its meta to group it by")
        groups[str(document.meta[key])].append(document)
    corpora = []
    tests = _balanced(groups, number)
    for fold, test in enumerate(tests):
        rest = {group: members for group, members in groups.items() if group not in test}
        # Another part in each fold, or else the same large groups would be in every dev.
        held = _balanced(rest, dev)[fold % dev]
        part = {group: "test" if group in test else "dev" if group in held else "train" for group in groups}
        splits: Splits = {"train": [], "dev": [], "test": []}
        for document in documents:
            splits[part[str(document.meta[key])]].append(document)
        corpora.append(splits)
    return corpora


def _balanced(groups: Mapping[str, Sequence[Document]], number: int) -> list[set[str]]:
    """Share the groups among ``number`` parts, about equal in size: largest first, each to the smallest."""
    if len(groups) < number:
        raise DataError(f"expected at least {number} groups of documents, got {len(groups)}")
    parts: list[set[str]] = [set() for _ in range(number)]
    sizes = [0] * number
    for group in sorted(groups, key=lambda group: (-len(groups[group]), group)):
        smallest = sizes.index(min(sizes))
        parts[smallest].add(group)
        sizes[smallest] += len(groups[group])
    return parts


def _carve(splits: Splits, name: str, choose: Callable[[Sequence[Document]], Collection[str]]) -> None:
    if name in splits or "train" not in splits:
        raise DataError(f"expected a split train to carve and no split {name!r} yet, got {list(splits)}")
    ids = choose(splits["train"])
    splits[name] = [document for document in splits["train"] if document.id in ids]
    splits["train"] = [document for document in splits["train"] if document.id not in ids]


def _place(split: str) -> tuple[int, str]:
    """Where a split stands in the manifest: train, dev, test, then others by name."""
    return (_ORDER.index(split) if split in _ORDER else len(_ORDER), split)


def _check_ids(splits: Splits) -> None:
    seen: dict[str, str] = {}
    for split, documents in splits.items():
        if not documents:
            raise DataError(f"split {split!r} has no documents")
        for document in documents:
            if document.id in seen:
                raise DataError(f"document {document.id!r} is in split {seen[document.id]!r} and {split!r}")
            seen[document.id] = split


def _warn_of_copies(name: str, splits: Splits) -> None:
    """Say which documents have the same text as a document of another split."""
    seen: dict[str, tuple[str, str]] = {}
    copies = []
    for split, documents in splits.items():
        for document in documents:
            first = seen.setdefault(document.text.strip(), (split, document.id))
            if first[0] != split:
                copies.append(f"{split} {document.id} = {first[0]} {first[1]}")
    if copies:
        shown = ", ".join(copies[:_SHOWN]) + (", …" if len(copies) > _SHOWN else "")
        logger.warning("%s: documents with the text of another split: %d: %s", name, len(copies), shown)


def _found(name: str, documents: Iterable[Document]) -> Ontology:
    entities: set[str] = set()
    roles: dict[str, set[str]] = defaultdict(set)
    for document in documents:
        entities.update(mention.label for mention in document.entities or ())
        for event in document.events or ():
            roles[event.type].update(argument.label for argument in event.arguments)
    events = {label: EventType(label, tuple(sorted(roles[label]))) for label in sorted(roles)}
    return Ontology(name, {label: label for label in sorted(entities)}, events)


def _table(manifest: Mapping[str, Any]) -> str:
    """Lay out the splits of a corpus and what is in them, as lines of text."""
    columns = ("documents", "words", "entities", "events", "arguments")
    rows = [f"{manifest['name']} (hash {manifest['hash'][:12]})"]
    rows.append(f"{'':8}" + "".join(f"{column:>11}" for column in columns))
    for split, counts in manifest["splits"].items():
        rows.append(f"{split:8}" + "".join(f"{counts[column]:>11,}" for column in columns))
    return "\n".join(rows)
