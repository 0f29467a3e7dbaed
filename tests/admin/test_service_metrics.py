"""Metrics of a service: exact, in the names and the form that Prometheus has."""

from __future__ import annotations

import math
import re

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.support.checkout import ROOT
from tests.support.http import samples_of
from trioecho.admin.application import PageReply, PageRequest, page_reply
from trioecho.admin.metric_parts import DURATION_BOUNDS_NS
from trioecho.admin.service_pages import service_pages
from trioecho.admin.service_state import ServiceState
from trioecho.base.histogram import Histogram
from trioecho.server.counts import Counts
from trioecho.server.error_kinds import ERROR_KINDS
from trioecho.server.handler_errors import _PEER_ERRORS

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def made_counts() -> Counts:
    counts = Counts()
    counts.messages = 7
    counts.wire_bytes = 700
    counts.received_bytes = 705
    counts.blocked_s = 1.5
    counts.accepted = 4
    counts.errors.update(idle_timeout=2)
    counts.service_ns.record(20_000, 6)
    counts.service_ns.record(11 * 10**9)
    return counts


@pytest.fixture
async def state() -> ServiceState:
    state = ServiceState()
    state.begin(made_counts, lambda: 3)
    return state


async def metrics_of(state: ServiceState, accept: str = "") -> PageReply:
    page = service_pages(state, 2.0)["/metrics"]
    return await page_reply(page, PageRequest("/metrics", headers={"accept": accept}))


async def samples(state: ServiceState) -> dict[str, float]:
    body = (await metrics_of(state)).body
    assert isinstance(body, bytes)
    return samples_of(body.decode())


async def test_each_count_has_its_name(state: ServiceState) -> None:
    shown = await samples(state)
    assert shown["trioecho_messages_total"] == 7
    assert shown["trioecho_received_bytes_total"] == 705
    assert shown["trioecho_sent_bytes_total"] == 700
    assert shown["trioecho_blocked_seconds_total"] == 1.5
    assert shown["trioecho_connections"] == 3
    assert shown["trioecho_connections_accepted_total"] == 4
    assert shown['trioecho_errors_total{kind="idle_timeout"}'] == 2
    assert shown['trioecho_errors_total{kind="aborted"}'] == 0
    assert shown["trioecho_workers"] == 1
    assert shown["trioecho_draining"] == 0
    assert shown['trioecho_service_seconds_bucket{le="1e-05"}'] == 0
    assert shown['trioecho_service_seconds_bucket{le="2.5e-05"}'] == 6
    assert shown['trioecho_service_seconds_bucket{le="10.0"}'] == 6
    assert shown['trioecho_service_seconds_bucket{le="+Inf"}'] == 7
    assert shown["trioecho_service_seconds_count"] == 7
    assert shown["trioecho_service_seconds_sum"] == pytest.approx(11.00012)
    assert any(name.startswith('trioecho_build_info{build="') for name in shown)
    assert shown["process_resident_memory_bytes"] > 1 << 20


async def test_before_the_service_serves_all_is_0() -> None:
    shown = await samples(ServiceState())
    assert shown["trioecho_workers"] == shown["trioecho_messages_total"] == shown["trioecho_connections"] == 0


async def test_the_scraper_chooses_the_format(state: ServiceState) -> None:
    for accept in ("", "*/*", "text/html", "application/openmetrics-text;version=x"):
        reply = await metrics_of(state, accept)
        assert reply.content_type == TEXT, accept
        assert b"# EOF" not in bytes(reply.body)  # type: ignore[arg-type] # it is no stream
    reply = await metrics_of(state, OPEN_METRICS)
    assert reply.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert isinstance(reply.body, bytes)
    assert reply.body.endswith(b"# EOF\n")
    assert b"# TYPE trioecho_messages counter\n" in reply.body


async def test_a_crowd_of_scrapers_shares_what_is_made_after_each_has_asked(
    state: ServiceState, autojump_clock: MockClock
) -> None:
    page = service_pages(state, 2.0)["/metrics"]
    made_at: list[float] = []

    def totals() -> Counts:
        made_at.append(trio.current_time())
        counts = Counts()
        counts.messages = len(made_at)
        return counts

    state.begin(totals, lambda: 0)
    shown: list[tuple[float, float]] = []

    async def scrape() -> None:
        while True:
            asked = trio.current_time()
            body = (await page_reply(page, PageRequest("/metrics"))).body
            assert isinstance(body, bytes)
            shown.append((asked, made_at[int(samples_of(body.decode())["trioecho_messages_total"]) - 1]))

    with trio.move_on_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(scrape)
    assert len(made_at) <= 2 * 30 + 10
    assert len(shown) > 30 * len(made_at)
    assert all(made >= asked for asked, made in shown)


async def test_every_kind_of_error_is_there_before_it_occurs() -> None:
    assert set(_PEER_ERRORS.values()) < set(ERROR_KINDS)
    page = (ROOT / "trioecho/guide/metrics.md").read_text()
    [listed] = re.findall(r"`errors` counts by kind since the start: ([^.]*)\.", page)
    assert set(re.findall(r"`(\w+)`", listed)) == set(ERROR_KINDS)
    assert list(ERROR_KINDS) == sorted(set(ERROR_KINDS))


def test_the_bounds_are_round_numbers_from_10_us_to_10_s() -> None:
    assert DURATION_BOUNDS_NS[:4] == [10_000, 25_000, 50_000, 100_000]
    assert DURATION_BOUNDS_NS[-1] == 10**10
    assert sorted(set(DURATION_BOUNDS_NS)) == DURATION_BOUNDS_NS


@example([9990, 20_000])  # in the bucket over whose middle a bound is, as the largest, and then not
@given(st.lists(st.integers(0, 10**11)))
def test_a_bucket_never_falls_and_misses_only_what_is_next_to_its_bound(values: list[int]) -> None:
    histogram = Histogram()
    before = [0] * len(DURATION_BOUNDS_NS)
    for value in values:
        histogram.record(value)
        counts = histogram.counts_up_to(DURATION_BOUNDS_NS)
        assert all(now >= then for now, then in zip(counts, before, strict=True))
        before = counts
    for bound, count in zip(DURATION_BOUNDS_NS, before, strict=True):
        assert sum(value <= math.floor(bound / 1.016) for value in values) <= count
        assert count <= sum(value <= bound for value in values)
