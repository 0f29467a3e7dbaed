"""What runs show together: medians with their spread, ratios, who was the limit; as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .compare import AGAIN, Failure, Run, Runs
from .contenders import USES
from .workloads import WORKLOADS

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
    """Return median and extremes; None of nothing."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def ratio(
    ours: Sequence[Run | Failure], theirs: Sequence[Run | Failure], figure: Callable[[Run], float]
) -> Spread | None:
    """Return ours divided by theirs, each repetition by its own partner; above 1, ours is ahead."""
    return spread(
        figure(our) / figure(their)
        for our, their in zip(ours, theirs, strict=False)  # one of them may be empty
        if isinstance(our, Run) and isinstance(their, Run) and figure(their)
    )


def limit(runs: Sequence[Run | Failure]) -> str | None:
    """Return who set the rate: ``server``, ``generator``, or ``neither``; None if no run succeeded.

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
    """Return the ratio of messages/s, or why there is none: who else was the limit of one of the two.

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
    """Return a table, aligned for a person who reads it as text; the first row is the heading."""
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
    """Return all that was measured under one workload."""
    first = next(iter(runs))
    counted = any(
        isinstance(run, Run) and run.instructions for of_server in runs.values() for run in of_server
    )
    rows = [
        ["", "messages per CPU-s", "messages/s", "99 % within us", "server", "in kernel", "load", "limit"]
    ]
    rows[0] += [f"{first} / it, per CPU-s", "per s"]
    if counted:
        rows[0].append("instructions per message")
    for name, of_server in runs.items():
        good = [run for run in of_server if isinstance(run, Run)]
        row = [
            name,
            _text(spread(run.messages_per_cpu_s for run in good)),
            _text(spread(run.messages_per_s for run in good)),
            _text(spread(run.p99_us for run in good)),
            _share(run.server_share for run in good),
            _share(run.kernel_share for run in good if run.kernel_share is not None),
            _share(run.load_share for run in good),
            limit(of_server) or "-",
        ]
        if name == first:
            row += ["", ""]
        else:
            throughput = throughput_ratio(runs[first], of_server)
            row.append(_text(ratio(runs[first], of_server, lambda run: run.messages_per_cpu_s)))
            row.append(f"({throughput})" if isinstance(throughput, str) else _text(throughput))
        if counted:
            row.append(_text(spread(run.instructions for run in good if run.instructions is not None)))
        rows.append(row)
    return markdown(rows)


def failures(runs: Runs) -> list[str]:
    """Return a line for each server of which runs failed, with the first reason."""
    return [
        f"{name}: {len(failed)} of {len(of_server)} runs failed: {failed[0].reason}"
        for name, of_server in runs.items()
        if (failed := [run for run in of_server if isinstance(run, Failure)])
    ]


Ratios = dict[str, dict[str, Spread]]
"""Of messages per CPU-second: by `Workload.short_title`, then by the other server's name."""


def cpu_ratios(sitting: Mapping[str, Runs], build: str, builds: Sequence[str]) -> Ratios:
    """Return the figure of one build divided by each other server's.

    The uses of a build (an echo, a handler) are compared with all that is no build, and with
    the same use of other builds; each use has rows of its own.
    """
    ratios: Ratios = {}
    of_builds = {each + use.suffix for each in builds for use in USES}
    for workload_name, runs in sitting.items():
        column = ratios.setdefault(WORKLOADS[workload_name].short_title, {})
        others = [name for name in runs if name not in of_builds and not name.endswith(AGAIN)]
        for use in USES:
            first = build + use.suffix
            rows = {name + use.suffix: name for name in others}
            rows |= {each + use.suffix: each + use.suffix for each in builds if each != build}
            rows[first + AGAIN] = first + AGAIN
            for row, name in rows.items():
                compared = ratio(runs.get(first, ()), runs.get(name, ()), lambda run: run.messages_per_cpu_s)
                if compared is not None:
                    column[row] = compared
    return ratios


def row_names(ratios: Ratios) -> list[str]:
    """Return the other servers as they come, and the noise behind them."""
    names = list(dict.fromkeys(name for column in ratios.values() for name in column))
    return sorted(names, key=lambda name: AGAIN in name)


def summary(ratios: Ratios) -> str:
    """Return all ratios in one table."""
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
