"""Hand-written annotation: an article with its mentions given as quotes, which become offsets here.

One JSON object a file: ``id``, ``text``, ``entities`` as ``[quote, type]`` pairs, ``events`` with ``type``,
``trigger`` (a quote) and ``arguments`` as ``[quote, role]`` pairs; every other key goes into ``meta``.
A quote may be given in context, the mention between ⟦ and ⟧. An entity's quote marks every occurrence
that is not part of a longer entity; a trigger's must be unique; an argument's resolves to the
occurrence nearest to its trigger, within the trigger's sentence where there is one.

Annotation of articles that stand elsewhere leaves ``text`` out: it comes, with its ``meta``, from the document
of the same id.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document, Event, Mention
from khabar.formats import jsonl
from khabar.ontology import Ontology

__all__ = ["read"]

Span = tuple[int, int]
_LETTER = re.compile(r"[^\W_]|[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_CLITICS = re.compile(r"[وفبكل]{0,3}")  # one-letter conjunctions and prepositions, stacked: وب، فل
_SENTENCE_END = re.compile(r"[.!?؟\n]")
_EDGE = re.compile(r"^[\s\"'«»“”‘’،؛:.!?؟,;-]|[\s\"'«»“”‘’،؛:.!?؟,;-]$")


def read(path: Path, ontology: Ontology, texts: Mapping[str, Document] | None = None) -> Document:
    """Read one annotated article; ``texts`` are the documents, by id, of articles whose text is not in the file.

    Raises `DataError` that names the file and the quote where a quote is not found, is ambiguous,
    does not stand at the edges of words, or has a label that the ontology does not admit.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if texts is not None and isinstance(record, dict) and "text" not in record:
            if record.get("id") not in texts:
                raise DataError(f"the texts have no document {record.get('id')!r}")
            source = texts[record["id"]]
            record = {**source.meta, **record, "text": source.text}
        expected = {"id": str, "text": str, "entities": list, "events": list}
        for key, kind in expected.items():
            if not isinstance(record, dict) or not isinstance(record.get(key), kind):
                raise DataError(f"expected an object with a {kind.__name__} {key}")
        return ontology.check(_document(record))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except KeyError as error:
        raise DataError(f"{path}: an event lacks {error}, expected type, trigger and arguments") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def _document(record: Mapping[str, Any]) -> Document:
    text = record["text"]
    found: dict[Span, str] = {}
    # Longest first: a name inside a longer listed name is not a mention of its own.
    for quote, label in sorted(record["entities"], key=lambda pair: -len(_mention(pair[0])[0])):
        spans = [s for s in _find(text, quote) if all(s[1] <= o[0] or o[1] <= s[0] for o in found)]
        if not spans and not any(s in found and found[s] == label for s in _find(text, quote)):
            raise DataError(f"entity {quote!r}: every occurrence lies inside a longer entity")
        found.update(dict.fromkeys(spans, label))
    events = []
    for event in record["events"]:
        spans = _find(text, event["trigger"])
        if len(spans) != 1:
            raise DataError(f"trigger {event['trigger']!r} occurs {len(spans)} times: give context with ⟦ ⟧")
        trigger = Mention(*spans[0], event["type"])
        arguments = tuple(
            Mention(*min(_find(text, quote), key=lambda span: _distance(text, trigger, span)), role)
            for quote, role in event["arguments"]
        )
        events.append(Event(trigger, tuple(dict.fromkeys(arguments))))
    return Document(
        id=record["id"],
        text=text,
        entities=tuple(Mention(*span, label) for span, label in found.items()),
        events=tuple(dict.fromkeys(events)),
        meta={k: v for k, v in record.items() if k not in ("id", "text", "entities", "events")},
    )


def _mention(quote: str) -> tuple[str, int, str]:
    """The mention, its offset in the context, and the context."""
    before, opened, rest = quote.partition("⟦")
    inside, closed, after = rest.partition("⟧")
    if not opened:
        return quote, 0, quote
    if not closed:
        raise DataError(f"quote {quote!r}: ⟦ without ⟧")
    return inside, len(before), before + inside + after


def _find(text: str, quote: str) -> list[Span]:
    """Every place of the quote that starts at a word or after its clitics and ends at a word's end."""
    mention, offset, context = _mention(quote)
    if not mention or _EDGE.search(mention):
        raise DataError(f"quote {quote!r}: a mention is not empty and has no space or punctuation at its edges")
    starts = [match.start() + offset for match in re.finditer(f"(?={re.escape(context)})", text)]
    places = [(start, start + len(mention)) for start in starts]
    # A digit glued to a letter (إف16, but also وفاة12 with its space lost) parts words only where nothing else fits.
    spans = [span for span in places if _is_word(text, span, glued=True)]
    spans = spans or [span for span in places if _is_word(text, span, glued=False)]
    if not spans:
        raise DataError(f"quote {quote!r} is not in the text as words of their own")
    if context != mention and len(spans) > 1:
        raise DataError(f"context {quote!r} occurs {len(spans)} times")
    return spans


def _is_word(text: str, span: Span, glued: bool) -> bool:
    """Whether words, but for clitics, begin and end there; ``glued``: a digit and a letter may be of one word."""

    def joined(place: int) -> bool:
        pair = text[place - 1 : place + 1] if place else ""
        return len(pair) == 2 and all(map(_LETTER.match, pair)) and (glued or pair[0].isdigit() == pair[1].isdigit())

    word = span[0]
    while joined(word):
        word -= 1
    return bool(_CLITICS.fullmatch(text[word : span[0]])) and not joined(span[1])


def _distance(text: str, trigger: Mention, span: Span) -> tuple[int, int]:
    """Sentence ends, then characters, between a trigger and a span."""
    left, right = min(trigger.end, span[1]), max(trigger.start, span[0])
    return len(_SENTENCE_END.findall(text[left:right])), max(0, right - left)


def main() -> None:
    """Check hand-annotated articles, list what their quotes became, count their labels, and write them as JSONL."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--texts", type=Path, help="JSONL with the texts of articles that are annotated by id alone")
    parser.add_argument("--ontology", required=True, type=Path, help="an ontology file (YAML)")
    parser.add_argument("--output", type=Path, help="write the documents here, one JSON object a line")
    arguments = parser.parse_args()
    try:
        ontology = Ontology.load(arguments.ontology)
        texts = None if arguments.texts is None else {d.id: d for d in jsonl.read(arguments.texts)}
    except DataError as error:
        raise SystemExit(f"error: {error}") from None
    documents, failed = [], 0
    for path in arguments.files:
        try:
            documents.append(read(path, ontology, texts))
        except DataError as error:
            failed += 1
            print(f"ERROR {error}", file=sys.stderr)
            continue
        document = documents[-1]
        print(f"\n{document.id}: {len(document.text.split())} words")
        print("  " + " · ".join(f"{document.surface(m)} [{m.label}]" for m in document.entities or ()))
        for event in document.events or ():
            roles = " · ".join(f"{a.label}: {document.surface(a)}" for a in event.arguments)
            print(f"  {event.type} «{document.surface(event.trigger)}» {roles}")
    words = sum(len(document.text.split()) for document in documents)
    print(f"\n{len(documents)} articles, {words} words")
    for layer in ("entities", "events"):
        counts = Counter(
            m.label if isinstance(m, Mention) else m.type for d in documents for m in getattr(d, layer) or ()
        )
        print(f"{layer}: " + " · ".join(f"{label} {count}" for label, count in counts.most_common()))
    if failed:
        raise SystemExit(f"{failed} of {len(arguments.files)} files have errors; nothing was written")
    if arguments.output:
        jsonl.write(arguments.output, documents)


if __name__ == "__main__":
    main()
