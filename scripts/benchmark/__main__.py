"""``scripts/bench``: reads the arguments, measures, prints."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from trioecho.cli import values
from trioecho.cli.parser import Parser
from trioecho.exception_groups import leaves

from . import decoder
from .compare import AGAIN, PEERS, WORKLOADS, Contender, compare
from .processes import choose_cpus
from .sitting import Sitting, UnreadableSittingError
from .table import cpu_ratios, details, failures, summary

_MEASURED, _FAILED, _INTERRUPTED = 0, 1, 130

_EPILOG = """\
scripts/bench           servers: trioecho beside others, under the same load
scripts/bench decoder   decoders alone, in one process, without a socket

The first start installs into .venv what is compared. Leave the machine alone
meanwhile. All servers take about 20 minutes, the decoders two.

examples:
  scripts/bench --quick
  scripts/bench --only many --only pipelined
  scripts/bench --only many --peers 'asyncio Protocol,threads' --repeats 15
  scripts/bench --json bench.json --picture bench.svg
  scripts/bench --show bench.json --picture bench.svg

exit codes:
  0    measured
  1    a run failed: its server has fewer runs in the tables, or none
  2    wrong usage
  130  interrupted
"""

_NOTES = f"""\
How to read it: messages per second of the server's own processor time (user and
system), trioecho's divided by the other's; above 1, trioecho needs less. Medians of
interleaved repetitions, in brackets the lowest and the highest. Columns: connections
x messages in flight on each, payload. Limits, clocks and metrics of trioecho were on;
the others have none.

What it cannot know:
- Noise. The row "{AGAIN}" is trioecho against itself: by as much as that
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
    """Measure what the arguments ask for; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    _refuse_in_vain(parser, arguments)
    try:
        if arguments.what == "decoder":
            return decoder.main(
                repeats=arguments.repeats or (3 if arguments.quick else 5), quick=arguments.quick
            )
        sitting = _read(parser, arguments.show) if arguments.show else _measure(arguments)
    except BaseException as error:
        if any(isinstance(cause, KeyboardInterrupt) for cause in leaves(error)):
            return _INTERRUPTED
        raise
    ratios = cpu_ratios(sitting.runs)
    print(f"{sitting.describe()}\n\n{summary(ratios)}\n\n{_NOTES}", end="", flush=True)
    if arguments.json:
        arguments.json.write_text(sitting.to_json())
    if arguments.picture:
        from . import picture

        picture.draw(ratios, arguments.picture)
    return _FAILED if any(failures(runs) for runs in sitting.runs.values()) else _MEASURED


def _measure(arguments: argparse.Namespace) -> Sitting:
    repeats = arguments.repeats or (3 if arguments.quick else 5)
    seconds = arguments.seconds or (0.3 if arguments.quick else 1.0)
    peers = [peer for peer in arguments.peers if peer.is_installed]
    for peer in arguments.peers:
        if peer not in peers:
            _say(f"{peer.name}: left out, {peer.module} is not installed")
    cpus = choose_cpus()
    if cpus.load is not None:
        os.sched_setaffinity(0, {cpus.load})  # the load inherits it, and this process only waits
    sitting = Sitting.begin(cpus)
    if sitting.is_disturbed:
        _say("something else is busy on this machine; the numbers will show it")
    for name in arguments.only or WORKLOADS:
        workload = WORKLOADS[name]
        runs = trio.run(
            partial(
                compare,
                workload,
                [peer for peer in workload.peers if peer in peers],
                seconds=seconds,
                repeats=repeats,
                cpus=cpus,
                on_turn=_say,
            )
        )
        sitting.runs[name] = runs
        if arguments.json:  # now, lest an interruption loses it
            arguments.json.write_text(sitting.to_json())
        print(f"\n{workload.title}\n\n{details(runs)}\n", flush=True)
        for line in failures(runs):
            _say(line)
    return sitting


def _parser() -> Parser:
    parser = Parser(
        prog="scripts/bench",
        description="Measure trioecho beside other Python servers, as ratios.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("what", nargs="?", choices=("servers", "decoder"), default="servers", help="(default: %(default)s)")
    add(
        "--only",
        action="append",
        choices=list(WORKLOADS),
        metavar="WORKLOAD",
        help=f"one of {', '.join(WORKLOADS)}; may be repeated (default: all)",
    )
    names = ", ".join(peer.name for peer in PEERS)
    add("--peers", type=_peers, default=PEERS, metavar="NAMES", help=f"(default: {names})")
    add("--repeats", type=values.positive_count, metavar="N", help="(default: 5)")
    add("--seconds", type=values.duration, metavar="TIME", help="length of a run (default: 1s)")
    add("--quick", action="store_true", help="3 repetitions of 300ms: a look, not a result")
    add("--json", type=Path, metavar="FILE", help="write every run, in numbers")
    add("--picture", type=Path, metavar="FILE", help="draw the ratios; its ending says as what: .svg, .png")
    add(
        "--show",
        type=Path,
        action="append",
        metavar="FILE",
        help="measure nothing, show what --json has written; may be repeated, the first tells the machine",
    )
    return parser


def _peers(text: str) -> tuple[Contender, ...]:
    known = {peer.name: peer for peer in PEERS}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return tuple(known[name] for name in names)


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


def _refuse_in_vain(parser: Parser, arguments: argparse.Namespace) -> None:
    """End with exit code 2 now if what is wanted could not be had in the end."""
    if arguments.what == "decoder" and (
        arguments.only or arguments.show or arguments.json or arguments.picture
    ):
        parser.error("decoder takes only --repeats and --quick")
    for file in (arguments.json, arguments.picture):
        if file is not None and not file.parent.is_dir():
            parser.error(f"cannot write {file}: there is no such folder")
    if arguments.picture and importlib.util.find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib, which the extra trioecho[bench] installs")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
