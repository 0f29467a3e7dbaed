"""trioecho with several values of one option, or of one constant, under the loads that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from .builds import go_program
from .certificate import certificate_file, make_certificate, python_with_certificate
from .compare import Means, compare
from .contenders import ASYNCIO_PROTOCOL, ECHO, GO_ENV, SERVERS, UVLOOP_PROTOCOL, Contender
from .table import details, failures
from .workloads import Workload


@dataclass(frozen=True)
class Variants:
    """What takes turns.

    Attributes:
      contenders: one for each value; the first is what the others are compared with.
      workloads: under which; each has a table.
    """

    contenders: Sequence[Contender]
    workloads: Sequence[Workload]


def _spliced(name: str, least_bytes: int) -> Contender:
    arguments = (str(SERVERS / "trioecho_spliced.py"), "{max_frame_length}", str(least_bytes))
    return Contender(name, arguments)


def _spinning(time: str) -> Contender:
    return Contender(f"--spin {time}", (*ECHO.arguments, "--spin", time))


def _under_tls(name: str, *arguments: str, module: str | None = None) -> Contender:
    certificate = str(certificate_file())
    return Contender(name, (*arguments, "--certfile", certificate), python_with_certificate, module)


def _go_under_tls() -> Contender:
    def program() -> Path:
        make_certificate()
        return go_program("servers/goroutines.go")

    arguments = ("{max_frame_length}", "--certfile", str(certificate_file()))
    return Contender("Go crypto/tls", arguments, program, env=GO_ENV)


VARIANTS: Mapping[str, Variants] = {
    # From which size on frames cost less through pipes than copied.
    "splice": Variants(
        [_spliced("through pipes", 0), _spliced("copied", 1 << 62)],
        [
            Workload(f"splice {size}", 8, 4, size, max_frame_length=16 << 20)
            for size in ("64KiB", "128KiB", "256KiB", "512KiB", "1MiB", "16MiB")
        ],
    ),
    # For how long it pays to look again before sleeping: seldom where many take turns.
    "spin": Variants(
        [_spinning(time) for time in ("50us", "0", "20us", "100us", "200us")],
        [Workload(f"spin {count}", count, 1, "64B") for count in (1, 3, 10)],
    ),
    # TLS beside that of asyncio, uvloop and Go: small frames, many at a time, and large ones.
    "tls": Variants(
        [
            _under_tls("trioecho", *ECHO.arguments),
            _under_tls("asyncio Protocol", *ASYNCIO_PROTOCOL.arguments),
            _under_tls("uvloop Protocol", *UVLOOP_PROTOCOL.arguments, module="uvloop"),
            _go_under_tls(),
        ],
        [
            Workload("tls many", 100, 1, "64B", is_tls=True),
            Workload("tls pipelined", 100, 64, "16-112B", is_tls=True),
            Workload("tls bulk", 8, 4, "64KiB", is_tls=True),
        ],
    ),
}


def measure_variants(variants: Variants, means: Means, on_turn: Callable[[str], object]) -> bool:
    """Measure and print a table for each workload; return whether every run succeeded."""
    is_good = True
    present = []
    for contender in variants.contenders:
        if (reason := contender.why_missing()) is None:
            present.append(contender)
        else:
            on_turn(f"without {contender.name}: {reason}")
    for workload in variants.workloads:
        runs = trio.run(compare, workload, present, means, on_turn)
        print(f"{workload.title}\n\n{details(runs)}\n", flush=True)
        for line in failures(runs):
            on_turn(line)
            is_good = False
    return is_good
