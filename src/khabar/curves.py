"""Plots of a training run and of a sweep, each as SVG for a page and as a PNG file.

matplotlib, of the extra ``khabar[report]``, draws them; it is imported by the first plot.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from khabar.markup import source
from khabar.plots import PAGE, png, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Plot", "study", "training"]

Colours = Mapping[str, str]
_LONGEST = 14  # characters of a word beside an axis
# What the dev scores of a history are called -> colour and style of the line.
_SCORES = {
    "f1": ("mean", "ink", "-"),
    "entities_f1": ("entities", "accent", "--"),
    "triggers_f1": ("triggers", "second", "-."),
    "arguments_f1": ("arguments", "type", ":"),
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: what it shows, as an element of a page, and as the bytes of a picture."""

    about: str
    svg: str
    png: bytes


def training(history: Sequence[Mapping[str, Any]], objective: str) -> dict[str, Plot]:
    """Plots of what a run logged, by name: loss, learning rate and dev scores; without what was not logged.

    ``history`` holds the `Trainer`'s rows: ``epoch`` with ``loss`` and ``learning_rate``, or with ``eval_…`` scores
    within 0 and 1. ``objective`` is the score that chose the epoch, whose best is marked.
    """
    loss, rate = (_points(history, key) for key in ("loss", "learning_rate"))
    dev = {name: points for name in _SCORES if (points := _points(history, f"eval_{name}"))}
    chosen = _points(history, f"eval_{objective}")
    if len(dev) == 2:  # one layer, whose score is the mean
        dev.pop("f1", None)
    found = {}
    if loss:
        found["loss"] = _plot("Loss in training, mean of the steps since the last point", "loss", _line, loss, "loss")
    if rate:
        about = "Learning rate of the encoder"
        found["learning-rate"] = _plot(about, "learning-rate", _line, rate, "learning rate")
    if dev:
        best = max(chosen, key=lambda point: point[1], default=None)
        about = "F1 on dev by epoch" + (f"; the model is of epoch {best[0]:g}" if best else "")
        found["dev"] = _plot(about, "dev", _scores, dev, best)
    return found


def study(trials: Sequence[Mapping[str, Any]], logarithmic: Iterable[str] = ()) -> dict[str, Plot]:
    """Plots of a sweep, by name: score by trial, dev score by epoch of each, score by each parameter.

    Args:
        trials: ``number``, ``state`` (complete, pruned, fail, running), ``value`` (0 to 1, or none), ``steps`` (epoch
            to score) and ``params``, in the order of their numbers.
        logarithmic: the parameters that are drawn on a logarithmic axis.

    """
    names = list(dict.fromkeys(name for trial in trials for name in trial["params"]))
    found = {"trials": _plot("Score of each trial, and the best so far", "trials", _trials, trials)}
    if any(trial["steps"] for trial in trials):
        about = "Dev score by epoch; broken lines were pruned"
        found["epochs"] = _plot(about, "epochs", _epochs, trials)
    scales = set(logarithmic)
    for number, name in enumerate(names if _ended(trials) else ()):
        about = f"Score by {name}; hollow: pruned, so with fewer epochs"
        key = f"by-{re.sub(r'[^a-zA-Z0-9.]+', '-', name)[:80]}"
        found[key] = _plot(about, f"by-{number}", _by_parameter, trials, name, name in scales)
    return found


def _plot(
    about: str, name: str, draw: Callable[..., None], *given: Any, size: tuple[float, float] = (3.5, 2.6)
) -> Plot:
    on_page, by_day = (partial(_draw, draw, given, colours) for colours in (PAGE, _by_day()))
    return Plot(about, svg(on_page, size, name), png(by_day, size, _by_day()))


def _draw(draw: Callable[..., None], given: Sequence[Any], colours: Colours, figure: Figure) -> None:
    draw(figure, colours, *given)


@cache
def _by_day() -> Colours:
    """The colours that the pages have by day, for pictures that stand alone."""
    by_day, _, _ = source("base.css").partition("@media")
    return {name: colour for name, colour in re.findall(r"--([\w-]+): (#\w+)", by_day) if name in PAGE}


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(epoch, value) of the rows that have the key; what is no number is left out of the line."""
    found = [(float(row["epoch"]), float(row[key])) for row in history if key in row and "epoch" in row]
    return [point for point in found if math.isfinite(point[1])]


def _axes(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return axes


def _line(figure: Figure, colours: Colours, points: Sequence[tuple[float, float]], label: str) -> None:
    axes = _axes(figure, "epoch", label)
    marker = "o" if len(points) == 1 else None
    axes.plot(*zip(*points, strict=True), color=colours["accent"], linewidth=1.5, marker=marker)
    axes.set_ylim(bottom=min(0, *(value for _, value in points)))
    if label == "learning rate":
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def _scores(
    figure: Figure,
    colours: Colours,
    dev: Mapping[str, Sequence[tuple[float, float]]],
    best: tuple[float, float] | None,
) -> None:
    axes = _axes(figure, "epoch", "F1, %")
    for name, points in dev.items():
        label, colour, style = _SCORES[name]
        epochs, values = zip(*points, strict=True)
        percent = [100 * value for value in values]
        axes.plot(epochs, percent, color=colours[colour], linestyle=style, marker=".", linewidth=1.5, label=label)
    if best:
        axes.plot([best[0]], [100 * best[1]], color=colours["ink"], marker="o", markersize=7, fillstyle="none")
    _whole(axes)
    figure.legend(loc="outside upper center", ncols=4, handlelength=1.8, columnspacing=1.0)


def _whole(axes: Axes) -> None:
    """Epochs and trials are counted: no tick between them."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _ended(trials: Sequence[Mapping[str, Any]], states: Sequence[str] = ("complete", "pruned")) -> list[Any]:
    return [trial for trial in trials if trial["state"] in states and trial["value"] is not None]


def _dots(axes: Axes, colours: Colours, trials: Sequence[Mapping[str, Any]], place: Callable[..., Any]) -> None:
    """Trials as dots: full where they ran to their end, hollow where they were pruned, the best of all larger."""
    whole = _ended(trials, ["complete"])
    best = max(whole, key=lambda trial: trial["value"], default=None)
    for trial in _ended(trials):
        full = trial["state"] == "complete"
        axes.plot(
            [place(trial)],
            [100 * trial["value"]],
            linestyle="none",
            marker="o",
            markersize=8 if trial is best else 5,
            color=colours["second" if trial is best else "accent"],
            markerfacecolor=colours["second" if trial is best else "accent"] if full else colours["panel"],
        )


def _trials(figure: Figure, colours: Colours, trials: Sequence[Mapping[str, Any]]) -> None:
    axes = _axes(figure, "trial", "dev score, %")
    best: list[tuple[int, float]] = []
    for trial in _ended(trials, ["complete"]):
        best.append((trial["number"], max(trial["value"], best[-1][1] if best else 0)))
    if best:
        numbers, values = zip(*best, strict=True)
        axes.step(numbers, [100 * value for value in values], where="post", color=colours["ink"], linewidth=1.2)
    _dots(axes, colours, trials, lambda trial: trial["number"])
    for trial in trials:
        if trial["state"] == "fail":
            axes.axvline(trial["number"], color=colours["second"], linestyle=":", linewidth=1.2)
    axes.set_xlim(-0.5, max((trial["number"] for trial in trials), default=0) + 0.5)
    _whole(axes)


def _epochs(figure: Figure, colours: Colours, trials: Sequence[Mapping[str, Any]]) -> None:
    axes = _axes(figure, "epoch", "dev score, %")
    best = max(_ended(trials, ["complete"]), key=lambda trial: trial["value"], default=None)
    for trial in sorted(trials, key=lambda trial: trial is best):  # the best above the others
        steps = sorted((int(step), 100 * value) for step, value in trial["steps"].items())
        if steps:
            axes.plot(
                *zip(*steps, strict=True),
                color=colours["second" if trial is best else "accent"],
                linestyle="--" if trial["state"] == "pruned" else "-",
                linewidth=2 if trial is best else 1,
                marker=".",
            )
    _whole(axes)


def _by_parameter(
    figure: Figure, colours: Colours, trials: Sequence[Mapping[str, Any]], name: str, logarithmic: bool
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes = _axes(figure, name if len(name) <= 3 * _LONGEST else f"{name[: 3 * _LONGEST]}…", "dev score, %")
    held = [trial for trial in trials if name in trial["params"]]
    values = [trial["params"][name] for trial in held]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = values
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # not 10^{-4}, which is markup
            axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        words = sorted(set(map(str, values)))
        places = [words.index(str(value)) for value in values]
        axes.set_xticks(range(len(words)), [w if len(w) <= _LONGEST else f"{w[: _LONGEST - 1]}…" for w in words])
    by_number = {trial["number"]: place for trial, place in zip(held, places, strict=True)}
    _dots(axes, colours, held, lambda trial: by_number[trial["number"]])
