"""The board of a load: what is told of each progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.admin.test_board_feed import events_of
from trioecho.admin.application import Page, PageRequest, page_reply
from trioecho.admin.load_board import LoadBoard
from trioecho.admin.load_pages import load_pages
from trioecho.admin.load_state import LoadState
from trioecho.admin.server_metrics import ServerMetricsError, ServerTimes
from trioecho.load import LoadInterval, LoadPlan, LoadProgress
from trioecho.load.results.path_counts import PathCounts

PLAN = LoadPlan("127.0.0.1", 26066, rate=100.0, duration_s=4.0)
MS = 1_000_000


async def body_of(pages: Mapping[str, Page], name: str) -> bytes:
    body = (await page_reply(pages[name], PageRequest(name))).body
    assert isinstance(body, bytes)
    return body


def path(retransmits: int, *rtts_ns: int) -> PathCounts:
    made = PathCounts(retransmits, data_segments=100)
    made.rtt_ns.record_all(rtts_ns)
    made.congestion_window.record_all([10] * len(rtts_ns))
    made.unsent_bytes.record_all([6] * len(rtts_ns))
    return made


def progress(t_s: float, *, phase: Any = "measuring", messages: int = 100, **changes: Any) -> LoadProgress:
    interval = LoadInterval(max(0.0, t_s - 1), 1.0, sent=messages + 5, messages=messages, bytes=68 * messages)
    interval.latency_ns.record(2 * MS, messages)
    made = LoadProgress(phase, t_s, interval, messages + 5, messages, changes.get("errors", {}), 5, None)
    made.from_send_ns.record(MS, messages)
    return made


async def told(board: LoadBoard) -> dict[str, Any]:
    stream = board.feed.stream()
    ((name, hello),) = events_of(await anext(stream))
    await stream.aclose()
    assert name == "hello"
    found: dict[str, Any] = hello
    return found


async def test_a_progress_is_a_sample_with_both_timings_by_percentile() -> None:
    board = LoadBoard()
    board.begin_run(PLAN, "127.0.0.1:26066")
    board.note_progress(progress(-0.5, phase="warming up"))  # nothing of it is measured
    board.note_server(0.25)
    board.note_progress(progress(1.0))
    board.note_progress(progress(2.0, errors={"wrong": 2}))
    hello = await told(board)
    assert (hello["kind"], hello["title"]) == ("load", "trioecho load 127.0.0.1:26066")
    assert hello["state"]["text"] == "measuring"
    assert [event["text"] for event in hello["events"]] == ["run 1 begins at 100 messages/s", "wrong: 2"]
    first, last = hello["samples"]
    assert {name: last[name] for name in ("t", "messages_per_s", "sent_per_s", "in_flight", "progress")} == {
        "t": 2.0,
        "messages_per_s": 100.0,
        "sent_per_s": 105.0,
        "in_flight": 5,
        "progress": 0.5,
    }
    assert (last["errors"], last["server_mean"], last["connections"]) == ({"wrong": 2}, 0.25, 5)
    assert "curve" not in first  # only the last one is looked at
    place, due_ms, send_ms = last["curve"][8]
    assert (place, due_ms, send_ms) == (1.0, pytest.approx(2, rel=0.02), pytest.approx(1, rel=0.02))
    board.note_end()
    assert (await told(board))["state"] == {"name": "ended", "text": "ended"}


async def test_time_goes_on_from_run_to_run_of_a_search() -> None:
    board = LoadBoard()
    for run in range(2):
        board.begin_run(PLAN, "127.0.0.1:26066")
        for second in range(1, 4):
            board.note_progress(progress(float(second), errors={"late": run}))
    hello = await told(board)
    assert [sample["t"] for sample in hello["samples"]] == [1, 2, 3, 4, 5, 6]
    assert [event["t"] for event in hello["events"]] == [0, 3, 3]
    assert hello["samples"][-1]["progress"] == 0.75


def exposition(count: float, total: float) -> str:
    return f"trioecho_service_seconds_count {count}\ntrioecho_service_seconds_sum {total}\nother 3\n"


def test_the_server_s_mean_is_that_since_the_last_reading() -> None:
    times = ServerTimes()
    assert times.mean_ms(exposition(1000, 5.0)) is None
    assert times.mean_ms(exposition(1500, 5.5)) == pytest.approx(1.0)
    assert times.mean_ms(exposition(1500, 5.5)) is None
    assert times.mean_ms(exposition(10, 0.1)) is None  # it was started anew
    assert times.mean_ms(exposition(20, 0.15)) == pytest.approx(5.0)


@pytest.mark.parametrize("text", ["", "other 3\n", "<html>no</html>", "trioecho_service_seconds_count 3\n"])
def test_what_has_no_service_times_is_said(text: str) -> None:
    with pytest.raises(ServerMetricsError) as caught:
        ServerTimes().mean_ms(text)
    assert "\n" not in str(caught.value)


async def test_what_the_kernel_knows_of_the_path_is_in_the_samples_where_it_says_so() -> None:
    board = LoadBoard()
    board.begin_run(PLAN, "127.0.0.1:26066")
    board.note_progress(progress(1.0))
    known = progress(2.0)
    known.interval.path = path(3, MS, MS, 4 * MS)
    board.note_progress(known)
    first, last = (await told(board))["samples"]
    names = ("retransmits", "rtt_p50", "rtt_max", "window", "unsent")
    assert not {*names} & {*first}
    assert tuple(last[name] for name in names) == (3, pytest.approx(1.0, rel=0.02), 4.0, 10, 6.0)


async def test_metrics_and_the_report_have_the_path_of_all_runs() -> None:
    state = LoadState()
    pages = load_pages(state)
    for number in range(2):
        state.begin_run(PLAN)
        made = progress(1.0)
        assert (b"retransmits" in await body_of(pages, "/metrics")) == (number > 0)
        made.interval.path = path(3, MS, 4 * MS)
        state.note_progress(made)
    text = (await body_of(pages, "/metrics")).decode()
    assert "trioecho_load_retransmits_total 6.0" in text
    assert "trioecho_load_data_segments_total 200.0" in text
    assert "trioecho_load_round_trip_seconds_count 4.0" in text
    report = json.loads(await body_of(pages, "/report"))
    assert report["path"] == {
        "retransmits": 3,
        "data_segments": 100,
        "rtt_p50_ms": pytest.approx(1.0, rel=0.02),
        "rtt_max_ms": 4.0,
        "congestion_window_p50": 10,
        "unsent_max_bytes": 6,
    }
