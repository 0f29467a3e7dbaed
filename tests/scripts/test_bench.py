"""scripts/bench: the command, from its arguments to its picture."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmark import __main__ as bench
from scripts.benchmark.compare import AGAIN
from scripts.benchmark.table import Spread
from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.slow import slow


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.benchmark", *arguments],
        capture_output=True,
        text=True,
        timeout=5 * GUARD_S,  # nine processes, one after the other
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_a_small_sitting_from_end_to_end(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    done = run_bench(
        *("--only", "many", "--peers", "asyncio Protocol", "--builds", "plain"),
        *("--ours", f"other={sys.executable} -m trioecho serve --port 0"),
        *("--repeats", "1", "--seconds", "100ms", "--json", str(file)),
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(file.read_text())["workloads"]["many"]
    assert list(runs) == ["trioecho", "other", f"trioecho{AGAIN}", "asyncio Protocol"]
    for (run,) in runs.values():
        assert run["messages"] >= 100
        assert run["server_cpu_s"] > 0
    titles = (
        "100 connections, 1 in flight, 64 B",
        "100 x 1, 64 B",
        "trioecho / the other",
        "other / the other",
    )
    for title in (*titles, "What it cannot know"):
        assert title in done.stdout

    shown = run_bench("--show", str(file))
    assert shown.returncode == 0
    assert shown.stdout in done.stdout


@pytest.mark.parametrize("only", [slow("many-handler"), "one"])
def test_a_workload_of_each_kind_is_measured(only: str) -> None:
    done = run_bench(
        "--only", only, "--peers", "", "--builds", "plain", "--repeats", "1", "--seconds", "50ms"
    )
    assert done.returncode == 0, done.stderr
    assert "instructions" in done.stderr  # counted, or why not


def test_what_an_idle_connection_costs_is_measured() -> None:
    done = run_bench("idle", "--quick", "--peers", "threads", "--builds", "plain", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| trioecho +\| +[\d.]+ \(.*\| threads +\| +[\d.]+ \(", done.stdout, re.DOTALL)


@pytest.mark.slow
def test_frames_through_pipes_are_measured() -> None:
    done = run_bench("splice", "--repeats", "1", "--seconds", "20ms")
    assert done.returncode == 0, done.stderr
    for size in ("64 KiB", "16 MiB"):
        assert f"8 connections, 4 in flight, {size}\n" in done.stdout
    assert "| copied " in done.stdout


@pytest.mark.slow
def test_times_to_spin_are_measured() -> None:
    done = run_bench("spin", "--repeats", "1", "--seconds", "20ms")
    assert done.returncode == 0, done.stderr
    for shown in (
        "1 connection, 1 in flight",
        "10 connections, 1 in flight",
        "| --spin 50us ",
        "| --spin 0 ",
    ):
        assert shown in done.stdout


@pytest.mark.slow
def test_servers_under_tls_are_measured() -> None:
    done = run_bench("tls", "--repeats", "1", "--seconds", "50ms")
    assert done.returncode == 0, done.stderr
    for shown in (
        "100 connections, 1 in flight, 64 B, under TLS",
        "| asyncio Protocol ",
        *(["| Go crypto/tls "] if shutil.which("go") else []),
        "64 KiB, under TLS",
    ):
        assert shown in done.stdout


@pytest.mark.slow
def test_how_late_timers_are_is_measured() -> None:
    done = run_bench(
        "timers", "--builds", "plain", "--repeats", "1", "--seconds", "50ms", "--load", "trioecho"
    )
    assert done.returncode == 0, done.stderr
    assert "| trioecho: no load" in done.stdout
    assert "| trioecho: 100 connections, 1 in flight, 64 B" in done.stdout


@pytest.mark.slow
def test_what_a_hostile_crowd_does_to_the_echo_is_measured() -> None:
    done = run_bench("admin", "--repeats", "1", "--seconds", "500ms")
    assert done.returncode == 0, done.stderr
    for attackers in ("nobody", "1,000 elsewhere", "1,000 at --admin"):
        assert re.search(rf"\| {attackers} +\| +[\d.]+ \(", done.stdout)


@pytest.mark.slow
def test_what_a_cluster_costs_is_measured() -> None:
    done = run_bench("cluster", "--repeats", "1", "--seconds", "1s")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| --cluster local:1 +(\| +[\d.]+ \([^|]+){2}\|", done.stdout), done.stdout
    assert re.search(r"\| 3,000/s, --cluster local:3 +(\| +[\d.,]+ \([^|]+){4}\|", done.stdout), done.stdout


def test_the_turns_of_a_server_are_measured() -> None:
    command = [sys.executable, "-m", "scripts.benchmark", "turns", "--quick", "--repeats", "1"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.fullmatch(r"( *\d+\.\d\d us  \( *-?\d+\.\d\d us\)  .+\n){4}\n(.+\n)+", output)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--peers", "nobody"),
        ("--builds", "fast"),
        ("--builds", ""),
        ("--ours", "no-command"),
        ("idle", "--only", "many"),
        ("timers", "--peers", "threads"),
        ("admin", "--only", "many"),
        ("cluster", "--only", "many"),
        ("splice", "--only", "bulk"),
        ("--only", "nothing"),
        ("--show", "no-such-file"),
        ("--json", "no/such/folder/file"),
        ("decoder", "--json", "file"),
        ("turns", "--json", "file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        bench.main(arguments)
    assert exit_info.value.code == 2
    output, error = capsys.readouterr()
    assert not output
    assert error.startswith("scripts/bench: ")
    assert error.count("\n") == 1


def test_the_picture_can_be_read_on_any_background(tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is in the extra `bench`")
    from scripts.benchmark import picture

    file = tmp_path / "bench.svg"
    ratios = {"100 x 1, 64 B": {"plain Trio": Spread(2.0, 1.5, 16.0), AGAIN: Spread(1.0, 0.9, 1.1)}}
    picture.draw({"trioecho": ratios}, file)
    text = file.read_text()
    for shown in ("plain Trio", AGAIN, "100 x 1", "64 B", "2.00"):
        assert f">{shown}<" in text
    # White, and the black of a dark page; 3 is WCAG's least contrast of graphics, 4.5 that of small text.
    for color, least in ((picture.INK, 4), (picture.AHEAD, 3), (picture.BEHIND, 3)):
        assert color in text or color == picture.BEHIND
        for background in ("#ffffff", "#0d1117"):
            assert contrast(color, background) >= least
    drawn = set(re.findall(r"fill: (#\w+|none)", text))
    assert drawn <= {picture.INK, picture.AHEAD, picture.BEHIND, "none"}, "a background would be a fill"


def test_the_picture_of_two_builds_has_dots_and_rings(tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is in the extra `bench`")
    from scripts.benchmark import picture

    file = tmp_path / "bench.svg"
    of_builds = {
        "trioecho": {"100 x 1, 64 B": {"Go": Spread(0.75, 0.5, 0.8), "other": Spread(0.6, 0.5, 0.7)}},
        "other": {"100 x 1, 64 B": {"Go": Spread(1.25, 1.1, 1.5), "trioecho": Spread(1.7, 1.5, 1.8)}},
    }
    picture.draw(of_builds, file)
    text = file.read_text()
    for shown in ("Go", "0.75", "1.25", "trioecho", "other"):
        assert text.count(f">{shown}<") == 1  # the builds are in the legend alone
    assert ">0.60<" not in text


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio, from 1 to 21."""
    least, most = sorted((luminance(one), luminance(other)))
    return (most + 0.05) / (least + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
