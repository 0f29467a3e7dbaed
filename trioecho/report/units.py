"""Numbers and lines as people read them."""

from __future__ import annotations

import textwrap

_WIDTH = 79


def in_ms(value_ms: float | None) -> str:
    """Milliseconds: to the microsecond below a second, whole above."""
    if value_ms is None:
        return "-"
    return f"{value_ms:.3f}" if value_ms < 999.9995 else f"{value_ms:.0f}"


def in_rate(per_s: float) -> str:
    """Messages/s that were measured: whole from a hundred on, three digits below."""
    return f"{per_s:,.0f}" if per_s >= 99.95 else f"{per_s:.3g}"


def in_full(number: float) -> str:
    """A number that somebody chose, as it is: ``1,500,000``, ``0.5``."""
    return f"{number:,.12g}"


def in_bytes(count: float) -> str:
    """Bytes with the decimal unit that fits."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def wrapped(text: str, indent: str = "", *, subsequent_indent: str = "  ") -> list[str]:
    """The text in lines of less than 80 columns."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + subsequent_indent,
        break_on_hyphens=False,
    )
