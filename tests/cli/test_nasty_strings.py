"""What peers, children and files say, on its way to a person: no terminal and no browser obeys it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.load_results import troubled_result
from trioecho.base.printable import printable, printable_line
from trioecho.cli import main
from trioecho.cli.load_display import Lines
from trioecho.cli.shared.log import NonBlockingLogHandler
from trioecho.cli.shared.non_blocking_writer import NonBlockingWriter
from trioecho.cli.shared.output import print_error, print_result
from trioecho.load import LoadResult, result_as_json
from trioecho.load.goals.find_max import Search
from trioecho.load.results.machine import Machine

NASTY = "<script>alert(1)</script>\x1b]0;owned\x07\x1b[31m\r\b\x9b2J \u202eevil\u2028 \udcff ]]> & '\" end"
# What of it may come through nowhere.
OBEYED = ("\x1b", "\x07", "\r", "\b", "\x9b", "\u202e", "\u2028", "\udcff")

FILES = ("a\x1b[31m\udcff.json", "b\x1b[31m\udcff.json")


def assert_is_safe(text: str) -> None:
    assert not [character for character in OBEYED if character in text]
    assert all(character.isprintable() or character in "\n\t" for character in text)


def nasty_result() -> LoadResult:
    """One in which every text is nasty."""
    result = troubled_result()
    result.plan = replace(result.plan, host=NASTY)
    result.errors = {NASTY: 5, "wrong": 1}
    result.discrepancies = [replace(found, kind=NASTY, detail=NASTY) for found in result.discrepancies[:5]]
    result.notes = [NASTY]
    result.command = [NASTY]
    result.machines = [Machine(NASTY, NASTY, 1, NASTY, NASTY)]
    result.health = replace(result.health, reasons=(NASTY,))
    assert result.search is not None
    trials = [replace(trial, outcome=replace(trial.outcome, reason=NASTY)) for trial in result.search.trials]
    result.search = Search(trials, 1000.0, False, "generator", NASTY)
    return result


Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a directory with nasty results, in files with nasty names, and gives what it said."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(FILES):
        result = nasty_result()
        result.started_at += timedelta(milliseconds=number)
        Path(name).write_text(result_as_json(result))

    def run(*words: str) -> tuple[str, str]:
        with contextlib.suppress(SystemExit):
            main(words)
        captured = capfd.readouterr()
        assert_is_safe(captured.out)
        assert_is_safe(captured.err)
        return captured.out, captured.err

    return run


def test_reports_of_loads(run: Run) -> None:
    out, _ = run("report", "merge", *FILES)
    assert out.count("alert(1)") > 5
    assert r"a\x1b[31m\xff.json" in run("report", "diff", *FILES)[0]
    run("report", "merge", FILES[0], "--json", "out\x1b[31m\udcff.json")
    for name in ("json", "csv", "hgrm"):
        run("report", "merge", *FILES, f"--{name}", f"out.{name}")
        assert_is_safe(Path(f"out.{name}").read_text())
    run("report", "diff", *FILES, "--json", "diff.json")
    assert json.loads(Path("diff.json").read_text())["a"]["file"] == FILES[0]


def test_a_page(run: Run) -> None:
    pytest.importorskip("matplotlib", reason="--html needs it")
    run("report", "merge", *FILES, "--html", "out.html")
    page = Path("out.html").read_text()
    assert_is_safe(page)
    assert page.count("&lt;script&gt;") > 5
    assert "<script" not in page


@pytest.mark.parametrize(
    "words",
    [
        ("report", "merge", NASTY),
        ("report", "merge", FILES[0], "--json", f"no/{NASTY}"),
        ("report", "merge", *FILES, FILES[0]),
        ("report", "diff", *FILES, "--tolerance", NASTY),
        ("load", NASTY),
        ("load", "127.0.0.1:1", "--json", f"/dev/null/{NASTY}"),
        ("load", "127.0.0.1:1", "--slo", NASTY),
        ("client", f"{NASTY}:1"),
        ("client", "127.0.0.1:1", NASTY),
        ("send", f"{NASTY}:1"),
        ("send", "127.0.0.1:1", "--header", NASTY),
        ("send", "127.0.0.1:1", "--messages", f"{NASTY}.jsonl"),
        ("serve", "--host", NASTY),
        ("proxy", NASTY, NASTY),
        ("faulty", NASTY),
        ("check", NASTY),
        ("check", "--spawn", f"./{NASTY} {{port}}", "1.1", "--spawn-timeout", "10ms"),
        ("demo", NASTY),
        (NASTY,),
    ],
)
def test_what_is_refused(run: Run, words: tuple[str, ...]) -> None:
    out, err = run(*words)
    assert out + err


def test_a_damaged_file(run: Run) -> None:
    document = json.loads(Path(FILES[0]).read_text())
    for damage in ({"plan": {NASTY: NASTY}}, {"schema": NASTY}, {"time": NASTY}, {"errors": {NASTY: NASTY}}):
        Path("damaged.json").write_text(json.dumps(document | damage))
        assert "damaged.json" in run("report", "merge", "damaged.json")[1]


def test_lines_and_logs(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    print_result(NASTY)
    print_error(NASTY)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        handler = NonBlockingLogHandler(NonBlockingWriter(stream))
        try:
            raise ValueError(NASTY)
        except ValueError as error:
            record = logging.LogRecord(
                "x", logging.ERROR, "", 1, "peer said %s", (NASTY,), (ValueError, error, error.__traceback__)
            )
        handler.emit(record)
        monkeypatch.setattr("sys.stderr", stream)
        Lines().line(NASTY)
    with os.fdopen(reading, encoding="utf-8", newline="") as read:
        logged = read.read()
    captured = capfd.readouterr()
    for text in (captured.out, captured.err, logged):
        assert "alert(1)" in text
        assert_is_safe(text)
    # What goes on is indented.
    assert len([line for line in logged.splitlines() if not line.startswith(" ")]) == 2


def test_the_escapes() -> None:
    assert printable("a\tb\r\nc\x1b\udcff") == "a\tb\nc\\x1b\\xff"
    assert printable_line("a\tb\r\nc\x1b\udcff") == "a\\tb\\nc\\x1b\\xff"
