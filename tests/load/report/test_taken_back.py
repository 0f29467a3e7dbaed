"""Messages that were taken back: the server may have taken them, and no report hides that."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.support.load_results import made_result
from trioecho.load import Churn, LoadResult, result_as_json, result_from_json
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.report.comparison_outputs import remarks_on
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import result_as_text
from trioecho.load.results.judging import judge

WORDS = (
    "5 messages without a reply when the server ended the connection: sent again on another one, or unsent; "
    "it is not known what the server had taken"
)


def taken_back() -> LoadResult:
    result = made_result(churn=Churn(reconnect=True))
    result.churn.taken_back = 5
    result.sent += 5
    return result


def test_every_report_says_what_is_not_known() -> None:
    result, none = taken_back(), made_result(churn=Churn(reconnect=True))
    none.started_at += timedelta(days=1)
    text = " ".join(result_as_text(result).split())
    assert "5 taken back" in text
    assert f"note: {WORDS}" in text
    assert f"{WORDS}." in result_as_html(result)
    assert json.loads(result_as_json(result))["churn"]["taken_back"] == 5
    assert result_from_json(result_as_json(result)).churn.taken_back == 5
    assert f"B: {WORDS}" in remarks_on((none, result))
    assert "not known" not in result_as_text(none)


def test_no_verdict_of_errors_is_without_them() -> None:
    objectives = [parse_objective(text) for text in ("errors==0", "errors<1%", "p99<60s")]
    verdicts = judge(taken_back(), objectives)
    assert [verdict.holds for verdict in verdicts] == [True, True, True]
    assert [verdict.reason for verdict in verdicts] == ["beside 5 messages taken back"] * 2 + [""]
    broken = taken_back()
    broken.errors = {"lost": 1}
    assert judge(broken, objectives)[0].reason == ""
