"""Twenty lines a second, and a count of the rest."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.serving import log_lines
from trioecho.base.rate_limited_log import LINES_PER_SECOND, RateLimitedLog

logger = logging.getLogger("trioecho.test")


def count_line(count: int) -> str:
    return f"{count} more lines like these within the same second"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> RateLimitedLog:
    assert caplog.records == []
    return RateLimitedLog(logger)


def write(log: RateLimitedLog, count: int, name: str = "line") -> list[str]:
    lines = [f"{name} {number}" for number in range(count)]
    for line in lines:
        log.warning(line)
    return lines


async def test_twenty_lines_a_second_pass(
    log: RateLimitedLog, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert LINES_PER_SECOND == 20
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        expected = []
        for second in range(5):
            expected += write(log, 20, f"second {second}")
            await trio.sleep(1)
        assert log_lines(caplog) == expected
        nursery.cancel_scope.cancel()


async def test_the_rest_is_one_line_at_the_end_of_the_second(
    log: RateLimitedLog, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.sleep(10)
        lines = write(log, 15)
        await trio.sleep(0.5)
        lines += write(log, 15)
        await trio.sleep(0.25)
        write(log, 5)
        assert log_lines(caplog) == lines[:20]
        await trio.sleep(0.2)
        assert log_lines(caplog) == lines[:20]
        await trio.sleep(0.1)  # it is 11.05
        assert log_lines(caplog) == [*lines[:20], count_line(15)]
        await trio.sleep(100)
        assert log_lines(caplog) == [*lines[:20], count_line(15)]
        nursery.cancel_scope.cancel()


async def test_every_second_that_overflows_has_its_own_count(
    log: RateLimitedLog, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        expected = []
        for second, more in enumerate([7, 1, 0, 300]):
            expected += write(log, 20 + more, f"second {second}")[:20]
            expected += [count_line(more)] if more else []
            await trio.sleep(1.5)
            assert log_lines(caplog) == expected
        nursery.cancel_scope.cancel()


async def test_the_next_second_begins_with_the_count_of_the_last(
    log: RateLimitedLog, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    lines = write(log, 25)
    mock_clock.jump(1)
    log.warning("later")
    assert log_lines(caplog) == [*lines[:20], count_line(5), "later"]


async def test_a_second_that_begins_before_the_task_wakes_still_has_one_count(
    log: RateLimitedLog, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.testing.wait_all_tasks_blocked()
        first = write(log, 25, "first")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1)
        second = write(log, 25, "second")
        await trio.testing.wait_all_tasks_blocked()
        write(log, 5)
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert log_lines(caplog) == [*first[:20], count_line(5), *second[:20], count_line(10)]


async def test_a_flush_writes_the_count_once(
    log: RateLimitedLog, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    log.flush()
    assert log_lines(caplog) == []
    lines = write(log, 21)
    log.flush()
    log.flush()
    assert log_lines(caplog) == [*lines[:20], count_line(1)]


async def test_lines_are_warnings_and_taken_literally(
    log: RateLimitedLog, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("100 % of %s")
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "100 % of %s")
