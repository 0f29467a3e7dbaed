"""What a result is worth: objectives judged, trials believed or not, and the exit code."""

from __future__ import annotations

import pytest

from tests.load_results import made_result
from trioecho.cli.load import exit_code_of
from trioecho.load import LoadPlan, LoadResult, SelfWatch
from trioecho.load.find_max import Search
from trioecho.load.objectives import parse_objective
from trioecho.load.verdicts import has_failed, judge, trial_outcome

SATURATED = SelfWatch((1.0,), (0.0,), judged=True, reasons=("it had no time",))


def judged(result: LoadResult, *objectives: str) -> LoadResult:
    result.verdicts = judge(result, map(parse_objective, objectives))
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
    result.watch = SATURATED
    outcome = trial_outcome(result)
    assert (outcome.holds, outcome.saturated) == (False, True)


@pytest.mark.parametrize(("longer", "unsent", "holds"), [(1.0, 0, True), (1.1, 0, False), (1.0, 2000, False)])
def test_a_trial_in_which_the_server_did_not_keep_up(longer: float, unsent: int, holds: bool) -> None:
    result = made_result()
    result.elapsed_s *= longer  # the last replies came so much later
    result.errors = {"unsent": unsent} if unsent else {}
    outcome = trial_outcome(judged(result, "p99<1s", "errors<50%"))
    assert outcome.holds is holds
    assert ("the server gave only" in outcome.reason) is not holds


def exit_code(
    *objectives: str, errors: int = 0, watch: SelfWatch | None = None, search: Search | None = None
) -> int:
    result = judged(made_result(), *objectives)
    result.errors = {"wrong": errors} if errors else {}
    judged(result, *objectives)
    result.watch = watch or result.watch
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
    assert exit_code("p99<1us", watch=SATURATED) == 5
    assert exit_code(errors=1, watch=SATURATED) == 1


def test_exit_codes_of_searches() -> None:
    assert exit_code("p99<1s", search=Search([], 100.0, True, "objective")) == 0
    assert exit_code("p99<1s", search=Search([], 100.0, True, "generator")) == 5
    assert exit_code("p99<1s", search=Search([], 100.0, False, "objective")) == 99
    assert exit_code("p99<1us", search=Search([], None, False, "objective")) == 99
