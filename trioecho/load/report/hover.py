"""Show values where a person points at a plot, without a script: the page's style shows and hides them."""

from __future__ import annotations

from typing import Any

from ...base.html import Markup, element, joined
from .plot import Plot, PlotNote

# Units of the SVG.
_LETTER = 8.0
_LINE = 10.0
_MARGIN = 3.0
_POINTS_PER_INCH = 72


def hover_texts(plot: Plot, axes: Any, inches: tuple[float, float]) -> Markup | None:
    """Return the plot's notes as elements over a drawing that has been laid out; None if it has none.

    Each is a column that answers to the pointer, and its text.
    """
    if not plot.notes:
        return None
    width, height = (_POINTS_PER_INCH * size for size in inches)
    place = axes.get_position()  # parts of the whole, from below
    left, right = float(place.x0 * width), float(place.x1 * width)
    top, bottom = (1 - place.y1) * height, (1 - place.y0) * height
    x_from, x_to = map(float, axes.get_xlim())

    def at(x: float) -> float:
        return left + (min(max(x, x_from), x_to) - x_from) / (x_to - x_from) * (right - left)

    return element(
        "g",
        (
            element(
                "g",
                element(
                    "rect",
                    x=_number(begin := at(note.begin)),
                    y=_number(top),
                    width=_number(at(note.end) - begin),
                    height=_number(bottom - top),
                ),
                _text(note, begin > (left + right) / 2, left, right, top),
            )
            for note in plot.notes
        ),
        class_="values",
    )


def _text(note: PlotNote, is_right: bool, left: float, right: float, top: float) -> Markup:
    """Return the text in the half of the plot at which nobody points."""
    x = left + _MARGIN if is_right else right - _MARGIN
    lines = (
        element("tspan", line, x=_number(x), y=_number(top + _LETTER + number * _LINE))
        for number, line in enumerate(note.lines)
    )
    return element("text", joined(lines), text_anchor=None if is_right else "end")


def _number(value: float) -> str:
    return f"{value:.1f}"
