"""A training run, or a sweep of runs, as one page that needs no network, with its plots as pictures beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from khabar import curves
from khabar.corpus import Corpus
from khabar.curves import Plot
from khabar.formats import lines
from khabar.html import layers, templates
from khabar.markup import source

__all__ = ["write_run", "write_sweep"]

log = logging.getLogger(__name__)
PAGE = "summary.html"
_MISSING = "The plots are left out: matplotlib is not installed (khabar[report])."


def write_run(output: Path, run: Mapping[str, Any], corpora: Sequence[Corpus]) -> list[Path]:
    """Write ``summary.html`` and ``plots/*.png`` of a run that has ended.

    ``run`` is what `khabar.train` keeps in ``run.json``. Without matplotlib (the extra ``khabar[report]``) the page
    has no plots, and the log says so. Returns the files.
    """
    objective = run["objective"]["name"]
    plots, files = _drawn(output / "plots", lambda: curves.training(run["history"], objective))
    epochs = [row for row in run["history"] if f"eval_{objective}" in row]
    names = [key.removeprefix("eval_") for key in (epochs[0] if epochs else ()) if key.endswith("f1")]
    facts = {
        "epochs": f"{run['epochs']:g}",
        "seed": run["seed"],
        "documents": f"{run['train']['documents']:,}",
        "words an epoch": f"{run['train']['words']:,}",
        "time": f"{run['seconds']:,.0f} s",
        "speed": f"{run['words_per_second']:,g} words/s, dev included",
        "device": f"{run['device']}, {run['precision']}",
    }
    if run["objective"]["value"] is not None:
        facts = {f"dev {objective}": f"{100 * run['objective']['value']:.2f} %"} | facts
    sections = {"training": "Training", "scores": "Scores", "data": "Data", "configuration": "Configuration"}
    if not layers(run["dev"]):
        del sections["scores"]
    page = _page(
        "summary",
        kind="run",
        title="/".join(output.parts[-2:]),
        facts=facts,
        sections=sections | {"surroundings": "Surroundings"},
        footer="scores are on dev, which chose the epoch, and so are optimistic: score a test split for a result",
        plots=plots,
        missing=_MISSING,
        epochs=epochs,
        names=names,
        best=max(epochs, key=lambda row: row[f"eval_{objective}"], default=None),
        report={"scores": run["dev"]},
        layers=layers(run["dev"]),
        corpora=[_corpus(corpus) for corpus in corpora],
        configuration=yaml.safe_dump(run["config"], allow_unicode=True, sort_keys=False),
        versions={**run["versions"], "python": run["python"]},
        machine={**run["machine"], **run["git"]},
    )
    return [_write(output / PAGE, page), *files]


def write_sweep(
    folder: Path,
    name: str,
    trials: Sequence[Mapping[str, Any]],
    space: Mapping[str, str],
    command: str | None,
    logarithmic: Iterable[str] = (),
) -> list[Path]:
    """Write ``summary.html`` and ``plots/*.png`` of a sweep, finished or not.

    Args:
        folder: of the sweep.
        name: of the study.
        trials: what `khabar.curves.study` draws, each with its ``error``, or none.
        space: the values that each parameter may have, as people read them.
        command: trains with the values of the best trial; none before there is one.
        logarithmic: the parameters that are drawn on a logarithmic axis.

    """
    plots, files = _drawn(folder / "plots", lambda: curves.study(trials, logarithmic))
    ordered = sorted(trials, key=lambda trial: (trial["value"] is None, -(trial["value"] or 0), trial["number"]))
    whole = [trial for trial in ordered if trial["state"] == "complete"]
    states = dict.fromkeys(trial["state"] for trial in trials)
    facts = {state: sum(trial["state"] == state for trial in trials) for state in states}
    page = _page(
        "sweep",
        kind="sweep",
        title=name,
        facts={"trials": len(trials), **facts}
        | ({"best": f"{100 * whole[0]['value']:.2f} %, trial {whole[0]['number']}"} if whole else {}),
        sections={"best": "Best trial", "plots": "Plots", "trials": "Trials", "space": "Search space"},
        footer="scores are on dev, and the best of many is optimistic: score a test split once, at the end",
        plots=plots,
        missing=_MISSING,
        trials=ordered,
        best=whole[0]["number"] if whole else None,
        parameters=list(space),
        space=space,
        command=command,
    )
    return [_write(folder / PAGE, page), *files]


def _drawn(folder: Path, draw: Callable[[], Mapping[str, Plot]]) -> tuple[list[dict[str, Any]], list[Path]]:
    """Plots for a page, and their pictures in ``folder``; none, and a warning, where they cannot be drawn."""
    try:
        plots = draw()
    except ImportError as error:
        log.warning("%s has no plots: %s is missing; pip install 'khabar[report]'", folder.parent / PAGE, error.name)
        return [], []
    files = []
    for name, plot in plots.items():
        files.append(folder / f"{name}.png")
        with lines.replaced(files[-1]) as partial:
            partial.write_bytes(plot.png)
    return [{"about": plot.about, "svg": Markup(plot.svg)} for plot in plots.values()], files


def _page(name: str, **values: Any) -> str:
    style = source("base.css", "report.css")
    return templates().get_template(f"{name}.html.jinja").render(style=style, **values)


def _write(path: Path, page: str) -> Path:
    lines.write(path, [page])
    return path


def _corpus(corpus: Corpus) -> dict[str, Any]:
    counted = ("documents", "words", "entities", "events", "arguments")
    splits = corpus.manifest["splits"]
    return {"name": corpus.name, "path": str(corpus.path), "hash": corpus.hash, "splits": splits, "counted": counted}
