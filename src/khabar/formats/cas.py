"""UIMA CAS as XMI, for INCEpTION and WebAnno: a folder with ``TypeSystem.xml`` and a ``NAME.xmi`` for each document.

Entities are DKPro's ``NamedEntity``, events ``SemPred`` (``category``: the event type) with ``SemArgLink`` (``role``)
to a ``SemArg``: layers that INCEpTION has built in. Set them to be anchored on characters there, since mentions begin
behind clitics. Offsets in the files are UTF-16 units; ``dkpro-cassis`` (``khabar[inception]``) converts them.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import folders
from khabar.formats.spans import ARGUMENT, LAYERS, Link, Span, dumps, gather, layers_of, lose, spread

__all__ = ["read", "write"]

_DKPRO = "de.tudarmstadt.ukp.dkpro.core.api"
_ENTITY = f"{_DKPRO}.ner.type.NamedEntity"
_EVENT, _ARGUMENT, _LINK = (f"{_DKPRO}.semantics.type.{name}" for name in ("SemPred", "SemArg", "SemArgLink"))
_METADATA = f"{_DKPRO}.metadata.type.DocumentMetaData"
_OURS = "khabar.Document"  # what was annotated, and the metadata as JSON
_TYPES = "TypeSystem.xml"
_SEGMENTS = (f"{_DKPRO}.segmentation.type.{name}" for name in ("Token", "Sentence"))  # the text says where they are
_KNOWN = frozenset({_ENTITY, _EVENT, _ARGUMENT, _METADATA, _OURS, "uima.tcas.DocumentAnnotation", *_SEGMENTS})


def write(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    """Write a new folder. Scores are not held, and counted in ``report``.

    Layers and metadata stand in an annotation of our own, which other tools may drop. Raises `DataError` where an id
    comes twice or is no file name, and for characters that XML has no way to write.
    """
    cassis = _cassis()
    report = Counter() if report is None else report
    types = _types(cassis)
    with folders.new(path) as folder:
        types.to_xml(folder / _TYPES)
        for document in documents:
            lose(document, report, "scores")
            name = folders.file_name(document.id)
            file = folder / f"{name}.xmi"
            if file.exists():
                raise DataError(f"{path}: document {document.id!r} is there twice")
            try:
                data = _cas(cassis, types, document).to_xmi()
            except ValueError as error:  # lxml, of control characters
                raise DataError(f"document {document.id!r} cannot be written as XML: {error}") from None
            folders.put(file, data.encode())


def _cassis() -> Any:
    try:
        import cassis
    except ImportError:
        raise DataError("XMI needs dkpro-cassis: pip install 'khabar[inception]'") from None
    return cassis


def _types(cassis: Any) -> Any:
    """The types we use, with the names and features that they have in DKPro Core."""
    types = cassis.TypeSystem()
    string = "uima.cas.String"
    entity = types.create_type(_ENTITY, "uima.tcas.Annotation")
    types.create_feature(entity, "value", string)
    types.create_feature(entity, "identifier", string)
    argument = types.create_type(_ARGUMENT, "uima.tcas.Annotation")
    link = types.create_type(_LINK, "uima.cas.TOP")
    types.create_feature(link, "role", string)
    types.create_feature(link, "target", argument)
    event = types.create_type(_EVENT, "uima.tcas.Annotation")
    types.create_feature(event, "category", string)
    types.create_feature(event, "arguments", "uima.cas.FSArray", elementType=link)
    metadata = types.create_type(_METADATA, "uima.tcas.DocumentAnnotation")
    for name in ("documentTitle", "documentId"):
        types.create_feature(metadata, name, string)
    ours = types.create_type(_OURS, "uima.tcas.Annotation")
    types.create_feature(ours, "layers", string)
    types.create_feature(ours, "meta", string)
    return types


def _cas(cassis: Any, types: Any, document: Document) -> Any:
    cas = cassis.Cas(typesystem=types)
    cas.sofa_string = document.text
    cas.sofa_mime = "text/plain"

    def add(name: str, start: int, end: int, **features: Any) -> Any:
        value = types.get_type(name)(begin=start, end=end, **features)
        cas.add(value)
        return value

    whole = (0, len(document.text))
    add(_METADATA, *whole, language="ar", documentTitle=document.id, documentId=document.id)
    meta = dumps(document, dict(document.meta))
    add(_OURS, *whole, layers=" ".join(layers_of(document)), meta=meta)
    spans, links = spread(document)
    arguments: dict[tuple[int, int], Any] = {}
    for number, span in enumerate(spans):
        if span.kind == "entity":
            add(_ENTITY, span.start, span.end, value=span.label)
        elif span.kind == "trigger":
            roles = []
            for link in links:
                if link.trigger == number:
                    target = spans[link.argument]
                    extent = (target.start, target.end)
                    if extent not in arguments:
                        arguments[extent] = add(_ARGUMENT, *extent)
                    roles.append(types.get_type(_LINK)(role=link.role, target=arguments[extent]))
            array = types.get_type("uima.cas.FSArray")(elements=roles)
            add(_EVENT, span.start, span.end, category=span.label, arguments=array)
    return cas


def read(
    path: Path | str, *, layers: Collection[str] | None = None, report: Counter[str] | None = None
) -> Iterator[Document]:
    """Read the ``*.xmi`` files of a folder and of the folders in it, or one, with the ``TypeSystem.xml`` beside each.

    The id is the file's path without suffix (``documentId`` is the name of a project in some tools). ``layers``: what
    was annotated, where the file does not say. Annotations without a label, and types that a document cannot hold,
    are counted in ``report``. Raises `DataError` that names the file for what is no CAS.
    """
    cassis = _cassis()
    path = Path(path)
    report = Counter() if report is None else report
    files = sorted(path.rglob("*.xmi")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise DataError(f"{path}: there is no *.xmi file here")
    systems: dict[Path, Any] = {}
    for file in files:
        name = folders.identifier((file.relative_to(path).as_posix() if path.is_dir() else file.name)[: -len(".xmi")])
        place = next((p / _TYPES for p in file.parents if (p / _TYPES).is_file()), file.with_name(_TYPES))
        try:
            if place not in systems:
                with place.open("rb") as stream:
                    systems[place] = cassis.load_typesystem(stream)
            with file.open("rb") as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of offsets outside the text: they are refused below
                cas = cassis.load_cas_from_xmi(stream, typesystem=systems[place], lenient=True)
            yield _document(name, cas, str(file), layers, report)
        except DataError:
            raise
        except FileNotFoundError as error:
            raise DataError(f"{error.filename}: there is no such file") from None
        except Exception as error:  # lxml and cassis have no common class of their own
            raise DataError(f"{file}: not an XMI file of its type system: {error}") from None


def _document(name: str, cas: Any, place: str, layers: Collection[str] | None, report: Counter[str]) -> Document:
    if cas.sofa_string is None:
        raise DataError(f"{place}: there is no text in it")
    types = {t.name for t in cas.typesystem.get_types(built_in=True)}
    for annotation in cas.select_all_annotations():
        if annotation.type.name not in _KNOWN:
            report[f"{annotation.type.name.rpartition('.')[2]} left out"] += 1

    def select(kind: str) -> list[Any]:
        return list(cas.select(kind)) if kind in types else []

    spans: list[Span] = []
    links: list[Link] = []
    places: dict[int, int] = {}
    for entity in select(_ENTITY):
        if entity.value:
            spans.append(Span("entity", entity.begin, entity.end, entity.value))
        else:
            report["annotation without a label dropped"] += 1
    for argument in select(_ARGUMENT):
        places[argument.xmiID] = len(spans)
        spans.append(Span("argument", argument.begin, argument.end, ARGUMENT))
    for event in select(_EVENT):
        if not event.category:
            report["annotation without a label dropped"] += 1
            continue
        number = len(spans)
        spans.append(Span("trigger", event.begin, event.end, event.category))
        for link in event.arguments.elements if event.arguments is not None else ():
            if link.target is None or not link.role:
                report["argument without a role or an extent dropped"] += 1
            else:
                links.append(Link(number, places[link.target.xmiID], link.role))
    meta: dict[str, Any] = {}
    for ours in select(_OURS):
        meta = json.loads(ours.meta or "{}")
        layers = [layer for layer in LAYERS if layer in (ours.layers or "").split()] if layers is None else layers
    return gather(name, cas.sofa_string, spans, links, place=place, layers=layers, meta=meta, report=report)
