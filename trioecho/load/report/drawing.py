"""Draw plots as SVG that goes into an HTML page: drawn by matplotlib, coloured by the page.

Matplotlib draws with stand-in colours; in the SVG they become the page's CSS
variables, so that one drawing serves light and dark. Text stays text, in the
page's font. Each plot is drawn twice, for wide windows and for phones, because
a drawing that is only shrunk has letters too small to read.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import math
import re
from typing import Any

from ...base.html import Markup, element, joined
from ...base.missing_package import missing_words
from .heat_map import add_heat_map
from .hover import hover_texts
from .plot import Plot, nines

# Stand-in colours and the CSS variables that take their place.
_INK, _GRID = "#a00001", "#a00002"
_LINES = ("#a00011", "#a00012", "#a00013")
_MARK = "#a00021"
_VARIABLES = {
    _INK: "--muted",
    _GRID: "--rule",
    _LINES[0]: "--line-1",
    _LINES[1]: "--line-2",
    _LINES[2]: "--line-3",
    _MARK: "--mark",
}
# So that the lines differ without their colours, too.
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))

# Inches; 72 units of the SVG each.
_SIZES = {"wide": (8.6, 3.1), "narrow": (3.5, 2.7)}
_FONT_POINTS = 8.0
# What a character takes at most on the average, and the axes of the width of a drawing.
_CHARACTER_INCHES = 0.68 * _FONT_POINTS / 72
_AXES_SHARE = 0.85
_BAND_ALPHA = 0.4
# Where powers of ten are too few as heights to read off.
_FEW_DECADES = 200

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib; wider than what the page will use
    "svg.fonttype": "none",
    "font.size": _FONT_POINTS,
    "axes.labelsize": _FONT_POINTS,
    "xtick.labelsize": _FONT_POINTS,
    "ytick.labelsize": _FONT_POINTS,
    "legend.fontsize": _FONT_POINTS,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "lines.linewidth": 1.4,
    "path.simplify": True,
}


class PlotsUnavailableError(Exception):
    """Matplotlib is not installed; the message says so."""


def check_matplotlib() -> None:
    """Find out whether there is matplotlib, without the second that importing it takes.

    Raises:
      PlotsUnavailableError: it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotsUnavailableError(missing_words("the page", ["matplotlib"], "plot"))


def draw(plot: Plot) -> Markup:
    """Return the plot as HTML: both drawings, of which the page shows the one that fits.

    Raises:
      PlotsUnavailableError: matplotlib is not installed.
    """
    check_matplotlib()
    return joined(
        element("div", _draw_svg(plot, size, inches), class_=size) for size, inches in _SIZES.items()
    )


def draw_file(plot: Plot, style: str) -> str:
    """Return the wide drawing as an SVG file of its own.

    Args:
      plot: what to draw.
      style: CSS that sets the variables of the colours, as the page's does.

    Raises:
      PlotsUnavailableError: matplotlib is not installed.
    """
    check_matplotlib()
    svg = _draw_svg(plot, "wide", _SIZES["wide"])
    opening, rest = svg.split(">", 1)
    style = f"svg {{ font-family: system-ui, sans-serif; }} {style}"
    return f'{opening} xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{rest}\n'


def _draw_svg(plot: Plot, size: str, inches: tuple[float, float]) -> Markup:
    # Its warnings about caches, where the home cannot be written, do not matter to a plot.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Not import statements: the type checkers must be content without matplotlib.
    matplotlib = importlib.import_module("matplotlib")
    figure_class = importlib.import_module("matplotlib.figure").Figure
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not a person's own style: reports look the same everywhere
        # The salt keeps the ids of clips and markers apart, and the same from run to run.
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": f"{plot.name}-{size}"})
        figure = figure_class(figsize=inches, layout="constrained")
        axes = figure.add_subplot()
        if plot.heat:
            add_heat_map(axes, plot.heat, _LINES[0])
        styles = list(zip(_LINES, _DASHES, strict=True))[1 if plot.heat else 0 :]
        for line, (colour, dashes) in zip(plot.lines, styles, strict=False):
            axes.plot(
                [x for x, _ in line.points],
                [math.nan if y is None else y for _, y in line.points],
                label=line.name,
                color=colour,
                linestyle=dashes,
            )
        _mark(axes, plot)
        _limit(axes, plot)
        _shade(axes, plot, inches[0])
        _shade_outages(axes, plot)
        _scale(axes, plot, is_narrow=size == "narrow")
        if plot.outages or any(line.name for line in plot.lines):
            figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=2.2, borderpad=0)
        drawn = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=metadata)
        return _for_page(drawn.getvalue(), plot.description, hover_texts(plot, axes, inches))


def _mark(axes: Any, plot: Plot) -> None:
    for x, y, label in plot.marks:
        axes.plot([x], [y], marker="v", color=_MARK, markersize=6, linestyle="none", clip_on=False)
        axes.annotate(label, (x, y), xytext=(0, 6), textcoords="offset points", ha="center", color=_MARK)


def _limit(axes: Any, plot: Plot) -> None:
    for y, label in plot.limits:
        axes.axhline(y, color=_MARK, linestyle=(0, (6, 3)), linewidth=1)
        axes.annotate(
            label,
            (1.0, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            color=_MARK,
        )


def _shade(axes: Any, plot: Plot, inches: float) -> None:
    length = max((band.end for band in plot.bands), default=0.0)
    for number, (begin, end, name, short_name) in enumerate(plot.bands):
        if number % 2:
            axes.axvspan(begin, end, facecolor=_GRID, alpha=_BAND_ALPHA, linewidth=0, zorder=0)
        room = (end - begin) / length * inches * _AXES_SHARE / _CHARACTER_INCHES
        shown = next((text for text in (name, short_name) if len(text) < room), "")
        if shown:
            place = ((begin + end) / 2, 1.0)
            axes.annotate(
                shown,
                place,
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
            )


def _shade_outages(axes: Any, plot: Plot) -> None:
    for number, (begin, end) in enumerate(plot.outages):
        label = "" if number else "outage"
        # The edge is there for one that is too short to be seen.
        axes.axvspan(begin, end, facecolor=_MARK, edgecolor=_MARK, alpha=0.3, linewidth=1, label=label)


def _scale(axes: Any, plot: Plot, *, is_narrow: bool) -> None:
    if plot.log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < _FEW_DECADES * low:
            ticker = importlib.import_module("matplotlib.ticker")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    else:
        heights = [y for line in plot.lines for _, y in line.points if y is not None]
        heights += [y for _, y, _ in plot.marks]
        heights += [y for y, _ in plot.limits]
        heights += [height for column in plot.heat for height, _ in column.counts]
        axes.set_ylim(0, 1.06 * max(heights, default=0.0) or 1.0)
        axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.tick_params(length=0)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    ends = [x for line in plot.lines for x, _ in line.points] + [band.end for band in plot.bands]
    ends += [column.end for column in plot.heat]
    end = max(ends, default=0.0)
    if plot.nines:
        percents = [0.0, 50.0, *(100 * (1 - 10.0**-n) for n in range(1, max(3, math.ceil(end)) + 1))]
        shown = percents[:1] + percents[2:] if is_narrow else percents
        axes.set_xticks([nines(percent) for percent in shown], [f"{percent:.10g}%" for percent in shown])
        axes.set_xlim(0, max(end, 2.0))
    else:
        axes.set_xlim(0, end or 1)
        axes.locator_params(axis="x", nbins=4 if is_narrow else 8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _for_page(svg: str, description: str, over: Markup | None) -> Markup:
    """Return what matplotlib wrote as an element of a page, without what only a file needs.

    ``over`` comes over it.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    svg = svg.replace("xlink:href", "href")
    # Without the names that nothing refers to, which would be on the page several times.
    used = set(re.findall(r"#(\w+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    assert view_box is not None  # noqa: S101 - for the type checker: matplotlib always writes it
    content = Markup(svg[svg.index(">") + 1 : svg.rindex("</svg>")])
    return element("svg", content, over, viewBox=view_box[1], role="img", aria_label=description)
