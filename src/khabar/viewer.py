"""Labelled documents as pages for people: the articles right to left, what is marked in them, and a card an event.

A page needs no other file and no network. Texts and labels are data: the templates escape everything, and the page's
own policy lets no script and no style in but those that it was made with.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from khabar import names
from khabar.document import Document, Event, Mention
from khabar.formats import lines
from khabar.markup import digest, environment, source
from khabar.ontology import Ontology

__all__ = ["Paragraph", "Piece", "Run", "desk", "embedded", "fragment", "page", "paragraphs", "write"]

ARTICLES = 20  # of a page
CHARACTERS = 200_000  # of a page; an article is never divided
_GROUNDS = 8  # colours of types in base.css; types beyond them begin again
_PAGE = "articles-{:05d}.html"
# Why the service labels nothing: a status of HTTP, 0 where no answer comes -> what its page says.
_REFUSALS = {
    0: ("لم تُجب الخدمة.", "The service did not answer."),
    408: ("استغرق الإرسال وقتًا طويلًا.", "It took too long to send."),
    413: ("المقال أطول مما تقبله الخدمة.", "The article is longer than the service accepts."),
    422: (
        "لا يمكن قراءة هذا المقال: ليس فيه حرف ولا رقم، أو هو أطول من {} حرف.",
        "This article cannot be read: it has no letter or digit, or more than {} characters.",
    ),
    429: ("الخدمة مشغولة الآن، أعد المحاولة بعد قليل.", "The service is busy: try again in a moment."),
    500: ("تعذّرت قراءة هذا المقال.", "This article could not be read."),
    503: ("لم تفرغ الخدمة من المقال في الوقت المتاح.", "The service had no time left for the article."),
}
_UNTRUSTED = "Entities and events are shown in a notebook that is trusted."
_EXCERPT = 90  # characters of an article that the index shows


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that the same mentions cover.

    ``triggers`` are numbers of events; ``arguments`` are pairs of them and the argument's number in its event.
    ``ended`` are the triggers whose last piece this is.
    """

    text: str
    triggers: tuple[int, ...] = ()
    arguments: tuple[tuple[int, int], ...] = ()
    ended: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """The pieces of one entity, or of the text between two, within a paragraph; ``last`` where the entity ends."""

    entity: Mention | None
    pieces: tuple[Piece, ...]
    last: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A line of the article with its line end; a long one may be all of it."""

    runs: tuple[Run, ...]
    blank: bool


def page(documents: Iterable[Document], ontology: Ontology | None = None, *, back: str | None = None) -> str:
    """One self-contained page of documents, all of which are held in memory.

    Args:
        documents: labelled or not; their texts are shown as they stand, but for U+0000, which no page can hold.
        ontology: has the Arabic names of types; by default that of the labeller that ships with the package. A type
            that it does not have is shown by its label.
        back: the address of an index that the page links to.

    """
    documents = list(documents)
    title = documents[0].id if len(documents) == 1 else f"{len(documents)}"
    return _render("viewer.html.jinja", **_shown(documents, ontology), **_own(), title=title, back=back)


def desk(longest: int) -> str:
    """The page of `khabar.service`: a box to paste an article of at most ``longest`` characters into.

    It sends the article to ``label?format=html``, beside it, and shows the `fragment` that is answered.
    """
    refusals = [(status, *(words.format(longest) for words in said)) for status, said in _REFUSALS.items()]
    own = _own(("service.css",), ("service.js",))
    return _render("viewer.html.jinja", **_shown([], asking=True), **own, title="", back=None, refusals=refusals)


def fragment(documents: Iterable[Document], ontology: Ontology | None = None) -> str:
    """What a `page` shows of the documents, without the page."""
    return _render("viewer-articles.html.jinja", **_shown(list(documents), ontology))


def write(folder: Path | str, documents: Iterable[Document], ontology: Ontology | None = None) -> int:
    """Write a stream of documents as a folder of pages and their ``index.html``; returns how many pages.

    Memory holds one page at a time: at most `ARTICLES` documents, and one more than `CHARACTERS` of text at most. Each
    page appears whole, the index when all are there; pages that an earlier index had beyond them are then deleted.
    """
    folder = Path(folder)
    written = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal written
        for number, held in enumerate(_pages(documents), start=1):
            name = _PAGE.format(number)
            lines.write(folder / name, [page(held, ontology, back="index.html")])
            written = number
            for place, document in enumerate(held, start=1):
                yield {"address": f"{name}#article={place}", "article": document, **_tally(document)}

    template = environment().get_template("index.html.jinja")
    lines.write(folder / "index.html", _lines(template.generate(articles=rows(), excerpt=_excerpt, **_own())))
    for old in folder.glob(_PAGE.replace("{:05d}", "*")):
        if (found := re.fullmatch(r"articles-(\d{5,})\.html", old.name)) and int(found[1]) > written:
            old.unlink()
    return written


def embedded(documents: Iterable[Document], ontology: Ontology | None = None) -> str:
    """A page in a frame of its own, for a notebook: neither sees the styles, scripts or data of the other.

    Notebooks that are not trusted, and pages that show notebooks, take the frame away and leave what stands in it: the
    texts, and why there is no more.
    """
    documents = list(documents)
    rows = sum(len(document.text) for document in documents) // 70
    height = min(240 + 44 * max(rows, 3 * max((len(d.events or ()) for d in documents), default=0)), 720)
    texts = "".join(f'<p dir="rtl">{escape(document.text)}</p>' for document in documents)
    return (
        f'<iframe srcdoc="{escape(page(documents, ontology))}" sandbox="allow-scripts" title="khabar" '
        f'style="width: 100%; height: {height}px; border: 0; border-radius: 8px; resize: vertical">'
        f"{texts}<p>{_UNTRUSTED}</p></iframe>"
    )


def paragraphs(document: Document) -> list[Paragraph]:
    """Cut a text at its line ends, and where mentions of any layer begin and end."""
    text = document.text
    # Of each place the mentions that begin there: entities, triggers (event), arguments (event, argument).
    spans: list[tuple[Mention, str, Any]] = [(m, "entity", m) for m in document.entities or ()]
    for number, event in enumerate(document.events or ()):
        spans.append((event.trigger, "trigger", number))
        spans += [(argument, "argument", (number, place)) for place, argument in enumerate(event.arguments)]
    starting: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    for key, (mention, _, _) in enumerate(spans):
        starting.setdefault(mention.start, []).append(key)
        ending.setdefault(mention.end, []).append(key)
    breaks = {found.end() for found in re.finditer("\n", text)}
    edges = sorted({0, len(text)} | breaks | starting.keys() | ending.keys())
    found: list[Paragraph] = []
    runs: list[tuple[Mention | None, list[Piece]]] = []
    active: dict[int, None] = {}  # in the order in which they began
    for start, end in zip(edges, edges[1:], strict=False):
        for key in ending.get(start, ()):
            active.pop(key, None)
        active |= dict.fromkeys(starting.get(start, ()))
        held = [spans[key] for key in active]
        entity = next((value for _, kind, value in held if kind == "entity"), None)
        piece = Piece(
            text[start:end],
            tuple(value for _, kind, value in held if kind == "trigger"),
            tuple(value for _, kind, value in held if kind == "argument"),
            tuple(value for mention, kind, value in held if kind == "trigger" and mention.end == end),
        )
        if runs and runs[-1][0] is entity:
            runs[-1][1].append(piece)
        else:
            runs.append((entity, [piece]))
        if end in breaks or end == len(text):
            blank = all(piece.text.isspace() for _, pieces in runs for piece in pieces)
            # Of an entity that crosses the line end, this run is the last only if the entity ends here or before.
            found.append(Paragraph(tuple(Run(e, tuple(p), e is not None and e.end <= end) for e, p in runs), blank))
            runs = []
    return found


def _shown(documents: Sequence[Document], ontology: Ontology | None = None, asking: bool = False) -> dict[str, Any]:
    glosses = ontology or names.shipped()
    counts = Counter(m.label for document in documents for m in document.entities or ())
    return {
        "articles": [_article(document, glosses) for document in documents],
        "types": {label: number % _GROUNDS for number, label in enumerate(sorted(counts))},
        "counts": counts,
        "glosses": glosses.entities,
        "asking": asking,
    }


def _article(document: Document, ontology: Ontology) -> dict[str, Any]:
    events = document.events or ()
    source_ = {key: document.meta.get(key) for key in ("title", "source", "date", "year")}
    return {
        "document": document,
        "facts": [str(value) for value in source_.values() if isinstance(value, str | int) and value != ""],
        "paragraphs": paragraphs(document),
        "events": [_event(document, event, ontology) for event in events],
        **_tally(document),
    }


def _tally(document: Document) -> dict[str, int]:
    return {"entities": len(document.entities or ()), "happened": len(document.events or ())}


def _event(document: Document, event: Event, ontology: Ontology) -> dict[str, Any]:
    """An event with its arguments by the question they answer, each with its number."""
    known = ontology.events.get(event.type)
    order = list(names.QUESTIONS)
    arguments = sorted(enumerate(event.arguments), key=lambda one: order.index(names.question(one[1].label)))
    return {
        "type": event.type,
        "gloss": known.gloss if known else event.type,
        "trigger": event.trigger,
        "words": _words(document, event.trigger),
        "arguments": [
            {
                "number": number,
                "mention": argument,
                "words": _words(document, argument),
                "question": names.question(argument.label),
                "gloss": names.role(argument.label),
            }
            for number, argument in arguments
        ],
    }


def _words(document: Document, mention: Mention) -> str:
    return " ".join(document.surface(mention).split()) or document.surface(mention)


def _excerpt(text: str) -> str:
    """How an article begins, on one line."""
    words = " ".join(text[: 4 * _EXCERPT].split())
    return words if len(words) <= _EXCERPT else words[:_EXCERPT].rsplit(" ", 1)[0] + " …"


def _pages(documents: Iterable[Document]) -> Iterator[list[Document]]:
    held: list[Document] = []
    length = 0
    for document in documents:
        if held and (len(held) == ARTICLES or length + len(document.text) > CHARACTERS):
            yield held
            held, length = [], 0
        held.append(document)
        length += len(document.text)
    if held:
        yield held


def _own(styles: Sequence[str] = (), scripts: Sequence[str] = ()) -> dict[str, Any]:
    """The style and the script of a page, and what its policy calls them."""
    style, script = source("base.css", "viewer.css", *styles), source("viewer.js", *scripts)
    return {"style": style, "script": script, "digests": {"style": digest(style), "script": digest(script)}}


def _render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(questions=names.QUESTIONS, raw=_raw, **values).lstrip()


def _raw(text: str) -> Markup:
    """A text escaped so that a browser reads every character of it: a bare carriage return would become a line feed."""
    return Markup(escape(text).replace("\r", "&#13;").replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _lines(parts: Iterable[str]) -> Iterator[str]:
    """Parts of a text as its lines; joined, not added: markup would escape what it is added to."""
    rest = ""
    for part in parts:
        *whole, rest = "".join((rest, part)).split("\n")
        yield from whole
    yield rest
