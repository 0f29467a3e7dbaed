"""The pages of many servers: an index that leads to a page for each."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from urllib.parse import unquote

import pytest

from tests.check.test_output_html import Page
from tests.support.check_results import HOSTILE, good_suite, hostile_suite, mixed_suite, result_of, suite
from trioecho.check.book.book import RULES, Heading
from trioecho.check.output import Tested, Untested, results_as_pages
from trioecho.check.verdict import Verdict

SERVERS: list[Tested] = [
    replace(good_suite(), target="ada"),
    replace(mixed_suite(), target="alan"),
    Untested("bob", "the server ended with exit code 1 before it listened"),
    replace(mixed_suite(), target="Alan"),
    hostile_suite(),
    Untested(HOSTILE, HOSTILE),
    replace(suite((result_of("2.5"),)), target="two/words and %"),
]


def pages() -> dict[str, Page]:
    return {name: Page(text) for name, text in results_as_pages(SERVERS).items()}


def test_every_server_has_a_page_and_the_index_comes_last() -> None:
    names = list(results_as_pages(SERVERS))
    assert names[:4] == ["ada.html", "alan.html", "bob.html", "Alan-2.html"]
    assert names[-1] == "index.html"
    assert len(names) == len(SERVERS) + 1


def test_links_lead_to_pages_and_places_that_there_are() -> None:
    made = pages()
    index = made["index.html"]
    links = [str(attributes["href"]) for tag, attributes in index.tags if tag == "a"]
    for link in links:
        name, _, place = link.partition("#")
        assert unquote(name) in made
        assert not place or place in made[unquote(name)].all_of("id")
    assert {unquote(link.partition("#")[0]) for link in links} == set(made) - {"index.html"}
    for name, page in made.items():
        others = [href for href in page.all_of("href") if not href.startswith(("#", "data:"))]
        assert name == "index.html" or others == ["index.html"]


def test_every_case_with_evidence_is_linked_from_the_matrix() -> None:
    links = pages()["index.html"].all_of("href")
    assert {link for link in links if link.startswith("alan.html#")} == {
        f"alan.html#case-{case_id}" for case_id in ("1.1", "2.5", "2.6", "3.8", "7.1")
    }
    assert not [link for link in links if link.startswith("ada.html#")]


def test_the_index_has_verdicts_points_causes_and_all_rules() -> None:
    text = re.sub(r"<[^>]+>", " ", results_as_pages(SERVERS)["index.html"].split("</style>")[1])
    words = " ".join(text.split())
    assert "Conformance of 7 servers" in words
    assert "2 conformant, 3 not conformant, 2 not tested." in words
    assert "ada conformant 75 25 25 25 45 passed, 8 not applicable" in words
    assert "alan not conformant 48.5 23.5 12.5 12.5 Replies stop after the first frame" in words
    assert "bob not tested – – – – the server ended with exit code 1 before it listened" in words
    assert "3 servers: alan , Alan , " in words
    assert all(f" {rule_id} " in words for rule_id in RULES)


def test_points_are_those_that_are_asked_for() -> None:
    points = dict(zip(Heading, (40, 30, 20, 10), strict=True))
    text = re.sub(r"<[^>]+>", " ", results_as_pages(SERVERS, points)["index.html"])
    assert "Points of 90" in " ".join(text.split())


def test_only_the_script_of_the_index_can_run() -> None:
    for name, text in results_as_pages(SERVERS).items():
        page = Page(text)
        scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        [policy] = [content for content in page.all_of("content") if "default-src" in content]
        assert {tag for tag, _ in page.tags}.isdisjoint({"img", "iframe", "object", "embed", "base"})
        assert not [key for _, each in page.tags for key in each if key.startswith("on") or key == "src"]
        if name == "index.html":
            digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
            assert len(scripts) == 1
            assert f"script-src 'sha256-{digest}'" in policy
        else:
            assert (scripts, "script-src" in policy) == ([], False)


def test_hostile_names_are_shown_as_what_they_are() -> None:
    text = results_as_pages(SERVERS)["index.html"]
    text.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ufffe\uffff]", text)
    assert "<script>alert" not in text


@pytest.mark.parametrize("strict", [False, True])
def test_broken_shoulds_count_if_that_is_asked_for(strict: bool) -> None:
    warned = [replace(suite((result_of("3.8", Verdict.WARN),)), target=name) for name in ("a", "b")]
    assert ("2 not conformant" in results_as_pages(warned, strict=strict)["index.html"]) is strict
