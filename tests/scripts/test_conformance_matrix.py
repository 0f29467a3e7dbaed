"""scripts/conformance: nothing that a server breaks goes unexplained, and nothing is explained that holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.conformance_matrix import __main__ as command
from scripts.conformance_matrix import installing
from scripts.conformance_matrix.candidate import RACES, SOURCES, Candidate, Need, documented, fault
from scripts.conformance_matrix.grading import Grade, GradingError, grade, unexplained
from scripts.conformance_matrix.own import OWN
from scripts.conformance_matrix.page import reasons, table
from scripts.conformance_matrix.services import SERVICES
from trioecho.check.book.book import RULES

ALL = (*OWN, *SERVICES)
KNOWN = Candidate(
    "known",
    "A server",
    ("serve", "{port}"),
    (documented("2.1", "2.2", why="It says so."), fault("6.2", why="It does not.")),
)


def seen(*broken: str, loaded: int | None = None) -> Grade:
    verdicts = {rule: "fail" if rule in broken else "pass" for rule in RULES}
    verdicts["1.8"] = "not applicable"
    return Grade("1.2.3", verdicts, {rule: f"saw {rule}" for rule in RULES}, loaded)


def test_what_is_broken_needs_a_reason_and_a_reason_something_broken() -> None:
    assert unexplained(KNOWN, seen("2.1", "2.2", "6.2")) == []
    assert unexplained(KNOWN, seen("2.1", "2.2", "6.2", "5.1")) == ["known, 5.1, is not explained: saw 5.1"]
    assert unexplained(KNOWN, seen("2.1", "6.2")) == ["known, 2.2, is explained and not broken"]


def test_a_race_may_be_won() -> None:
    assert "6.2" in RACES
    assert unexplained(KNOWN, seen("2.1", "2.2")) == []


def test_the_table_says_what_held_of_what_could_be_tried() -> None:
    [_, _, row] = table({KNOWN: seen("2.1", "2.2", loaded=5000)})
    assert row == (
        "| A server 1.2.3 | 11/11 | 7/9, ✗ 2.1, ✗ 2.2 | 8/8 | 9/9 | 7/7 | 5/5 | 3/3 | 5,000 replies |"
    )
    assert list(reasons({KNOWN: seen()})) == [
        "- **A server, 2.1, 2.2** (documented): It says so.",
        "- **A server, 6.2** (a fault): It does not.",
    ]


@pytest.mark.parametrize("candidate", ALL, ids=lambda candidate: candidate.name)
def test_every_server_is_described_rightly(candidate: Candidate) -> None:
    assert sum(candidate.name == other.name for other in ALL) == 1
    rules = [rule for deviation in candidate.deviations for rule in deviation.rules]
    assert set(rules) <= set(RULES)
    assert len(set(rules)) == len(rules)
    words = candidate.words(candidate.command, Path("/folder"))
    assert "{port}" in candidate.spawn_command(Path("/folder"))
    assert all(Path(word).exists() for word in words if word.startswith(str(SOURCES)))
    assert all(json.loads(line) for line in candidate.requests.splitlines())


def test_what_is_missing_is_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs = (Need("no-such-program", "a-package"), Need("no_such_module", "another", in_python=True))
    monkeypatch.setattr(command, "OWN", ())
    monkeypatch.setattr(command, "SERVICES", (Candidate("absent", "Absent", ("x", "{port}"), needs=needs),))
    assert command.main([]) == 0
    told = "absent: skipped, for it needs apt-get install a-package, pip install another\n"
    assert capsys.readouterr().err == told


def test_names_are_listed_and_others_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list", "dnsmasq"]) == 0
    assert capsys.readouterr().out.split() == ["dnsmasq", "apt-get", "install", "dnsmasq-base"]
    with pytest.raises(SystemExit):
        command.main(["no such server"])


def test_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], **_: Any) -> None:
        ran.append(words)

    monkeypatch.setattr("scripts.conformance_matrix.installing.subprocess.run", run)
    installing.install([Need("no_such_module", "another", in_python=True)])
    assert ran == []
    installing.install([Need("one", "a-package"), Need("other", "a-package")])
    assert [words[-1] for words in ran] == ["update", "a-package"]


def test_a_server_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    ends = Candidate("ends", "Ends", (sys.executable, "-c", "raise SystemExit(3)", "{port}"))
    with pytest.raises(GradingError, match="exit code 3 before it listened"):
        grade(ends, tmp_path)


@pytest.mark.slow
def test_the_service_itself_is_graded_and_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["trioecho"]) == 0
    told = capsys.readouterr()
    assert "| `trioecho serve` | 12/12 | 9/9 | 8/8 | 9/9 | 7/7 | 5/5 | 3/3 | 5,000 replies |" in told.out
