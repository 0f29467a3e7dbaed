"""Faults that change while bytes pass: what is on its way, what has begun, and what comes."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.proxy.test_proxy_command import cuts, payload_lists, pieces
from tests.proxy.test_pump import END, World
from tests.support.faults import numbers, of_frames
from tests.support.wire import frame, frames
from trioecho.proxy import CLEAN, Cut, DelayLine, Faults, FaultStream, FrameFault, FrameRule, Send, Step
from trioecho.proxy.faulty_pump import FaultyPump

DROP = of_frames(FrameFault.DROP)


def sent(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Send))


# ---- bytes in, steps out ----


def test_a_rule_is_for_the_frames_that_begin_after_it() -> None:
    stream = FaultStream(CLEAN, numbers(0), is_changeable=True)
    one, two = frame(b"one"), frame(b"two")
    passed = sent(stream.receive(one + one[:5]))
    stream.change(DROP)
    passed += sent(stream.receive(one[5:] + two))
    assert passed == one + one
    stream.change(CLEAN)
    assert sent(stream.receive(two)) == two


def test_a_frame_is_dropped_to_its_end_when_the_rule_has_gone() -> None:
    stream = FaultStream(DROP, numbers(0), is_changeable=True)
    one, two = frame(b"one"), frame(b"two")
    assert stream.receive(one[:5]) == []
    stream.change(CLEAN)
    assert sent(stream.receive(one[5:] + two)) == two


def test_a_frame_that_is_duplicated_overtakes_as_any_other() -> None:
    rules = (
        FrameRule(FrameFault.SWAP, on_frame=1, name="swap"),
        FrameRule(FrameFault.DUPLICATE, name="duplicate"),
    )
    stream = FaultStream(Faults(frame_rules=rules), numbers(0))
    passed = sent(stream.receive(frames(b"1", b"2", b"3")))
    assert passed == frames(b"2", b"2", b"1", b"3", b"3")


def test_frames_are_counted_from_the_beginning_of_the_connection() -> None:
    stream = FaultStream(CLEAN, numbers(0), is_changeable=True)
    stream.receive(frames(b"1", b"2"))
    stream.change(of_frames(FrameFault.DROP, on_frame=4))
    assert sent(stream.receive(frames(b"3", b"4", b"5"))) == frames(b"3", b"5")


def test_a_frame_has_the_fault_of_the_first_rule_that_chooses_it() -> None:
    rules = (
        FrameRule(FrameFault.DROP, on_frame=2, name="one"),
        FrameRule(FrameFault.DUPLICATE, name="two"),
    )
    stream = FaultStream(Faults(frame_rules=rules), numbers(0))
    assert sent(stream.receive(frames(b"1", b"2", b"3"))) == frames(b"1", b"1", b"3", b"3")


def test_a_rule_that_stays_goes_on_with_its_random_numbers() -> None:
    rule = FrameRule(FrameFault.DROP, probability=0.5, name="some")
    data = frames(*[b"%d" % number for number in range(50)])
    whole = FaultStream(Faults(frame_rules=(rule,)), numbers(7), is_changeable=True)
    changed = FaultStream(Faults(frame_rules=(rule,)), numbers(7), is_changeable=True)
    first = sent(changed.receive(data))
    changed.change(Faults(frame_rules=(rule, FrameRule(FrameFault.STALL, on_frame=1000))))
    assert sent(whole.receive(data + data)) == first + sent(changed.receive(data))


def test_what_is_held_back_passes_at_a_flush_after_a_change() -> None:
    stream = FaultStream(Faults(coalesce_bytes=10), numbers(0), is_changeable=True)
    assert stream.receive(b"123") == []
    stream.change(CLEAN)
    assert stream.flush() == [Send(b"123")]
    assert not stream.holds_back
    assert stream.receive(b"4") == [Send(b"4")]


def test_a_reset_after_fewer_bytes_than_have_passed_comes_with_the_next_ones() -> None:
    stream = FaultStream(CLEAN, numbers(0), is_changeable=True)
    stream.receive(b"12345")
    stream.change(Faults(reset_after_bytes=3))
    assert stream.receive(b"6") == [Cut.RESET]


@given(st.binary(max_size=40), cuts)
def test_without_a_rule_every_byte_passes_at_once(data: bytes, sizes: list[int]) -> None:
    stream = FaultStream(CLEAN, numbers(0), is_changeable=True)
    for piece in pieces(data, sizes):
        assert sent(stream.receive(piece)) == piece
    assert stream.end() == []


@given(payload_lists, cuts, st.integers(0, 60))
def test_whenever_a_rule_comes_the_frames_before_it_pass_and_those_after_it_do_not(
    payloads: list[bytes], sizes: list[int], when: int
) -> None:
    stream = FaultStream(CLEAN, numbers(0), is_changeable=True)
    data = frames(*payloads)
    passed, come = b"", 0
    changed_at: int | None = None
    for piece in pieces(data, sizes):
        if come >= when and changed_at is None:
            stream.change(DROP)
            changed_at = come
        passed += sent(stream.receive(piece))
        come += len(piece)
    passed += sent(stream.end())
    starts = [len(frames(*payloads[:place])) for place in range(len(payloads))]
    kept = [each for each, at in zip(payloads, starts, strict=True) if changed_at is None or at < changed_at]
    assert passed == frames(*kept)


@given(payload_lists, cuts, st.integers(0, 60))
def test_whenever_a_rule_goes_the_frames_after_it_pass(
    payloads: list[bytes], sizes: list[int], when: int
) -> None:
    stream = FaultStream(DROP, numbers(0), is_changeable=True)
    data = frames(*payloads)
    passed, come = b"", 0
    for piece in pieces(data, sizes):
        if come >= when:
            stream.change(CLEAN)
        passed += sent(stream.receive(piece))
        come += len(piece)
    passed += sent(stream.end())
    # Whether a frame whose header had begun is dropped, or not, it is so as a whole.
    assert any(passed == frames(*payloads[place:]) for place in range(len(payloads) + 1))


# ---- when ----


def line_of(faults: Faults) -> DelayLine:
    return DelayLine(faults, random.Random(0), 0.0)


def test_without_its_delay_what_is_on_its_way_is_due_at_once() -> None:
    line = line_of(Faults(delay_s=(3600.0, 3600.0)))
    line.put(Send(b"late"), 1.0)
    assert line.take(2.0) is None
    line.change(CLEAN, 2.0)
    assert line.due_at() <= 2.0
    assert line.take(2.0) == b"late"


def test_a_delay_counts_from_the_arrival_of_what_is_on_its_way() -> None:
    line = line_of(Faults(delay_s=(5.0, 5.0)))
    line.put(Send(b"late"), 1.0)
    assert line.due_at() == 6.0
    line.change(Faults(delay_s=(2.0, 2.0)), 1.5)
    assert line.due_at() == 3.0


def test_what_is_on_its_way_is_cut_anew() -> None:
    line = line_of(Faults(slice_bytes=(2, 2)))
    line.put(Send(b"abcdef"), 0.0)
    assert line.take(0.0) == b"ab"
    line.change(Faults(slice_bytes=(1, 1)), 0.0)
    assert line.take(0.0) == b"c"
    line.change(CLEAN, 0.0)
    assert line.take(0.0) == b"def"
    assert line.is_empty


def test_a_new_gap_counts_from_the_last_piece() -> None:
    line = line_of(CLEAN)
    line.put(Send(b"a"), 10.0)
    assert line.take(10.0) == b"a"
    line.put(Send(b"b"), 10.0)
    line.change(Faults(gap_s=4.0), 11.0)
    assert line.due_at() == 14.0


def test_a_new_bandwidth_begins_now_and_the_same_one_goes_on() -> None:
    line = line_of(Faults(bandwidth_bytes_per_s=1))
    line.put(Send(b"ab"), 0.0)
    assert line.due_at() == 1.0
    line.change(Faults(bandwidth_bytes_per_s=1, gap_s=0.1), 0.5)
    assert line.due_at() == 1.0
    line.change(Faults(bandwidth_bytes_per_s=4), 0.5)
    assert line.due_at() == 0.75
    line.change(CLEAN, 0.6)
    assert line.due_at() <= 0.6


# ---- the pump ----


async def change(world: World, faults: Faults) -> None:
    assert isinstance(world.pump, FaultyPump)
    world.pump.change(faults)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_pump_that_waits_for_time_learns_of_a_change(autojump_clock: MockClock) -> None:
    world = World(delay_s=(100.0, 100.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        world.source.arrive(b"late")
        await trio.sleep(1)
        assert world.sink.sent == []
        await change(world, CLEAN)
        assert world.sink.sent == [(trio.current_time(), b"late")]
        nursery.cancel_scope.cancel()


async def test_a_pump_that_holds_back_lets_pass_at_a_change(autojump_clock: MockClock) -> None:
    world = World(coalesce_bytes=100, coalesce_s=1000.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        world.source.arrive(b"held")
        await trio.sleep(1)
        assert world.sink.sent == []
        await change(world, Faults(coalesce_bytes=3))
        assert world.sink.sent == [(trio.current_time(), b"held")]
        world.source.arrive(b"more", END)
        await trio.testing.wait_all_tasks_blocked()
        assert world.sink.sent_bytes == b"heldmore"


async def test_a_full_line_that_gets_room_is_filled_again(autojump_clock: MockClock) -> None:
    world = World(bandwidth_bytes_per_s=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        world.source.arrive(*[bytes(1 << 15)] * 8, END)
        await trio.sleep(1)
        assert world.passed_bytes <= 2
        await change(world, CLEAN)
        await trio.sleep(0.1)
        assert world.passed_bytes == 8 << 15


@pytest.mark.parametrize("after", [CLEAN, DROP])
async def test_a_stall_is_for_good(autojump_clock: MockClock, after: Faults) -> None:
    world = World(frame_rules=(FrameRule(FrameFault.STALL, on_frame=1),))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        world.source.arrive(frame(b"one"))
        await trio.sleep(1)
        before = world.passed_bytes
        await change(world, after)
        world.source.arrive(frame(b"two"))
        await trio.sleep(1)
        assert (world.stalls, world.passed_bytes) == (1, before)
        nursery.cancel_scope.cancel()
