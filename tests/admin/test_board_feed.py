"""What the live page is told, event by event."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import aclosing
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from trioecho.admin.board_feed import MOST_SAMPLES, BoardFeed, heat_bins
from trioecho.base.histogram import Histogram


def made_feed() -> BoardFeed:
    return BoardFeed("service", "a title", "about it", clock=lambda: 12.5)


def events_of(stream: bytes) -> list[tuple[str, Any]]:
    """Read server-sent events, as a browser does; comments are left out."""
    found = []
    for block in stream.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_who_comes_late_is_told_everything_and_then_what_is_new() -> None:
    feed = made_feed()
    feed.note_state("serving", "serving")
    feed.note_sample({"t": 1})
    feed.note_event("hello\nworld")
    stream = feed.stream()
    first = await anext(stream)
    assert first.startswith(b"retry: 2000\n\n")
    (hello,) = events_of(first)
    assert hello == (
        "hello",
        {
            "kind": "service",
            "title": "a title",
            "about": "about it",
            "most": MOST_SAMPLES,
            "samples": [{"t": 1}],
            "events": [{"t": 12.5, "text": "hello\nworld"}],
            "state": {"name": "serving", "text": "serving"},
        },
    )
    feed.note_sample({"t": 2})
    feed.note_state("draining", "draining")
    assert events_of(await anext(stream)) == [
        ("sample", {"t": 2}),
        ("state", {"name": "draining", "text": "draining"}),
    ]
    await stream.aclose()


async def test_who_is_far_behind_begins_anew() -> None:
    feed = made_feed()
    stream = feed.stream()
    await anext(stream)
    for t in range(MOST_SAMPLES + 10):
        feed.note_sample({"t": t})
    ((name, hello),) = events_of(await anext(stream))
    assert (name, len(hello["samples"]), hello["samples"][0]) == ("hello", MOST_SAMPLES, {"t": 10})
    feed.note_sample({"t": -1})
    assert events_of(await anext(stream)) == [("sample", {"t": -1})]
    await stream.aclose()


async def test_a_quiet_stream_says_that_it_is_there(autojump_clock: MockClock) -> None:
    feed = made_feed()
    stream = feed.stream()
    await anext(stream)
    begin = trio.current_time()
    assert await anext(stream) == b": still here\n\n"
    assert trio.current_time() - begin == 15
    async with trio.open_nursery() as nursery:
        nursery.start_soon(note_after, 5.0, feed)
        assert events_of(await anext(stream)) == [("sample", {"t": 3})]
    assert trio.current_time() - begin == 20
    await stream.aclose()


async def note_after(delay_s: float, feed: BoardFeed) -> None:
    await trio.sleep(delay_s)
    feed.note_sample({"t": 3})


async def test_the_end_waits_until_who_is_there_has_it(autojump_clock: MockClock) -> None:
    feed = made_feed()
    await feed.wait_until_told()  # nobody is there
    taken: list[bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_slowly, feed, taken)
        await wait_all_tasks_blocked()
        feed.note_state("ended", "ended")
        begin = trio.current_time()
        await feed.wait_until_told()
        assert trio.current_time() - begin == 4  # of the first part and of the second
        assert events_of(taken[-1]) == [("state", {"name": "ended", "text": "ended"})]
        feed.note_sample({"t": 1})
        nursery.cancel_scope.cancel()  # who goes is not waited for
    await feed.wait_until_told()


async def take_slowly(feed: BoardFeed, taken: list[bytes]) -> None:
    async with aclosing(feed.stream()) as parts:
        async for part in parts:
            await trio.sleep(2)
            taken.append(part)


@given(st.lists(st.integers(0, 10**11)))
def test_the_heat_map_has_every_time_in_its_bin(times_ns: list[int]) -> None:
    histogram = Histogram()
    for time_ns in times_ns:
        histogram.record(time_ns)
    bins = heat_bins(histogram)
    assert sum(count for _, count in bins) == len(times_ns)
    assert bins == sorted(bins)
    # Times are at most 1/64 too high, so one near a border may be in the next bin.
    exact = Counter(math.floor(8 * math.log10(max(time_ns, 1) / 1000)) for time_ns in times_ns)
    for bin_, count in bins:
        assert count <= exact[bin_] + exact[bin_ - 1]
