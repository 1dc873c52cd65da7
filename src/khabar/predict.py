"""Label articles: ``python -m khabar.predict PATH… --output FILE.jsonl``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from khabar import view, viewer
from khabar.contract import COMPACT
from khabar.document import DataError, Document
from khabar.formats import jsonl, lines, text
from khabar.tagger import Tagger

__all__ = ["articles", "main", "predict"]

log = logging.getLogger(__name__)
STDIN = "-"


def predict(
    checkpoint: Path | str,
    sources: Sequence[Path | str],
    output: Path | str,
    device: str = "auto",
    batch_tokens: int = 2048,
    show: bool = False,
    page: Path | str | None = None,
) -> Counter[str]:
    """Label articles and write them as JSONL with scores, in input order; metadata is passed through.

    Args:
        checkpoint: a model folder that training wrote.
        sources: text files, folders of them, JSONL files with id and text, or ``-`` for standard input.
        output: the JSONL file; it appears whole, when everything is labelled.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_tokens: subwords in a batch, padding counted.
        show: also print each article with its labels.
        page: also write the labelled articles as an HTML page.

    Returns what was read: documents, words, and how each word was accounted for. Raises `DataError` for
    input that cannot be read, and its `khabar.encoder.ModelError` for a model that cannot be used.

    """
    if page and Path(page).resolve() == Path(output).resolve():
        raise DataError(f"{page}: page and output are one file")
    tagger = Tagger.load(Path(checkpoint), device)
    report: Counter[str] = Counter()
    console = Console()
    began = time.perf_counter()

    def labelled() -> Iterator[str]:
        documents = tagger.tag(articles(sources), batch_tokens=batch_tokens, report=report)
        for document in tqdm(documents, desc="labelling", unit="article"):
            if show:
                console.print(view.terminal(document))
            yield jsonl.dumps(document)

    lines.write(output, labelled())
    if page:
        lines.write(page, [viewer.page(jsonl.read(output), tagger.reader.ontology)])
    seconds = time.perf_counter() - began
    log.info("%s: %s", output, ", ".join(f"{count} {name}" for name, count in report.items()))
    log.info("%.0f words/s", report["words"] / seconds)
    if report["words cut short"]:
        log.warning("%d words were too long to be read whole", report["words cut short"])
    return report


def articles(sources: Sequence[Path | str]) -> Iterator[Document]:
    """The articles of files, folders and standard input, one by one.

    Raises `DataError` where a source is not there, cannot be read, or repeats an id.
    """
    seen: set[str] = set()
    for document in chain.from_iterable(map(_source, sources)):
        if document.id in seen:
            raise DataError(f"article id {document.id!r} comes twice: ids tell articles apart in the output")
        seen.add(document.id)
        yield document


def _source(source: Path | str) -> Iterator[Document]:
    path = Path(source)
    if str(source) == STDIN:
        return _stdin()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.jsonl*") if file.is_file())
        texts = text.read(path) if any(path.rglob("*.txt")) or not files else iter(())
        return chain(texts, *(jsonl.read(file) for file in files))
    return jsonl.read(path) if ".jsonl" in path.suffixes else text.read(path)


def _stdin() -> Iterator[Document]:
    """Standard input: JSONL where it begins with a brace, else one plain text."""
    content = lines.decode(sys.stdin.buffer.read(), "standard input")
    if not content.lstrip().startswith("{"):
        yield Document("stdin", content)
        return
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield jsonl.loads(line, f"standard input: line {number}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Label Arabic articles with entities, events and arguments."""
    parser = argparse.ArgumentParser(prog="python -m khabar.predict", description=main.__doc__)
    parser.add_argument("sources", nargs="+", help="text files, folders, JSONL with id and text, or - for stdin")
    parser.add_argument("--output", required=True, type=Path, help="the JSONL file to write")
    parser.add_argument(
        "--model",
        default=os.environ.get("KHABAR_MODEL", COMPACT),
        help="a model folder that training wrote (default: the environment variable KHABAR_MODEL, else the labeller "
        "that ships with khabar)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="subwords in a batch (default: 2048)")
    parser.add_argument("--page", type=Path, help="also write the labelled articles as an HTML page here")
    parser.add_argument("--show", action="store_true", help="print each article with its labels")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        predict(
            options.model,
            options.sources,
            options.output,
            options.device,
            options.batch_tokens,
            options.show,
            options.page,
        )
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
