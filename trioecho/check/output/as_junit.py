"""Results for continuous integration, as JUnit XML.

There is no one schema of that format. What is made here is valid under the two
that tools are written against, Ant's (windyroad/JUnit-Schema) and that of Jenkins'
xUnit plugin (junit-10.xsd), and so keeps to what both allow. GitLab shows
``classname`` as the suite and drops a case whose name and class exist already;
Jenkins takes what stands before the last dot of ``classname`` for a package.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from datetime import datetime

from ...base.printable import printable
from ..book.book import Section
from ..verdict import CaseResult, SuiteResult, Verdict, counts_against
from .plain import asking_words, evidence_lines
from .tested import Tested, Untested

_ALONE = "trioecho check"


def results_as_junit(servers: Sequence[Tested], *, strict: bool = False) -> str:
    """Write all results as one document: a test suite for each section of the book, for each server.

    A broken rule is a failure, an inconclusive case an error, one that is not
    applicable is skipped. A warning passes, and stands in its suite's output; with
    ``strict`` a broken SHOULD is a failure.
    """
    root = ET.Element("testsuites")
    for server in servers:
        # The same from run to run, though ports may change, so that tools can compare runs.
        package = _ALONE if len(servers) == 1 else _line(server.target)
        if isinstance(server, Untested):
            _add_untested(root, server, package)
            continue
        for section in server.book.sections:
            results = [result for result in server.results if result.rule.section == section.number]
            if results:
                _add_section(root, server, section, results, package=package, strict=strict)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_section(
    root: ET.Element,
    server: SuiteResult,
    section: Section,
    results: Sequence[CaseResult],
    *,
    package: str,
    strict: bool,
) -> None:
    class_name = f"{package}.{section.id} {section.title}"
    cases = [_case(result, class_name, strict) for result in results]
    suite = _suite(
        root,
        f"{section.id} {section.title}",
        package,
        cases,
        time_s=sum(result.elapsed_s for result in results),
        started_at=server.started_at,
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("target", server.target),
        ("address", server.address),
        ("seed", server.seed),
        ("format", server.format),
        ("max_frame_length", "not given" if server.max_frame_length is None else server.max_frame_length),
        ("round_trip_s", f"{server.round_trip_s:.6f}"),
        ("patience_s", f"{server.patience_s:.3f}"),
        *((f"version.{name}", version) for name, version in server.versions.items()),
    ):
        ET.SubElement(properties, "property", name=name, value=_line(str(value)))
    suite.extend(cases)
    warnings = [result for result in results if result.verdict is Verdict.WARN]
    asked = [] if server.asking is None else asking_words(server.asking)
    _add_output(suite, [*asked, *server.notes, *(line for result in warnings for line in _warning(result))])


def _add_untested(root: ET.Element, server: Untested, package: str) -> None:
    name = f"The {server.book.noun} can be tested"
    case = ET.Element("testcase", name=name, classname=f"{package}.0 Start", time="0")
    ET.SubElement(case, "error", type="not tested", message=_line(server.reason))
    suite = _suite(root, "0 Start", package, [case], time_s=0, started_at="")
    ET.SubElement(ET.SubElement(suite, "properties"), "property", name="target", value=_line(server.target))
    suite.append(case)
    _add_output(suite, [])


def _suite(
    root: ET.Element,
    name: str,
    package: str,
    cases: Sequence[ET.Element],
    *,
    time_s: float,
    started_at: str,
) -> ET.Element:
    def count(kind: str) -> str:
        return str(sum(case.find(kind) is not None for case in cases))

    return ET.SubElement(
        root,
        "testsuite",
        id=str(len(root)),
        name=name,
        package=package,
        hostname="localhost",  # which is what Ant's schema asks for where the name is not known
        timestamp=_timestamp(started_at),
        tests=str(len(cases)),
        failures=count("failure"),
        errors=count("error"),
        skipped=count("skipped"),
        time=f"{time_s:.3f}",
    )


def _case(result: CaseResult, class_name: str, strict: bool) -> ET.Element:
    case = ET.Element(
        "testcase",
        name=f"{result.id} {result.rule.title}",
        classname=class_name,
        time=f"{result.elapsed_s:.3f}",
    )
    summary = _line(result.summary)
    if counts_against(result, strict=strict):
        level = result.rule.level.value
        ET.SubElement(case, "failure", type=level, message=summary).text = _text(evidence_lines(result))
    elif result.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(case, "error", type="inconclusive", message=summary).text = _text(
            evidence_lines(result)
        )
    elif result.verdict is Verdict.NOT_APPLICABLE:
        ET.SubElement(case, "skipped", message=summary)
    return case


def _warning(result: CaseResult) -> list[str]:
    return [
        "",
        f"warning: {result.id} {result.rule.title}: {result.summary}",
        *evidence_lines(result),
    ]


def _add_output(suite: ET.Element, lines: Iterable[str]) -> None:
    ET.SubElement(suite, "system-out").text = _text(lines)
    ET.SubElement(suite, "system-err")


def _timestamp(started_at: str) -> str:
    """Leave out the zone and the fraction, as Ant's schema has it."""
    try:
        return datetime.fromisoformat(started_at.replace("Z", "+00:00")).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "1970-01-01T00:00:00"


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _text(lines: Iterable[str]) -> str:
    return printable("\n".join(lines))
