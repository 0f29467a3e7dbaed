"""Draw README's pictures from a result: draw.py RESULT.json NAME writes NAME-percentiles.svg and so on.

They have the page's colours, and follow the reader's choice of light or dark.
"""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

from trioecho.load import LoadResult
from trioecho.report.load_plots import latency_plot, percentile_plot, throughput_plot
from trioecho.report.plots import draw_file

PLACE = Path(__file__).parent


def main(file: str, name: str) -> None:
    result = LoadResult.from_json(Path(file).read_text("utf-8"))
    page = resources.files("trioecho.report").joinpath("load_page.html").read_text("utf-8")
    colours = re.search(r":root.*?(?=^\*)", page, re.DOTALL | re.MULTILINE)
    assert colours  # noqa: S101 - the page is ours
    style = " ".join(colours[0].split())
    for plot in (percentile_plot(result), throughput_plot(result), latency_plot(result)):
        if plot is not None:
            (PLACE / f"{name}-{plot.name}.svg").write_text(draw_file(plot, style), "utf-8")


main(*sys.argv[1:])
