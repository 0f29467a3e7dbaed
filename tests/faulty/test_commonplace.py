"""Commonplace faults have one cause each, and none beside it; and the points are what a teacher would give.

Where the preflight shows all, that is quick. Set TRIOECHO_FAULTY_SERVERS=all to have the others
checked as well, by all cases, started by the suite and listening already.
"""

from __future__ import annotations

import os
import shlex
import sys

import pytest
import trio

from tests.support.guard import guarded
from tests.support.slow import slow
from trioecho.check.book.book import select
from trioecho.check.output import grade
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.spawned.spawned_server import parse_command
from trioecho.check.verdict import SuiteResult
from trioecho.faulty import FAULTY_SERVERS

# Some servers leak sockets, and let exceptions out of their threads: that is their bug.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

ALL = os.environ.get("TRIOECHO_FAULTY_SERVERS") == "all"
AT_A_TIME = 4
LEFT_TO_TEACHER = (0, None, None, None)

# The cause, and the points of a server that the suite has started.
FIRST_LOOK: dict[str, tuple[str, tuple[float | None, ...]]] = {
    "adds-text": ("bytes-added", LEFT_TO_TEACHER),
    "adds-time": ("bytes-added", LEFT_TO_TEACHER),
    "says-ok": ("same-reply", LEFT_TO_TEACHER),
    "upper-case": ("case-changed", LEFT_TO_TEACHER),
    "bare-reply": ("no-header-in-reply", LEFT_TO_TEACHER),
    "little-endian": ("little-endian", LEFT_TO_TEACHER),
    "wide-header": ("other-header-width", LEFT_TO_TEACHER),
    "counts-header": ("length-includes-header", LEFT_TO_TEACHER),
    "never-flushed": ("never-answers", (0, 0, 0, None)),
}
ALL_CASES: dict[str, tuple[str, tuple[float | None, ...] | None]] = {
    "one-reply": ("one-reply", (6, 10, 6, None)),
    "no-framing": ("no-framing", (6, 6, 6, None)),
    "empty-unanswered": ("empty-frame-skipped", (25, 22.5, 12.5, None)),
    "empty-is-heartbeat": ("zero-length-taken-for-heartbeat", (25, 22.5, 12.5, None)),
    "empty-refused": ("zero-length-taken-for-eof", (25, 22.5, 12.5, None)),
    "limit-counts-header": ("limit-counts-header", (25, 25, 23.5, None)),
    "negative-length": ("signed-length", (25, 25, 12.5, None)),
    "drops-when-full": ("drops-when-full", (25, 25, 23.5, None)),
    "closes-twice": ("ends-others", None),  # whom it hits is chance
}
TABLE = {**FIRST_LOOK, **(ALL_CASES if ALL else {})}


async def of_spawned(name: str) -> SuiteResult:
    command = shlex.join([sys.executable, "-m", "trioecho", "faulty", name, "--port", "{port}"])
    settings = Settings(
        command=tuple(parse_command(command)),
        max_frame_length=FAULTY_SERVERS[name].default_limit,
        spawn_timeout_s=60,
    )
    return await check(Target(command), settings, time_limit_s=600)


async def of_listening(name: str, *cases: str) -> SuiteResult:
    """In this process, where it may close no number but its own."""
    server = FAULTY_SERVERS[name]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, server.serve)
        try:
            settings = Settings(max_frame_length=server.limit)
            target = Target(name, server.address)
            return await check(target, settings, rules=select(cases), time_limit_s=600)
        finally:
            server.stop()


@pytest.mark.slow
async def test_there_is_one_cause_and_the_points_are_fair() -> None:
    wrong: list[str] = []
    limiter = trio.CapacityLimiter(AT_A_TIME)

    async def judge(name: str) -> None:
        cause, points = TABLE[name]
        async with limiter:
            results = [await of_spawned(name)]
            if name != "closes-twice":
                results.append(await of_listening(name))
        for result in results:
            if [each.id for each in result.causes] != [cause]:
                wrong.append(f"{name} is said to have {[each.id for each in result.causes]}")
        given = tuple(each.points for each in grade(results[0]).headings)
        if points is not None and given != points:
            wrong.append(f"{name} has {given} points and not {points}")

    with guarded(900):
        async with trio.open_nursery() as nursery:
            for name in TABLE:
                nursery.start_soon(judge, name)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case_id", ["2.5", slow("1.3"), slow("3.1"), slow("5.1"), slow("5.6")])
async def test_a_case_alone_says_the_same(case_id: str) -> None:
    with guarded(60):
        for name in ("adds-text", "upper-case", "says-ok"):
            result = await of_listening(name, case_id)
            assert [each.id for each in result.causes] == [TABLE[name][0]], name
