"""The commands ``trioecho load`` and ``trioecho report``, from outside."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.load_results import RunOnAServerWithACapacity, made_result
from tests.support.processes import ServerProcess, server_process
from tests.support.slow import slow
from trioecho.cli import main
from trioecho.load import CannotConnectError, LoadResult, result_as_json, result_from_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


# On a machine that is busy the generator may have too little time, and says so.
GOOD = (0, 5)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with server_process() as process:
        yield process


def load(server: ServerProcess, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_in_process("load", f"127.0.0.1:{server.port}", *arguments, **options)


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command, in this process, and gives the one line with which it was refused."""

    def refused(*arguments: str) -> str:
        try:
            code: object = main(arguments)
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        assert (code, captured.out) == (2, "")
        [line] = captured.err.splitlines()
        return line

    return refused


# ---- a run ----


def test_the_load_of_the_defaults(server: ServerProcess) -> None:
    done = load(server)
    assert done.returncode in GOOD, done.stderr
    assert "5 connections x 200 messages of 64 B; closed loop, 1 in flight on each" in done.stdout.replace(
        "\n  ", " "
    )
    assert "\nplanned    5 connections x 200 = 1,000 messages\n" in done.stdout
    assert "messages   1,000 sent, 1,000 came back right\n" in done.stdout
    assert "errors     0\n" in done.stdout
    assert all(len(line) < 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "options",
    [
        ("--size", "0-300", "--pipeline", "8", "-c", "3", "-n", "50"),
        slow(("--think", "2ms", "-c", "3", "-n", "50")),
        ("--size", "64:9,4KiB:1", "-c", "2", "-n", "75", "--seed", "7", "--warmup", "50ms"),
        ("--rate", "3000", "-c", "3", "-n", "50", "--arrival", "poisson"),
        slow(("-c", "3", "--ramp", "100:2000/150ms", "-n", "50")),
    ],
)
def test_every_way_to_ask_for_150_messages(server: ServerProcess, options: tuple[str, ...]) -> None:
    done = load(server, *options, "--json", "-", "--quiet")
    assert done.returncode in GOOD, done.stderr
    assert done.stderr == ""
    result = result_from_json(done.stdout)
    assert (result.sent, result.messages, result.errors) == (150, 150, {})
    assert result.command == [
        "trioecho",
        "load",
        f"127.0.0.1:{server.port}",
        *options,
        "--json",
        "-",
        "--quiet",
    ]


def test_other_headers(tmp_path: Path) -> None:
    with server_process("--format", "u16le+header") as server:
        assert load(server, "--format", "u16le+header", "-n", "20").returncode in GOOD
        done = load(server, "-n", "20", "--timeout", "2s", "--json", "a.json", cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (3, "", [])
    [line] = done.stderr.splitlines()
    # Short frames of this format are frames of the other, too.
    assert line.endswith(
        "replies to frames whose headers are u32le+header, not u32be: give --format u32le+header"
    )


def test_every_report_is_written(server: ServerProcess, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="--html needs it")
    done = load(
        server, "-n", "40", "--json", "a.json", "--csv", "a.csv", "--hgrm", "a.hgrm", "--html", "a.html",
        "--slo", "errors==0", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in GOOD, done.stderr
    result = result_from_json((tmp_path / "a.json").read_text())
    assert result.messages == 200
    assert [(found.objective.text, found.holds) for found in result.objective_results] == [
        ("errors==0", True)
    ]
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert sum(int(row["messages"]) for row in rows) == 200
    assert "Total count    =          200]" in (tmp_path / "a.hgrm").read_text()
    assert "</html>" in (tmp_path / "a.html").read_text()


def test_a_report_on_stdout_is_alone_there(server: ServerProcess) -> None:
    done = load(server, "-n", "10", "--csv", "-")
    assert done.returncode in GOOD
    assert done.stdout.startswith("t_s,width_s,")
    assert "messages   50 sent, 50 came back right" in done.stderr


def test_lines_while_it_runs_where_nobody_watches(server: ServerProcess) -> None:
    done = load(server, "--rate", "200", "--duration", "2500ms")
    lines = done.stderr.splitlines()
    assert lines  # one after 2 s, and another if the machine takes its time
    assert all("in all" in line for line in lines)
    quiet = load(server, "-n", "10", "--quiet")
    assert quiet.returncode in GOOD
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_a_live_display_where_a_person_watches(server: ServerProcess) -> None:
    pytest.importorskip("rich", reason="the live display needs it")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{server.port}", "--duration", "60s"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        text=True,
    )
    os.close(theirs)
    shown = b""
    wanted = "measuring", " of 60 s", "█", "msg/s"  # the block is of the sparkline
    with contextlib.suppress(OSError):  # how a terminal ends
        is_running = True
        while piece := os.read(ours, 1 << 16):
            shown += piece
            if is_running and all(words.encode() in shown for words in wanted):
                is_running = False
                process.send_signal(signal.SIGINT)
    os.close(ours)
    stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 128 + signal.SIGINT
    assert "came back right" in stdout
    assert not is_running, shown


# ---- objectives ----


@pytest.mark.parametrize(
    ("objectives", "code"),
    [(("p99<3600s", "errors==0", "rate>1"), 0), (("max<1ns", "errors==0"), 99)],
)
def test_objectives_decide_over_the_exit_code(
    server: ServerProcess, objectives: tuple[str, ...], code: int
) -> None:
    done = load(server, *(word for objective in objectives for word in ("--slo", objective)))
    assert done.returncode in (code, 5), done
    if code == 99:
        assert "  max<1ns: BROKEN, " in done.stdout
        assert "  errors==0: held, 0\n" in done.stdout


def test_a_broken_objective_is_a_line_though_nobody_wants_a_summary(
    monkeypatch: pytest.MonkeyPatch, server: ServerProcess
) -> None:
    # A busy machine may make a second of it, and then the load is judged, too.
    monkeypatch.setattr("trioecho.load.results.saturation.LEAST_JUDGED_S", math.inf)
    done = load(server, "-q", "--slo", "max<1ns", "--slo", "errors==0", "--slo", "p97.5<2ns")
    assert (done.returncode, done.stdout) == (99, "")
    one, other = done.stderr.splitlines()
    assert re.fullmatch(r"trioecho load: max<1ns: BROKEN, [\d.]+ ms", one)
    assert re.fullmatch(r"trioecho load: p97\.5<2ns: BROKEN, [\d.]+ ms", other)


def test_the_search_for_the_highest_rate(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("trioecho.cli.load.LoadRun", RunOnAServerWithACapacity)
    options = ("--find-max", "--slo", "p99<5ms", "--rate", "100", "--json", str(tmp_path / "a.json"))
    assert main(("load", "127.0.0.1:1", *options)) == 0
    shown = capfd.readouterr()
    result = result_from_json((tmp_path / "a.json").read_text())
    assert result.search is not None
    assert result.search.confirmed
    assert 247 <= (result.search.rate or 0) <= 260
    assert result.plan.rate == result.search.rate
    assert (result.plan.duration_s, result.plan.warmup_s) == (5, 1)
    assert all(verdict.holds for verdict in result.objective_results)
    assert len(shown.err.splitlines()) == len(result.search.trials)
    assert "        400/s  double   failed     p99 9.000 ms" in shown.err
    assert f"{result.search.rate:g} messages/s is the highest rate that held" in shown.out


def test_a_search_ends_when_the_server_is_gone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class RunOnAServerThatDies(RunOnAServerWithACapacity):
        async def run(self) -> LoadResult:
            if (self.plan.rate or 0) >= 200:
                raise CannotConnectError("127.0.0.1", 1, "connection refused")
            return await super().run()

    monkeypatch.setattr("trioecho.cli.load.LoadRun", RunOnAServerThatDies)
    assert main(("load", "127.0.0.1:1", "--find-max", "--slo", "p99<5ms", "--rate", "100")) == 99
    shown = capfd.readouterr()
    assert [line.split()[:3] for line in shown.err.splitlines() if "/s" in line] == [
        ["100/s", "double", "held"],
        ["200/s", "double", "failed"],
        ["200/s", "double", "failed"],
    ]
    assert "100 messages/s held, and was not repeated: not confirmed." in shown.out


def test_a_search_in_which_nothing_holds(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trioecho.cli.load.LoadRun", RunOnAServerWithACapacity)
    assert main(("load", "127.0.0.1:1", "--find-max", "--slo", "p99<1us")) == 99
    assert "  No rate met the objectives.\n" in capfd.readouterr().out


def test_a_search_of_a_real_server_that_is_interrupted(server: ServerProcess, tmp_path: Path) -> None:
    options = ("--find-max", "--slo", "p99<10s", "--rate", "50", "--duration", "1s", "--warmup", "0")
    process = running_load(server.port, *options, "--json", "a.json", cwd=tmp_path)
    assert process.stderr is not None
    assert "         50/s  double" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 130
    result = result_from_json((tmp_path / "a.json").read_text())
    assert result.search is not None
    assert [trial.rate for trial in result.search.trials][:1] == [50]
    assert "search for the highest rate" in stdout


# ---- ends ----


def running_load(port: int, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trioecho", "load", f"127.0.0.1:{port}", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_measures(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "in all" in line, line


@pytest.mark.parametrize("number", [signal.SIGINT, slow(signal.SIGTERM)])
def test_a_signal_ends_the_run_with_every_report(
    server: ServerProcess, tmp_path: Path, number: signal.Signals
) -> None:
    files = ("--json", "a.json", "--csv", "a.csv", "--hgrm", "a.hgrm")
    process = running_load(server.port, "--duration", "1h", "--rate", "500", *files, cwd=tmp_path)
    wait_until_it_measures(process)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 128 + number
    assert "stopped before its end" in stdout
    result = result_from_json((tmp_path / "a.json").read_text())
    assert result.stopped
    assert result.sent == result.messages >= 500  # what was under way was awaited
    assert result.errors == {}
    assert (tmp_path / "a.csv").read_text().count("\n") == len(result.intervals) + 1
    assert f"Total count    = {result.messages:>12}]" in (tmp_path / "a.hgrm").read_text()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = ("--timeout", "1h", "--duration", "1h", "--json", "a.json", "-c", "1")
        process = running_load(silent.getsockname()[1], *options, cwd=tmp_path)
        wait_until_it_measures(process)
        process.send_signal(signal.SIGINT)
        assert "draining" in (process.stderr.readline() if process.stderr else "")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=GUARD_S)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "trioecho load: stopped at once; nothing was written"
    assert not (tmp_path / "a.json").exists()


def test_a_server_that_dies_gives_a_report_with_the_errors(tmp_path: Path) -> None:
    with server_process() as server:
        process = running_load(server.port, "--duration", "1h", "--json", "a.json", cwd=tmp_path)
        wait_until_it_measures(process)
        server.process.kill()
        stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 1
    result = result_from_json((tmp_path / "a.json").read_text())
    assert sum(result.errors.get(kind, 0) for kind in ("connection_lost", "connection_closed")) == 5
    assert "errors\n  " in stdout
    assert result.messages > 0


def test_objectives_do_not_hold_when_the_server_dies(tmp_path: Path) -> None:
    with server_process() as server:
        options = (
            "-c",
            "4",
            "--rate",
            "200",
            "--duration",
            "100s",
            "--json",
            "a.json",
            "--saturation",
            "warn",
        )
        objectives = ("--slo", "errors<2%", "--slo", "rate>150", "--slo", "p99<100s", "--saturation", "warn")
        process = running_load(server.port, *options, *objectives, cwd=tmp_path)
        wait_until_it_measures(process)
        server.process.kill()
        stdout, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 99
    result = result_from_json((tmp_path / "a.json").read_text())
    assert result.due == result.sent + result.unsent == 20_000
    assert [verdict.holds for verdict in result.objective_results] == [False, False, False]
    assert re.search(r"^ended      after \d+\.\d of 100 s: every connection was lost$", stdout, re.MULTILINE)
    assert stdout.count("BROKEN") == 3


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        done = run_in_process("load", address, "--json", str(tmp_path / "a.json"))
    assert (done.returncode, done.stdout) == (3, "")
    [line] = done.stderr.splitlines()
    assert f"cannot connect to {address}: connection refused" in line
    assert list(tmp_path.iterdir()) == []


# ---- bad input ----


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stages_are_in_every_report(server: ServerProcess, tmp_path: Path, workers: str) -> None:
    table = tmp_path / "load.csv"
    done = load(
        server,
        *("--stages", "0:600/400ms,steady=300/300ms,2k/50ms,0/50ms,0", "--workers", workers),
        *("--json", str(tmp_path / "load.json"), "--csv", str(table)),
    )
    assert done.returncode in GOOD, done.stderr
    result = result_from_json((tmp_path / "load.json").read_text())
    assert [(stage.name, stage.due, stage.messages) for stage in result.stages] == [
        ("0:600/400ms", 120, 120),
        ("steady", 90, 90),
        ("2k/50ms", 100, 100),
        ("0/50ms", 0, 0),
    ]
    assert [stage.due_per_s for stage in result.stages] == [300, 300, 2000, 0]
    assert re.search(r"^0:600/400ms +300 +\d+ ", done.stdout, re.MULTILINE)
    with table.open() as file:
        stages = [row["stage"] for row in csv.DictReader(file)]
    assert stages[:8] == ["0:600/400ms"] * 4 + ["steady"] * 3 + ["2k/50ms; 0/50ms"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--rate", "0"), "a rate of 0 sends nothing"),
        (("--rate", "fast"), "is not a rate"),
        (("--messages", "0"), "at least 1"),
        (("--connections", "0"), "at least 1"),
        (("--duration", "0"), "measures nothing"),
        (("--timeout", "0"), "every reply late"),
        (("--messages", "5", "--duration", "5s"), "-n and --duration"),
        (("--rate", "5", "--ramp", "0:5/1s"), "--rate and --ramp"),
        (("--rate", "5", "--pipeline", "2"), "--pipeline is for a closed loop"),
        (("--rate", "5", "--think", "5ms"), "--think is for a closed loop"),
        (("--ramp", "0:5/1s", "--think", "5ms"), "--think is for a closed loop"),
        (("--find-max", "--slo", "p99<5ms", "--think", "5ms"), "--think is for a closed loop"),
        (("--think", "soon"), "is not a duration"),
        (("--arrival", "poisson"), "--arrival is for an open loop"),
        (("--ramp", "0:0/1s"), "impossible"),
        (("--ramp", "5"), "is not a ramp"),
        (("--stages", "0:5k/10s,5k"), "argument --stages: '0:5k/10s,5k': stage 2, '5k', has no time"),
        (("--stages", "5/1s", "--slo", "p99<5ms@5/2s"), "there is no stage '5/2s'; did you mean 5/1s?"),
        (("--rate", "5", "--slo", "p99<5ms@up"), "no stage 'up'; that is for a schedule of --stages"),
        (("--slo", "p99<5ms@"), "'p99<5ms@' is not an objective"),
        (("--stages", "5/1s", "--rate", "5"), "--rate and --stages both say how fast"),
        (("--stages", "5/1s", "--ramp", "0:5/1s"), "--ramp and --stages both say how fast"),
        (("--stages", "5/1s", "--find-max", "--slo", "p99<5ms"), "--find-max and --stages both"),
        (("--stages", "5/1s", "--duration", "1s"), "leave out --duration"),
        (("--stages", "5/1s", "-n", "5"), "leave out -n"),
        (("--stages", "5/1s", "--think", "5ms"), "--think is for a closed loop"),
        (("--stages", "5/1s", "--pipeline", "5"), "--pipeline is for a closed loop"),
        (("--stages", "0:5/1s", "--warmup", "1s"), "--warmup has the rate with which the first stage"),
        (("--processes", "6"), "6 processes cannot share 5 connections"),
        (("--size", "5-4"), "larger size first"),
        (("--size", "64:0"), "weight"),
        (("--size", "64:much"), "is not a weight"),
        (("--format", "u8", "--size", "256"), "over what the header"),
        (("--slo", "p101<5ms"), "below 100"),
        (("--slo", "errors<0"), "no run can meet it"),
        (("--find-max",), "needs an objective"),
        (
            ("--find-max", "--slo", "p99<5ms", "--per-connection", "1-3", "--connect-rate", "40"),
            "begins with 1,000 messages/s, and 40 new connections/s of 1-3 messages send 80",
        ),
        (("--find-max", "--slo", "rate>5"), "needs an objective that a higher rate can break"),
        (("--find-max", "--slo", "p99<5ms", "--ramp", "0:5/1s"), "leave out --ramp"),
        (("--find-max", "--slo", "p99<5ms", "-n", "5"), "--duration instead of --messages"),
        (("--find-max", "--slo", "p99<5ms", "--pipeline", "5"), "--pipeline is for a closed loop"),
        (("--find-max", "--slo", "p99<5ms", "--duration", "10ms"), "at least 1 s"),
        (
            ("--size", "1GiB", "-c", "10000"),
            "messages of up to 1,073,741,824 bytes on 10,000 connections take",
        ),
        (("--json", "/nowhere/a.json"), "cannot write /nowhere/a.json: No such file"),
        (("--json", "/"), "cannot write /: Is a directory"),
        (("--json", "-", "--csv", "-"), "cannot take two reports"),
    ],
)
def test_bad_input_is_one_line_before_any_connection(
    refused: Refused, options: tuple[str, ...], reason: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        line = refused("load", f"127.0.0.1:{listener.getsockname()[1]}", *options)
        assert reason in line
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_processes_where_there_can_be_none(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.cli.load.HAS_WORKERS", False)
    line = refused("load", "127.0.0.1:1", "--processes", "2")
    assert "--workers does not work on this system" in line


def test_what_was_there_stays_when_a_run_cannot_begin(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("precious")
    refused(
        "load", "127.0.0.1:1", "--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "no" / "a.csv")
    )
    assert run_in_process("load", "127.0.0.1:1", "--json", str(tmp_path / "a.json")).returncode == 3
    assert (tmp_path / "a.json").read_text() == "precious"


def test_plots_without_their_library(tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from trioecho.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "load", "127.0.0.1:1", "--html", str(tmp_path / "a.html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.endswith(
        "--html: the page needs matplotlib, which is not installed: pip install 'trioecho[plot]'"
    )
    assert list(tmp_path.iterdir()) == []


# ---- trioecho report ----


def kept(path: Path, result: LoadResult) -> str:
    path.write_text(result_as_json(result))
    return str(path)


def test_merge_joins_runs(tmp_path: Path) -> None:
    one, other = made_result(seed=1), made_result(seed=2)
    files = kept(tmp_path / "one.json", one), kept(tmp_path / "other.json", other)
    both, table = tmp_path / "both.json", tmp_path / "both.csv"
    done = run_in_process("report", "merge", *files, "--json", str(both), "--csv", str(table))
    assert done.returncode == 0, done.stderr
    assert f"{one.messages + other.messages:,} came back right" in done.stdout
    merged = result_from_json(both.read_text())
    assert merged.latency_ns.count == one.latency_ns.count + other.latency_ns.count
    assert merged.plan.rate == 1000
    assert table.read_text().count("\n") == 21


def test_merge_of_one_file_makes_other_reports_of_it(tmp_path: Path) -> None:
    result = made_result()
    done = run_in_process("report", "merge", kept(tmp_path / "a.json", result), "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads(result_as_json(result))


def test_diff_says_what_is_outside_noise(tmp_path: Path) -> None:
    fast = kept(tmp_path / "fast.json", made_result(seed=1))
    again = kept(tmp_path / "again.json", made_result(seed=2))
    slow = kept(tmp_path / "slow.json", made_result(seed=3, latency_ms=lambda chance: 2 + chance.random()))
    same, different = (
        run_in_process("report", "diff", fast, again),
        run_in_process("report", "diff", fast, slow),
    )
    assert same.returncode == 0
    assert "outside noise" not in same.stdout
    assert different.returncode == 1
    [p50] = [line for line in different.stdout.splitlines() if line.startswith("latency p50")]
    assert p50.endswith("outside noise")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "this is not JSON"),
        (b"{", "this is not JSON"),
        (b"[1, 2]", "it names no schema"),
        (b'{"schema": "other/1"}', 'its schema is "other/1"'),
        (b'{"schema": "trioecho-load/1"}', "damaged"),
        (b"\xff\xfe\x00", "this is not text"),
    ],
)
def test_reports_of_something_else_are_refused(
    refused: Refused, tmp_path: Path, content: bytes, reason: str
) -> None:
    good, bad = kept(tmp_path / "good.json", made_result(seconds=1)), tmp_path / "bad.json"
    bad.write_bytes(content)
    for arguments in (("merge", good, str(bad)), ("diff", good, str(bad)), ("diff", str(bad), good)):
        line = refused("report", *arguments)
        assert str(bad) in line
        assert reason in line


def test_reports_that_are_not_there_or_do_not_fit(refused: Refused, tmp_path: Path) -> None:
    open_loop, closed_loop = made_result(seconds=1), made_result(seconds=1, rate=100)
    closed_loop.plan = type(closed_loop.plan)("127.0.0.1", 1)
    files = kept(tmp_path / "open.json", open_loop), kept(tmp_path / "closed.json", closed_loop)
    assert "open and of a closed loop" in refused("report", "merge", *files)
    assert "No such file" in refused("report", "diff", files[0], str(tmp_path / "none.json"))
