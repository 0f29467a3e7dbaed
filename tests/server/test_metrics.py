"""Counts that are exact whatever happens when, on a schedule that does not drift."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import trio
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tests.support.examples import examples
from tests.support.serving import counted_channel, serving
from tests.support.streams import is_echoed, receive_all, receive_exactly
from tests.support.wire import frame, frames
from trioecho import FrameChannel, Report, ServiceTime, reply_with
from trioecho.server.counts import Counts
from trioecho.server.metrics import Metrics

NOTHING = ServiceTime(mean=None, p50=None, p99=None, max=None)


class Reports(list[Report]):
    """Reports as they come, and when they came."""

    def __init__(self, then: Callable[[Report], object] = lambda report: None) -> None:
        self.at: list[float] = []
        self._then = then

    def __call__(self, report: Report) -> None:
        self.append(report)
        self.at.append(trio.current_time())
        self._then(report)


def metrics_to(reports: Reports, *, interval_s: float = 2.0) -> Metrics:
    return Metrics(interval_s=interval_s, connections=lambda: 0, on_report=reports)


# ---- the schedule ----


async def test_reports_come_at_multiples_of_the_interval(autojump_clock: MockClock) -> None:
    reports = Reports()
    await trio.sleep(100)
    metrics = metrics_to(reports)
    with trio.move_on_after(11):
        await metrics.run()
    metrics.report_final()
    assert reports.at == [102, 104, 106, 108, 110, 111]
    assert [report.interval_s for report in reports] == [2, 2, 2, 2, 2, 1]
    assert [report.final for report in reports] == [False] * 5 + [True]


async def test_a_late_report_neither_delays_the_next_nor_is_made_up_for(mock_clock: MockClock) -> None:
    late = {2: 0.5, 4: 1.999, 6: 2.0, 10: 5.0}  # at the report of which second on_report takes how long
    reports = Reports(lambda report: mock_clock.jump(late.get(round(reports.at[-1]), 0)))
    metrics = metrics_to(reports)
    mock_clock.autojump_threshold = 0
    with trio.move_on_after(21):
        await metrics.run()
    # 8 is over when the report of 6 is done; the report of 10 takes 12 and 14 with it.
    assert reports.at == [2, 4, 6, 10, 16, 18, 20]
    assert [report.interval_s for report in reports] == [2, 2, 2, 4, 6, 2, 2]


async def test_a_loop_that_was_late_comes_back_to_the_schedule(mock_clock: MockClock) -> None:
    reports = Reports()
    metrics = metrics_to(reports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metrics.run)
        for seconds in (1, 1.5, 0.5, 1, 1, 4.25, 0.75):  # 1 2.5 3 4 5 9.25 10
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert reports.at == [2.5, 4, 9.25, 10]
    assert [report.interval_s for report in reports] == [2.5, 1.5, 5.25, 0.75]


async def test_a_report_that_is_asked_for_shifts_no_other_and_doubles_no_count(
    autojump_clock: MockClock,
) -> None:
    reports = Reports()
    metrics = metrics_to(reports)
    tally = metrics.tally
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metrics.run)
        for messages in (1, 10, 100):
            tally.add_sent(messages, 0, 0, 0.5)
            await trio.sleep(1.5)  # 1.5, 3, 4.5
            metrics.report_now()
        nursery.cancel_scope.cancel()
    metrics.report_final()
    metrics.report_now()  # after the last report there is none
    assert reports.at == [1.5, 2, 3, 4, 4.5, 4.5]
    assert [report.interval_s for report in reports] == [1.5, 0.5, 1, 1, 0.5, 0]
    assert [report.messages for report in reports] == [1, 10, 0, 100, 0, 0]
    assert [report.final for report in reports] == [False] * 5 + [True]


async def test_an_interval_of_zero_is_only_the_final_report(autojump_clock: MockClock) -> None:
    reports = Reports()
    metrics = metrics_to(reports, interval_s=0)
    metrics.tally.add_sent(3, 30, 0.25, 0.5)
    with trio.move_on_after(1000):
        await metrics.run()
    metrics.report_final()
    [report] = reports
    assert (report.final, report.messages, report.interval_s) == (True, 3, 1000)


async def test_a_report_that_raises_is_logged_and_reports_go_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(report: Report) -> None:
        raise ValueError("cannot write")

    reports = Reports(fail)
    async with serving(report_interval_s=2, on_report=reports) as running:
        client = running.listener.connect()
        for _ in range(3):
            assert await is_echoed(client, b"one")
            await trio.sleep(2.5)
        await running.drain()
    assert [report.messages for report in reports] == [1, 1, 1, 0]
    assert [record.exc_info is not None for record in caplog.records] == [True] * 4
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert "ValueError: cannot write" in caplog.text


# ---- sums over several servers ----


@examples(200)
@given(
    batches=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.floats(0, 1000), st.booleans()), max_size=30
    )
)
@example(batches=[(0, 0, 0.0, False), (0, 0, 1.0, False), (1, 3, 0.0, False)])  # one message each, on average
def test_a_report_of_the_counts_of_many_is_the_report_of_one_that_counted_all(
    batches: list[tuple[int, int, float, bool]],
) -> None:
    async def main() -> None:
        one, together = Reports(), Reports()
        of_one, of_all = metrics_to(one), metrics_to(together)
        sum_of_all = of_all.tally
        parts = [metrics_to(Reports(lambda report: sum_of_all.add(report.counts))) for _ in range(3)]
        for part, messages, service_s, has_failed in batches:
            for tally in (of_one.tally, parts[part].tally):
                tally.add_sent(messages, messages * 10, 0.25, service_s)
                if has_failed:
                    tally.add_error("idle_timeout")
        for metrics in (*parts, of_one, of_all):
            metrics.report_final()
        [expected], [report] = one, together
        assert replace(report, time=expected.time, interval_s=0, bytes_per_s=0, messages_per_s=0) == replace(
            expected, interval_s=0, bytes_per_s=0, messages_per_s=0
        )
        assert report.counts.wire_bytes == expected.counts.wire_bytes

    trio.run(main, clock=MockClock())


async def test_what_was_added_from_elsewhere_is_reported_once() -> None:
    reports = Reports()
    metrics = metrics_to(reports)
    elsewhere = Counts()
    elsewhere.messages = 3
    metrics.tally.add(elsewhere)
    metrics.report_final()
    metrics.report_final()
    assert [report.messages for report in reports] == [3, 0]
    assert elsewhere.messages == 3


# ---- what is in a report ----


async def test_a_report_has_totals_and_rates_of_its_own_interval(autojump_clock: MockClock) -> None:
    async with serving(report_interval_s=4) as running:
        client = running.listener.connect()
        await trio.sleep(1)
        assert await is_echoed(client, b"", b"six...", b"one")
        await trio.sleep(4)
        assert await is_echoed(client, b"seven..")
        await trio.sleep(1)
        await running.drain()
    first, last = running.reports
    assert (first.messages, first.messages_total, first.messages_per_s) == (3, 3, 0.75)
    assert first.bytes_per_s == (4 + 10 + 7) / 4
    assert (first.connections, first.errors, first.final) == (1, {}, False)
    assert (last.messages, last.messages_total, last.connections, last.final) == (1, 4, 0, True)
    assert last.interval_s == pytest.approx(2.05)
    assert last.bytes_per_s == pytest.approx(11 / last.interval_s)
    assert first.time.utcoffset() == timedelta(0)


async def test_without_messages_there_are_no_service_times(autojump_clock: MockClock) -> None:
    reports = Reports()
    metrics = metrics_to(reports)
    metrics.report_final()
    [report] = reports
    assert report.service_ms == NOTHING
    assert (report.messages_per_s, report.bytes_per_s, report.interval_s) == (0, 0, 0)


async def test_errors_are_counted_since_the_start(autojump_clock: MockClock) -> None:
    async with serving(report_interval_s=10, idle_timeout_s=4, max_frame_length=9) as running:
        for _ in range(3):
            running.listener.connect()
        client = running.listener.connect()
        await client.send_all(frame(bytes(10)))
        await trio.sleep(11)
        running.listener.connect()
        await trio.sleep(10)
        await running.drain()
    assert [dict(report.errors) for report in running.reports] == [
        {"idle_timeout": 3, "frame_too_large": 1},
        {"idle_timeout": 4, "frame_too_large": 1},
        {"idle_timeout": 4, "frame_too_large": 1},
    ]


# ---- service times ----


def within(ms: float, measured: float | None) -> bool:
    """Whether a percentile is what it should be, up to its histogram's 1.6 %."""
    return measured is not None and ms <= measured <= ms * (1 + 1 / 64)


async def test_service_times_are_those_between_receiving_and_sending(autojump_clock: MockClock) -> None:
    async def reply(message: bytes) -> bytes:
        await trio.sleep(float(message))
        return message

    async with serving(reply_with(reply)) as running:
        client = running.listener.connect()
        for seconds in (b"0.5", b"0.25", b"3"):
            await trio.sleep(60)  # to think
            assert await is_echoed(client, seconds)
        await running.drain()
    service = running.reports[-1].service_ms
    assert service.mean == pytest.approx(3750 / 3)
    assert within(500, service.p50)
    assert service.p99 == service.max == 3000
    assert running.reports[-1].blocked_s == 0


async def test_the_time_in_which_a_frame_comes_in_is_not_in_its_service_time(
    autojump_clock: MockClock,
) -> None:
    async with serving() as running:
        client = running.listener.connect()
        for byte in frame(b"slowly"):
            await client.send_all(bytes([byte]))
            await trio.sleep(1)
        assert await receive_exactly(client, 10) == frame(b"slowly")
        await running.drain()
    assert running.reports[-1].service_ms == ServiceTime(mean=0, p50=0, p99=0, max=0)


async def test_blocked_time_is_reported_apart(autojump_clock: MockClock) -> None:
    async def reply(message: bytes) -> bytes:
        await trio.sleep(2)
        return message

    async with serving(reply_with(reply)) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(b"one"))
        await trio.sleep(2 + 30)
        assert await receive_exactly(client, 7) == frame(b"one")
        await client.aclose()
        await running.drain()
    assert running.reports[-1].service_ms == ServiceTime(mean=2000, p50=2000, p99=2000, max=2000)
    assert running.reports[-1].blocked_s == 30


async def test_time_that_one_message_was_blocked_is_not_in_the_service_time_of_the_next(
    autojump_clock: MockClock,
) -> None:
    async def reply(message: bytes) -> bytes:
        return message

    async with serving(reply_with(reply)) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frames(b"one", b"two"))
        await trio.sleep(30)
        assert await receive_exactly(client, 14) == frames(b"one", b"two")
        await client.aclose()
        await running.drain()
    assert running.messages == 2
    assert running.reports[-1].blocked_s == 30
    assert running.reports[-1].service_ms == ServiceTime(mean=0, p50=0, p99=0, max=0)


async def test_a_message_that_answers_nothing_has_no_service_time(autojump_clock: MockClock) -> None:
    async def handler(channel: FrameChannel) -> None:
        await channel.send(b"unasked")

    async with serving(handler) as running:
        assert await receive_all(running.listener.connect()) == frame(b"unasked")
    assert running.messages == 1
    assert running.reports[-1].service_ms == NOTHING


async def test_a_broadcast_to_a_client_that_only_listens_has_no_service_time(
    autojump_clock: MockClock,
) -> None:
    channels = []

    async def handler(channel: FrameChannel) -> None:
        async for message in channel:
            await trio.sleep(3)
            await channel.send(message)
            channels.append(channel)

    async with serving(handler) as running:
        client = running.listener.connect()
        assert await is_echoed(client, b"I listen")
        for _ in range(2):
            await trio.sleep(100)
            await channels[0].send(b"news")
            assert await receive_exactly(client, 8) == frame(b"news")
        await running.drain()
    assert running.messages == 3
    assert running.reports[-1].service_ms == ServiceTime(mean=3000, p50=3000, p99=3000, max=3000)


async def test_a_channel_of_its_own_tells_service_and_blocked_time(autojump_clock: MockClock) -> None:
    told = []
    stream, peer = memory_stream_pair()
    async with counted_channel(stream, lambda *counts: told.append(counts)) as channel:
        await channel.send(b"unasked")
        await peer.send_all(frame(b"one"))
        await channel.receive()
        await trio.sleep(7)
        await channel.send(b"two")
    assert told == [(1, 11, 0, None), (1, 7, 0, 7)]


# ---- counts ----


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What connections and the metrics task do, in any order: (what, how many)."""
    whats = st.sampled_from(["sent", "sent", "sent", "error", "elsewhere", "report", "report now"])
    return draw(st.lists(st.tuples(whats, st.integers(0, 9)), max_size=60))


@given(history=histories())
def test_nothing_is_lost_and_nothing_doubled_whatever_happens_when(history: list[tuple[str, int]]) -> None:
    async def main() -> None:
        reports = Reports()
        metrics = metrics_to(reports, interval_s=1)
        tally = metrics.tally
        messages, errors = 0, Counter[str]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(metrics.run)
            await trio.testing.wait_all_tasks_blocked()
            for what, count in history:
                if what == "report":
                    await trio.sleep(1)
                elif what == "report now":
                    metrics.report_now()
                    assert sum(report.messages for report in reports) == messages
                elif what == "error":
                    tally.add_error(f"kind {count % 3}")
                    errors[f"kind {count % 3}"] += 1
                elif what == "sent":
                    tally.add_sent(count, 10 * count, 0.5, 0.001)
                    messages += count
                else:
                    counts = Counts()
                    counts.messages = count
                    tally.add(counts)
                    messages += count
                # Never more than there was, at any time.
                assert sum(report.messages for report in reports) <= messages
            nursery.cancel_scope.cancel()
        metrics.report_final()
        assert reports[-1].messages_total == messages
        assert reports[-1].errors == errors
        assert sum(report.messages for report in reports) == messages
        sends = sum(1 for what, _ in history if what == "sent")
        assert sum(report.blocked_s for report in reports) == 0.5 * sends

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("sends", [1, 255, 256, 257, 511, 512, 513, 800])
async def test_sends_that_are_only_noted_yet_are_counted_when_it_matters(
    sends: int, autojump_clock: MockClock
) -> None:
    reports = Reports()
    metrics = metrics_to(reports, interval_s=1)
    tally = metrics.tally
    with trio.move_on_after(1.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(metrics.run)
            for number in range(1, sends + 1):
                service_s = number / 1000 if number % 5 else None
                tally.add_sent(number % 3, 10 * number, 0.25, service_s)
    counted = [number for number in range(1, sends + 1) if number % 3 and number % 5]
    [report] = reports
    assert report.messages == sum(number % 3 for number in range(1, sends + 1))
    assert report.bytes_per_s == sum(10 * number for number in range(1, sends + 1))
    assert report.blocked_s == 0.25 * sends
    assert report.counts.service_ns.count == sum(number % 3 for number in counted)
    tally.add_sent(1, 5, 0, 0.001)
    metrics.report_final()
    assert [report.messages for report in reports[1:]] == [1]
    assert reports[-1].messages_total == reports[0].messages + 1


async def test_every_report_has_all_of_its_interval(
    autojump_clock: MockClock,
) -> None:
    async with serving(report_interval_s=2) as running:
        clients = [running.listener.connect() for _ in range(20)]
        await trio.sleep(1)
        for _ in range(3):
            for client in clients:
                assert await is_echoed(client, b"one", b"two")
            await trio.sleep(2)
        await running.drain()
    assert [report.messages for report in running.reports] == [40, 40, 40, 0]
    assert running.messages == 120
