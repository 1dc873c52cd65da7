"""Label articles: ``python -m khabar.predict PATH… --output FILE.jsonl``."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from khabar import contract, engines, shards, view, viewer
from khabar.backends import BACKENDS, backend_of
from khabar.contract import COMPACT
from khabar.document import DataError, Document
from khabar.formats import jsonl, lines
from khabar.ontology import Ontology
from khabar.select import selected
from khabar.sources import STDIN, articles

__all__ = ["REFUSED", "main", "predict"]

log = logging.getLogger(__name__)
REFUSED = 3  # the exit code where everything is done, but some articles were refused


def predict(
    checkpoint: Path | str,
    sources: Sequence[Path | str],
    output: Path | str,
    engine: Callable[..., shards.Engine] = engines.local,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    batch_tokens: int = 2048,
    shard: int = 1024,
    longest: int = 1_000_000,
    format: str = "jsonl",  # noqa: A002 (the key of the configuration)
    select: str | None = None,
    show: bool = False,
    html: Path | str | None = None,
) -> Counter[str]:
    """Label articles and write them with scores, in input order; metadata is passed through.

    The same call goes on where a killed one stood, and gives the same bytes as if it had not been killed.

    Args:
        checkpoint: a model folder that training or `khabar.export` wrote.
        sources: see `khabar.sources.articles`.
        output: a file whose suffix is one of `khabar.shards.FORMATS`: it appears whole, when everything is labelled.
            Any other name is a folder of shards, each of which appears when it is labelled.
        engine: makes what labels chunks: `khabar.engines.local` in this process, `khabar.engines.ray` on a cluster.
            Their output is the same.
        device: ``auto``, ``cpu`` or ``cuda``.
        backend: ``torch``, ``onnx``, or ``auto``: the one whose weights the folder holds.
        precision: of PyTorch: ``auto`` is bf16 where the processor or GPU has units for it.
        batch_tokens: subwords in a batch, padding counted.
        shard: input records in a shard.
        longest: characters of an article; longer ones are refused.
        format: of the shards of a folder, one of `khabar.shards.FORMATS`.
        select: such as ``uncertain:200``: also write the 200 articles that the model is least sure of to
            ``<output>.uncertain-200.jsonl``, to be corrected first (`khabar.select`).
        show: also print each article with its labels.
        html: also write pages to read the labelled articles on: a folder of them with an index; or one page, where the
            name ends in ``.html``, which takes memory for all of them.

    Returns what was read: documents, words, how each word was accounted for, and the articles that were refused, whose
    error records stand beside the output. Raises `DataError` for sources that cannot be read or are not what they were
    when the labelling began, and its `khabar.contract.ModelError` for a model that cannot be used.

    """
    output, checkpoint = Path(output), Path(checkpoint)
    _check(sources, output, html)
    if STDIN in map(str, sources) and getattr(engine, "func", engine) is engines.ray:
        raise DataError("standard input cannot be read again, as a cluster may have to: give it as a file")
    articles(sources, longest)  # a source that is not there is found before the model is loaded
    kind = next((kind for kind in shards.FORMATS if output.name.endswith(f".{kind}")), None)
    settings = {
        "khabar": version("khabar"),
        "model": contract.fingerprint(checkpoint),
        "backend": backend_of(checkpoint, backend),
        "device": device,
        "precision": precision,
        "batch_tokens": batch_tokens,
        "longest": longest,
    }
    made = engine(checkpoint, batch_tokens=batch_tokens, device=device, backend=backend, precision=precision)
    records, watched = partial(articles, sources, longest), _watched(made, show)
    if kind is None:
        report = shards.label(records, watched, output, settings, shard, format)
    else:
        report = shards.label_file(records, watched, output, settings, shard, kind)
    labelled = partial(_labelled, output, longest)
    if select:
        chosen = output.with_name(f"{output.name}.{select.replace(':', '-')}.jsonl")
        jsonl.write(chosen, selected(labelled(), select))
        log.info("%s: the articles to correct first", chosen)
    if html:
        ontology = Ontology.from_json(**contract.read(checkpoint)["ontology"])
        if Path(html).suffix == ".html":
            lines.write(html, [viewer.page(labelled(), ontology)])
        else:
            viewer.write(html, labelled(), ontology)
    log.info("%s: %s", output, ", ".join(f"{count} {name}" for name, count in report.items()))
    if report["words cut short"]:
        log.warning("%d words were too long to be read whole", report["words cut short"])
    if report["refused"]:
        errors = output / "part-*.errors.jsonl" if kind is None else shards.errors_beside(output, kind)
        log.warning("%d articles were refused: %s says why", report["refused"], errors)
    return report


def _labelled(output: Path, longest: int) -> Iterator[Document]:
    return (document for document in articles([output], longest) if isinstance(document, Document))


def _check(sources: Sequence[Path | str], output: Path, html: Path | str | None) -> None:
    """Raise `DataError` where what is written would also be read, or written twice."""
    target = output.resolve()
    if html and Path(html).resolve() == target:
        raise DataError(f"{html}: html and output are one place")
    for source in sources:
        place = Path(source).resolve()
        if str(source) != STDIN and (place == target or place in target.parents):
            raise DataError(f"{output}: this output lies in the source {source}: a second run would read it as input")


def _watched(engine: shards.Engine, show: bool) -> shards.Engine:
    """The engine with a progress bar; with ``show`` each article is printed as it comes."""

    def watched(plan: shards.Plan) -> Iterator[shards.Chunk]:
        console = Console()
        words, began = 0, time.perf_counter()
        with tqdm(desc="labelling", unit="article") as bar:
            for chunk in engine(plan):
                for document in chunk.documents if show else ():
                    console.print(view.terminal(document))
                words += (chunk.counts or Counter())["words"]
                bar.set_postfix_str(f"{words / (time.perf_counter() - began):.0f} words/s", refresh=False)
                bar.update(len(chunk.documents))
                yield chunk
        log.info("%.0f words/s", words / (time.perf_counter() - began))

    return watched


def main(arguments: Sequence[str] | None = None) -> None:
    """Label Arabic articles with entities, events and arguments.

    The same command goes on where a killed one stood. Exit code: 0 where all is labelled, 3 where it is but for
    articles that were refused, 1 for an error.
    """
    parser = argparse.ArgumentParser(prog="python -m khabar.predict", description=main.__doc__)
    parser.add_argument(
        "sources",
        nargs="+",
        help="text files, folders, JSONL (also .gz, .zst, .xz) or Parquet with id and text, or - for standard input",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        help=f"a file to write ({', '.join(f'.{kind}' for kind in shards.FORMATS)}), or a folder of shards",
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("KHABAR_MODEL", COMPACT),
        help="a model folder that training wrote (default: the environment variable KHABAR_MODEL, else the labeller "
        "that ships with khabar)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--backend", default="auto", choices=["auto", *BACKENDS], help="default: the one whose weights the folder holds"
    )
    parser.add_argument("--batch-tokens", type=int, default=2048, help="subwords in a batch (default: 2048)")
    parser.add_argument("--shard", type=int, default=1024, help="articles in a shard (default: 1024)")
    parser.add_argument(
        "--longest",
        type=int,
        default=1_000_000,
        help="characters of an article; longer ones are refused (default: 1e6)",
    )
    parser.add_argument("--format", default="jsonl", choices=shards.FORMATS, help="of the shards (default: jsonl)")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "float32", "bf16"], help="of PyTorch (default: bf16 if native)"
    )
    parser.add_argument("--select", help="such as uncertain:200: also write the 200 articles to correct first")
    parser.add_argument("--html", type=Path, help="also write pages to read the articles on: a folder, or FILE.html")
    parser.add_argument("--show", action="store_true", help="print each article with its labels")
    options = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        report = predict(options.pop("model"), **options)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None
    if report["refused"]:
        raise SystemExit(REFUSED)


if __name__ == "__main__":
    main()
