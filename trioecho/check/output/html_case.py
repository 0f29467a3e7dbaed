"""The page's part that proves a verdict: what was expected, what was seen, and the bytes."""

from __future__ import annotations

from ...base.html import Markup, element, joined
from ..verdict import CaseResult, Event
from .html_book import CLASS, WORDS, link_to_rule
from .plain import counted, event_heading, events_with_gap, hex_rows, left_out, sentence

_GROUP_BYTES = 8  # short enough for a telephone; a wide screen shows two beside each other


def case_article(result: CaseResult, prefix: str, *, is_open: bool) -> Markup:
    """Write all that is known of a case; ``is_open`` for one whose bytes are seen at once."""
    rule = result.rule
    return element(
        "article",
        element(
            "header",
            element("h3", f"{result.id} ", rule.title),
            element("span", WORDS[result.verdict]),
            element("span", rule.level.value, class_="level"),
            class_=CLASS[result.verdict],
        ),
        element(
            "div",
            element("p", result.summary, class_="said") if result.summary != result.actual else None,
            _sides(result),
            _cause(result),
            _reproduce(result),
            element("h4", link_to_rule(rule, f"Rule {rule.id}")),
            element("p", rule.requirement),
            [element("p", sentence(note), class_="said faint note") for note in result.notes],
            _transcript(result, is_open=is_open),
        ),
        class_="case",
        id=f"case-{prefix}{result.id}",
    )


def _sides(result: CaseResult) -> Markup | None:
    if not result.expected and not result.actual:
        return None
    return element(
        "div",
        [
            element("div", element("h4", name), element("p", words))
            for name, words in (("Expected", result.expected), ("Actual", result.actual))
        ],
        class_="sides",
    )


def _cause(result: CaseResult) -> Markup | None:
    cause = result.cause
    if cause is None:
        return None
    return joined(
        element("h4", "Likely cause"),
        element("div", element("p", cause.words), element("p", cause.advice), class_="cause"),
    )


def _reproduce(result: CaseResult) -> Markup | None:
    if not result.reproduce:
        return None
    return joined(element("h4", "Reproduce"), element("pre", result.reproduce))


def _transcript(result: CaseResult, *, is_open: bool) -> Markup | None:
    if not result.transcript:
        return None
    count = len(result.transcript) + result.events_left_out
    return element(
        "details",
        element("summary", f"Transcript: {counted(count, 'event')}"),
        element("div", map(_event, events_with_gap(result)), class_="transcript", tabindex="0"),
        open=is_open,
    )


def _event(event: Event) -> Markup:
    groups = [
        element("span", element("i", offset), f"  {digits:<{_GROUP_BYTES * 3 - 1}}  ", element("i", text))
        for offset, digits, text in hex_rows(event.data, _GROUP_BYTES)
    ]
    note = left_out(event)
    return element(
        "div",
        element("b", event_heading(event).lstrip()),
        element("div", groups, class_="hex") if groups else None,
        element("div", note, class_="faint") if note else None,
        class_=f"event {event.kind}",
    )
