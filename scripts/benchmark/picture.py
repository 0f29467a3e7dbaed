"""The ratios as a picture: a column for each workload, a row for each server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .table import Ratios, Spread, row_names

# Each can be read on white as well as on the black of a dark page: the contrast to
# either is at least 4, which the background, being transparent, leaves to the page.
INK = "#7a7a7a"
AHEAD = "#0e8577"
LEVEL = INK
BEHIND = "#d0582e"

_MOST_TICKS = 3  # of a column, for room

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, small
    "svg.hashsalt": "trioecho",  # the same numbers give the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(of_builds: Mapping[str, Ratios], file: Path) -> None:
    """Draw what `table.cpu_ratios` gave of each build: dots for the first, rings below for the second."""
    builds = list(of_builds)[:2]
    first = of_builds[builds[0]]
    names = [name for name in row_names(first) if not name.startswith(tuple(builds[1:]))]
    offsets, height = ((0.0,), 0.3) if len(builds) == 1 else ((-0.2, 0.2), 0.42)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.4 + 1.5 * len(first), 1.5 + height * len(names)), layout="constrained")
        columns = figure.subplots(1, len(first), sharey=True, squeeze=False)[0]
        for column, title in zip(columns, first, strict=True):
            column.set_title(title.replace(", ", "\n"), fontsize=10)
            column.axvline(1, color=INK, linewidth=1)
            shown = []
            for build, offset in zip(builds, offsets, strict=True):
                for name, ratio in of_builds[build][title].items():
                    if name in names:
                        _draw_ratio(column, names.index(name) + offset, ratio, is_ring=build != builds[0])
                        shown.append(ratio)
            _scale(column, shown)
        columns[0].set_yticks(range(len(names)), names)
        columns[0].invert_yaxis()
        figure.supxlabel(
            "messages per second of server CPU time, trioecho / the other;  "
            "above: connections x in flight on each, payload",
            fontsize=9,
        )
        _explain(figure, builds)
        figure.savefig(file, transparent=True, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_ratio(column: Axes, row: float, ratio: Spread, *, is_ring: bool) -> None:
    color = AHEAD if ratio.least > 1 else BEHIND if ratio.most < 1 else LEVEL
    column.plot(
        [ratio.least, ratio.most], [row, row], color=color, linewidth=2, solid_capstyle="round", clip_on=False
    )
    fill = "white" if is_ring else color  # over its line
    column.plot([ratio.median], [row], "o", color=color, markersize=6, markerfacecolor=fill, clip_on=False)
    column.text(
        1,
        row,
        f"{ratio.median:.2f}" if ratio.median < 9.95 else f"{ratio.median:.0f}",
        transform=column.get_yaxis_transform(),  # at the right edge, wherever the dot is
        horizontalalignment="right",
        verticalalignment="center",
        fontsize=8 if is_ring else 9,
    )


def _scale(column: Axes, ratios: Sequence[Spread]) -> None:
    """Make it logarithmic, so that twice and half are as far from 1; at least those two can be seen."""
    least = min([0.5, *(ratio.least for ratio in ratios)])
    most = max([2.0, *(ratio.most for ratio in ratios)])
    powers = range(math.ceil(math.log2(least)), math.floor(math.log2(most)) + 1)
    step = 1 + len(powers) // (_MOST_TICKS + 1)
    ticks = [2.0**power for power in powers if power % step == 0]
    column.set_xscale("log")
    column.set_xlim(least / 1.2, most * (1.2 * most / least) ** 0.6)  # with room for the numbers
    column.xaxis.set_major_locator(FixedLocator(ticks))
    column.xaxis.set_minor_locator(NullLocator())
    column.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
    )
    column.grid(axis="x", color=INK, alpha=0.25, linewidth=0.5)
    column.tick_params(length=0)
    for side in ("top", "left", "right"):
        column.spines[side].set_visible(False)


def _explain(figure: Figure, builds: Sequence[str]) -> None:
    meanings = {
        "ahead in every repetition": AHEAD,
        "sometimes ahead, sometimes behind": LEVEL,
        "behind in every repetition": BEHIND,
    }
    handles = [
        Line2D([], [], color=color, marker="o", linewidth=2, label=meaning)
        for meaning, color in meanings.items()
    ]
    if len(builds) > 1:
        handles += [
            Line2D([], [], color=INK, marker="o", linewidth=0, markerfacecolor=fill, label=build)
            for build, fill in zip(builds, (INK, "white"), strict=True)
        ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9)
