"""Numbers and lines as people read them."""

from __future__ import annotations

import textwrap


def in_ms(value_ms: float | None) -> str:
    """Return milliseconds: to the microsecond below a second, whole above."""
    if value_ms is None:
        return "-"
    return f"{value_ms:.3f}" if value_ms < 999.9995 else f"{value_ms:.0f}"


def in_rate(per_s: float) -> str:
    """Return messages/s that were measured: whole from a hundred on, three digits below."""
    return f"{per_s:,.0f}" if per_s >= 99.95 else f"{per_s:.3g}"


def in_full(number: float) -> str:
    """Return a number that somebody chose, as it is: ``1,500,000``, ``0.5``."""
    return f"{number:,.12g}"


def in_bytes(count: float) -> str:
    """Return bytes with the decimal unit that fits."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def plural(count: int, thing: str) -> str:
    """Return a number with what it counts: ``1 frame``, ``1,000 frames``."""
    return f"1 {thing}" if count == 1 else f"{count:,} {thing}s"


def wrapped(text: str, width: int, indent: str = "", *, subsequent_indent: str = "  ") -> list[str]:
    """Return the text in lines of less than ``width`` columns; only a word that is longer has more."""
    return textwrap.wrap(
        text,
        width - 1,
        initial_indent=indent,
        subsequent_indent=indent + subsequent_indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def in_seconds(value: float) -> str:
    """Return a time in seconds, to a thousandth, or to two digits if it is shorter: ``0.812 s``."""
    return f"{value:,.3f} s" if value >= 0.01 else f"{value:.2g} s"
