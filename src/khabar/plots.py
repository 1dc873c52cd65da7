"""Plots as SVG that stands inside a page: its colours are the page's, its words are text. Those of a report.

matplotlib, of the extra ``khabar[report]``, draws them; it is imported by the first plot. Every colour is one of the
page's CSS variables, so that a plot follows the page into dark mode and onto paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PAGE", "png", "reliability", "svg", "thresholds"]

# A CSS variable of the page, and what matplotlib draws in until the variable takes its place.
PAGE: Mapping[str, str] = {
    name: f"#{3 * f'{number:02x}'}"
    for number, name in enumerate(("ink", "muted", "line", "accent", "second", "panel", "type", "boundary"), start=1)
}
_INK, _MUTED, _LINE, _ACCENT, _SECOND, _PANEL = list(PAGE.values())[:6]


def _style(colours: Mapping[str, str]) -> Any:  # matplotlib types its keys one by one
    return {
        "svg.fonttype": "none",  # words stay words: the reader's font, selectable, shaped by the browser
        "svg.hashsalt": "khabar",  # the same report gives the same page
        "text.parse_math": False,
        "font.size": 9,
        "text.color": colours["muted"],
        "axes.edgecolor": colours["line"],
        "axes.labelcolor": colours["muted"],
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": colours["muted"],
        "ytick.color": colours["muted"],
        "grid.color": colours["line"],
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

    return svg(draw, (3.5, 3.5), name)


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

    return svg(draw, (3.5, 3.5), name)


def svg(draw: Callable[[Figure], None], size: tuple[float, float], name: str) -> str:
    """What ``draw`` puts on a figure of ``size`` (inches), as an element of a page whose ids begin with ``name``.

    ``draw`` takes its colours from `PAGE`.
    """
    buffer = StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    _save(draw, size, PAGE, buffer, format="svg", transparent=True, metadata=metadata)
    _, viewport, drawing = re.split(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', buffer.getvalue(), maxsplit=1)
    # Out goes what is not the drawing: comments, fonts, and a style sheet that would reach into the page.
    drawing = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"; font-family: [^;\"]*|font-family: [^;\"]*;? ?", "", drawing)
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    names = {colour: f"var(--{name})" for name, colour in PAGE.items()}
    drawing = re.sub("|".join(names), lambda found: names[found[0]], drawing)
    return f'<svg viewBox="{viewport}">{drawing}'


def png(draw: Callable[[Figure], None], size: tuple[float, float], colours: Mapping[str, str]) -> bytes:
    """What ``draw`` puts on a figure of ``size`` (inches), as a picture of its own; ``draw`` takes ``colours`` too."""
    buffer = BytesIO()
    _save(draw, size, colours, buffer, format="png", dpi=160, facecolor=colours["panel"], metadata={"Software": None})
    return buffer.getvalue()


def _save(
    draw: Callable[[Figure], None], size: tuple[float, float], colours: Mapping[str, str], to: Any, **how: Any
) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style(colours)):  # a figure of its own: no window system, no state shared with a caller
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(to, **how)
