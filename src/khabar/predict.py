"""Label articles: ``python -m khabar.predict PATH… --output FILE.jsonl``."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

import khabar
from khabar import contract, engines, shards, view, viewer
from khabar.backends import BACKENDS
from khabar.contract import COMPACT
from khabar.document import DataError
from khabar.formats import jsonl, lines
from khabar.labeller import BATCH_TOKENS
from khabar.ontology import Ontology
from khabar.plan import Chunk, Engine, Plan
from khabar.select import number_of, uncertain
from khabar.sources import STDIN, articles, is_stream

__all__ = ["REFUSED", "main", "predict"]

log = logging.getLogger(__name__)
REFUSED = 3  # the exit code where everything is done, but some articles were refused


def predict(
    checkpoint: Path | str,
    sources: Sequence[Path | str],
    output: Path | str,
    engine: Callable[..., engines.Made] = engines.local,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    batch_tokens: int = BATCH_TOKENS,
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
    ontology = Ontology.from_json(**contract.read(checkpoint)["ontology"])
    kind = next((kind for kind in shards.FORMATS if output.name.endswith(f".{kind}")), None)
    _check(sources, output, html)
    articles(sources, longest)  # a source that is not there is found before the model is loaded
    chosen = select and (number_of(select), output.with_name(f"{output.name}.{select.replace(':', '-')}.jsonl"))
    made = engine(checkpoint, batch_tokens=batch_tokens, device=device, backend=backend, precision=precision)
    if made.rereads and (streams := list(filter(is_stream, sources))):
        raise DataError(f"{streams[0]}: a stream cannot be read again, as a cluster may have to: give it as a file")
    settings = {"khabar": khabar.__version__, **made.settings, "longest": longest}
    labelled = partial(shards.read, output, kind or format)

    def finish() -> None:
        if chosen:
            lines.write(chosen[1], map(jsonl.dumps, uncertain(labelled(), chosen[0])))
            log.info("%s: the articles to correct first", chosen[1])
        if html and Path(html).suffix == ".html":
            lines.write(html, [viewer.page(labelled(), ontology)])
        elif html:
            viewer.write(html, labelled(), ontology)

    records, watched = partial(articles, sources, longest), _watched(made.engine, show)
    into = shards.label_file if kind else shards.label
    report = into(records, watched, output, settings, shard, kind or format, finish)
    log.info("%s: %s", output, ", ".join(f"{count} {name}" for name, count in report.items()))
    if report["words cut short"]:
        log.warning("%d words were too long to be read whole", report["words cut short"])
    if report["refused"]:
        errors = output / "part-*.errors.jsonl" if kind is None else shards.errors_beside(output, kind)
        log.warning("%d articles were refused: %s says why", report["refused"], errors)
    return report


def _check(sources: Sequence[Path | str], output: Path, html: Path | str | None) -> None:
    """Raise `DataError` where what is written would also be read or written twice, or is named like another file."""
    target = output.resolve()
    if output.suffix in (".json", ".gz", ".zst", ".xz", ".csv", ".txt") and not output.name.endswith(shards.FORMATS):
        raise DataError(f"{output}: expected one of {', '.join(f'.{kind}' for kind in shards.FORMATS)}, or a folder")
    if html and Path(html).resolve() == target:
        raise DataError(f"{html}: html and output are one place")
    for source in sources:
        place = Path(source).resolve()
        if str(source) != STDIN and (place == target or place in target.parents):
            raise DataError(f"{output}: this output lies in the source {source}: a second run would read it as input")


def _watched(engine: Engine, show: bool) -> Engine:
    """The engine with a progress bar; with ``show`` each article is printed as it comes."""

    def watched(plan: Plan) -> Generator[Chunk]:
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
    articles that were refused, 1 for an error, 2 for an option that does not exist.
    """
    parser = argparse.ArgumentParser(prog="python -m khabar.predict", description=main.__doc__)
    parser.add_argument(
        "sources",
        nargs="+",
        help="text files, folders, JSONL (or .gz, .zst, .xz) or Parquet with id and text, pipes; - for standard input",
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
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS, help="subwords in a batch (default: 2048)")
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
