"""What the plots of a load show: as numbers, before anything is drawn."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from tests.support.load_results import made_result, troubled_result
from trioecho.load import LoadInterval, LoadResult, Ramp
from trioecho.load.goals.find_max import Search, Trial, TrialOutcome
from trioecho.load.report.comparison_plots import percentiles_of_both, throughput_of_both
from trioecho.load.report.drawing import draw
from trioecho.load.report.load_plots import latency_plot, percentile_plot, rate_plot, throughput_plot
from trioecho.load.report.plot import Plot, PlotLine, PlotNote

OBJECTIVES = ("p99<5ms", "max<50ms", "rate>100", "errors==0")


def drawn(plot: Plot | None) -> Plot:
    assert plot is not None
    return plot


def peak(chance: random.Random) -> float:
    return 90.0 if chance.random() < 0.01 else 0.3


def test_the_heat_map_has_every_reply_once_in_its_row() -> None:
    for result in (made_result(), made_result(latency_ms=peak), troubled_result()):
        plot = drawn(latency_plot(result))
        assert [sum(count for _, count in column.counts) for column in plot.heat] == [
            step.latency_ns.count for step in result.intervals
        ]
        for column, step in zip(plot.heat, result.intervals, strict=True):
            heights = [column.lowest, *(height for height, _ in column.counts)]
            assert heights == sorted(heights)
            highest = max(height for height, count in column.counts if count)
            row = highest - max(height for height in heights if height < highest)
            assert highest - row <= step.latency_ns.max / 1e6 <= highest * 1.02


def test_a_long_run_has_columns_that_can_be_pointed_at() -> None:
    result = made_result(seconds=290, rate=20)
    plot = drawn(latency_plot(result))
    assert len(plot.heat) == len(plot.notes) == 97
    assert plot.notes[0].lines[0] == "0 to 3 s"
    assert plot.notes[-1].end == 290
    replies = sum(int(note.lines[-1].split()[0].replace(",", "")) for note in plot.notes)
    assert replies == result.messages


def test_what_was_sent_and_came_back_is_one_line_where_it_coincides() -> None:
    result = made_result()
    assert [line.name for line in drawn(throughput_plot(result)).lines] == ["sent, and right replies"]
    result.intervals[7].messages -= 100
    assert [line.name for line in drawn(throughput_plot(result)).lines] == ["right replies", "sent"]


def test_objectives_are_lines() -> None:
    result = made_result(objectives=OBJECTIVES)
    assert drawn(latency_plot(result)).limits == [(5.0, "p99<5ms"), (50.0, "max<50ms")]
    assert drawn(throughput_plot(result)).limits == [(100.0, "rate>100")]
    assert [y for y, _ in percentile_plot(result).limits] == [5.0]
    for plot in (percentile_plot(result), latency_plot(result), throughput_plot(result)):
        assert re.search(r"stroke-dasharray: [^;]+;[^\"]*stroke: var\(--mark\)", draw(drawn(plot)))


def test_latency_by_the_rate_of_a_ramp() -> None:
    result = made_result(seconds=20)
    result.plan = replace(result.plan, rate=None, ramp=Ramp(0, 500, 20.0))
    assert rate_plot(made_result()) is None
    for number, step in enumerate(result.intervals):
        step.sent = 25 * number
    plot = drawn(rate_plot(result))
    assert [line.name for line in plot.lines] == ["p50", "p99", "max"]
    assert [x for x, _ in plot.lines[0].points] == [25.0 * number for number in range(1, 20)]
    slowest = result.intervals[-1].latency_ns
    assert plot.lines[2].points[-1] == (475.0, slowest.max / 1e6)
    assert plot.notes[-1].lines[0] == "475 messages/s"


def test_latency_by_the_rate_of_a_search() -> None:
    result = made_result()
    result.search = Search(
        [
            Trial("double", 1000.0, TrialOutcome(True, p50_ms=1.0, p99_ms=2.0, max_ms=3.0)),
            Trial("double", 2000.0, TrialOutcome(False, reason="no server")),  # it has no latency
            Trial("double", 4000.0, TrialOutcome(False, p50_ms=1.0, p99_ms=9.0, max_ms=9.0)),
        ]
    )
    assert drawn(rate_plot(result)).lines[1] == PlotLine("p99", [(1000.0, 2.0), (4000.0, 9.0)])
    result.search.trials = result.search.trials[:2]
    assert rate_plot(result) is None


def test_nothing_to_draw() -> None:
    empty = LoadResult(made_result().plan)
    assert (latency_plot(empty), throughput_plot(empty), rate_plot(empty)) == (None, None, None)
    assert (percentiles_of_both((empty, made_result())), throughput_of_both((empty, empty))) == (None, None)
    empty.intervals = [LoadInterval(0.0, 1.0), LoadInterval(1.0, 1.0)]
    empty.elapsed_s = 2.0
    assert "<svg" in draw(drawn(latency_plot(empty)))


@pytest.mark.parametrize("nines", [False, True])
def test_a_note_stands_over_its_part_of_the_axis_and_its_text_elsewhere(nines: bool) -> None:
    notes = [PlotNote(0, 1, ("left", "<b>")), PlotNote(1, 4, ("right",))]
    plot = Plot("p", "a plot", "x", "y", [PlotLine("", [(0, 1), (4, 2)])], nines=nines, notes=notes)
    wide, narrow = re.findall(r'<g class="values">(.*?)</g></svg>', draw(plot))
    assert "&lt;b&gt;" in wide
    for svg in (wide, narrow):
        (x0, width0), (x1, width1) = (
            map(float, found) for found in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
        )
        assert x0 + width0 == pytest.approx(x1, abs=0.11)
        assert width1 == pytest.approx(3 * width0, abs=0.3)
        end, start = (float(x) for x in re.findall(r'<tspan x="([\d.]+)"', svg)[::2])
        assert '<text text-anchor="end">' in svg
        assert end > x1 + 0.9 * width1
        assert start > x1 or start < x0 + width0
