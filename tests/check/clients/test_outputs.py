"""Reports of clients are those of servers, in the words of clients."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

from tests.support.check_results import suite
from trioecho.check.clients.book import CLIENTS
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.output import (
    Untested,
    grade,
    results_as_html,
    results_as_json,
    results_as_junit,
    rubric_as_csv,
    rubric_as_text,
)
from trioecho.check.output.text import Palette, suite_lines
from trioecho.check.verdict import CaseResult, ClientFacts, SuiteResult, Verdict

COMMAND = "python client.py {host} {port}"
FACTS = ClientFacts(messages=20, connections=1, sent_bytes=880, run_s=0.2, is_pipelining=True)


def client_suite(*failed: str, cause_id: str = "one-recv-per-reply") -> SuiteResult:
    results = tuple(
        CaseResult(
            rule_id,
            Verdict.FAIL if rule_id in failed else Verdict.PASS,
            "the client ended with exit code 1" if rule_id in failed else "all was right",
            cause=CAUSES[cause_id] if rule_id in failed else None,
            reproduce=f"trioecho check --client '{COMMAND}' {rule_id}",
            book=CLIENTS,
        )
        for rule_id in CLIENTS.rules
    )
    return replace(
        suite(results, target=COMMAND),
        address="",
        command=COMMAND,
        max_frame_length=None,
        round_trip_s=0.0,
        patience_s=15.6,
        notes=(),
        book=CLIENTS,
        client=FACTS,
    )


def test_text() -> None:
    lines = list(
        suite_lines(client_suite("C1.2"), Palette(is_coloured=False), strict=False, is_verbose=False)
    )
    text = " ".join(" ".join(lines).split())
    assert "C1 Delivery" in lines
    assert "  ✗ C1.2  One byte at a time" in lines
    assert "started on" not in text
    assert "the client sends 20 messages, and ends after 200 ms. Where a reply does not come it may" in text
    assert text.endswith(f"{COMMAND} is not conformant.")


def test_json() -> None:
    whole = json.loads(results_as_json([client_suite("C1.2"), Untested(COMMAND, "no such program", CLIENTS)]))
    assert whole["servers"] == []
    client, untested = whole["clients"]
    assert client["client"] == {
        "messages": 20,
        "connections": 1,
        "sent_bytes": 880,
        "run_s": 0.2,
        "silence_s": 0.0,
        "is_pipelining": True,
    }
    assert (client["address"], client["command"]) == ("", COMMAND)
    case = client["results"][1]
    assert (case["id"], case["section"], case["title"]) == ("C1.2", 1, "One byte at a time")
    assert untested["error"] == "no such program"


def test_junit() -> None:
    root = ET.fromstring(results_as_junit([client_suite("C1.2"), Untested(COMMAND, "no", CLIENTS)]))  # noqa: S314 - our own
    names = [element.get("name") for element in root]
    assert names == [*(f"{section.id} {section.title}" for section in CLIENTS.sections), "0 Start"]
    [failed] = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed.get("name") == "C1.2 One byte at a time"
    assert [case.get("name") for case in root[-1].iter("testcase")] == ["The client can be tested"]


def test_html() -> None:
    page = results_as_html([client_suite("C1.2")])
    for part in ('id="case-C1.2"', 'id="rule-C5.4"', 'id="section-C3"', "A right run", "C1 Delivery"):
        assert part in page
    assert 'id="rule-1.1"' not in page
    assert "Round trip" not in page
    several = results_as_html([client_suite(), client_suite("C2.1")])
    assert "Conformance of 2 clients" in several


def test_rubric() -> None:
    good, broken = grade(client_suite()), grade(client_suite("C1.2", "C1.5"))
    assert (good.points, good.out_of) == (75, 75)
    assert broken.points is not None
    assert broken.points < 75
    nothing = grade(client_suite("C1.1", cause_id="fails-with-right-server"))
    assert nothing.points == 0
    [header, *rows] = csv.reader(io.StringIO(rubric_as_csv([good, broken])))
    assert header[0] == "client"
    assert [row[0] for row in rows] == [COMMAND, COMMAND]
    text = rubric_as_text([good, broken])
    assert text.startswith("client")
    assert "One recv is not one frame" in text
