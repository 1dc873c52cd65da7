"""brat standoff: a folder with ``NAME.txt`` and ``NAME.ann`` for each document, and ``annotation.conf`` with the types.

    T1	ORG 5 17	الجيش السوري
    T2	Attack 0 4	هاجم
    E1	Attack:T2 Attacker:T1

Offsets are code points. Entities are T lines, triggers are T lines that an E line names, and an argument is the entity
of its extent, or else a T line of type ``Argument``. A span over a line break is written as fragments, as brat
asks (``0 4;5 9``), and read as one again. brat allows ASCII letters, digits, ``-`` and ``_`` in names: anything else in
a type or role is written ``_x3A_``, a number in hexadecimal; ``visual.conf`` tells brat to show the names as they are.
Roles are numbered where one comes twice (``Place2``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from khabar.document import DataError, Document
from khabar.formats import folders, lines
from khabar.formats.spans import ARGUMENT, Link, Span, gather, lose, spread
from khabar.ontology import Ontology

__all__ = ["configuration", "read", "write"]

_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")  # where some reader of the .ann file would end a line
_ESCAPE = re.compile("_x([0-9A-F]{1,6})_")
_OTHER = {"R": "relation", "*": "equivalence", "A": "attribute", "M": "attribute", "N": "normalisation", "#": "note"}


def write(
    path: Path | str,
    documents: Iterable[Document],
    *,
    ontology: Ontology | None = None,
    report: Counter[str] | None = None,
) -> None:
    """Write a new folder. ``annotation.conf`` has the types of the ontology, or those found.

    Not held, and counted in ``report``: metadata, scores, layers that were not annotated, line breaks at the edges of a
    mention. Raises `DataError` where an id comes twice or is no file name, and where the folder is there already.
    """
    report = Counter() if report is None else report
    found = _Found()
    with folders.new(path) as folder:
        for document in documents:
            lose(document, report, "meta", "scores", "layers")
            file = folder / folders.file_name(document.id)
            text = file.with_name(file.name + ".txt")
            if text.exists():
                raise DataError(f"{path}: document {document.id!r} is there twice")
            folders.put(text, document.text.encode())
            content = "".join(f"{line}\n" for line in _lines(document, found, report))
            folders.put(file.with_name(file.name + ".ann"), content.encode())
        for name, content in configuration(ontology or found.ontology()).items():
            folders.put(folder / name, content.encode())


def configuration(ontology: Ontology) -> dict[str, str]:
    """The files that tell brat which types there are and how they are shown: name to content."""
    entities = [*ontology.entities, ARGUMENT]
    conf = ["[entities]", *map(_escaped, entities), "", "[relations]", "", "[events]"]
    for label, event in ontology.events.items():
        roles = ", ".join(f"{_escaped(role)}*:<ANY>" for role in event.roles)
        conf.append(f"{_escaped(label)}\t{roles}".rstrip())
    shown = ["[labels]"]
    for name in dict.fromkeys([*entities, *ontology.events, *ontology.roles]):
        if _escaped(name) != name and not re.search(r"[|\n\r]", name):
            shown.append(f"{_escaped(name)} | {name}")
    return {
        "annotation.conf": "\n".join([*conf, "", "[attributes]", ""]),
        "visual.conf": "\n".join([*shown, "", "[drawing]", ""]),
    }


@dataclass
class _Found:
    """The types and roles of the documents that were written."""

    entities: dict[str, str] = field(default_factory=dict)
    events: dict[str, dict[str, None]] = field(default_factory=dict)

    def ontology(self) -> Ontology:
        events = {label: {"gloss": label, "roles": list(roles)} for label, roles in sorted(self.events.items())}
        return Ontology.from_json("found", dict(sorted(self.entities.items())), events)


def _lines(document: Document, found: _Found, report: Counter[str]) -> Iterator[str]:
    spans, links = spread(document)
    names: dict[Span | tuple[int, int, str], str] = {}  # events that share a trigger share its line
    numbers: list[str | None] = []
    for span in spans:
        key = (span.start, span.end, span.label) if span.kind == "trigger" else span
        if key not in names:
            fragments = [(span.start + a, span.start + b) for a, b in _fragments(document.text[span.start : span.end])]
            if not fragments:
                report["mention dropped: nothing but line breaks"] += 1
                numbers.append(None)
                continue
            if (fragments[0][0], fragments[-1][1]) != (span.start, span.end):
                report["mention lost line breaks at its edges"] += 1
            names[key] = f"T{len(names) + 1}"
            text = " ".join(document.text[a:b] for a, b in fragments)
            yield f"{names[key]}\t{_escaped(span.label)} {';'.join(f'{a} {b}' for a, b in fragments)}\t{text}"
        numbers.append(names[key])
        if span.kind == "entity":
            found.entities[span.label] = span.label
    number = 0
    for i, span in enumerate(spans):
        trigger = numbers[i]
        if span.kind != "trigger" or trigger is None:
            continue
        roles = found.events.setdefault(span.label, {})
        seen: Counter[str] = Counter()
        arguments = []
        for link in links:
            if link.trigger == i and (argument := numbers[link.argument]) is not None:
                role = _escaped(link.role, last_digit=True)
                seen[role] += 1
                roles[link.role] = None
                arguments.append(f" {role}{seen[role] if seen[role] > 1 else ''}:{argument}")
        number += 1
        yield f"E{number}\t{_escaped(span.label)}:{trigger}{''.join(arguments)}"


def _fragments(text: str) -> list[tuple[int, int]]:
    """The parts of a text between its line breaks."""
    edges = [0]
    for found in _BREAK.finditer(text):
        edges += found.span()
    edges.append(len(text))
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def _escaped(name: str, last_digit: bool = False) -> str:
    """A name in the characters that brat allows; ``last_digit``: its last digit would be read as a number."""
    safe = re.sub("_(?=x)|[^A-Za-z0-9_-]", lambda c: f"_x{ord(c[0]):X}_", name)
    return re.sub("[0-9]$", lambda c: f"_x{ord(c[0]):X}_", safe) if last_digit else safe


def _unescaped(name: str) -> str:
    return _ESCAPE.sub(lambda c: chr(int(c[1], 16)) if int(c[1], 16) < 0x110000 else c[0], name)


def read(
    path: Path | str, *, layers: Collection[str] | None = None, report: Counter[str] | None = None
) -> Iterator[Document]:
    """Read a folder and the folders in it in order of paths, or one ``.ann`` file; ids are the paths without suffix.

    ``layers`` names what was annotated; without it, entities were, and events were where there is one. Counted in
    ``report``: relations, attributes, normalisations, notes and texts without ``.ann`` are left out, the gaps of
    discontinuous mentions are filled, an argument that is an event becomes its trigger, an entity that overlaps a
    longer one is dropped.

    Raises `DataError` that names file and line for what is not brat, and for a mention that is not the text it says.
    """
    path = Path(path)
    report = Counter() if report is None else report
    if path.is_dir():
        files = sorted(path.rglob("*.ann"))
        if not files:
            raise DataError(f"{path}: no *.ann files in this folder")
        alone = len({file.with_suffix("") for file in path.rglob("*.txt")} - {f.with_suffix("") for f in files})
        if alone:
            report["text without .ann left out"] += alone
    else:
        files = [path]
    for file in files:
        stem = file.relative_to(path).as_posix() if path.is_dir() else file.name
        text = file.with_name(file.name.removesuffix(".ann") + ".txt")
        if not text.is_file():
            raise DataError(f"{file}: its text {text.name} is missing")
        name = folders.identifier(stem.removesuffix(".ann"))
        yield _document(name, file, lines.decode(text.read_bytes(), str(text)), layers, report)


def _document(name: str, file: Path, text: str, layers: Collection[str] | None, report: Counter[str]) -> Document:
    spans: dict[str, tuple[str, int, int]] = {}
    events: dict[str, tuple[str, list[str]]] = {}  # label and "role:id", the trigger first, by id
    places: dict[str, str] = {}
    for number, line in lines.read(file):
        if not line.strip():
            continue
        place = f"{file}: line {number}"
        key, _, rest = line.partition("\t")
        if key in places and key != "*":
            raise DataError(f"{place}: {key} is there twice")
        places[key] = place
        if re.fullmatch(r"T\d+", key):
            spans[key] = _span(rest, text, place, report)
        elif re.fullmatch(r"E\d+", key):
            head, *arguments = rest.split() or [""]
            if not all(re.fullmatch(r"[^:\s]+:[TE]\d+", part) for part in (head, *arguments)):
                raise DataError(f"{place}: expected an event like 'E1\tAttack:T2 Attacker:T1', got {line!r}")
            events[key] = (_unescaped(head.partition(":")[0]), [head, *arguments])
        elif key[:1] in _OTHER and rest:
            report[f"brat {_OTHER[key[:1]]} left out"] += 1
        else:
            raise DataError(f"{place}: expected an annotation like 'T1\tORG 0 5\ttext', got {line!r}")
    ids: dict[str, int] = {}
    found: list[Span] = []
    triggers = {parts[0].partition(":")[2] for _, parts in events.values()}
    for key, (label, start, end) in spans.items():
        if key not in triggers:
            ids[key] = len(found)
            found.append(Span("argument" if label == ARGUMENT else "entity", start, end, label))
    for key, (label, parts) in events.items():
        trigger = parts[0].partition(":")[2]
        if trigger not in spans:
            raise DataError(f"{places[key]}: there is no {trigger}")
        ids[key] = len(found)
        ids.setdefault(trigger, len(found))
        found.append(Span("trigger", *spans[trigger][1:], label))
    links = []
    for key, (_, parts) in events.items():
        for part in parts[1:]:
            role, _, target = part.partition(":")
            if target not in ids:
                raise DataError(f"{places[key]}: there is no {target}")
            if target.startswith("E"):
                report["argument that is an event: its trigger is kept"] += 1
            links.append(Link(ids[key], ids[target], _unescaped(re.sub(r"(?<=[^0-9])[0-9]+$", "", role))))
    return gather(name, text, found, links, place=str(file), layers=layers, report=report)


def _span(rest: str, text: str, place: str, report: Counter[str]) -> tuple[str, int, int]:
    """Label and extent of a T line."""
    found = re.fullmatch(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?", rest)
    if found is None:
        raise DataError(f"{place}: expected 'T1\tTYPE START END\ttext', got {rest!r}")
    fragments = [tuple(map(int, part.split())) for part in found[2].split(";")]
    for start, end in fragments:
        if not 0 <= start < end <= len(text):
            raise DataError(f"{place}: {start} {end} is no stretch of a text of {len(text)} code points")
    there = " ".join(text[start:end] for start, end in fragments)
    said = found[3] or ""
    # Some writers keep the text with its line break or without the space between fragments.
    if said and "".join(said.split()) != "".join(there.split()):
        raise DataError(f"{place}: {said!r} does not stand at {found[2]}, where the text has {there!r}")
    for (_, end), (start, _) in zip(fragments, fragments[1:], strict=False):
        if end > start or not _BREAK.fullmatch(text, end, start):
            report["discontinuous mention: its gaps are filled"] += 1
            break
    return _unescaped(found[1]), min(a for a, _ in fragments), max(b for _, b in fragments)
