"""A load's result as a page: what it says, that it needs nothing else, and how a browser shows it."""

from __future__ import annotations

import contextlib
import functools
import html.parser
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import CHROMIUM_NAMES, open_browser
from tests.support.guard import GUARD_S
from tests.support.load_results import made_result, troubled_result
from tests.support.programs import needs_program
from trioecho.load import LoadPlan, LoadResult, UnreadableResultError, result_as_json, result_from_json
from trioecho.load.report.drawing import draw
from trioecho.load.report.json_in_page import find_json
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.plot import Plot, PlotLine
from trioecho.load.report.words import SATURATED

matplotlib_image = pytest.importorskip("matplotlib.image", reason="the plots need matplotlib")


class Page(html.parser.HTMLParser):
    """What a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta",):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if "td" in self.open or ("tbody" in self.open and "th" in self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def troubled_html() -> str:
    return result_as_html(troubled_result())


def test_the_page_says_what_a_think_time_does_to_the_rate() -> None:
    result = made_result(rate=100, latency_ms=lambda chance: 1.25)
    result.plan = LoadPlan("127.0.0.1", 26066, think_s=0.03)
    page = Page(result_as_html(result))
    assert "closed loop, 1 in flight on each, 30 ms think time after each reply" in page.text
    assert "5 / (30 ms think time + 1.250 ms round trip) = 160 messages/s" in page.text


def test_the_page_says_all_of_it(troubled_html: str) -> None:
    result = troubled_result()
    page = Page(troubled_html)
    assert not page.open
    assert page.text.index(SATURATED) < page.text.index("messages came back right")
    p99_ms = f"{(result.latency_ns.percentile(99) or 0) / 1e6:.3f} ms"
    measured = f"{p99_ms}; beside 2 outages of 2.750 s in all, not over at the end"
    assert ["p99<5ms", "broken", measured] in page.rows
    assert ["errors==0", "broken", "6"] in page.rows
    assert ["2,000", "double", "saturated", "generator saturated"] in page.rows
    for said in (
        "5 connections for 20 s",
        "The run was stopped before its end.",
        "3 connections could not be opened",
        "wrong 2 a reply came that is not the one that its message should have",
        "connection 3, message 17: from byte 5 expected 0101",
        "trioecho load 127.0.0.1:26066",
        "here: Linux 6.1 x86_64, 2 CPUs, CPython 3.11.7, trioecho 0.1.0",
        "2024-05-06 17:08:09 UTC",
    ):
        assert said in page.text
    assert [tag for tag, _ in page.tags].count(
        "svg"
    ) == 6  # three plots, each for wide and for narrow windows


def test_both_timings_are_in_the_table() -> None:
    result = made_result()
    page = Page(result_as_html(result))
    due, sent = (f"{(of.percentile(90) or 0) / 1e6:.3f}" for of in (result.latency_ns, result.from_send_ns))
    assert ["p90", due, sent, "999"] in page.rows
    assert "From due is what users wait" in page.text
    assert SATURATED not in page.text
    assert "Search" not in page.text


def test_the_page_needs_nothing_else(troubled_html: str) -> None:
    page = Page(troubled_html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert (value or "#")[0] == "#"
                assert (value or "#")[1:] in ids
    assert not re.search(r"https?:|@import|url\((?!#)", troubled_html)
    for used in re.findall(r"url\(#(\w+)\)", troubled_html):
        assert used in ids
    assert not re.search(r"#a000\d\d", troubled_html)  # a stand-in colour that the page's did not replace


def test_text_from_outside_stays_text(troubled_html: str) -> None:
    assert "<script>" not in troubled_html
    assert "<script>alert(1)</script>" in Page(troubled_html).text


def test_the_same_result_gives_the_same_page(troubled_html: str) -> None:
    assert result_as_html(troubled_result()) == troubled_html


@pytest.mark.parametrize("messages", [0, 1])
def test_a_run_of_next_to_nothing_has_a_page(messages: int) -> None:
    result = LoadResult(LoadPlan("127.0.0.1", 26066))
    for _ in range(messages):
        result.latency_ns.record(1000)
    page = Page(result_as_html(result))
    assert "None: every reply was compared" in page.text
    assert ("svg" in {tag for tag, _ in page.tags}) == bool(messages)


def test_a_person_s_own_style_changes_nothing(tmp_path: Path) -> None:
    plot = Plot("p", "a plot", "x", "y", [PlotLine("", [(0.0, 1.0), (1.0, None), (2.0, 3.0)])])
    (tmp_path / "matplotlibrc").write_text("axes.labelpad: 20\nxtick.major.pad: 20\n")
    program = (
        "from trioecho.load.report.drawing import *\nfrom trioecho.load.report.plot import *\n"
        "print(draw(Plot('p', 'a plot', 'x', 'y', [PlotLine('', [(0.0, 1.0), (1.0, None), (2.0, 3.0)])])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"MATPLOTLIBRC": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == draw(plot)


# ---- in a browser ----

# The page in two frames, as wide as a phone and a desktop window; what the browser made of them as JSON.
FRAMES = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body style="margin:0">
<iframe width="390" height="800" src="load.html"></iframe>
<iframe width="1280" height="800" src="load.html"></iframe>
<pre></pre><script>
onload = () => { document.querySelector("pre").textContent = JSON.stringify(Array.from(frames).map(frame => {
  const page = frame.document, style = name => frame.getComputedStyle(page.querySelector(name));
  return {
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    paper: style("body").backgroundColor, ink: style("body").color, alarm: style(".alarm").backgroundColor,
    line: style("svg path[style*='--line-1']").stroke,
    plots: [...page.querySelectorAll("svg")].map(e => e.getBoundingClientRect().width).filter(width => width),
    letters: Math.min(...[...page.querySelectorAll("svg")].map(e => 8 * e.getBoundingClientRect().width /
      e.viewBox.baseVal.width).filter(height => height)),
    loaded: frame.performance.getEntriesByType("resource").map(entry => entry.name),
  };
})); };
</script>
"""


@dataclass
class Shown:
    """What a browser made of the page: at 390 and at 1280 pixels."""

    phone: dict[str, Any]
    desktop: dict[str, Any]
    log: str
    requests: list[str]
    brightness: float


@contextlib.contextmanager
def web_server(directory: Path) -> Iterator[tuple[int, list[str]]]:
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(directory))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shown_by_chromium(page: str, directory: Path, *, is_dark: bool) -> Shown:
    browser = needs_program(*CHROMIUM_NAMES)
    (directory / "load.html").write_text(page, "utf-8")
    (directory / "frames.html").write_text(FRAMES, "utf-8")
    picture = directory / "picture.png"
    with web_server(directory) as (port, requests):
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",  # or it would not run as root; the page is ours
                "--disable-gpu",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                f"--user-data-dir={directory / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
                "--window-size=1280,1600",
                f"--screenshot={picture}",
                "--dump-dom",
                f"http://127.0.0.1:{port}/frames.html",
            ],
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )
    found = re.search(r"<pre>(\[.*\])</pre>", done.stdout)
    assert found, done.stderr
    phone, desktop = json.loads(html.unescape(found[1]))
    brightness = float(matplotlib_image.imread(picture)[:, :390, :3].mean())
    return Shown(phone, desktop, done.stderr, requests, brightness)


def test_a_browser_shows_it_well_on_phone_and_desktop_light_and_dark(
    tmp_path_factory: pytest.TempPathFactory, troubled_html: str
) -> None:
    light, dark = (
        shown_by_chromium(troubled_html, tmp_path_factory.mktemp("page"), is_dark=is_dark)
        for is_dark in (False, True)
    )
    for shown in (light, dark):
        assert "CONSOLE" not in shown.log  # no error, no warning
        assert sorted(set(shown.requests)) == ["/frames.html", "/load.html"]
        for frame, width in ((shown.phone, 390), (shown.desktop, 1280)):
            assert frame["overflow"] == 0
            assert frame["loaded"] == []
            assert len(frame["plots"]) == 3
            assert all(0.7 * min(width, 992) < plot <= width for plot in frame["plots"])
            assert frame["letters"] >= 10  # pixels: they can be read
    for name in ("paper", "ink", "alarm", "line"):
        assert light.phone[name] == light.desktop[name] != dark.phone[name] == dark.desktop[name]
    assert dark.brightness < 0.4 < 0.6 < light.brightness


_COLUMN = "[...document.querySelectorAll('figure')].at(-1).querySelectorAll('.wide .values rect')[3]"
_SHOWN = """[...document.querySelectorAll('.values text')]
    .filter(text => getComputedStyle(text).visibility == 'visible')
    .map(text => [...text.children].map(line => line.textContent).join('; ')).join(' | ')"""


def test_values_are_shown_where_a_person_points(tmp_path: Path, troubled_html: str) -> None:
    page = tmp_path / "load.html"
    page.write_text(troubled_html, "utf-8")
    replies = troubled_result().intervals[3].messages
    with open_browser(tmp_path / "profile") as browser:
        for point_at, shown in (("", ""), (_COLUMN, rf"3 to 4 s; p50 [^|]*; max [^|]*; {replies:,} replies")):
            look = browser.look_at(page, width_px=1280, scheme="light", ask=_SHOWN, point_at=point_at)
            assert re.fullmatch(shown, look.answer)
            assert look.complaints == ()


def test_the_page_holds_the_result_which_is_found_again(troubled_html: str) -> None:
    result = troubled_result()
    assert find_json(troubled_html) == result_as_json(result, indent=None)
    assert result_as_json(result_from_json(find_json(troubled_html))) == result_as_json(result)
    with pytest.raises(UnreadableResultError, match="this page holds no result"):
        find_json("<!DOCTYPE html><p>another page</p>")
    assert find_json('{"a": 1}') == '{"a": 1}'
