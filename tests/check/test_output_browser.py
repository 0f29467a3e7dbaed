"""The HTML report in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.browser import Browser, Scheme, open_browser
from tests.support.check_results import HOSTILE, good_suite, hostile_suite, mixed_suite
from trioecho.check.output import Tested, Untested, results_as_html, results_as_pages

PAGES: dict[str, Callable[[], list[Tested]]] = {
    "all good": lambda: [good_suite()],
    "hostile": lambda: [hostile_suite()],
    "several": lambda: [good_suite(), mixed_suite(), Untested("x" * 300, "not there"), Untested(HOSTILE, "")],
}

BACKGROUNDS: dict[Scheme, str] = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}

WINDOWS: tuple[tuple[int, Scheme], ...] = ((400, "light"), (1400, "dark"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_follows_the_scheme_and_loads_nothing(
    name: str, browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text(results_as_html(PAGES[name]()), encoding="utf-8")
    for scheme, background in BACKGROUNDS.items():
        for width_px in (390, 1280):
            look = browser.look_at(page, width_px=width_px, scheme=scheme)
            assert look.overflow_px <= 0
            assert look.background == background
            assert [url for url in look.requests if not url.startswith("data:")] == [page.as_uri()]
            assert look.complaints == ()


SORTED = """(() => {
    for (const column of COLUMNS) document.querySelectorAll(".overview button")[column].click();
    return [...document.querySelectorAll(".overview tbody th")].map((head) => head.textContent).join(" ");
})()"""


def test_the_index_fits_and_sorts_its_tables(browser: Browser, tmp_path: Path) -> None:
    names = ("bob", "ada", "c10", "c9")
    servers: list[Tested] = [
        replace(mixed_suite() if name == "ada" else good_suite(), target=name) for name in names
    ]
    servers += [Untested("x" * 300, "not there"), replace(hostile_suite(), target="hostile")]
    for name, text in results_as_pages(servers).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    page = tmp_path / "index.html"
    orders = []
    for clicked in ([0], [2], [2, 0, 0]):
        for width_px, scheme in WINDOWS:
            look = browser.look_at(
                page, width_px=width_px, scheme=scheme, ask=SORTED.replace("COLUMNS", str(clicked))
            )
            assert look.overflow_px <= 0
            assert look.background == BACKGROUNDS[scheme]
            assert [url for url in look.requests if not url.startswith("data:")] == [page.as_uri()]
            assert look.complaints == ()
            orders.append(look.answer.replace("x" * 300, "x"))
    assert orders[:2] == ["ada bob c9 c10 hostile x"] * 2
    assert orders[2:4] == ["bob c10 c9 ada hostile x"] * 2  # by points, and else as it was
    assert orders[4:] == ["x hostile c10 c9 bob ada"] * 2  # the other way
