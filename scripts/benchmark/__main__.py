"""``scripts/bench``: measures what the arguments ask for, and prints."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import trio

from trioecho.base.exception_groups import leaves
from trioecho.cli.shared.parser import Parser

from . import arguments as args
from . import decoder, instructions, turns
from .admin import measure_admin
from .builds import NotBuiltError
from .cluster import measure_cluster
from .compare import AGAIN, Means, compare
from .contenders import BUILDS, ECHO, HANDLER_PEERS, HANDLERS, PEERS, Contender, name_of, trioecho
from .idle import measure_idle
from .loads import choose_load, describe_load
from .processes import BenchError, choose_cpus
from .sitting import Sitting, UnreadableSittingError
from .table import cpu_ratios, details, failures, summary
from .timers import measure_timers
from .variants import VARIANTS, measure_variants
from .workloads import WORKLOADS, Workload

_MEASURED, _FAILED, _INTERRUPTED = 0, 1, 130

_NOTES = f"""\
How to read it: messages per second of the server's own processor time (user and
system), trioecho's divided by the other's; above 1, trioecho needs less. Medians of
interleaved repetitions, in brackets the lowest and the highest. Columns: connections
x messages in flight on each, payload. Limits, clocks and metrics of trioecho were on;
the others have none. Behind a comma, what trioecho did: it called a handler.

What it cannot know:
- Noise. The row "trioecho{AGAIN}" is trioecho against itself: by as much as that
  differs from 1, other rows may differ for no reason. Compare no two sittings.
- Networks. Over loopback there is no latency, no loss and no driver: this is what the
  servers' code and the kernel cost, and not what clients far away will see.
- Rates that the server did not set. Messages/s are compared only where both servers
  had used 90 % of their processor or more. Elsewhere there is no ratio but the name of
  the limit: the generator, or neither of the two, which then waited for each other, or
  for a processor that others had. Messages per processor second need no server at its
  limit. But a server that waits for the load wakes up more often, for fewer messages at
  a time, and so looks rather worse than it is.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return the exit code."""
    parser, arguments = args.parse(argv)
    try:
        return _run(parser, arguments)
    except BenchError as error:
        _say(f"scripts/bench: {error}")
        return _FAILED
    except BaseException as error:
        if any(isinstance(cause, KeyboardInterrupt) for cause in leaves(error)):
            return _INTERRUPTED
        raise


def _run(parser: Parser, arguments: argparse.Namespace) -> int:
    what, quick = arguments.what, arguments.quick
    repeats = arguments.repeats or (3 if quick else 5)
    if what in (args.DECODER, args.TURNS):
        return (decoder.main if what == args.DECODER else turns.main)(repeats=repeats, quick=quick)
    if arguments.show:
        return _show(_read(parser, arguments.show), arguments.picture)
    try:
        run_load = choose_load(arguments.load)
    except NotBuiltError as error:
        parser.error(f"there is no load in C: {error}")
    seconds = arguments.seconds or _seconds_of(what, quick=quick)
    means = Means(run_load, seconds, repeats, choose_cpus())
    if (
        what == args.CLUSTER
    ):  # whose processes run where the kernel likes: one place for all would measure that
        print(trio.run(measure_cluster, means, _say), end="", flush=True)
        return _MEASURED
    if means.cpus.load is not None:
        os.sched_setaffinity(0, {means.cpus.load})  # the load inherits it, and this process only waits
    if what == args.ADMIN:
        print(trio.run(measure_admin, means, _say), end="", flush=True)
        return _MEASURED
    if what in VARIANTS:
        return _MEASURED if measure_variants(VARIANTS[what], means, _say) else _FAILED
    builds = [build for build in arguments.builds or BUILDS if _can_run(trioecho(build))]
    if what == args.TIMERS:
        chosen = [WORKLOADS[name] for name in arguments.only or WORKLOADS]
        echoes = [workload for workload in chosen if not workload.has_handler]
        print(trio.run(measure_timers, builds, echoes, means), end="", flush=True)
        return _MEASURED
    ours = [each for each in arguments.ours or () if _can_run(each)]
    peers = [peer for peer in (PEERS if arguments.peers is None else arguments.peers) if _can_run(peer)]
    if what == args.IDLE:
        contenders = [*map(trioecho, builds), *ours, *peers]
        connections = arguments.connections or (100 if quick else 1000)
        print(trio.run(measure_idle, contenders, connections, means, _say), end="", flush=True)
        return _MEASURED
    sitting = _measure(arguments, means, builds, ours, peers)
    if arguments.json:
        arguments.json.write_text(sitting.to_json())
    return _show(sitting, arguments.picture)


def _seconds_of(what: str, *, quick: bool) -> float:
    if what == args.ADMIN:  # most of what a crowd may do, it may do at its beginning
        return 2.0 if quick else 10.0
    if what == args.CLUSTER:  # Dask's processes do their work once in a second or two
        return 2.0 if quick else 5.0
    return 0.3 if quick else 1.0


def _measure(
    arguments: argparse.Namespace,
    means: Means,
    builds: Sequence[str],
    ours: Sequence[Contender],
    peers: Sequence[Contender],
) -> Sitting:
    why_not = instructions.why_not_counted()
    if why_not is not None:
        _say(f"instructions are not counted: {why_not}")
    means = Means(means.run_load, means.seconds, means.repeats, means.cpus, why_not is None)
    names = [*map(name_of, builds), *(each.name for each in ours)]
    sitting = Sitting.begin(means.cpus, names, describe_load(means.run_load))
    if sitting.is_disturbed:
        _say("something else is busy on this machine; the numbers will show it")
    for name in arguments.only or WORKLOADS:
        workload = WORKLOADS[name]
        contenders = _contenders(workload, builds, ours, peers)
        runs = trio.run(compare, workload, contenders, means, _say)
        sitting.runs[name] = runs
        if arguments.json:  # now, lest an interruption loses it
            arguments.json.write_text(sitting.to_json())
        print(f"\n{workload.title}\n\n{details(runs)}\n", flush=True)
        for line in failures(runs):
            _say(line)
    return sitting


def _contenders(
    workload: Workload, builds: Iterable[str], ours: Iterable[Contender], peers: Iterable[Contender]
) -> list[Contender]:
    if workload.has_handler:
        handlers = [trioecho(build, use) for build in builds for use in HANDLERS]
        return [*handlers, *(peer for peer in peers if peer in HANDLER_PEERS)]
    return [*(trioecho(build, ECHO) for build in builds), *ours, *peers]


def _show(sitting: Sitting, picture_file: Path | None) -> int:
    of_builds = {build: cpu_ratios(sitting.runs, build, sitting.builds) for build in sitting.builds}
    tables = "\n\n".join(f"{build} / the other\n\n{summary(ratios)}" for build, ratios in of_builds.items())
    print(f"{sitting.describe()}\n\n{tables}\n\n{_NOTES}", end="", flush=True)
    if picture_file:
        from . import picture

        picture.draw(of_builds, picture_file)
    return _FAILED if any(failures(runs) for runs in sitting.runs.values()) else _MEASURED


def _can_run(contender: Contender) -> bool:
    """Return whether this server can run here; say why if it cannot."""
    reason = contender.why_missing()
    if reason is not None:
        _say(f"{contender.name}: left out, {reason}")
    return reason is None


def _read(parser: Parser, files: Sequence[Path]) -> Sitting:
    sittings = []
    for file in files:
        try:
            sittings.append(Sitting.from_json(file.read_text()))
        except (OSError, UnreadableSittingError) as error:
            parser.error(f"cannot show {file}: {error}")
    for other in sittings[1:]:
        sittings[0].runs.update(other.runs)
    return sittings[0]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
