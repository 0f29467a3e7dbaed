"""The page's parts that speak of rules: the book, and the links into it."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.html import Markup, element, joined
from ..book.book import Rule, Section
from ..verdict import CaseResult, SuiteResult, Verdict
from .tested import Conformance, Tested, book_of

CLASS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WARN: "warn",
    Verdict.NOT_APPLICABLE: "skip",
    Verdict.INCONCLUSIVE: "open",
}
SIGNS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.WARN: "!",
    Verdict.NOT_APPLICABLE: "–",
    Verdict.INCONCLUSIVE: "?",
}
# A verdict is never shown by its colour alone.
WORDS = {verdict: f"{sign} {verdict.value}" for verdict, sign in SIGNS.items()}


def outcome_class(outcome: Conformance) -> str:
    """Return the class of the verdict on a server or client."""
    return {"conformant": "pass", "not conformant": "fail"}.get(outcome, "open")


def has_article(result: CaseResult) -> bool:
    """Return whether the page has more about the case than a line."""
    return result.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE)


def chip(result: CaseResult, prefix: str) -> Markup:
    """Write a case in a word, linked to its evidence if there is any, else to its rule."""
    about = f"{result.id} {result.rule.title}: {result.verdict.value}"
    return element(
        "a",
        f"{SIGNS[result.verdict]} {result.id}",
        href=f"#case-{prefix}{result.id}" if has_article(result) else f"#rule-{result.id}",
        class_=f"chip {CLASS[result.verdict]}",
        title=about,
        aria_label=about,
    )


def link_to_rule(rule: Rule, words: str) -> Markup:
    """Link these words to the rule's text."""
    return element("a", words, href=f"#rule-{rule.id}")


def rule_book(servers: Sequence[Tested]) -> Markup:
    """Write all rules, each with its results."""
    tested = [
        (server, "" if len(servers) == 1 else f"{number}-")
        for number, server in enumerate(servers, 1)
        if isinstance(server, SuiteResult)
    ]
    return element(
        "section",
        element("h2", "The rule book"),
        element(
            "p",
            "MUST and SHOULD are the words of RFC 2119. A broken MUST is a failure; a broken SHOULD a "
            "warning, which counts only with ",
            element("code", "--strict"),
            ".",
        ),
        [_section(section, tested) for section in book_of(servers).sections],
        id="book",
    )


def _section(section: Section, tested: Sequence[tuple[SuiteResult, str]]) -> Markup:
    return joined(
        element("h2", f"{section.id} {section.title}", id=f"section-{section.id}"),
        element("p", section.about),
        [_rule(rule, tested) for rule in section.rules],
    )


def _rule(rule: Rule, tested: Sequence[tuple[SuiteResult, str]]) -> Markup:
    chips = [
        element("li", chip(result, prefix))
        for server, prefix in tested
        for result in server.results
        if result.id == rule.id and has_article(result)
    ]
    return element(
        "article",
        element("h3", f"{rule.id} {rule.title} ", element("span", rule.level.value, class_="faint")),
        element("p", rule.requirement),
        element("p", "Why: ", rule.reason, class_="faint"),
        element(
            "p",
            f"Source: {rule.source}. Graded under {rule.heading.value}.",
            " Needs --spawn." if rule.needs_spawn else None,
            class_="source",
        ),
        element("ul", chips, class_="chips") if chips else None,
        class_="rule",
        id=f"rule-{rule.id}",
    )
