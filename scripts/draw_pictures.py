"""Draw the guide's pictures from results of trioecho load.

``draw_pictures.py NAME RESULT.json`` writes NAME-percentiles.svg and so on. With ``--beside OTHER.json`` the
percentiles are those of both, the one an open loop and the other a closed one.

They have the page's colours, and follow the reader's choice of light or dark.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

from trioecho.load import LoadResult, result_from_json
from trioecho.load.report.drawing import draw_file
from trioecho.load.report.load_plots import latency_plot, percentile_plot, throughput_plot
from trioecho.load.report.plot import Plot, PlotLine

PLACE = Path(__file__).parents[1] / "trioecho" / "guide" / "pictures"


def both_loops(*results: LoadResult) -> Plot:
    """Return the percentiles of an open and a closed loop, each as its users would have it."""
    first = percentile_plot(results[0])
    lines = [
        PlotLine(
            "open loop" if result.plan.is_open else "closed loop", percentile_plot(result).lines[0].points
        )
        for result in results
    ]
    return replace(first, lines=lines)


def main(name: str, result: LoadResult, other: LoadResult | None) -> None:
    css = resources.files("trioecho.load.report").joinpath("load_page.css").read_text("utf-8")
    colours = re.search(r":root.*?(?=^\*)", css, re.DOTALL | re.MULTILINE)
    assert colours  # noqa: S101 - the page is ours
    style = " ".join(colours[0].split())
    percentiles = percentile_plot(result) if other is None else both_loops(result, other)
    for plot in (percentiles, throughput_plot(result), latency_plot(result)):
        if plot is not None:
            (PLACE / f"{name}-{plot.name}.svg").write_text(draw_file(plot, style), "utf-8")


def _read(file: str) -> LoadResult:
    return result_from_json(Path(file).read_text("utf-8"))


_parser = argparse.ArgumentParser(description="Draw the guide's pictures from results of trioecho load.")
_parser.add_argument("name")
_parser.add_argument("result", type=_read)
_parser.add_argument("--beside", type=_read, metavar="OTHER")
_arguments = _parser.parse_args()
main(_arguments.name, _arguments.result, _arguments.beside)
