"""The arguments of ``scripts/bench``."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from trioecho.cli.shared import values
from trioecho.cli.shared.parser import Parser

from .contenders import BUILDS, PEERS, Contender, ours
from .variants import VARIANTS
from .workloads import WORKLOADS

SERVERS, IDLE, TIMERS, ADMIN = "servers", "idle", "timers", "admin"
CLUSTER, DECODER, TURNS = "cluster", "decoder", "turns"
_WHAT = (SERVERS, IDLE, TIMERS, ADMIN, CLUSTER, *VARIANTS, DECODER, TURNS)

# What an option is of use for; all others take --repeats and --quick, and nothing else.
_TAKES = {
    SERVERS: {"only", "peers", "builds", "ours", "load", "seconds", "json", "picture", "show"},
    IDLE: {"peers", "builds", "ours", "seconds", "connections"},
    TIMERS: {"only", "builds", "load", "seconds"},
    ADMIN: {"seconds"},
    CLUSTER: {"seconds"},
    **{name: {"load", "seconds"} for name in VARIANTS},
}

_EPILOG = """\
scripts/bench           servers: trioecho beside others, under the same load
scripts/bench idle      the memory of a connection that does nothing
scripts/bench timers    how late another task's timer fires while the server is busy
scripts/bench admin     what a thousand hostile HTTP connections at --admin do to the echo
scripts/bench cluster   what Dask costs beside an engine, and how late messages leave (Linux)
scripts/bench splice    large frames through pipes, or copied, by their size
scripts/bench spin      how long the server looks again before it sleeps, with few connections
scripts/bench tls       TLS beside that of asyncio, uvloop and Go; the load is trioecho load
scripts/bench decoder   decoders alone, in one process, without a socket
scripts/bench turns     the order of a server's turn: send for all together, or one by one

The first start installs into .venv what is compared, and builds into .bench what
is compiled: the servers in C, Go and Rust where their compilers are, the load in C,
and trioecho with its compiled modules. Leave the machine alone meanwhile. All
servers take about 40 minutes, each other mode at most five.

examples:
  scripts/bench --quick
  scripts/bench --only many --only pipelined
  scripts/bench --only many --peers 'uvloop Protocol,Go' --repeats 15
  scripts/bench --ours 'other=/path/to/other/.venv/bin/trioecho serve --port 0'
  scripts/bench --json bench.json --picture bench.svg
  scripts/bench --show bench.json --picture bench.svg

exit codes:
  0    measured
  1    a run failed: its server has fewer runs in the tables, or none
  2    wrong usage
  130  interrupted
"""


def parse(argv: Sequence[str] | None) -> tuple[Parser, argparse.Namespace]:
    """Return the arguments; with the parser, whose `error` ends with exit code 2.

    What could not be had in the end is refused now.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    takes = _TAKES.get(arguments.what, set())
    for name in set().union(*_TAKES.values()) - takes:
        if getattr(arguments, name) is not None:
            parser.error(f"{arguments.what} does not take --{name}")
    for file in (arguments.json, arguments.picture):
        if file is not None and not file.parent.is_dir():
            parser.error(f"cannot write {file}: there is no such folder")
    if arguments.what == CLUSTER and (missing := _why_no_cluster()):
        parser.error(f"cluster needs {missing}")
    if arguments.picture and importlib.util.find_spec("matplotlib") is None:
        parser.error("--picture needs the package matplotlib: pip install matplotlib")
    return parser, arguments


def _parser() -> Parser:
    parser = Parser(
        prog="scripts/bench", description="Measure trioecho beside other servers, as ratios.", epilog=_EPILOG
    )
    add = parser.add_argument
    add(
        "what",
        nargs="?",
        choices=_WHAT,
        default=SERVERS,
        metavar="WHAT",
        help=f"one of {', '.join(_WHAT)} (default: %(default)s)",
    )
    add(
        "--only",
        action="append",
        choices=list(WORKLOADS),
        metavar="WORKLOAD",
        help=f"one of {', '.join(WORKLOADS)}; may be repeated (default: all; of timers, without handlers)",
    )
    names = ", ".join(peer.name for peer in PEERS)
    add("--peers", type=_peers, metavar="NAMES", help=f"with commas between, '' for none (default: {names})")
    add(
        "--builds",
        type=_builds,
        metavar="NAMES",
        help=f"of trioecho: {', '.join(BUILDS)} (default: all that can be built)",
    )
    add(
        "--ours",
        type=_ours,
        action="append",
        metavar="NAME=COMMAND",
        help="another build of trioecho: a command that serves on 127.0.0.1 and says where, with "
        "{max_frame_length} where the limit goes; may be repeated",
    )
    add("--load", choices=("c", "trioecho"), help="what plays the clients (default: c where a compiler is)")
    add("--connections", type=values.positive_count, metavar="N", help="of idle (default: 1000)")
    add("--repeats", type=values.positive_count, metavar="N", help="(default: 5)")
    add("--seconds", type=values.seconds, metavar="TIME", help="length of a run (default: 1s)")
    add("--quick", action="store_true", help="3 repetitions of 300ms: a look, not a result")
    add("--json", type=Path, metavar="FILE", help="write every run, in numbers")
    add("--picture", type=Path, metavar="FILE", help="draw the ratios; its ending is the format: .svg, .png")
    add(
        "--show",
        type=Path,
        action="append",
        metavar="FILE",
        help="measure nothing, show what --json has written; may be repeated, the first names the machine",
    )
    return parser


def _why_no_cluster() -> str:
    """Return what is missing; empty if nothing is."""
    if importlib.util.find_spec("distributed") is None:
        return "the package distributed: pip install distributed"
    return "" if Path("/proc/self/task").is_dir() else "a /proc, as Linux has it"


def _peers(text: str) -> tuple[Contender, ...]:
    known = {peer.name: peer for peer in PEERS}
    return tuple(known[name] for name in _names(text, known))


def _builds(text: str) -> tuple[str, ...]:
    names = tuple(_names(text, BUILDS))
    if not names:
        raise argparse.ArgumentTypeError(f"names none of {', '.join(BUILDS)}")
    return names


def _names(text: str, known: Collection[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return names


def _ours(text: str) -> Contender:
    name, equals, command = text.partition("=")
    words = shlex.split(command)
    if not equals or not name or not words:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return ours(name, words)
