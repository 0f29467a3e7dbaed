"""What runs say together: medians with their spread, ratios, who was the limit; as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .compare import AGAIN, WORKLOADS, Failure, Run, Runs

# A side that has used this much of its processor was the limit, or near enough to it.
_BUSY = 0.9


@dataclass(frozen=True)
class Spread:
    """Repetitions of one figure."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{_number(self.median)} ({_number(self.least)}-{_number(self.most)})"


def spread(values: Iterable[float]) -> Spread | None:
    """Median and extremes; None of nothing."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def ratio(
    ours: Sequence[Run | Failure], theirs: Sequence[Run | Failure], figure: Callable[[Run], float]
) -> Spread | None:
    """Ours divided by theirs, each repetition by its own partner; above 1, ours is ahead."""
    return spread(
        figure(our) / figure(their)
        for our, their in zip(ours, theirs, strict=True)
        if isinstance(our, Run) and isinstance(their, Run)
    )


def limit(runs: Sequence[Run | Failure]) -> str | None:
    """Who set the rate: ``server``, ``generator``, or ``neither``; None if no run succeeded.

    The server if it had no processor time left, whatever the load had. If both
    had some, they have waited for each other, and the rate is that of the pair.
    """
    good = [run for run in runs if isinstance(run, Run)]
    if not good:
        return None
    if statistics.median(run.server_share for run in good) >= _BUSY:
        return "server"
    return "generator" if statistics.median(run.load_share for run in good) >= _BUSY else "neither"


def throughput_ratio(ours: Sequence[Run | Failure], theirs: Sequence[Run | Failure]) -> Spread | str | None:
    """The ratio of messages/s, or why there is none: who else was the limit of one of the two.

    A rate that the generator has set is a number about the generator.
    """
    limits = {limit(ours), limit(theirs)}
    if None in limits:
        return None
    for other in ("generator", "neither"):
        if other in limits:
            return other
    return ratio(ours, theirs, lambda run: run.messages_per_s)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, aligned for whoever reads it as text; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in (rows[0], rule, *rows[1:])
    )


def details(runs: Runs) -> str:
    """All that was measured under one workload."""
    first = next(iter(runs))
    rows = [
        [
            "",
            "messages per CPU-s",
            "messages/s",
            "server",
            "load",
            "limit",
            f"{first} / it, per CPU-s",
            "per s",
        ]
    ]
    for name, of_server in runs.items():
        good = [run for run in of_server if isinstance(run, Run)]
        row = [
            name,
            _text(spread(run.messages_per_cpu_s for run in good)),
            _text(spread(run.messages_per_s for run in good)),
            _share(run.server_share for run in good),
            _share(run.load_share for run in good),
            limit(of_server) or "-",
        ]
        if name == first:
            row += ["", ""]
        else:
            throughput = throughput_ratio(runs[first], of_server)
            row.append(_text(ratio(runs[first], of_server, lambda run: run.messages_per_cpu_s)))
            row.append(f"({throughput})" if isinstance(throughput, str) else _text(throughput))
        rows.append(row)
    return markdown(rows)


def failures(runs: Runs) -> list[str]:
    """A line for each server of which runs came to nothing, with the first reason."""
    return [
        f"{name}: {len(failed)} of {len(of_server)} runs failed: {failed[0].reason}"
        for name, of_server in runs.items()
        if (failed := [run for run in of_server if isinstance(run, Failure)])
    ]


Ratios = dict[str, dict[str, Spread]]
"""Of messages per CPU-second: by `Workload.short_title`, then by the other server's name."""


def cpu_ratios(sitting: Mapping[str, Runs]) -> Ratios:
    """The first server's figure divided by each other one's; what has a handler is a row of its own."""
    ratios: Ratios = {}
    for workload_name, runs in sitting.items():
        workload = WORKLOADS[workload_name]
        first, *others = runs
        column = ratios.setdefault(workload.short_title, {})
        for name in others:
            compared = ratio(runs[first], runs[name], lambda run: run.messages_per_cpu_s)
            if compared is not None:
                column[f"{name}, with a handler" if workload.has_handler else name] = compared
    return ratios


def row_names(ratios: Ratios) -> list[str]:
    """The other servers as they come, the noise behind them."""
    names = list(dict.fromkeys(name for column in ratios.values() for name in column))
    return sorted(names, key=lambda name: name.startswith(AGAIN))


def summary(ratios: Ratios) -> str:
    """All ratios in one table."""
    rows = [["", *ratios]]
    rows += [[name, *(_text(column.get(name)) for column in ratios.values())] for name in row_names(ratios)]
    return markdown(rows)


def _text(value: Spread | None) -> str:
    return "-" if value is None else str(value)


def _share(shares: Iterable[float]) -> str:
    share = spread(shares)
    return "-" if share is None else f"{share.median:.0%}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"
