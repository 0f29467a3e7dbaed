"""A search that a lost worker ends: every report says so, and none blames the server for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.load_results import RunOnAServerWithACapacity, made_result
from trioecho.cli import main
from trioecho.load import ClusterWorkerFailedError, LoadResult, LostWorker, result_as_json, result_from_json
from trioecho.load.goals.find_max import Search
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import faults_as_lines, result_as_text

LOST = LostWorker("worker b on beta", "is gone", 1.2, 1.0, 2, 5, 150, 3, 40, True)
FAILED = ClusterWorkerFailedError("worker b on beta", "is gone", connections=2, of_connections=5, sent=0)
SEARCH = ("load", "127.0.0.1:1", "--find-max", "--slo", "p99<5ms", "--rate", "100")
ENDED = "before a worker was lost, which ended the search"


class LosingRun(RunOnAServerWithACapacity):
    """A run of a search of which one trial loses a worker, or all before any has reported."""

    doomed = 0  # the trial, from 1
    has_result = True
    trials = 0

    async def run(self) -> LoadResult:
        result = await super().run()
        type(self).trials += 1
        if self.trials == self.doomed:
            if not self.has_result:
                raise FAILED
            result.lost = [LOST]
            result.errors = {"unknown": LOST.unknown, "unreported": LOST.unreported}
        return result


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> type[LosingRun]:
    class Losing(LosingRun):
        pass

    monkeypatch.setattr("trioecho.cli.load.LoadRun", Losing)
    return Losing


@pytest.mark.parametrize("options", [(), ("--quiet",)])
@pytest.mark.parametrize("has_result", [True, False])
def test_a_worker_that_is_lost_while_a_rate_is_confirmed_is_named(
    options: tuple[str, ...],
    has_result: bool,
    losing: type[LosingRun],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(SEARCH) == 0
    capfd.readouterr()
    losing.doomed, losing.has_result = losing.trials, has_result  # the last one that confirms
    losing.trials = 0
    file = tmp_path / "a.json"
    assert main((*SEARCH, "--json", str(file), *options)) == 1
    shown = capfd.readouterr()
    result = result_from_json(file.read_text())
    search = result.search
    assert search is not None
    assert (search.confirmed, result.lost, search.trials[-1].phase) == (False, [], "confirm")
    words = LOST.in_words if has_result else str(FAILED)
    assert search.lost == words
    assert search.trials[-1].outcome.reason.endswith(words)
    found = f"{search.rate:g} messages/s held {ENDED}: not confirmed."
    if options:
        assert shown.out == ""
        assert shown.err.splitlines() == [
            f"trioecho load: the search was cut short: {words}",
            f"trioecho load: {found}",
        ]
    else:
        assert found in " ".join(shown.out.split())
        assert words in " ".join(shown.out.split())
    assert found in result_as_html(result)
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)


def test_one_that_is_lost_in_the_first_trial_is_named_once(
    losing: type[LosingRun], capfd: pytest.CaptureFixture[str]
) -> None:
    losing.doomed = 1
    assert main((*SEARCH, "--quiet")) == 1
    *lines, last = capfd.readouterr().err.splitlines()
    assert sum(LOST.in_words in line for line in lines) == 1
    assert last == f"trioecho load: No rate met the objectives {ENDED}."


def test_without_a_result_in_the_first_trial_there_is_none(
    losing: type[LosingRun], capfd: pytest.CaptureFixture[str]
) -> None:
    losing.doomed, losing.has_result = 1, False
    assert main(SEARCH) == 1
    assert str(FAILED) in capfd.readouterr().err


def test_what_an_older_version_wrote_has_no_such_worker() -> None:
    result = made_result()
    result.search = Search([], 100.0, False)
    text = result_as_json(result).replace('"lost": ""', '"": ""')
    again = result_from_json(text).search
    assert again is not None
    assert again.lost == ""
    assert "held, and was not repeated" in result_as_text(result)


def test_text_from_outside_stays_in_its_line() -> None:
    result = made_result()
    result.search = Search([], 100.0, False, lost="a\nb\x1b")
    assert not any("\n" in line or "\x1b" in line for line in faults_as_lines(result))
