"""Stages of a schedule in text and CSV, merged and compared."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.support.load_results import made_result
from tests.support.staged_load import STAGES, staged_plan, staged_result
from trioecho.cli.load_display import stage_of
from trioecho.load import (
    LoadInterval,
    LoadPlan,
    LoadProgress,
    LoadResult,
    Stage,
    UnreadableResultError,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.report.comparison import compare
from trioecho.load.report.load_csv import COLUMNS, result_as_csv
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_plots import percentile_plot
from trioecho.load.report.load_text import progress_as_text, result_as_text
from trioecho.load.report.words import plan_in_words
from trioecho.load.results.judging import has_failed, judge

RESULT = staged_result()


def test_text_has_two_rows_for_each_stage() -> None:
    lines = [re.sub(r" +", " ", line) for line in result_as_text(RESULT).splitlines()]
    at = lines.index("stages due/s right/s p50, ms p99 max errors")
    assert lines[at + 1] == "up 500 500 0.500 0.500 0.500 0"
    assert lines[at + 2] == " in all; from send 100 100 0.500 0.500 0.500"
    assert lines[at + 5] == "pause 0 0 - - - 0"
    assert re.fullmatch(r"burst 20,000 1,950 90\.\d+ 178\.\d+ 180\.\d+ 0", lines[at + 7]), lines[at + 7]
    assert lines[at + 9].startswith("A message is of the stage in which it was due; ")


@pytest.mark.parametrize("width", range(50, 121, 7))
def test_text_fits_into_a_terminal(width: int) -> None:
    long = replace(RESULT, stages=[replace(stage, name=stage.name * 8) for stage in RESULT.stages])
    for result in (RESULT, long):
        lines = result_as_text(result, width=width).splitlines()
        assert max(map(len, lines)) < width
        assert any(line.startswith("stages ") and "p99" in line for line in lines)
        assert all(line == line.rstrip() for line in lines)


def test_a_stage_that_was_not_reached_says_so() -> None:
    stages = [*RESULT.stages[:3], replace(RESULT.stages[3], length_s=0.0)]
    assert re.search(r"^burst +not reached$", result_as_text(replace(RESULT, stages=stages)), re.MULTILINE)


def test_the_plan_names_its_stages() -> None:
    assert plan_in_words(RESULT.plan).endswith(
        "4 connections for 0.62 s, messages of 64 B; open loop, 4 stages (up, steady, pause, burst), "
        "uniform arrivals"
    )
    many = tuple(Stage(f"s{number}", 1, 1, 1) for number in range(7))
    assert "7 stages (s0, s1, s2, s3 and 3 more)" in plan_in_words(staged_plan(stages=many))


def test_csv_names_the_stage_of_each_interval() -> None:
    rows = list(csv.DictReader(io.StringIO(result_as_csv(RESULT))))
    assert list(rows[0]) == [*COLUMNS, "stage"]
    named = [(row["t_s"], row["stage"]) for row in rows]
    assert named[:6] == [
        *(("0", "up"), ("0.1", "up"), ("0.2", "steady"), ("0.3", "steady"), ("0.4", "steady")),
        ("0.5", "pause"),
    ]
    assert named[6:8] == [("0.6", "burst"), ("0.7", "")]


def test_an_interval_of_two_stages_has_both_names() -> None:
    result = staged_result(stages=(Stage("one", 100, 100, 0.15), Stage("two", 100, 100, 0.15)))
    assert [row["stage"] for row in csv.DictReader(io.StringIO(result_as_csv(result)))] == [
        *("one", "one; two", "two", "")
    ]


def test_csv_without_stages_is_as_before() -> None:
    [first, *_] = csv.reader(io.StringIO(result_as_csv(made_result())))
    assert tuple(first) == COLUMNS


def test_runs_of_the_same_stages_merge() -> None:
    merged = merge([staged_result(), staged_result(seed=2, service_ns=300_000)])
    assert [stage.due for stage in merged.stages] == [200, 600, 0, 800]
    assert merged.plan.stages[1] == Stage("steady", 2000.0, 2000.0, 0.3)
    assert merged.stages[1].due_per_s == pytest.approx(2000)
    again = result_from_json(result_as_json(merged))
    assert again.plan == merged.plan
    assert [stage.messages for stage in again.stages] == [200, 600, 0, 800]


@pytest.mark.parametrize(
    "stages",
    [
        STAGES[1:],
        (STAGES[0]._replace(name="x"), *STAGES[1:]),
        (STAGES[0]._replace(length_s=0.1), *STAGES[1:]),
    ],
)
def test_runs_of_other_stages_do_not(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(ValueError, match="can only be merged with stages of the same names and lengths"):
        merge([RESULT, staged_result(stages=stages)])
    with pytest.raises(ValueError, match="stages can only be merged"):
        merge([LoadResult(LoadPlan("h", 1, rate=5.0, duration_s=0.62)), RESULT])


def test_other_rates_of_the_same_stages_are_told() -> None:
    others = tuple(stage._replace(to_rate=stage.to_rate + 50) for stage in STAGES)
    merged = merge([RESULT, staged_result(stages=others)], ["a", "b"])
    assert any(
        note.startswith("The plans differ in stages: up: 0 to 1,000/s in 0.2 s, steady: 1,000/s for 0.3 s,")
        for note in merged.notes
    )


def test_noise_of_stages_is_not_known() -> None:
    changes = compare(RESULT, staged_result(seed=2))
    assert {change.reason for change in changes} == {"cannot tell of stages"}


def damaged(**changes: Any) -> str:
    document = json.loads(result_as_json(RESULT))
    document["stages"][1] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "other"}, "the names are not those of the plan's stages"),
        ({"messages": 299}, "messages adds up to 799, and not to 800"),
        ({"bytes": 1}, "bytes adds up to"),
        ({"messages_sent": 301}, "messages_sent adds up to 801"),
        ({"messages_sent": 200}, "there are more than were sent"),
        ({"errors": {"late": 1}}, "errors add up to more than 0"),
        ({"messages_received": 10_000}, "messages_received adds up to more than 800"),
        ({"length_s": -1}, "is not a number"),
        ({"histograms": {}}, "latency_ns is missing"),
    ],
)
def test_stages_that_are_not_those_of_the_run_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableResultError, match=reason):
        result_from_json(damaged(**changes))


def test_histograms_of_stages_that_do_not_come_to_the_whole_are_refused() -> None:
    document = json.loads(result_as_json(RESULT))
    one, other = document["stages"][0]["histograms"], document["stages"][1]["histograms"]
    one["latency_ns"] = other["latency_ns"]
    with pytest.raises(UnreadableResultError, match="the histograms latency_ns do not add up"):
        result_from_json(json.dumps(document))


def test_a_result_without_its_stages_is_damaged() -> None:
    document = json.loads(result_as_json(RESULT))
    del document["stages"]
    with pytest.raises(UnreadableResultError, match="stages is missing"):
        result_from_json(json.dumps(document))


def test_the_page_has_a_table_of_stages_and_draws_them_as_bands() -> None:
    pytest.importorskip("matplotlib")
    page = result_as_html(RESULT)
    assert "<h2>Stages</h2>" in page
    assert page.count(">1. up</th>") == page.count(">4. burst</th>") == 1
    throughput = page[page.index("Throughput over time") : page.index("Latency over time")]
    wide, narrow = throughput.split('class="narrow"')
    # Every other stage is shaded; a name that has no room is a number, as in the table, or nothing.
    assert wide.count("opacity: 0.4") == narrow.count("opacity: 0.4") == 2
    assert all(f">{name}</text>" in wide for name in ("up", "steady", "pause"))
    assert ">burst</text>" not in wide


def test_the_page_of_a_run_without_stages_has_none() -> None:
    pytest.importorskip("matplotlib")
    page = result_as_html(made_result())
    assert "Stages" not in page
    assert "opacity: 0.4" not in page


def test_the_page_says_what_went_wrong_in_a_stage_and_which_was_not_reached() -> None:
    pytest.importorskip("matplotlib")
    stages = [*RESULT.stages[:3], replace(RESULT.stages[3], length_s=0.0)]
    stages[0] = replace(stages[0], errors=Counter(missing=1200))
    page = result_as_html(replace(RESULT, stages=stages))
    assert "<td>missing 1,200</td>" in page
    assert "<td>not reached</td>" in page


def test_progress_names_the_stage() -> None:
    progress = LoadProgress("measuring", 0.25, LoadInterval(0.2, 0.05), 1, 1, {}, 5, None)
    assert stage_of(progress, RESULT.plan) == "steady"
    assert stage_of(replace(progress, phase="draining"), RESULT.plan) == ""
    assert stage_of(replace(progress, t_s=0.2), RESULT.plan) == "steady"
    assert stage_of(replace(progress, t_s=0.63), RESULT.plan) == ""
    assert stage_of(progress, None) == stage_of(progress, LoadPlan("h", 1)) == ""
    assert progress_as_text(progress, stage="steady").endswith(" in all  steady")


def verdicts_of(result: LoadResult, *objectives: str) -> dict[str, bool]:
    result.objective_results = judge(result, map(parse_objective, objectives))
    return {verdict.objective.text: verdict.holds for verdict in result.objective_results}


def test_an_objective_may_be_of_a_stage() -> None:
    result = staged_result()
    assert verdicts_of(
        result,
        "p99<1ms",
        "p99<1ms@steady",
        "p99 < 1ms @ burst",
        "rate>1900@burst",
        "rate>900@up",
        "max<1s@pause",
    ) == {
        "p99<1ms": False,
        "p99<1ms@steady": True,
        "p99<1ms@burst": False,
        "rate>1900@burst": True,
        "rate>900@up": False,
        "max<1s@pause": False,
    }
    assert "p99<1ms@burst: BROKEN, 178." in result_as_text(result)
    again = result_from_json(result_as_json(result))
    assert again.objective_results == result.objective_results
    with pytest.raises(ValueError, match="p99<1ms@other: there is no stage other"):
        verdicts_of(result, "p99<1ms@other")


def test_an_objective_of_errors_allows_those_of_its_stage_alone() -> None:
    result = staged_result()
    result.stages[3].errors["late"] += 2
    result.errors["late"] = 2
    assert verdicts_of(result, "errors<1%@burst", "errors==0@steady") == {
        "errors<1%@burst": True,
        "errors==0@steady": True,
    }
    assert not has_failed(result)
    result.errors["connection_lost"] = 1
    assert has_failed(result)
    verdicts_of(result, "errors==0@steady")
    assert has_failed(result)
    verdicts_of(result, "errors<5", "errors==0@steady")
    assert not has_failed(result)


def test_a_plot_of_all_has_no_mark_for_an_objective_of_a_stage() -> None:
    result = staged_result()
    verdicts_of(result, "p99<1ms", "p50<1ms@steady")
    assert [label for _, _, label in percentile_plot(result).marks] == ["p99<1ms"]
