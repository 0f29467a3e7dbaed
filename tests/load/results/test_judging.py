"""What a result is worth: objectives judged, trials believed or not, and the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.load_results import made_result
from trioecho.cli.load import exit_code_of
from trioecho.load import GeneratorHealth, LoadPlan, LoadResult
from trioecho.load.goals.find_max import Search
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.report.load_text import faults_as_lines, result_as_text
from trioecho.load.results.judging import has_failed, judge, trial_outcome
from trioecho.load.results.stage_result import StageResult

SATURATED = GeneratorHealth((1.0,), (0.0,), judged=True, reasons=("it had no time",))


def judged(result: LoadResult, *objectives: str) -> LoadResult:
    result.objective_results = judge(result, map(parse_objective, objectives))
    return result


def test_objectives_are_compared_with_what_was_measured() -> None:
    result = made_result()
    result.errors = {"wrong": 3, "late": 7}
    result.sent = 1000
    latency = result.latency_ns
    assert latency.mean is not None
    for text, measured in (
        ("p99.9<1s", (latency.percentile(99.9) or 0) / 1e6),
        ("mean<1s", latency.mean / 1e6),
        ("max<1s", latency.max / 1e6),
        ("rate>1", result.messages_per_s),
        ("errors<1", 10),
        ("errors<1%", 1.0),
    ):
        [verdict] = judge(result, [parse_objective(text)])
        assert verdict.measured == pytest.approx(measured)


@pytest.mark.parametrize("text", ["p99<1s", "mean<1s", "max<1s", "errors<1%"])
def test_where_nothing_was_measured_no_objective_holds(text: str) -> None:
    [verdict] = judge(LoadResult(LoadPlan("h", 1)), [parse_objective(text)])
    assert (verdict.measured, verdict.holds) == (None, False)


def test_errors_fail_a_run_unless_an_objective_is_about_them() -> None:
    result = judged(made_result(), "p99<1s")
    assert not has_failed(result)
    result.errors = {"late": 1}
    assert has_failed(result)
    assert not has_failed(judged(result, "errors<5%"))


def test_a_trial_that_holds() -> None:
    outcome = trial_outcome(judged(made_result(), "p99<1s", "errors==0"))
    assert (outcome.holds, outcome.saturated) == (True, False)
    assert outcome.reason.startswith("p99 1.")
    assert outcome.reason.endswith(" ms, errors 0")


def test_a_trial_that_breaks_an_objective() -> None:
    assert not trial_outcome(judged(made_result(), "p99<1us")).holds


def test_a_trial_with_errors() -> None:
    result = judged(made_result(), "p99<1s")
    result.errors = {"wrong": 2, "late": 1}
    outcome = trial_outcome(result)
    assert not outcome.holds
    assert outcome.reason.endswith("; errors: late 1, wrong 2")


def test_a_trial_of_a_saturated_generator_says_nothing_of_the_server() -> None:
    result = judged(made_result(), "p99<1s")
    result.health = SATURATED
    outcome = trial_outcome(result)
    assert (outcome.holds, outcome.saturated) == (False, True)


def test_a_rate_whose_trial_was_not_judged_is_not_announced_as_if_it_had_been() -> None:
    result = judged(made_result(), "p99<1s")
    result.search = Search([], 100.0, True, "objective")
    remark = "too few messages to judge the generator"
    assert remark not in trial_outcome(result).reason
    assert remark not in result_as_text(result, width=500)
    result.health = replace(result.health, judged=False)
    outcome = trial_outcome(result)
    assert outcome.holds
    assert outcome.reason.endswith(f"; {remark}")
    said = f"100 messages/s is the highest rate that held; it held in every repetition. There were {remark}."
    assert f"{said}\n" in f"{result_as_text(result, width=500)}\n"
    result.search = Search([], None, False, "objective")
    assert "No rate met the objectives.\n" in f"{result_as_text(result, width=500)}\n"


@pytest.mark.parametrize(("longer", "unsent", "holds"), [(1.0, 0, True), (1.1, 0, False), (1.0, 2000, False)])
def test_a_trial_in_which_the_server_did_not_keep_up(longer: float, unsent: int, holds: bool) -> None:
    result = made_result()
    result.elapsed_s *= longer  # the last replies came so much later
    result.errors = {"unsent": unsent} if unsent else {}
    outcome = trial_outcome(judged(result, "p50<1s", "errors<50%"))
    assert outcome.holds is holds
    assert ("the server gave only" in outcome.reason) is not holds


def exit_code(
    *objectives: str, errors: int = 0, health: GeneratorHealth | None = None, search: Search | None = None
) -> int:
    result = judged(made_result(), *objectives)
    result.errors = {"wrong": errors} if errors else {}
    judged(result, *objectives)
    result.health = health or result.health
    result.search = search
    return exit_code_of(result)


def test_exit_codes() -> None:
    assert exit_code() == 0
    assert exit_code("p99<1s") == 0
    assert exit_code("p99<1us") == 99
    assert exit_code(errors=1) == 1
    assert exit_code("errors==0", errors=1) == 99
    assert exit_code("errors<9%", errors=1) == 0
    assert exit_code("p99<1us", errors=1) == 1
    # Whether an objective was met is not known where the numbers are the generator's.
    assert exit_code("p99<1us", health=SATURATED) == 5
    assert exit_code(errors=1, health=SATURATED) == 1


def test_exit_codes_of_searches() -> None:
    assert exit_code("p99<1s", search=Search([], 100.0, True, "objective")) == 0
    assert exit_code("p99<1s", search=Search([], 100.0, True, "generator")) == 5
    assert exit_code("p99<1s", search=Search([], 100.0, False, "objective")) == 99
    assert exit_code("p99<1us", search=Search([], None, False, "objective")) == 99


def test_saturation_that_is_only_told_of_leaves_the_verdicts_to_the_objectives() -> None:
    for objective, code in (("p99<1s", 0), ("p99<1us", 99)):
        result = judged(made_result(), objective)
        result.health = SATURATED
        assert exit_code_of(result) == 5
        assert exit_code_of(result, saturation_fails=False) == code
    result = judged(made_result(), "p99<1s")
    for confirmed, code in ((True, 0), (False, 99)):
        result.search = Search([], 100.0, confirmed, "generator")
        assert exit_code_of(result, saturation_fails=False) == code


def test_each_fault_is_a_line_for_whoever_wants_no_summary() -> None:
    assert list(faults_as_lines(judged(made_result(), "p99<1s"))) == []
    result = made_result(duration_s=60.0)
    result.errors, result.cut_from_s, result.health = {"late": 7, "unsent": 1000}, 60.0, SATURATED
    assert list(faults_as_lines(judged(result, "p99<1us", "p50<1s", "errors<99%", "rate>400"))) == [
        "not all went well: late 7, unsent 1,000",
        "the run ended after 20.0 of 60 s: every connection was lost",
        "p99<1us: BROKEN, 1.130 ms",
        "p50<1s: BROKEN, 0.340 ms; the run ended after 20.0 of 60 s: every connection was lost",
        f"rate>400: BROKEN, {result.messages / 60:,.0f} messages/s",
        "generator saturated: these numbers describe the generator",
    ]
    result = judged(made_result(), "p99<1s")
    result.search = Search([], None, False, "generator")
    assert list(faults_as_lines(result)) == [
        "No rate met the objectives.",
        "generator saturated: these numbers describe the generator",
    ]
    assert list(faults_as_lines(LoadResult(LoadPlan("h", 1)))) == ["no message was due"]


@pytest.mark.parametrize(
    ("objective", "unanswered", "holds"),
    [
        # 1,000 replies of 1 to 10 ms, 100 of each; each message without one is slower than they are.
        ("p50<7ms", 200, True),
        ("p50<7ms", 500, False),
        ("p90<10.5ms", 100, True),
        ("p90<10.5ms", 112, False),
        ("p99<1000s", 10, True),
        ("p99<1000s", 11, False),
        ("mean<1000s", 1, False),
        ("max<1000s", 1, False),
        ("p50>2ms", 500, True),
    ],
)
@pytest.mark.parametrize("kind", ["missing", "wrong", "unsent"])
@pytest.mark.parametrize("stage", ["", "steady"])
def test_a_message_without_a_reply_is_slower_than_all_that_have_one(
    objective: str, unanswered: int, holds: bool, kind: str, stage: str
) -> None:
    result = LoadResult(LoadPlan("h", 1, rate=100.0), elapsed_s=10.0)
    part: LoadResult | StageResult = result
    if stage:
        part = StageResult(stage, length_s=10.0)
        result.stages = [part]
    for latency_ms in range(1, 11):
        part.latency_ns.record(latency_ms * 10**6, 100)
    part.messages = 1000
    part.sent = 1000 + (unanswered if kind != "unsent" else 0)
    part.errors[kind] = unanswered
    [verdict] = judge(result, [parse_objective(f"{objective}@{stage}" if stage else objective)])
    assert verdict.holds is holds
    assert verdict.measured is not None
    due = 1000 + unanswered
    assert verdict.reason.startswith(f"{unanswered} of {due:,} messages had no right reply, so no latency")


def test_a_trial_says_why_a_good_latency_is_none() -> None:
    result = made_result()
    result.errors, result.sent = {"missing": 2000}, result.sent + 2000
    outcome = trial_outcome(judged(result, "p90<1s", "errors<50%"))
    assert not outcome.holds
    assert "messages had no right reply, so no latency), errors " in outcome.reason
    assert exit_code_of(result) == 99


@pytest.mark.parametrize(
    ("count", "percent", "above"), [(20, "99.9", 1), (1000, "99", None), (900, "99", 10)]
)
def test_an_objective_that_holds_says_on_how_few_replies_it_stands(
    count: int, percent: str, above: int | None
) -> None:
    result = LoadResult(LoadPlan("h", 1), elapsed_s=1.0, sent=count, messages=count)
    result.latency_ns.record(1000, count)
    [verdict] = judge(result, [parse_objective(f"p{percent}<1s")])
    assert verdict.holds
    assert verdict.reason == (f"it stands on {above} of {count} replies" if above and above < 10 else "")
