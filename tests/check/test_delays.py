"""A pause that a busy machine has made longer than the case has it is not held against the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from trio.testing import MockClock

from tests.support.check_servers import listening
from tests.support.guard import guarded
from tests.support.sockets import receive_all, receive_exactly
from trioecho.check.cases import CASES
from trioecho.check.client.connecting import connected
from trioecho.check.client.finding import Deviation, Kind
from trioecho.check.client.probe import Probe
from trioecho.check.client.settings import Settings
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire
from trioecho.check.preflight.result import Preflight
from trioecho.check.runner.attempt import Attempts
from trioecho.check.runner.host import open_host
from trioecho.check.runner.outcome import CaseOutcome
from trioecho.check.runner.suite import Target
from trioecho.check.verdict import Verdict

FRAME = b"\0\0\0\4abcd"


@pytest.mark.parametrize(
    ("delay_s", "pause_s", "is_delayed"),
    [(0.15, 0, True), (0.15, 0.01, True), (0.05, 0.01, False), (0.15, 0.5, False), (0.6, 0.5, True)],
)
async def test_a_stop_after_a_pause_that_was_too_long_has_the_delay_with_it(
    autojump_clock: MockClock, delay_s: float, pause_s: float, is_delayed: bool
) -> None:
    def pieces() -> Iterator[bytes]:
        yield FRAME[:6]
        autojump_clock.jump(delay_s)
        yield FRAME[6:]

    with listening(receive_all) as address:
        async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
            with pytest.raises(Deviation) as raised:
                await peer.exchange(pieces(), FRAME, pause_s=pause_s)
    assert raised.value.kind is Kind.SILENCE
    assert raised.value.delay_s == pytest.approx(delay_s if is_delayed else 0)


async def test_wrong_bytes_are_wrong_after_any_pause() -> None:
    def pieces() -> Iterator[bytes]:
        yield FRAME[:6]
        time.sleep(0.15)
        yield FRAME[6:]

    with listening(lambda peer: (receive_exactly(peer, 8), peer.sendall(b"x" * 8))) as address, guarded():
        async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
            with pytest.raises(Deviation) as raised:
                await peer.exchange(pieces(), FRAME)
    assert (raised.value.kind, raised.value.delay_s) == (Kind.WRONG, 0)


async def run_with(*delays_s: float) -> tuple[CaseOutcome, int]:
    """How a case ends that meets an end after each of these delays, and then none; and how often it ran."""
    tries = 0

    async def run(probe: Probe) -> str:
        nonlocal tries
        tries += 1
        if tries > len(delays_s):
            return "right"
        deviation = Deviation(Kind.END, "an echo", "the server ended the connection")
        deviation.delay_s = delays_s[tries - 1]
        raise deviation

    with listening(receive_all) as address, guarded():
        async with open_host(Target("here", address), Settings()) as host:
            attempts = Attempts(host, Settings(), Preflight())
            return await attempts.run(replace(CASES["2.4"], run=run), 1), tries


async def test_a_case_with_a_delay_is_tried_again() -> None:
    outcome, tries = await run_with(0.3)
    assert (outcome.verdict, outcome.summary, tries) == (Verdict.PASS, "right", 2)


async def test_a_stop_without_a_delay_counts() -> None:
    outcome, tries = await run_with(0.3, 0)
    assert (outcome.verdict, tries) == (Verdict.FAIL, 2)


async def test_with_a_delay_in_every_try_nothing_is_known() -> None:
    outcome, tries = await run_with(0.3, 0.42, 0.2)
    assert (outcome.verdict, outcome.deviation, tries) == (Verdict.INCONCLUSIVE, None, 3)
    assert "too busy: a pause between two pieces was 0.4 s longer than meant" in outcome.summary
