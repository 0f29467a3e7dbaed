"""The ratios as a picture: a column for each workload, a row for each server."""

from __future__ import annotations

import math
from collections.abc import Mapping
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


def draw(ratios: Ratios, file: Path) -> None:
    """Draw what `table.cpu_ratios` gave."""
    names = row_names(ratios)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.4 + 1.5 * len(ratios), 1.5 + 0.3 * len(names)), layout="constrained")
        columns = figure.subplots(1, len(ratios), sharey=True, squeeze=False)[0]
        for column, (title, of_workload) in zip(columns, ratios.items(), strict=True):
            column.set_title(title.replace(", ", "\n"), fontsize=10)
            column.axvline(1, color=INK, linewidth=1)
            for row, name in enumerate(names):
                if name in of_workload:
                    _draw_ratio(column, row, of_workload[name])
            _scale(column, of_workload)
        columns[0].set_yticks(range(len(names)), names)
        columns[0].invert_yaxis()
        figure.supxlabel(
            "messages per second of server CPU time, trioecho / the other;  "
            "above: connections x in flight on each, payload",
            fontsize=9,
        )
        _explain(figure)
        figure.savefig(file, transparent=True, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_ratio(column: Axes, row: int, ratio: Spread) -> None:
    color = AHEAD if ratio.least > 1 else BEHIND if ratio.most < 1 else LEVEL
    column.plot(
        [ratio.least, ratio.most], [row, row], color=color, linewidth=2, solid_capstyle="round", clip_on=False
    )
    column.plot([ratio.median], [row], "o", color=color, markersize=6, clip_on=False)
    column.text(
        1,
        row,
        f"{ratio.median:.2f}" if ratio.median < 9.95 else f"{ratio.median:.0f}",
        transform=column.get_yaxis_transform(),  # at the right edge, wherever the dot is
        horizontalalignment="right",
        verticalalignment="center",
        fontsize=9,
    )


def _scale(column: Axes, ratios: Mapping[str, Spread]) -> None:
    """Logarithmic, so that twice and half are as far from 1; at least those two can be seen."""
    least = min([0.5, *(ratio.least for ratio in ratios.values())])
    most = max([2.0, *(ratio.most for ratio in ratios.values())])
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


def _explain(figure: Figure) -> None:
    meanings = {
        "trioecho ahead in every repetition": AHEAD,
        "sometimes ahead, sometimes behind": LEVEL,
        "behind in every repetition": BEHIND,
    }
    handles = [
        Line2D([], [], color=color, marker="o", linewidth=2, label=meaning)
        for meaning, color in meanings.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
