"""scripts/bench: the arithmetic of its tables, by hand-made numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from scripts.benchmark.compare import AGAIN, Failure, Run
from scripts.benchmark.processes import Cpus
from scripts.benchmark.sitting import Sitting, UnreadableSittingError
from scripts.benchmark.table import (
    Spread,
    cpu_ratios,
    details,
    failures,
    limit,
    ratio,
    spread,
    summary,
    throughput_ratio,
)

ANYWHERE = Cpus(None, None, "anywhere")


def a_run(messages: int = 1000, *, server: float = 1.0, load: float = 0.5) -> Run:
    """One second with that many messages and these shares of the processors."""
    return Run(messages, elapsed_s=1.0, server_cpu_s=server, load_share=load)


def per_cpu_s(run: Run) -> float:
    return run.messages_per_cpu_s


# ---- arithmetic ----


def test_a_spread_is_median_and_extremes() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)
    assert spread([]) is None
    assert str(Spread(1.234, 0.5, 12.34)) == "1.23 (0.50-12.3)"
    assert str(Spread(1234.5, 100.0, 99.94)) == "1,234 (100-99.9)"


def test_a_run_counts_by_processor_time_and_by_time() -> None:
    run = Run(messages=3000, elapsed_s=2.0, server_cpu_s=1.5, load_share=0.4)
    assert run.messages_per_cpu_s == 2000
    assert run.messages_per_s == 1500
    assert run.server_share == 0.75


def test_each_repetition_is_compared_with_its_own_partner() -> None:
    ours = [a_run(100), a_run(400), a_run(900)]
    theirs = [a_run(100), a_run(200), a_run(300)]
    # Of the medians it would be 2.0 as well, but least and most would be 100/300 and 900/100.
    assert ratio(ours, theirs, per_cpu_s) == Spread(2.0, 1.0, 3.0)


def test_a_failed_run_takes_its_partner_out() -> None:
    failure = Failure("it burnt down")
    assert ratio([a_run(100), a_run(400)], [failure, a_run(200)], per_cpu_s) == Spread(2.0, 2.0, 2.0)
    assert ratio([failure], [a_run()], per_cpu_s) is None


def test_a_run_so_short_that_the_server_did_not_run_takes_its_partner_out() -> None:
    assert ratio([a_run(100), a_run(400)], [a_run(1, server=0.0), a_run(200)], per_cpu_s) == Spread(2, 2, 2)
    assert "| 0.00 (0.00-0.00) |" in " ".join(details({"ours": [a_run(1, server=0.0)]}).split())


@pytest.mark.parametrize(
    ("server", "load", "who"),
    [
        (1.0, 0.5, "server"),
        (0.95, 1.0, "server"),
        (0.6, 0.99, "generator"),
        (0.5, 0.5, "neither"),
    ],
)
def test_who_was_the_limit(server: float, load: float, who: str) -> None:
    # By medians: one run that was disturbed does not decide.
    disturbed = a_run(server=0.1, load=0.1)
    assert limit([a_run(server=server, load=load), disturbed, a_run(server=server, load=load)]) == who


def test_nobody_was_the_limit_of_no_run() -> None:
    assert limit([Failure("no")]) is None


def test_rates_are_compared_where_both_servers_were_at_their_limit() -> None:
    assert throughput_ratio([a_run(300)], [a_run(200)]) == Spread(1.5, 1.5, 1.5)


def test_no_ratio_of_rates_where_the_generator_was_the_limit() -> None:
    held_back = [a_run(300, server=0.5, load=1.0)]
    at_its_limit = [a_run(200)]
    for ours, theirs in ((held_back, at_its_limit), (at_its_limit, held_back), (held_back, held_back)):
        assert throughput_ratio(ours, theirs) == "generator"
        text = details({"ours": ours, "theirs": theirs})
        assert "(generator)" in text
        assert "1.50 (1.50-1.50)" not in text
    # What the servers' processor time was spent on is compared all the same.
    assert ratio(held_back, at_its_limit, per_cpu_s) == Spread(3.0, 3.0, 3.0)


def test_no_ratio_of_rates_where_the_two_waited_for_each_other() -> None:
    assert throughput_ratio([a_run(server=0.5)], [a_run()]) == "neither"


def test_no_ratio_of_rates_without_runs() -> None:
    assert throughput_ratio([Failure("no")], [a_run()]) is None


def test_the_summary_has_a_row_for_each_server_and_the_noise_last() -> None:
    runs: Mapping[str, Sequence[Run | Failure]] = {
        "trioecho": [a_run(200)],
        "trioecho compiled": [a_run(400)],
        f"trioecho{AGAIN}": [a_run(100)],
        "plain Trio": [a_run(50)],
        "gone": [Failure("it was not there")],
    }
    handler_runs = {
        "trioecho, async handler": [a_run(300)],
        "trioecho compiled, async handler": [a_run(600)],
        f"trioecho, async handler{AGAIN}": [a_run(300)],
        "plain Trio": [a_run(100)],
    }
    sitting = {"one": runs, "many": runs, "many-handler": handler_runs}
    builds = ["trioecho", "trioecho compiled"]
    titles, rows = cells(summary(cpu_ratios(sitting, "trioecho", builds)))
    assert titles == ["", "1 x 1, 64 B", "100 x 1, 64 B"]
    assert rows == [
        ["plain Trio", "4.00 (4.00-4.00)", "4.00 (4.00-4.00)"],
        ["trioecho compiled", "0.50 (0.50-0.50)", "0.50 (0.50-0.50)"],
        ["plain Trio, async handler", "-", "3.00 (3.00-3.00)"],
        ["trioecho compiled, async handler", "-", "0.50 (0.50-0.50)"],
        [f"trioecho{AGAIN}", "2.00 (2.00-2.00)", "2.00 (2.00-2.00)"],
        [f"trioecho, async handler{AGAIN}", "-", "1.00 (1.00-1.00)"],
    ]
    _, rows = cells(summary(cpu_ratios(sitting, "trioecho compiled", builds)))
    assert rows == [
        ["plain Trio", "8.00 (8.00-8.00)", "8.00 (8.00-8.00)"],
        ["trioecho", "2.00 (2.00-2.00)", "2.00 (2.00-2.00)"],
        ["plain Trio, async handler", "-", "6.00 (6.00-6.00)"],
        ["trioecho, async handler", "-", "2.00 (2.00-2.00)"],
    ]
    assert failures(runs) == ["gone: 1 of 1 runs failed: it was not there"]


def cells(table: str) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of a table."""
    heading, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return heading, rows


def test_instructions_have_a_column_where_they_were_counted() -> None:
    counted = Run(1000, 1.0, 1.0, 0.5, p99_us=70.0, instructions=12_345.6, kernel_share=0.4)
    heading, rows = cells(details({"ours": [counted], "theirs": [a_run()]}))
    assert heading[-1] == "instructions per message"
    assert [row[-1] for row in rows] == ["12,346 (12,346-12,346)", "-"]
    assert rows[0][3] == "70.0 (70.0-70.0)"
    assert [row[heading.index("in kernel")] for row in rows] == ["40%", "-"]
    assert "instructions" not in details({"ours": [a_run()]})


def test_a_sitting_is_the_same_after_json() -> None:
    sitting = Sitting.begin(ANYWHERE, ["trioecho"], "a load")
    sitting.runs["one"] = {"trioecho": [a_run(), Failure("no")]}
    assert Sitting.from_json(sitting.to_json()) == sitting


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "trioecho-bench/1"}'])
def test_a_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSittingError):
        Sitting.from_json(text)
