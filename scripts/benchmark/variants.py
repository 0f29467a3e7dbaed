"""trioecho with several values of one option, or of one constant, under the loads that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from .compare import Means, compare
from .contenders import ECHO, SERVERS, Contender
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
}


def measure_variants(variants: Variants, means: Means, on_turn: Callable[[str], object]) -> bool:
    """Measure and print a table for each workload; return whether every run succeeded."""
    is_good = True
    for workload in variants.workloads:
        runs = trio.run(compare, workload, variants.contenders, means, on_turn)
        print(f"{workload.title}\n\n{details(runs)}\n", flush=True)
        for line in failures(runs):
            on_turn(line)
            is_good = False
    return is_good
