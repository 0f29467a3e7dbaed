"""Outages and what else became of connections: merged exactly, judged, and in every report."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.load_results import made_result, troubled_result
from trioecho.cli.load import exit_code_of
from trioecho.load import Churn, LoadResult, Span, merge, result_as_json, result_from_json
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.report.comparison_outputs import remarks_on
from trioecho.load.report.load_csv import result_as_csv
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_plots import throughput_plot
from trioecho.load.report.load_text import faults_as_lines, result_as_text
from trioecho.load.results.churn_result import MOST_REASONS, ChurnResult, Outage, join_outages, merge_churn
from trioecho.load.results.judging import judge


def result_with(*outages: Outage, seed: int = 1) -> LoadResult:
    result = made_result(churn=Churn(reconnect=True), seed=seed)
    result.churn.outages = list(outages)
    for outage in outages:
        result.churn.outage_ns.record(round(outage.length_s * 1e9), outage.connections)
    return result


ONE = result_with(Outage(3.25, 0.5, 5))
LASTING = result_with(Outage(3.25, 0.5, 5), Outage(18.0, 2.0, 5, is_over=False))


# ---- merged ----

parts = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(1, 5)), max_size=5), max_size=4
)


@given(parts)
def test_outages_of_processes_are_joined_where_they_overlap(parts: list[list[tuple[int, int, int]]]) -> None:
    outages = [Outage(float(start), float(length), lost) for part in parts for start, length, lost in part]
    joined = join_outages(outages)
    # By quarters of a second: when at least one connection was down.
    quarters = {
        q for start, length, _, _ in outages for q in range(int(4 * start), int(4 * (start + length)))
    }
    of_joined = [
        q for start, length, _, _ in joined for q in range(int(4 * start), int(4 * (start + length)))
    ]
    assert sorted(of_joined) == sorted(quarters)
    assert sum(outage.connections for outage in joined) == sum(outage.connections for outage in outages)
    assert all(one.end_s < other.start_s for one, other in pairwise(joined))


def test_what_became_of_connections_adds_up() -> None:
    troubled = troubled_result().churn
    merged = merge_churn([troubled, troubled])
    assert (merged.renewed, merged.ended) == (2 * troubled.renewed, 2 * troubled.ended)
    assert merged.failed_attempts == {reason: 2 * n for reason, n in troubled.failed_attempts.items()}
    assert merged.outage_ns.count == 2 * troubled.outage_ns.count
    assert merged.outage_ns.max == troubled.outage_ns.max
    assert merge_churn([]).outages == []


def test_reasons_beyond_the_first_few_are_counted_together() -> None:
    churn = ChurnResult()
    for number in range(3 * MOST_REASONS):
        churn.note_failure(f"reason {number}")
    assert len(churn.failed_attempts) == MOST_REASONS + 1
    assert sum(churn.failed_attempts.values()) == 3 * MOST_REASONS


def test_rates_of_new_connections_add_up() -> None:
    results = [made_result(churn=Churn(connect_rate=rate), seed=int(rate)) for rate in (10.0, 20.0)]
    assert merge(results).plan.churn.connect_rate == 30.0


# ---- read back ----


def test_a_file_of_an_older_version_has_none() -> None:
    document = json.loads(result_as_json(troubled_result()))
    del document["churn"]
    del document["plan"]["churn"]
    for name in ("first_reply_ns", "outage_ns", "attempt_lateness_ns"):
        del document["histograms"][name]
    again = result_from_json(json.dumps(document))
    assert (again.churn.renewed, again.churn.outages, again.churn.outage_ns.count) == (0, [], 0)
    assert again.plan.churn == Churn()


@pytest.mark.parametrize(
    "churn",
    [
        Churn(),
        Churn(True, Span(1, 5), Span(0.5, 0.5), 10.0, ("127.0.0.2", "127.0.0.3")),
    ],
)
def test_a_plan_is_read_back(churn: Churn) -> None:
    result = made_result(churn=churn)
    assert result_from_json(result_as_json(result)).plan == result.plan
    assert Churn.from_dict(json.loads(json.dumps(churn.to_dict()))) == churn


@pytest.mark.parametrize(
    ("churn", "reason"),
    [
        ({"per_connection": Span(0, 5)}, "above 0, not 0-5"),
        ({"per_connection": Span(5, 1)}, "from the smaller to the larger"),
        ({"per_connection": Span(1.5, 2)}, "a whole number of messages"),
        ({"lifetime_s": Span(0, 0)}, "above 0"),
        ({"connect_rate": 0.0}, "must be more than 0"),
        ({"sources": ("host",)}, "is not an IP address"),
        ({"sources": ("127.0.0.1", "::1")}, "all of IPv4 or all of IPv6"),
        ({"sources": ("127.0.0.1", "127.0.0.1")}, "there twice"),
    ],
)
def test_an_impossible_plan_is_refused(churn: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Churn(**churn)  # type: ignore[arg-type] # the values are of several types


# ---- judged ----


def verdicts(result: LoadResult, *objectives: str) -> dict[str, str]:
    result.objective_results = judge(result, map(parse_objective, objectives))
    return {verdict.objective.text: str(verdict) for verdict in result.objective_results}


def test_a_verdict_on_latency_names_the_outages() -> None:
    [said] = verdicts(ONE, "p99<5s").values()
    assert said.startswith("p99<5s: held, ")
    assert said.endswith("; beside 1 outage of 0.500 s in all")
    assert exit_code_of(ONE) == 0


def test_no_latency_holds_and_nothing_ends_well_if_an_outage_was_not_over() -> None:
    assert "p99<5s: BROKEN" in verdicts(LASTING, "p99<5s")["p99<5s"]
    assert exit_code_of(LASTING) == 99
    verdicts(LASTING, "errors<50%")
    assert exit_code_of(LASTING) == 1


# ---- reported ----


def test_outages_are_in_the_text() -> None:
    text = result_as_text(LASTING)
    assert "\noutages    2, 2.500 s in all, the longest 2.000 s; 10 connections lost\n" in text
    assert "\n  from 3.250 s on for 0.500 s: 5 connections\n" in text
    assert "\n  from 18.000 s on for 2.000 s: 5 connections, not over at the end\n" in text
    assert "a new connection for one that is lost" in " ".join(text.split())
    assert "2 outages of 2.500 s in all, not over at the end" in list(faults_as_lines(LASTING))
    assert "outages    none\n" in result_as_text(result_with())
    assert "outages" not in result_as_text(made_result())


def test_outages_are_in_the_csv_of_a_load_that_reconnects() -> None:
    rows = list(csv.DictReader(io.StringIO(result_as_csv(ONE))))
    assert [row["outage_s"] for row in rows[:5]] == ["0", "0", "0", "0.5", "0"]
    assert "outage_s" not in result_as_csv(made_result())


def test_outages_are_drawn_and_those_near_each_other_as_one() -> None:
    plot = throughput_plot(ONE)
    assert plot is not None
    assert plot.outages == [(3.25, 3.75)]
    many = result_with(*(Outage(1 + number / 100, 0.001, 1) for number in range(1000)))
    plot = throughput_plot(many)
    assert plot is not None
    assert len(plot.outages) == 1


def test_outages_are_on_the_page() -> None:
    pytest.importorskip("matplotlib", reason="the page has plots")
    page = result_as_html(LASTING)
    assert "<h2>Outages</h2>" in page
    assert "2 outages of 2.500 s in all, not over at the end." in page
    assert page.count(">outage<") >= 2  # in the legends
    assert "<does>" not in result_as_html(troubled_result())


def test_a_comparison_remarks_on_outages_and_on_other_plans() -> None:
    remarks = remarks_on((replace(ONE, plan=replace(ONE.plan, churn=Churn())), LASTING))
    assert "A: 1 outage of 0.500 s in all" in remarks
    assert "B: 2 outages of 2.500 s in all, not over at the end" in remarks
    assert "the plans differ in churn:" in remarks
