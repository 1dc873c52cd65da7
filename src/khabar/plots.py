"""Plots of a report as SVG that stands inside a page: its colours are the page's, its words are text.

matplotlib, of the extra ``khabar[report]``, draws them; it is imported by the first plot. Every colour is one of the
page's CSS variables, so that a plot follows the page into dark mode and onto paper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["reliability", "thresholds"]

# What matplotlib draws in, and the CSS variable that takes its place.
_INK, _MUTED, _LINE, _ACCENT, _SECOND, _PANEL = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_VARIABLES = {
    _INK: "ink",
    _MUTED: "muted",
    _LINE: "line",
    _ACCENT: "accent",
    _SECOND: "second",
    _PANEL: "panel",
}
_STYLE: Any = {  # matplotlib types its keys one by one
    "svg.fonttype": "none",  # words stay words: the reader's font, selectable, shaped by the browser
    "svg.hashsalt": "khabar",  # the same report gives the same page
    "text.parse_math": False,
    "font.size": 9,
    "text.color": _MUTED,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
_TICKS = (0, 0.25, 0.5, 0.75, 1)


def reliability(after: Mapping[str, Any], before: Mapping[str, Any] | None, name: str) -> str:
    """A reliability diagram, and under it how many mentions were given which score.

    ``after`` and ``before`` the temperature are what `khabar.scoring.reliability.Reliability` writes for one kind
    of mention; bins that hold nothing are left out. ``name`` is unique among the plots of a page.
    """

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot((0, 1), (0, 1), color=_MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        if before is not None:
            _bins(upper, before, "before the temperature", color=_SECOND, linestyle="--", face=_PANEL)
        _bins(upper, after, "after" if before else "as scored", color=_ACCENT, linestyle="-", face=_ACCENT)
        upper.set(ylim=(-0.03, 1.03), ylabel="accuracy", yticks=_TICKS)
        figure.legend(loc="outside upper center", ncols=2, handlelength=2.4)
        held = [one for one in after["bins"] if one["count"]]
        lower.bar(
            [one["low"] for one in held],
            [one["count"] for one in held],
            [one["high"] - one["low"] for one in held],
            align="edge",
            color=_ACCENT,
            edgecolor=_PANEL,
            linewidth=0.8,
        )
        lower.set(xlim=(0, 1.02), xlabel="score", xticks=_TICKS, ylabel="mentions", yticks=[])
        for axes in (upper, lower):
            axes.grid(visible=True, axis="both")
            axes.set_axisbelow(True)

    return _svg(draw, (3.5, 3.5), name)


def _bins(axes: Axes, kind: Mapping[str, Any], label: str, color: str, linestyle: str, face: str) -> None:
    """Accuracy over confidence; a dot grows with the mentions of its bin, so that a few do not look like many."""
    held = [one for one in kind["bins"] if one["count"]]
    places, heights = ([one[key] for one in held] for key in ("confidence", "accuracy"))
    axes.plot(places, heights, color=color, linestyle=linestyle, linewidth=1.2, label=label, zorder=2)
    whole = sum(one["count"] for one in held)
    areas = [8 + 80 * one["count"] / whole for one in held]
    axes.scatter(places, heights, areas, facecolor=face, edgecolor=color, linewidth=1.2, zorder=3, clip_on=False)


def thresholds(curve: Sequence[Mapping[str, float]], name: str) -> str:
    """Precision, recall and F1 of the mentions whose score reaches a threshold; the best F1 is marked.

    ``curve`` holds ``threshold``, ``precision``, ``recall`` and ``f1`` by rising threshold.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = [point["threshold"] for point in curve]
        lines = (("precision", _ACCENT, "-"), ("recall", _SECOND, "--"), ("f1", _INK, "-"))
        for key, color, style in lines:
            axes.plot(places, [point[key] for point in curve], color=color, linestyle=style, linewidth=1.5, label=key)
        axes.get_lines()[-1].set_label("F1")
        best = max(curve, key=lambda point: point["f1"])
        axes.plot([best["threshold"]], [best["f1"]], color=_INK, marker="o", markersize=5, linestyle="none")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="threshold on the score", xticks=_TICKS, yticks=_TICKS)
        figure.legend(loc="outside upper center", ncols=3, handlelength=2.4)
        axes.grid(visible=True)
        axes.set_axisbelow(True)

    return _svg(draw, (3.5, 3.5), name)


def _svg(draw: Any, size: tuple[float, float], name: str) -> str:
    """What ``draw`` puts on a figure of ``size`` (inches), as an element of a page whose ids begin with ``name``."""
    import matplotlib
    from matplotlib.figure import Figure

    buffer = StringIO()
    with matplotlib.rc_context(_STYLE):  # a figure of its own: no window system, no state shared with a caller
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    _, viewport, drawing = re.split(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', buffer.getvalue(), maxsplit=1)
    # Out goes what is not the drawing: comments, fonts, and a style sheet that would reach into the page.
    drawing = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"; font-family: [^;\"]*|font-family: [^;\"]*;? ?", "", drawing)
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    drawing = re.sub("|".join(_VARIABLES), lambda found: f"var(--{_VARIABLES[found[0]]})", drawing)
    return f'<svg viewBox="{viewport}">{drawing}'
