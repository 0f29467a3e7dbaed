"""The JUnit XML of `trioecho check`, by the rules that Ant's and Jenkins' schemas have in common."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.check_results import FAILED, good_suite, hostile_suite, mixed_suite, result_of, suite
from trioecho.check.book.book import RULES, SECTIONS
from trioecho.check.output import Tested, Untested, results_as_junit
from trioecho.check.verdict import Event, Verdict

# What windyroad/JUnit-Schema and junit-10.xsd of Jenkins' xUnit plugin both allow:
# the children in their order, and the attributes, all of which the former asks for.
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*system-out system-err ",
    "properties": r"(property )*",
    "testcase": r"((skipped|error|failure) )?",
}
ATTRIBUTES = {
    "testsuites": set(),
    "testsuite": {
        *("name", "tests", "failures", "errors", "skipped"),
        *("time", "timestamp", "hostname", "id", "package"),
    },
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "error": {"type", "message"},
    "failure": {"type", "message"},
    "skipped": {"message"},
}
VALUES = {
    "time": r"\d+(\.\d+)?",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "id": r"\d+",
    "(name|classname|package|message)": r"\S+( \S+)*",  # an xs:token
}


def load(*servers: Tested, strict: bool = False) -> ET.Element:
    document = results_as_junit(servers, strict=strict)
    assert document.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ET.fromstring(document.encode())  # noqa: S314 - our own
    assert root.tag == "testsuites"
    for node in root.iter():
        children = "".join(f"{child.tag} " for child in node)
        assert re.fullmatch(CHILDREN.get(node.tag, ""), children), (node.tag, children)
        assert set(node.attrib) == ATTRIBUTES.get(node.tag, set()), node.tag
        for attribute, value in node.attrib.items():
            for pattern, allowed in VALUES.items():
                if re.fullmatch(pattern, attribute):
                    assert re.fullmatch(allowed, value), (node.tag, attribute, value)
    assert [suite.get("id") for suite in root] == [str(number) for number in range(len(root))]
    for each in root:
        counts = {"tests": "testcase", "failures": "*/failure", "errors": "*/error", "skipped": "*/skipped"}
        for attribute, path in counts.items():
            assert each.get(attribute) == str(len(each.findall(path)))
    return root


def ids_with(root: ET.Element, kind: str) -> Iterator[str]:
    for case in root.iter("testcase"):
        if case.find(kind) is not None:
            yield str(case.get("name")).split()[0]


def test_a_suite_for_each_section_and_a_case_for_each_rule() -> None:
    root = load(good_suite())
    assert [each.get("name") for each in root] == [
        f"{section.number} {section.title}" for section in SECTIONS
    ]
    assert [case.get("name") for case in root.iter("testcase")] == [
        f"{rule.id} {rule.title}" for rule in RULES.values()
    ]
    assert not list(ids_with(root, "failure")) + list(ids_with(root, "error"))
    assert set(ids_with(root, "skipped")) == {rule.id for rule in RULES.values() if rule.needs_spawn}


def test_each_verdict_is_what_tools_make_of_it() -> None:
    root = load(mixed_suite())
    assert set(ids_with(root, "failure")) == set(FAILED)
    assert list(ids_with(root, "error")) == ["7.1"]
    # JUnit knows no warnings: it passes, and says so in the suite's output.
    suite_of_warning = root[2]
    assert "warning: 3.8 No wait for a delayed acknowledgement" in suite_of_warning.findtext("system-out", "")


def test_with_strict_a_warning_fails() -> None:
    assert set(ids_with(load(mixed_suite(), strict=True), "failure")) == {*FAILED, "3.8"}


def test_a_failure_has_its_evidence() -> None:
    [failure] = load(suite((result_of("2.5", Verdict.FAIL),))).iter("failure")
    assert failure.get("type") == "MUST"
    assert str(failure.get("message")).endswith("one echo came, the other did not within 0.5 s")
    text = failure.text or ""
    for evidence in (
        "expected:     two echoes, 18 bytes: 00 00 00 05",
        "actual:       one echo, 9 bytes: 00 00 00 05",
        "likely cause: Replies stop after the first frame",
        "reproduce:    trioecho check 127.0.0.1:26066 2.5 --seed 7",
        "rule 2.5, MUST: Two frames that arrive together",
        "   0.0002 s  #1 sent 18 bytes\n"
        "    0000  00 00 00 05 68 65 6c 6c 6f 00 00 00 05 61 67 61  ....hello....aga\n"
        "    0010  69 6e                                            in\n",
        "          ... and 69,936 more bytes\n",
    ):
        assert evidence in text


def test_a_case_is_named_once_and_the_same_in_every_run() -> None:
    # GitLab drops a second case of a name and class; Jenkins follows them from build to build.
    cases = [(case.get("classname"), case.get("name")) for case in load(mixed_suite()).iter("testcase")]
    elsewhere = [
        (case.get("classname"), case.get("name"))
        for case in load(mixed_suite(target="127.0.0.1:2")).iter("testcase")
    ]
    assert len(set(cases)) == len(cases)
    assert cases == elsewhere
    several = [
        (case.get("classname"), case.get("name"))
        for case in load(mixed_suite(), mixed_suite(target="127.0.0.1:2")).iter("testcase")
    ]
    assert len(set(several)) == len(several) == 2 * len(cases)


def test_a_server_that_could_not_be_tested_is_an_error() -> None:
    root = load(good_suite(), Untested("python a.py", "it ended\nbefore it listened"))
    assert list(ids_with(root, "error")) == ["The"]
    assert [error.get("message") for error in root.iter("error")] == ["it ended before it listened"]


@pytest.mark.parametrize("strict", [False, True])
def test_hostile_bytes_do_no_harm(strict: bool) -> None:
    root = load(hostile_suite(), Untested("\x00]]>", "\ud800\n<"), strict=strict)
    [failure] = root.findall("testsuite/testcase[@name='1.1 A frame without payload']/failure")
    assert failure.text is not None
    assert "]]><script>alert(1)</script>" in failure.text
    assert r"\x00\x08\x1b[2J\x7f\x85\u2028\u202e\ufffe\uffff\x80\ud800" in failure.text


def test_what_is_left_out_of_a_transcript_is_missed_where_it_was() -> None:
    events = tuple(Event(number / 1000, 1, "event", text=f"event {number}") for number in (*range(40), 99))
    failed = replace(result_of("2.5", Verdict.FAIL), transcript=events, events_left_out=1234)
    [failure] = load(suite((failed,))).iter("failure")
    assert (failure.text or "").endswith(
        "   0.0390 s  #1 event 39\n   0.0990 s  1,234 events left out before this\n   0.0990 s  #1 event 99"
    )
