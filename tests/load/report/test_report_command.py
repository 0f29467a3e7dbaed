"""``trioecho report``: what may be joined, what is said of it, and a comparison as a gate."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.load_results import made_result
from trioecho.cli import main
from trioecho.framing import FrameFormat
from trioecho.load import LoadPlan, LoadResult, Ramp, Sizes, result_as_json

Run = Callable[..., tuple[object, str, str]]
LATENCIES = ("mean", "p50", "p75", "p90", "p95", "p99")
SLOW: Any = {"latency_ms": lambda chance: 1.2 * (0.2 + chance.expovariate(5))}


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``trioecho report`` in a directory of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def report(*words: str) -> tuple[object, str, str]:
        try:
            code: object = main(("report", *words))
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return report


def keep(name: str, result: LoadResult) -> LoadResult:
    Path(name).write_text(result_as_json(result))
    return result


# ---- merge ----


def test_the_same_run_does_not_count_twice(report: Run) -> None:
    keep("a.json", made_result(seconds=2))
    keep("b.json", made_result(seconds=2, seed=2))
    shutil.copy("a.json", "copy.json")
    Path("compact.json").write_text(json.dumps(json.loads(Path("a.json").read_text())))
    old = json.loads(Path("a.json").read_text())
    del old["runs"], old["plans"]  # as written before runs were known
    Path("old.json").write_text(json.dumps(old))
    assert report("merge", "a.json", "b.json", "--json", "both.json")[0] == 0
    for one, other in (
        ("a.json", "a.json"),
        ("a.json", "copy.json"),
        ("a.json", "compact.json"),
        ("copy.json", "old.json"),
        ("both.json", "a.json"),
        ("b.json", "both.json"),
    ):
        code, out, err = report("merge", one, other, "--json", "new.json")
        assert (code, out) == (2, "")
        assert err == (
            f"trioecho report merge: {one} and {other} are of the same run, which would count twice; "
            "name each run once\n"
        )
    assert not Path("new.json").exists()


def test_what_differs_in_merged_plans_is_said_everywhere(report: Run) -> None:
    pytest.importorskip("matplotlib", reason="--html needs it")
    small = made_result(seconds=2, rate=20)
    large = made_result(seconds=2, rate=20, seed=2)
    small.plan = LoadPlan("127.0.0.1", 1, pipeline=16, messages=100)
    large.plan = LoadPlan(
        "::1", 1, messages=100, sizes=Sizes.of(1000), format=FrameFormat(2, "little"), timeout_s=5, seed=2
    )
    keep("small.json", small)
    keep("large.json", large)
    code, out, err = report("merge", "small.json", "large.json", "--json", "both.json", "--html", "both.html")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert said.startswith(
        "127.0.0.1:1 or [::1]:1: 10 connections x 100 messages of 64 B or 1000 B; "
        "closed loop, 16 or 1 in flight on each; format u32be or u16le; 2 processes; seed 0 or 2"
    )
    page = Path("both.html").read_text()
    notes = json.loads(Path("both.json").read_text())["notes"]
    for difference in (
        "server: 127.0.0.1:1 (small.json), [::1]:1 (large.json)",
        "format: u32be (small.json), u16le (large.json)",
        "sizes: 64 B (small.json), 1000 B (large.json)",
        "timeout: 10 s (small.json), 5 s (large.json)",
        "pipeline: 16 (small.json), 1 (large.json)",
    ):
        assert f"note: The plans differ in {difference}." in said
        assert f"The plans differ in {difference}." in notes
        assert f"The plans differ in {difference}." in page
    assert len(notes) == 5
    again = report("merge", "both.json")[1]
    assert again.split() == out.rpartition("wrote")[0].split()  # what was written is what was told


def test_plans_that_do_not_differ_need_no_words(report: Run) -> None:
    keep("a.json", made_result(seconds=2, rate=20))
    keep("b.json", made_result(seconds=2, rate=20, seed=2))
    out = report("merge", "a.json", "b.json")[1]
    assert "note" not in out
    assert " or " not in out.partition("\n\n")[0]


def test_runs_that_were_not_made_at_the_same_time_have_no_rate_together(report: Run) -> None:
    keep("a.json", made_result(seconds=2, rate=20))
    later = made_result(seconds=2, rate=20, seed=2)
    later.started_at += timedelta(seconds=62)
    keep("b.json", later)
    out = " ".join(report("merge", "b.json", "a.json")[1].split())
    assert "note: The runs were not made at the same time: b.json began 60 s after a.json had ended." in out


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ({}, {"rate": 5.0, "duration_s": 2.0}, "open and of a closed loop"),
        ({}, {"think_s": 1.0}, "different think times"),
        ({"ramp": Ramp(0, 5, 2)}, {"ramp": Ramp(0, 5, 3)}, "a ramp can only be merged with ramps that"),
        ({"ramp": Ramp(0, 5, 2)}, {"rate": 5.0, "duration_s": 2.0}, "a ramp can only be merged with ramps"),
    ],
)
def test_what_cannot_be_one_is_refused_by_name(report: Run, one: Any, other: Any, reason: str) -> None:
    for name, plan in (("a.json", one), ("b.json", other)):
        result = made_result(seconds=2, rate=20)
        result.plan = LoadPlan("h", 1, **plan)
        keep(name, result)
    code, out, err = report("merge", "a.json", "b.json")
    assert (code, out) == (2, "")
    assert "a.json and b.json: " in err
    assert reason in err


def test_a_page_is_read_as_the_result_that_is_in_it(report: Run) -> None:
    pytest.importorskip("matplotlib")
    keep("a.json", made_result(seconds=2))
    assert report("merge", "a.json", "--html", "a.html")[0] == 0
    assert report("merge", "a.html", "--json", "again.json")[0] == 0
    assert Path("again.json").read_text() == Path("a.json").read_text()
    Path("other.html").write_text("<!DOCTYPE html><p>no result</p>")
    code, _, err = report("merge", "other.html")
    assert (code, err) == (
        2,
        "trioecho report merge: other.html: this page holds no result; give the JSON or the page of a run\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "b.json", "c.json", "--html", "b.json"),
        ("diff", "b.json", "c.json", "--json", "c.json"),
        ("merge", "b.json", "c.json", "--json", "b.json"),
        ("merge", "b.json", "--csv", "link.json"),
        ("merge", "hard.json", "c.json", "--csv", "b.json"),
    ],
)
def test_no_report_takes_the_place_of_what_is_read(report: Run, words: tuple[str, ...]) -> None:
    if "--html" in words:
        pytest.importorskip("matplotlib", reason="--html needs it")
    keep("b.json", made_result(seconds=2))
    keep("c.json", made_result(seconds=2, seed=2))
    Path("link.json").symlink_to("b.json")
    Path("hard.json").hardlink_to("b.json")
    kept = {path: path.read_bytes() for path in Path().iterdir()}
    code, out, err = report(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"trioecho report {words[0]}: ")
    assert err.endswith("read and cannot take a report; give that a file of its own\n")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().iterdir()} == kept


# ---- diff ----


@pytest.fixture
def files(report: Run) -> None:
    """Three runs of the same, of which one was slower."""
    keep("a.json", made_result(seed=1))
    keep("again.json", made_result(seed=2))
    keep("slow.json", made_result(seed=3, **SLOW))


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("one", "other", "options", "code"),
    [
        ("a", "again", (), 0),
        ("a", "slow", (), 1),
        ("slow", "a", (), 1),
        ("a", "slow", ("--fail-on", "worse"), 1),
        ("slow", "a", ("--fail-on", "worse"), 0),
        ("a", "again", ("--fail-on", "worse"), 0),
        ("a", "slow", ("--fail-on", "never"), 0),
        ("a", "slow", ("--fail-on", "worse", "--tolerance", "p99:30%"), 1),  # the others are worse, too
        (
            "a",
            "slow",
            (
                "--fail-on",
                "worse",
                *(f"--tolerance={name}:30%" for name in ("mean", "p50", "p75", "p90", "p95", "p99")),
            ),
            0,
        ),
    ],
)
def test_a_comparison_as_a_gate(
    report: Run, one: str, other: str, options: tuple[str, ...], code: int
) -> None:
    done, out, err = report("diff", f"{one}.json", f"{other}.json", *options)
    assert done == code
    assert out.startswith(f"A: {one}.json, 2024-05-06 17:08:09 UTC\nB: {other}.json, ")
    is_gate = "worse" in options
    assert err.startswith(f"{other}.json is worse than {one}.json: " if code and is_gate else "")
    assert bool(err) == bool(code and is_gate)


@pytest.mark.usefixtures("files")
def test_what_is_worse_is_named(report: Run) -> None:
    _, out, err = report("diff", "a.json", "slow.json", "--fail-on", "worse", "--tolerance", "p90:50%")
    verdicts = {
        line.split(",")[0]: line[57:].strip() for line in out.splitlines() if line.startswith("latency")
    }
    assert verdicts["latency p50"] == "worse, outside noise"
    assert verdicts["latency p90"] == "within tolerance"
    assert "latency p50, ms: 0.3" in err
    assert "latency p90" not in err
    better = report("diff", "slow.json", "a.json")[1]
    assert "  better, outside noise\n" in better
    assert max(map(len, better.splitlines())) < 80


def test_errors_are_worse_by_their_share(report: Run) -> None:
    keep("a.json", made_result(seed=1))
    failing = made_result(seed=2)
    failing.errors = {"missing": 50}
    keep("b.json", failing)
    code, _, err = report("diff", "a.json", "b.json", "--fail-on", "worse")
    assert code == 1
    assert err.endswith("b.json is worse than a.json: errors: 0 % to 0.5 % of the messages\n")
    assert report("diff", "b.json", "a.json", "--fail-on", "worse")[0] == 0
    assert report("diff", "a.json", "b.json", "--fail-on", "worse", "--tolerance", "errors:0.6%")[0] == 0


def test_a_run_that_was_cut_short_is_worse_and_says_so(report: Run) -> None:
    keep("a.json", made_result())
    cut = made_result(seconds=10, seed=2)
    cut.cut_from_s, cut.errors = 20.0, {"unsent": 5000}
    keep("b.json", cut)
    code, out, err = report("diff", "a.json", "b.json", "--fail-on", "worse")
    assert code == 1
    assert "B: ended after 10.0 of 20 s: every connection was lost" in out
    assert "errors: 0 % to 50" in err


def test_runs_that_are_too_short_are_no_pass(report: Run) -> None:
    keep("a.json", made_result(seconds=2))
    keep("b.json", made_result(seconds=2, seed=2))
    keep("slow.json", made_result(seconds=2, seed=3, **SLOW))
    for options in ((), ("--fail-on", "worse")):
        code, _, err = report("diff", "a.json", "b.json", *options)
        assert (code, err) == (3, "trioecho report diff: a.json and b.json: cannot tell: too short a run\n")
    gate = ("--fail-on", "worse", "--tolerance", "p50:10%", "--tolerance", "rate:10%")
    assert report("diff", "a.json", "b.json", *gate)[0] == 0  # the tolerance decides alone
    code, out, err = report("diff", "a.json", "slow.json", *gate)
    assert code == 1
    assert "worse, over tolerance\n" in out
    assert "is worse than a.json: latency p50, ms: " in err


def test_a_number_that_is_gone_is_no_pass(report: Run) -> None:
    keep("a.json", made_result())
    keep("b.json", LoadResult(made_result().plan, elapsed_s=20.0))
    code, _, err = report("diff", "a.json", "b.json", "--fail-on", "worse", "--tolerance", "p99:10%")
    assert (code, err) == (3, "trioecho report diff: a.json and b.json: cannot tell: too short a run\n")
    code, _, err = report(
        "diff", "a.json", "b.json", "--fail-on", "worse", "--tolerance", "p99:10%", "--tolerance", "rate:10%"
    )
    assert code == 1
    assert "messages/s: 499 to 0, -100 %" in err


@pytest.mark.usefixtures("files")
def test_a_comparison_for_programs(report: Run) -> None:
    code, out, err = report("diff", "a.json", "slow.json", "--json", "-", "--tolerance", "p97.5:1%")
    assert code == 1
    assert "latency p50, ms" in err
    found = json.loads(out)
    assert (found["schema"], found["a"]["file"], found["b"]["file"]) == (
        "trioecho-diff/1",
        "a.json",
        "slow.json",
    )
    numbers = {number["metric"]: number for number in found["numbers"]}
    assert list(numbers) == ["rate", "mean", "p50", "p75", "p90", "p95", "p97.5", "p99", "p99.9", "p99.99"]
    assert (numbers["p50"]["verdict"], numbers["p50"]["direction"]) == ("outside noise", "worse")
    assert numbers["p97.5"]["tolerance"] == 0.01
    assert numbers["p99.99"]["reason"] == "too few replies"
    assert report("diff", "a.json", "slow.json", "--json", "diff.json")[1].endswith("wrote diff.json\n")
    assert json.loads(Path("diff.json").read_text()) | {"numbers": 0} == found | {"numbers": 0}


@pytest.mark.usefixtures("files")
def test_a_run_beside_itself_is_no_comparison(report: Run) -> None:
    shutil.copy("a.json", "copy.json")
    code, out, err = report("diff", "a.json", "copy.json", "--fail-on", "worse")
    assert "A and B are the same run: nothing was compared." in out
    assert (code, err) == (3, "trioecho report diff: a.json and copy.json: they are the same run\n")


@pytest.mark.parametrize("text", ["p99", "p99:10", "p101:1%", "p0:1%", "p99:-1%", "max:1%", ":1%"])
def test_what_is_no_tolerance(report: Run, text: str) -> None:
    code, _, err = report("diff", "a", "b", "--tolerance", text)
    assert code == 2
    assert f"{text!r} is not a tolerance; write rate:5%" in err


def test_a_file_without_end_is_not_read_to_its_end(report: Run) -> None:
    code, _, err = report("merge", "/dev/zero")
    assert (code, err) == (2, "trioecho report merge: cannot read /dev/zero: it has more than 64 MiB\n")


def test_a_comparison_as_a_page(report: Run) -> None:
    pytest.importorskip("matplotlib")
    keep("a.json", made_result(objectives=("p97.5<1ms",)))
    keep("<b>&.json", made_result(seed=2, **SLOW))
    code, out, _ = report("diff", "a.json", "<b>&.json", "--html", "diff.html")
    assert (code, out.splitlines()[-1]) == (1, "wrote diff.html")
    page = Path("diff.html").read_text()
    assert "B: &lt;b&gt;&amp;.json" in page
    assert page.count("<svg") == 6  # three plots, each for wide and for narrow windows
    assert page.count("worse, outside noise") == out.count("worse, outside noise") > 3
    assert "latency p97.5, ms" in page
    assert not re.search("<script|<img|<link|https?:", page)
    again = report("diff", "diff.html", "a.json")
    assert (again[0], again[2]) == (
        2,
        "trioecho report diff: diff.html: this is the page of a comparison, which holds no single result; "
        "give the JSON or the page of a run\n",
    )
