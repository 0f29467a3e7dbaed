"""A result that lacks a part of a worker: judged, in words, compared, merged, and as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from html import unescape

import pytest

from tests.support.load_results import made_result
from trioecho.base.units import NS_PER_S
from trioecho.cli.load import exit_code_of
from trioecho.cli.shared.exit_codes import ExitCode
from trioecho.load import (
    LoadInterval,
    LoadPlan,
    LoadProgress,
    LoadResult,
    LostWorker,
    Stage,
    UnreadableResultError,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.engine import schedule
from trioecho.load.engine.schedule import Schedule
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.processes.reported_part import ReportedPart
from trioecho.load.report.comparison_outputs import remarks_on
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import faults_as_lines
from trioecho.load.results.judging import judge, trial_outcome
from trioecho.load.results.stage_result import StageResult

LOST = LostWorker("worker b on beta", "is gone", 12.34, 12.0, 2, 5, 1500, 3, 400, True)


def result_without(lost: LostWorker = LOST) -> LoadResult:
    result = made_result(seconds=20, rate=100)
    result.lost = [lost]
    result.sent += lost.unknown
    result.errors = {"unknown": lost.unknown, "unreported": lost.unreported}
    return result


def test_in_words_it_is_who_when_and_how_many_messages() -> None:
    assert LOST.in_words == (
        "after 12.3 s, worker b on beta is gone; it had 2 of 5 connections, and had sent 1,500 messages by "
        "its last report, of 12.0 s; 403 messages of its share are not accounted for"
    )
    early = replace(LOST, lost_s=-1.0, reported_s=None, sent=0, unknown=0, unreported=1, is_counted=False)
    assert early.in_words == (
        "before the measured part, worker b on beta is gone; it had 2 of 5 connections, and sent no report; "
        "1 message of its share is not accounted for; what it sent after that is in no number"
    )


def test_no_objective_holds_and_no_trial_and_the_exit_code_is_1() -> None:
    result = result_without()
    result.objective_results = judge(
        result, map(parse_objective, ["p99<1000s", "rate>1", "errors<99%", "p50<1ns"])
    )
    assert [found.holds for found in result.objective_results] == [False] * 4
    assert [found.reason for found in result.objective_results] == [
        *["not known of the whole, since a worker was lost: worker b on beta"] * 3,
        "",
    ]
    assert exit_code_of(result) == exit_code_of(result, saturation_fails=False) == ExitCode.FAILED
    assert not trial_outcome(result).holds
    assert f"the run is not whole: {LOST.in_words}" in list(faults_as_lines(result))


def test_it_comes_back_from_json_and_stays_in_merged_and_compared_results() -> None:
    result = result_without()
    again = result_from_json(result_as_json(result))
    assert again.lost == [LOST]
    assert again.due == result.due == result.sent + 400
    assert result_as_json(again) == result_as_json(result)
    other = made_result(seconds=20, seed=2)
    assert merge([result, other]).lost == [LOST]
    assert f"A: the run is not whole: {LOST.in_words}" in remarks_on((result, other))


def test_one_that_was_lost_in_the_warm_up_comes_back_from_json_and_is_in_every_report() -> None:
    lost = replace(LOST, lost_s=-5.0, reported_s=0.0, sent=0, unknown=0)
    result = result_from_json(result_as_json(result_without(lost)))
    assert result.lost == [lost]
    other = made_result(seconds=20, seed=2)
    assert merge([result, other]).lost == [lost]
    assert f"A: the run is not whole: {lost.in_words}" in remarks_on((result, other))
    assert lost.in_words in unescape(result_as_html(result))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 3),
        ("sent", -1),
        ("lost_s", 1e99),
        ("lost_s", -1e99),
        ("lost_s", True),
        ("lost_s", math.nan),
        ("lost_s", None),
        ("reported_s", -1.0),
        ("reported_s", 1e99),
        ("is_counted", 1),
        ("unknown", 1 << 70),
    ],
)
def test_what_is_damaged_is_refused(name: str, value: object) -> None:
    document = json.loads(result_as_json(result_without()))
    document["lost"][0][name] = value
    with pytest.raises(UnreadableResultError, match=rf"lost\[0\]\.{name}: "):
        result_from_json(json.dumps(document))


async def test_errors_of_the_warm_up_are_none_of_its_messages_and_what_was_taken_back_counts_once() -> None:
    plan = LoadPlan("h", 1, rate=100.0, duration_s=2.0, warmup_s=1.0, connections=2)
    part = ReportedPart(plan, 0, 1, 1.0)
    none = LoadInterval(0.0, 0.0)
    part.add(LoadProgress("warming up", -0.1, none, 0, 0, {"wrong": 4}, 1, 100))
    step = LoadInterval(0.0, 1.0, sent=60, messages=40, errors=5)
    step.latency_ns.record(1000, 41)
    part.add(
        LoadProgress(
            *("measuring", 1.0, step, 60, 40, {"wrong": 5, "unsent": 2}, 1, 100),
            taken_back=10,
            unsent=2,
            failed=1,
        )
    )
    part._from_send_ns.record(500, 41)
    result = await part.result("worker a", "is gone", lost_s=1.5, stopped_s=None)
    assert result.errors == {"wrong": 5, "unsent": 2, "unknown": 50 - 41, "unreported": 100 - 50 - 2}
    assert result.due == 100
    assert [(lost.unknown, lost.unreported) for lost in result.lost] == [(9, 48)]


async def test_a_part_without_a_report_has_all_of_its_schedule_unreported_until_the_stop() -> None:
    stages = (Stage("one", 100.0, 100.0, 1.0), Stage("two", 100.0, 100.0, 1.0))
    plan = LoadPlan("h", 1, stages=stages, connections=2)
    for stopped_s, counts in ((None, [50, 50]), (1.5, [50, 25]), (-1.0, [0, 0])):
        part = ReportedPart(plan, 1, 1, 1.0)
        result = await part.result("worker a", "is gone", lost_s=0.0, stopped_s=stopped_s)
        assert [stage.errors["unreported"] for stage in result.stages] == counts
        assert result.errors.get("unreported", 0) == result.due == sum(counts)
        assert result.lost[0].reported_s is None


async def test_of_stages_reports_add_up() -> None:
    stages = (Stage("one", 100.0, 100.0, 1.0), Stage("two", 100.0, 100.0, 1.0))
    part = ReportedPart(LoadPlan("h", 1, stages=stages, connections=1), 0, 1, 1.0)
    for second, (sent, messages) in enumerate([(90, 80), (10, 15)]):
        step = LoadInterval(float(second), 1.0, sent=sent, messages=messages)
        new = StageResult("one", sent=sent, messages=messages)
        total = [90, 100][second], [80, 95][second]
        part.add(LoadProgress("measuring", second + 1.0, step, *total, {}, 1, 200, stages=(new,)))
    result = await part.result("worker a", "is gone", lost_s=2.0, stopped_s=None)
    one, two = result.stages
    assert (one.sent, one.messages, one.errors) == (100, 95, {"unknown": 5})
    assert (two.sent, two.due, two.errors) == (0, 100, {"unreported": 100})


async def unreported(plan: LoadPlan, sent: int, stopped_s: float | None = None, **stages: int) -> LoadResult:
    """What comes of a worker with the first of two connections that sent so many, all with their replies."""
    part = ReportedPart(plan, 0, 1, 1.0)
    step = LoadInterval(0.0, 1.0, sent=sent, messages=sent)
    of_stages = tuple(StageResult(name, sent=count, messages=count) for name, count in stages.items())
    part.add(LoadProgress("measuring", 1.0, step, sent, sent, {}, 1, None, stages=of_stages))
    return await part.result("worker a", "is gone", lost_s=1.5, stopped_s=stopped_s)


@pytest.mark.parametrize("left", [0, 1, 900])
async def test_of_poisson_arrivals_those_are_unreported_that_come_after_the_last_report(
    left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_COUNTED_ONE_BY_ONE", 2000)
    plan = LoadPlan(
        *("h", 1), rate=500.0, arrival="poisson", duration_s=32.0, warmup_s=1.0, connections=2, seed=3
    )
    due = sum(due_ns >= NS_PER_S for due_ns, _ in Schedule(plan).due(0, 1))
    result = await unreported(plan, due - left)
    assert (result.due, result.errors.get("unreported", 0)) == (due, left)


async def test_of_a_number_of_poisson_arrivals_the_rest_is_known() -> None:
    plan = LoadPlan("h", 1, rate=5000.0, arrival="poisson", messages=200_000, connections=2)
    result = await unreported(plan, 50_000)
    assert (result.due, result.errors) == (200_000, {"unreported": 150_000})
    # It was stopped before as many as that were due, and all of them were sent.
    assert (await unreported(plan, 50_000, stopped_s=1.0)).errors == {}


async def test_a_stage_of_poisson_arrivals_that_was_reported_whole_has_none_unreported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "_COUNTED_ONE_BY_ONE", 2000)
    stages = (Stage("one", 500.0, 500.0, 28.0), Stage("two", 400.0, 400.0, 4.0))
    plan = LoadPlan("h", 1, stages=stages, arrival="poisson", connections=2)
    whole = Schedule(plan)
    dues = Counter(whole.stage_at(due_ns) for due_ns, _ in whole.due(0, 1))
    result = await unreported(plan, dues[0] + 100, one=dues[0], two=100)
    assert [dict(stage.errors) for stage in result.stages] == [{}, {"unreported": dues[1] - 100}]
