"""The JSON lines of OneIE and its kin for ACE: a sentence a line, offsets in tokens.

``{"doc_id", "sent_id", "sentence", "tokens", "entity_mentions": [{"id", "text", "entity_type", "mention_type",
"start", "end"}], "relation_mentions", "event_mentions": [{"id", "event_type", "trigger": {"text", "start", "end"},
"arguments": [{"entity_id", "text", "role"}]}]}``. An argument is always an entity mention there; one that is none
here gets a mention of type ``Argument``. Tokens are those of `khabar.arabic.words`, as they are written.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from khabar.arabic import Word, sentences, words
from khabar.document import DataError, Document
from khabar.formats import lines
from khabar.formats.spans import ARGUMENT, Kind, Link, Span, gather, lose, records, spread

__all__ = ["read", "write"]


def write(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    """Write the sentences of documents, whole or not at all.

    Counted in ``report``: mentions that grow to the edges of tokens, entities that then overlap, mentions that cross
    a sentence and arguments outside their trigger's (both dropped), metadata, scores, layers that were not annotated.
    """
    report = Counter() if report is None else report
    lines.write(path, (line for document in documents for line in _sentences(document, report)))


def _sentences(document: Document, report: Counter[str]) -> Iterator[str]:
    lose(document, report, "meta", "scores", "layers")
    text, tokens = document.text, words(document.text)
    ranges = sentences(text, tokens) or [range(0)]
    starts = [span.start for span in ranges]
    spans, links = spread(document)
    extents = _extents(spans, tokens, report)
    homes: list[int | None] = []  # the sentence of each span
    taken: set[int] = set()  # tokens of entities
    for span, extent in zip(spans, extents, strict=True):
        home = None
        if extent is not None:
            home = bisect_right(starts, extent.start) - 1
            if extent.stop > ranges[home].stop:
                report["mention dropped: it crosses a sentence"] += 1
                home = None
            elif span.kind == "entity":
                if not taken.isdisjoint(extent):
                    report["entity dropped: its tokens are another's"] += 1
                    home = None
                else:
                    taken.update(extent)
        homes.append(home)
    used = set()
    for link in links:
        if homes[link.trigger] is None or homes[link.trigger] != homes[link.argument]:
            report["argument dropped: not in the sentence of its trigger"] += 1
        else:
            used.add(link.argument)
    homes = [home if spans[i].kind != "argument" or i in used else None for i, home in enumerate(homes)]
    for number, inside in enumerate(ranges):
        yield json.dumps(
            _sentence(document, number, ranges, tokens, spans, links, extents, homes, inside), ensure_ascii=False
        )


def _extents(spans: Sequence[Span], tokens: Sequence[Word], report: Counter[str]) -> list[range | None]:
    """The numbers of the tokens that each span has a part of."""
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    found: list[range | None] = []
    for span in spans:
        first, last = bisect_right(ends, span.start), bisect_left(starts, span.end)
        if first >= last:
            report["mention dropped: no token in it"] += 1
            found.append(None)
            continue
        if (starts[first], ends[last - 1]) != (span.start, span.end):
            report["mention moved to the edges of tokens"] += 1
        found.append(range(first, last))
    return found


def _sentence(
    document: Document,
    number: int,
    ranges: Sequence[range],
    tokens: Sequence[Word],
    spans: Sequence[Span],
    links: Sequence[Link],
    extents: Sequence[range | None],
    homes: Sequence[int | None],
    inside: range,
) -> dict[str, Any]:
    """The record of a sentence. Its text goes on to the next one's, so that together they are the document's."""
    text, name = document.text, f"{document.id}-{number}"

    def extent(i: int) -> dict[str, Any]:
        place = extents[i] or range(0)
        words_there = text[tokens[place.start].start : tokens[place.stop - 1].end]
        return {"text": words_there, "start": place.start - inside.start, "end": place.stop - inside.start}

    here = [i for i, home in enumerate(homes) if home == number]
    ids = {i: f"{name}-E{n}" for n, i in enumerate(i for i in here if spans[i].kind != "trigger")}
    events = []
    for n, i in enumerate(i for i in here if spans[i].kind == "trigger"):
        arguments = [
            {"entity_id": ids[link.argument], "text": extent(link.argument)["text"], "role": link.role}
            for link in links
            if link.trigger == i and link.argument in ids
        ]
        event = {"id": f"{name}-EV{n}", "event_type": spans[i].label, "trigger": extent(i), "arguments": arguments}
        events.append(event)
    start = tokens[inside.start].start if number else 0
    end = tokens[ranges[number + 1].start].start if number + 1 < len(ranges) else len(text)
    return {
        "doc_id": document.id,
        "sent_id": name,
        "sentence": text[start:end],
        "start": start,
        "tokens": [text[tokens[i].start : tokens[i].end] for i in inside],
        "entity_mentions": [
            {"id": ids[i], "entity_type": spans[i].label, "mention_type": "NAM", **extent(i)} for i in ids
        ],
        "relation_mentions": [],
        "event_mentions": events,
    }


def read(
    path: Path | str, *, layers: Collection[str] | None = None, report: Counter[str] | None = None
) -> Iterator[Document]:
    """Read the sentences of each document, which follow one another, and join them.

    Where a sentence has no ``sentence`` that holds its tokens in order, these are joined by spaces; sentences that do
    not say where they ``start`` are joined by line feeds. Relations, and what a document cannot hold, are counted in
    ``report``. ``layers`` names what was annotated; without it, entities were, and events where there is one.

    Raises `DataError` that names file and line for what is not a sentence, and for a document that comes in two parts.
    """
    report = Counter() if report is None else report
    done: set[str] = set()
    for name, group in groupby(_records(path), key=lambda item: item[1]["doc_id"]):
        items = list(group)
        if name in done:
            raise DataError(f"{items[0][0]}: document {name!r} began on an earlier line and was left")
        done.add(name)
        yield _joined(name, items, layers, report)


def _records(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines.read(path):
        if line.strip():
            place = f"{path}: line {number}"
            record = records(line, place)
            tokens = record.get("tokens") if isinstance(record, Mapping) else None
            if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
                raise DataError(f"{place}: expected an object with a list of strings as tokens")
            if not isinstance(record.get("doc_id"), str):
                raise DataError(f"{place}: expected a string doc_id")
            yield place, record


def _joined(
    name: str, items: Sequence[tuple[str, dict[str, Any]]], layers: Collection[str] | None, report: Counter[str]
) -> Document:
    text = ""
    spans: list[Span] = []
    links: list[Link] = []
    for number, (place, record) in enumerate(items):
        sentence = record.get("sentence")
        offsets = _found(record["tokens"], sentence) if isinstance(sentence, str) else None
        if offsets is None:
            if sentence is not None:
                report["sentence that does not hold its tokens: these are joined by spaces"] += 1
            sentence, offsets = " ".join(record["tokens"]), []
            done = 0
            for token in record["tokens"]:
                offsets.append((done, done + len(token)))
                done += len(token) + 1
        if number and record.get("start") != len(text):
            text += "\n"
        try:
            _collect(record, [(a + len(text), b + len(text)) for a, b in offsets], spans, links, report)
        except (TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{place}: not a sentence of OneIE ({type(error).__name__}: {error})") from None
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        text += str(sentence)
    return gather(name, text, spans, links, place=items[0][0], layers=layers, report=report)


def _found(tokens: Sequence[str], sentence: str) -> list[tuple[int, int]] | None:
    """Where each token stands in the sentence, one after the other with nothing but white space between them."""
    offsets, done = [], 0
    for token in tokens:
        start = sentence.find(token, done)
        if start < 0 or sentence[done:start].strip() or not token:
            return None
        done = start + len(token)
        offsets.append((start, done))
    return offsets


def _collect(
    record: Mapping[str, Any],
    offsets: Sequence[tuple[int, int]],
    spans: list[Span],
    links: list[Link],
    report: Counter[str],
) -> None:
    """Add the spans and links of a sentence."""

    def span(mention: Mapping[str, Any], kind: Kind, label: str) -> int:
        start, end = mention["start"], mention["end"]
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(offsets):
            raise ValueError(f"expected 0 <= start < end <= {len(offsets)} tokens, got {start!r} and {end!r}")
        if not isinstance(label, str):
            raise ValueError(f"expected a string as type, got {label!r}")
        spans.append(Span(kind, offsets[start][0], offsets[end - 1][1], label))
        return len(spans) - 1

    ids = {}
    for mention in record.get("entity_mentions") or ():
        kind: Kind = "argument" if mention["entity_type"] == ARGUMENT else "entity"
        ids[mention["id"]] = span(mention, kind, mention["entity_type"])
    if record.get("relation_mentions"):
        report["relation left out"] += len(record["relation_mentions"])
    for event in record.get("event_mentions") or ():
        trigger = span(event["trigger"], "trigger", event["event_type"])
        for argument in event.get("arguments") or ():
            if argument["entity_id"] not in ids:
                raise ValueError(f"there is no entity {argument['entity_id']!r}")
            links.append(Link(trigger, ids[argument["entity_id"]], argument["role"]))
