"""Two runs compared stage by stage, and those of connections that come and go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import run_in_process
from tests.support.load_results import made_result
from tests.support.staged_load import staged_result
from trioecho.load import Churn, LoadResult, Span, Stage, result_as_json
from trioecho.load.report.comparison import Change, compare
from trioecho.load.report.comparison_outputs import comparison_as_text, remarks_on
from trioecho.load.report.judgement import judge_changes
from trioecho.load.report.stages_comparison import StageComparison, compare_stages

STAGES = (
    Stage("up", 0.0, 1000.0, 0.2),
    Stage("steady", 1000.0, 1000.0, 2.0),
    Stage("pause", 0.0, 0.0, 0.1),
    Stage("burst", 20_000.0, 20_000.0, 0.1),
    Stage("after", 500.0, 500.0, 2.0),
)


def run(service_ns: int = 100_000, **plan: Any) -> LoadResult:
    return staged_result(service_ns=service_ns, **{"stages": STAGES, **plan})


@pytest.fixture(scope="module")
def pair() -> tuple[LoadResult, LoadResult]:
    """A run, and one whose server takes twice the time."""
    return run(), run(200_000)


def of(stages: list[StageComparison], name: str, metric: str) -> Change:
    [stage] = [each for each in stages if each.name == name]
    [found] = [change for change in stage.changes if change.metric == metric]
    return found


def test_each_stage_is_compared_by_itself(pair: tuple[LoadResult, LoadResult]) -> None:
    stages = compare_stages(*pair)
    assert [stage.name for stage in stages] == [stage.name for stage in STAGES]
    assert [change.metric for change in stages[1].changes] == ["rate", "p50", "p99"]
    steady = of(stages, "steady", "p50")
    assert (steady.before, steady.after) == (pytest.approx(0.1, rel=0.02), pytest.approx(0.2, rel=0.02))
    assert (steady.verdict, steady.direction) == ("outside noise", "worse")
    assert of(stages, "steady", "rate").verdict == "within noise"
    same = of(compare_stages(pair[0], pair[0]), "steady", "p50")
    assert (same.verdict, same.relative) == ("within noise", 0)


def test_what_says_nothing_of_noise_says_why(pair: tuple[LoadResult, LoadResult]) -> None:
    stages = compare_stages(*pair)
    assert of(stages, "up", "p50").reason == "cannot tell of a ramp"
    assert of(stages, "burst", "p50").reason == "came in another stage"
    assert of(stages, "burst", "rate").noise is None
    assert stages[2].changes == []  # of a pause
    short = (run(stages=(Stage("one", 1000.0, 1000.0, 0.2),)),) * 2
    assert of(compare_stages(*short), "one", "p50").reason == "too short a run"


def test_what_an_earlier_stage_has_left_is_no_rate_of_this_one(pair: tuple[LoadResult, LoadResult]) -> None:
    """The slower server gives more in the stage after the burst."""
    rate = of(compare_stages(*pair, {"rate": 0.01}), "after", "rate")
    assert rate.before is not None
    assert rate.after is not None
    assert rate.after > 1.2 * rate.before
    assert (rate.verdict, rate.reason, rate.direction) == ("cannot tell", "came in another stage", "")


def test_a_rate_that_was_asked_for_has_no_verdict_in_its_stage(pair: tuple[LoadResult, LoadResult]) -> None:
    faster = STAGES[1]._replace(from_rate=1500.0, to_rate=1500.0)
    other = run(stages=(STAGES[0], faster, *STAGES[2:]))
    stages = compare_stages(pair[0], other, {"rate": 0.01})
    rate = of(stages, "steady", "rate")
    assert (rate.verdict, rate.direction) == ("cannot tell", "")
    assert rate.reason == "the plans ask for different rates"
    assert of(stages, "burst", "rate").reason != rate.reason
    assert compare(pair[0], other)[0].reason == rate.reason


def test_a_tolerance_is_for_each_stage_and_adds_its_number(pair: tuple[LoadResult, LoadResult]) -> None:
    stages = compare_stages(*pair, {"p90": 2.0, "mean": 0.1})
    assert of(stages, "steady", "p90").verdict == "within tolerance"
    assert of(stages, "up", "mean").direction == "worse"
    judgement = judge_changes(*pair, [], {"p90": 2.0, "mean": 0.1}, stages)
    assert any(each.startswith("in stage steady, latency p50, ms: 0.1") for each in judgement.worse)
    assert not any("steady" in each and "p90" in each for each in judgement.worse)


def test_errors_are_worse_in_their_stage(pair: tuple[LoadResult, LoadResult]) -> None:
    before = pair[0]
    after = replace(before, stages=[replace(stage) for stage in before.stages])
    after.stages[1].errors = type(after.stages[1].errors)({"wrong": 20})
    stages = compare_stages(before, after)
    assert judge_changes(before, after, [], {}, stages).worse == [
        "in stage steady, errors: 0 % to 1 % of the messages"
    ]
    assert judge_changes(before, after, [], {"errors": 0.02}, stages).worse == []


def test_stages_of_one_run_alone_are_named(pair: tuple[LoadResult, LoadResult]) -> None:
    other = run(stages=(STAGES[0]._replace(name="ramp"), *STAGES[1:3]))
    assert [stage.name for stage in compare_stages(pair[0], other)] == ["steady", "pause"]
    remark = "not compared, as the other run has none of the name: "
    assert f"{remark}3 stages of A (up, burst, after) and 1 stage of B (ramp)" in remarks_on((pair[0], other))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_text_has_a_table_for_each_stage(pair: tuple[LoadResult, LoadResult], width: int) -> None:
    text = comparison_as_text(*pair, compare(*pair), compare_stages(*pair), width=width)
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("stage ")] == [
        "stage up",
        "stage steady",
        "stage burst",
        "stage after",
    ]
    assert max(map(len, lines)) < max(width, 80)
    assert sum(line.startswith("errors ") for line in lines) == 5


def test_the_command_says_in_which_stage_it_is_worse(
    pair: tuple[LoadResult, LoadResult], tmp_path: Path
) -> None:
    names = [str(tmp_path / name) for name in ("a.json", "b.json", "diff.json")]
    for name, result in zip(names, pair, strict=False):
        Path(name).write_text(result_as_json(result))
    done = run_in_process("report", "diff", *names[:2], "--fail-on", "worse", "--json", names[2])
    assert done.returncode == 1
    assert "in stage steady, latency p50, ms: 0.1" in done.stderr
    document = json.loads(Path(names[2]).read_text())
    steady = document["stages"][1]
    assert (steady["name"], steady["a"], steady["b"]["errors"]) == (
        "steady",
        {"messages_due": 2000, "errors": 0, "error_share": 0.0},
        0,
    )
    assert [number["metric"] for number in steady["numbers"]] == ["rate", "p50", "p99"]


def test_connections_that_come_and_go_have_their_times_compared() -> None:
    before, after = (made_result(seed=seed, churn=Churn(per_connection=Span(9, 9))) for seed in (1, 2))
    after.churn.first_reply_ns.record(3_000_000)
    by_name = {change.name: change for change in compare(before, after)}
    assert by_name["connect p50, ms"].before == pytest.approx(0.2, abs=0.1)
    first = by_name["first p99, ms"]
    assert (first.before, first.after) == (None, pytest.approx(3.0, rel=0.02))
    assert first.verdict == "cannot tell"
    lines = comparison_as_text(before, after, compare(before, after)).splitlines()
    assert max(map(len, lines)) < 80
    assert not any(change.metric == "connect_p50" for change in compare(made_result(), made_result()))
