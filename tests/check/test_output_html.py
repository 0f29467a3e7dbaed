"""The HTML report of `trioecho check`: complete, well formed, and harmless."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from tests.support.check_results import FAILED, good_suite, hostile_suite, mixed_suite, result_of, suite
from trioecho.base.html import element
from trioecho.check.book.book import RULES
from trioecho.check.output import Tested, Untested, results_as_html
from trioecho.check.verdict import Verdict

VOID = {"br", "link", "meta"}


class Page(HTMLParser):
    """A page taken apart; its elements must nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}  # of every element that has an id
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data

    def all_of(self, attribute: str) -> list[str]:
        return [str(attributes[attribute]) for _, attributes in self.tags if attribute in attributes]


def page_of(*servers: Tested, strict: bool = False) -> Page:
    return Page(results_as_html(servers, strict=strict))


PAGES: dict[str, list[Tested]] = {
    "good": [good_suite()],
    "mixed": [mixed_suite()],
    "hostile": [hostile_suite()],
    "several": [good_suite(), mixed_suite(), hostile_suite(), Untested("a", "b")],
    "one case": [suite((result_of("2.5"),))],
    "untested": [Untested("python a.py", "it ended before it listened")],
}


@pytest.mark.parametrize("name", PAGES)
def test_links_stay_inside_and_lead_somewhere(name: str) -> None:
    page = page_of(*PAGES[name])
    ids = page.all_of("id")
    assert not [name for name, count in Counter(ids).items() if count > 1]
    hrefs = [
        str(attributes["href"]) for tag, attributes in page.tags if "href" in attributes and tag != "link"
    ]
    assert all(href.startswith("#") for href in hrefs)
    assert {href[1:] for href in hrefs} <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_no_script_and_loads_nothing(name: str) -> None:
    page = page_of(*PAGES[name])
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "embed", "base"})
    for _, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "style", "action")]
    assert [attributes["href"] for tag, attributes in page.tags if tag == "link"] == ["data:,"]
    assert not re.search(r"url\(|@import", results_as_html(PAGES[name]).split("</style>")[0])


@pytest.mark.parametrize("name", PAGES)
def test_the_whole_book_is_in_it(name: str) -> None:
    page = page_of(*PAGES[name])
    for rule in RULES.values():
        text = page.texts[f"rule-{rule.id}"]
        for part in (rule.title, rule.level.value, rule.requirement, rule.reason, rule.source):
            assert part in text


@pytest.mark.parametrize("case_id", FAILED)
def test_a_failure_is_proved_and_leads_to_its_rule(case_id: str) -> None:
    page = page_of(mixed_suite())
    text = page.texts[f"case-{case_id}"]
    result = next(result for result in mixed_suite().results if result.id == case_id)
    assert result.cause is not None
    for evidence in (
        *(result.expected, result.actual, result.cause.words, result.cause.advice, result.reproduce),
        *result.notes,
        "#1 sent 18 bytes",
        "0008  6f 00 00 00 05 61 67 61",
        "o....aga",
        "... and 69,936 more bytes",
        "12 events left out before this",
    ):
        assert evidence in text
    assert f"#rule-{case_id}" in page.all_of("href")


def test_what_is_no_pass_has_its_evidence_and_a_pass_only_its_line() -> None:
    page = page_of(mixed_suite())
    cases = {name.removeprefix("case-") for name in page.all_of("id") if name.startswith("case-")}
    assert cases == {*FAILED, "3.8", "7.1"}


def test_the_outcome_stands_at_the_head() -> None:
    assert (
        "Not conformant3 failed, 1 warned, 1 inconclusive, 40 passed"
        in page_of(mixed_suite()).texts["server-1"]
    )
    assert "Conformant45 passed" in page_of(good_suite()).texts["server-1"]
    warned = suite((result_of("3.8", Verdict.WARN),))
    assert "Conformant1 warned" in page_of(warned).texts["server-1"]
    assert "Not conformant1 warned" in page_of(warned, strict=True).texts["server-1"]
    untested = page_of(Untested("python a.py", "it ended before it listened"))
    assert "Not testedit ended before it listened" in untested.texts["server-1"]


def test_hostile_bytes_are_shown_as_what_they_are() -> None:
    text = results_as_html([hostile_suite()])
    text.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ufffe\uffff]", text)
    shown = page_of(hostile_suite()).texts["case-2.5"]
    assert (
        r"""]]><script>alert(1)</script>&amp;"'\x00\x08\x1b[2J\x7f\x85\u2028\u202e\ufffe\uffff\x80\ud800"""
        in shown
    )


def test_attributes_are_escaped_as_text_is() -> None:
    made = element(
        "a", '"<b>"', title='"\x00><b>', open=True, hidden=False, lang=None, class_="x", aria_label="y"
    )
    assert made == (
        '<a title="&quot;\\x00&gt;&lt;b&gt;" open class="x" aria-label="y">&quot;&lt;b&gt;&quot;</a>'
    )
