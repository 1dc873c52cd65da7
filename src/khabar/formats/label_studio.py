"""Label Studio: a JSON list of tasks, with predictions to correct or annotations made, and the labelling configuration.

A task's ``data`` holds ``text``, ``id``, ``layers`` (what was annotated) and ``meta``. Regions come from three
controls: ``entities``, ``triggers`` (one region an event) and ``arguments`` (extents that are no entity); roles are
relations from the trigger to its argument. Label Studio counts code points, as we do; its early versions counted
UTF-16 units.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

from khabar.document import DataError, Document
from khabar.formats import lines
from khabar.formats.spans import ARGUMENT, LAYERS, Kind, Link, Span, dumps, gather, layers_of, records, spread
from khabar.formats.utf16 import Units
from khabar.ontology import Ontology
from khabar.select import certainty

__all__ = ["configuration", "read", "write"]

Part = Literal["auto", "predictions", "annotations"]
_CONTROLS: Mapping[Kind, str] = {"entity": "entities", "trigger": "triggers", "argument": "arguments"}
_KINDS: Mapping[str, Kind] = {control: kind for kind, control in _CONTROLS.items()}
_KEPT = ("id", "text", "layers", "meta")


def configuration(ontology: Ontology) -> str:
    """The labelling configuration of an ontology: entity types, event types, roles; glosses are shown as hints."""
    rows = ["<View>", "  <Relations>"]
    rows += [f"    <Relation value={quoteattr(role)}/>" for role in ontology.roles]
    rows += ["  </Relations>"]
    events = {label: event.gloss for label, event in ontology.events.items()}
    for control, labels in (
        ("entities", ontology.entities),
        ("triggers", events),
        ("arguments", {ARGUMENT: "دور بلا كيان"} if events else {}),
    ):
        if labels:
            rows.append(f'  <Labels name="{control}" toName="text">')
            for label, gloss in labels.items():
                colour = f"#{0x404040 + (zlib.crc32(label.encode()) & 0x7F7F7F):06X}"
                rows.append(f'    <Label value={quoteattr(label)} hint={quoteattr(gloss)} background="{colour}"/>')
            rows.append("  </Labels>")
    rows += ['  <View style="direction: rtl; text-align: right">']
    rows += ['    <Text name="text" value="$text" granularity="symbol"/>', "  </View>", "</View>"]
    return "\n".join(rows) + "\n"


def write(
    path: Path | str,
    documents: Iterable[Document],
    *,
    part: Part = "auto",
    utf16: bool = False,
    ontology: Ontology | None = None,
    report: Counter[str] | None = None,
) -> None:
    """Write tasks, whole or not at all; with an ontology also its configuration, beside them under the suffix ``.xml``.

    ``part`` says whether the labels are ``predictions``, to be accepted or corrected, or ``annotations``; ``auto``:
    predictions where any of the document's mentions has a score. Regions, relations and predictions have scores, a
    prediction's is `khabar.select.certainty`, to sort tasks by. ``utf16``: for early versions. Nothing is lost, so
    nothing is counted in ``report``.
    """
    if part not in ("auto", "predictions", "annotations"):
        raise DataError(f"expected part as auto, predictions or annotations, got {part!r}")
    if ontology is not None:
        lines.write(Path(path).with_suffix(".xml"), [configuration(ontology).rstrip("\n")])
    lines.write(path, _listed(dumps(d, _task(d, part, utf16)) for d in documents))


def _listed(tasks: Iterable[str]) -> Iterator[str]:
    """A JSON list, an item a line, without holding them all."""
    before = "["
    for task in tasks:
        yield before + task
        before = ","
    yield "]" if before == "," else "[]"


def _task(document: Document, part: Part, utf16: bool) -> dict[str, Any]:
    spans, links = spread(document)
    units = Units(document.text)
    results: list[dict[str, Any]] = []
    for number, span in enumerate(spans):
        start, end = (units.of(span.start), units.of(span.end)) if utf16 else (span.start, span.end)
        text = document.text[span.start : span.end]
        region: dict[str, Any] = {"id": f"s{number}", "from_name": _CONTROLS[span.kind], "to_name": "text"}
        region |= {"type": "labels", "value": {"start": start, "end": end, "text": text, "labels": [span.label]}}
        results.append(region | _score(span.score))
    for link in links:
        ends = {"from_id": f"s{link.trigger}", "to_id": f"s{link.argument}"}
        results.append({"type": "relation", **ends, "direction": "right", "labels": [link.role], **_score(link.score)})
    scored = any(mention.score is not None for mention in document.mentions())
    data = {"id": document.id, "text": document.text, "layers": layers_of(document), "meta": dict(document.meta)}
    if part == "predictions" or (part == "auto" and scored):
        predicted = {"model_version": "khabar", "score": round(certainty(document), 4), "result": results}
        return {"data": data, "predictions": [predicted]}
    # An annotation says that somebody looked: a document of which no layer was annotated has none.
    return {"data": data, "annotations": [{"result": results}] if data["layers"] or part == "annotations" else []}


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": round(score, 4)}


def read(
    path: Path | str,
    *,
    text: str = "text",
    layers: Collection[str] | None = None,
    utf16: bool | None = None,
    predictions: bool = True,
    report: Counter[str] | None = None,
) -> Iterator[Document]:
    """Read a JSON export, or tasks to import: the annotation of each task, or else its prediction.

    Of several annotations the one marked as ground truth is read, or else the last updated; cancelled ones never are.
    With ``predictions`` off, tasks that nobody annotated come without layers. ``text`` is the key of the text in
    ``data``. Regions of controls other than ours are entities. ``utf16``: what offsets count; ``None`` finds out for
    each task from the texts of its regions. ``layers``: what was annotated, where the task does not say.

    What is left out is counted in ``report``. Raises `DataError` that names file and task (from 1) for what is no
    export.
    """
    path = Path(path)
    report = Counter() if report is None else report
    try:
        tasks = records(lines.decode(path.read_bytes(), str(path)), str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: there is no such file") from None
    if not isinstance(tasks, list):
        raise DataError(f"{path}: expected a list of tasks, got {type(tasks).__name__}")
    for number, task in enumerate(tasks, start=1):
        place = f"{path}: task {number}"
        try:
            yield _document(task, place, text, layers, utf16, predictions, report)
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise DataError(f"{place}: not what Label Studio exports ({type(error).__name__}: {error})") from None


def _document(
    task: Any,
    place: str,
    text_key: str,
    layers: Collection[str] | None,
    utf16: bool | None,
    predictions: bool,
    report: Counter[str],
) -> Document:
    data = task.get("data") if isinstance(task, Mapping) else None
    text = data.get(text_key) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(text, str):
        raise DataError(f"{place}: expected a task with data and a string {text_key!r} in it")
    meta = data.get("meta") if isinstance(data.get("meta"), Mapping) else {}
    meta = {**{key: value for key, value in data.items() if key not in (*_KEPT, text_key)}, **(meta or {})}
    name = str(data.get("id", task.get("id", number_of(place))))
    results = _chosen(task, predictions, report)
    if results is None:
        return Document(name, text, meta=meta)
    regions, relations = [], []
    for result in results:
        kind = result.get("type")
        if kind == "relation":
            relations.append(result)
        elif "labels" in str(kind) and "value" in result:
            regions.append(result)
        else:
            report[f"Label Studio {kind} left out"] += 1
    spans: list[Span] = []
    ids: dict[str, int] = {}
    for region, (start, end) in zip(regions, _extents(regions, text, place, utf16, report), strict=True):
        value = region["value"]
        labels = value.get("labels") or value.get(region["type"]) or []
        if not labels:
            report["region without a label dropped"] += 1
            continue
        report.update({"second label of a region left out": len(labels) - 1} if len(labels) > 1 else {})
        ids[region.get("id", f"#{len(spans)}")] = len(spans)
        spans.append(
            Span(_KINDS.get(str(region.get("from_name")), "entity"), start, end, labels[0], region.get("score"))
        )
    links = _links(relations, ids, spans, report)
    if layers is None and isinstance(data.get("layers"), list):
        layers = [layer for layer in LAYERS if layer in data["layers"]]
        # Somebody may have added what the task did not come with.
        there = {"entities": "entity", "events": "trigger"}
        layers += [x for x in LAYERS if x not in layers and any(span.kind == there[x] for span in spans)]
    return gather(name, text, spans, links, place=place, layers=layers, meta=meta, report=report)


def number_of(place: str) -> str:
    """The number at the end of a place: the id of a task that has none."""
    return place.rpartition(" ")[2]


def _chosen(task: Mapping[str, Any], predictions: bool, report: Counter[str]) -> list[Mapping[str, Any]] | None:
    """The results of the annotation or prediction to read."""
    every = [a for a in task.get("annotations") or task.get("completions") or () if isinstance(a, Mapping)]
    made = [a for a in every if not a.get("was_cancelled")]
    if len(made) < len(every):
        report["cancelled annotation left out"] += len(every) - len(made)
    if not made and predictions:
        made = [p for p in task.get("predictions") or () if isinstance(p, Mapping)]
    if len(made) > 1:
        report["further annotation of a task left out"] += len(made) - 1
    if not made:
        report["task without annotation"] += 1
        return None
    return list(max(made, key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))["result"])


def _links(
    relations: Sequence[Mapping[str, Any]], ids: Mapping[str, int], spans: Sequence[Span], report: Counter[str]
) -> list[Link]:
    links = []
    for relation in relations:
        trigger, argument = ids.get(relation["from_id"]), ids.get(relation["to_id"])
        labels = relation.get("labels") or ()
        if trigger is None or argument is None or not labels:
            report["relation without a role dropped" if not labels else "relation to a dropped region dropped"] += 1
            continue
        backwards = relation.get("direction") == "left"
        if backwards or (relation.get("direction") == "bi" and spans[trigger].kind != "trigger"):
            trigger, argument = argument, trigger
        links += [Link(trigger, argument, label, relation.get("score")) for label in labels]
    return links


def _extents(
    regions: Sequence[Mapping[str, Any]], text: str, place: str, utf16: bool | None, report: Counter[str]
) -> list[tuple[int, int]]:
    """Code points of each region's ends."""
    said = []
    for region in regions:
        value = region["value"]
        if not isinstance(value.get("start"), int):
            value = {**value, **value.get("globalOffsets", {})}  # of a HyperText, whose own ends are paths
        if type(value.get("start")) is not int or type(value.get("end")) is not int:
            raise DataError(f"{place}: region {region.get('id')!r}: expected integers start and end")
        said.append((value["start"], value["end"], value.get("text")))
    units = Units(text)
    as_units = [(units.back(start), units.back(end)) for start, end, _ in said]

    def fits(extents: Iterable[tuple[int | None, int | None]]) -> list[bool]:
        pairs = zip(extents, said, strict=True)
        return [
            a is not None and b is not None and 0 <= a < b <= len(text) and (not t or _same(text[a:b], t))
            for (a, b), (*_, t) in pairs
        ]

    points = [(start, end) for start, end, _ in said]
    fitting = fits(as_units if utf16 else points)
    if utf16 is None and not all(fitting) and all(fits(as_units)):
        report["task with offsets in UTF-16 units"] += 1
        fitting, utf16 = fits(as_units), True
    if not all(fitting):
        bad = fitting.index(False)
        start, end, words = said[bad]
        raise DataError(
            f"{place}: region {regions[bad].get('id')!r}: {words!r} does not stand at {start}..{end}"
            f" ({'UTF-16 units' if utf16 else 'code points'})"
        )
    return [(a, b) for a, b in (as_units if utf16 else points) if a is not None and b is not None]


def _same(there: str, said: Any) -> bool:
    """Whether a region's text is that of its extent; Label Studio writes a line break as a backslash and n."""
    return "".join(there.split()) == "".join(str(said).replace("\\n", "\n").split()) or there == said
