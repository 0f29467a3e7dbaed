"""The matrix of an index: every server and every rule."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.html import Markup, element, joined
from ..book.book import Book, Rule
from ..verdict import CaseResult, Verdict
from .html_book import CLASS, SIGNS, WORDS, has_article
from .html_index_parts import Row, scrolled_table, sorting_head
from .tested import Untested, book_of


def matrix(rows: Sequence[Row]) -> Markup | None:
    """Make the table of all servers and all rules; nothing if no case was run."""
    rules = {result.id: result.rule for row in rows for result in row.results}
    if not rules:
        return None
    book = book_of([row.server for row in rows])
    first_of_section = {rule.section: number for number, rule in reversed(list(rules.items()))}
    firsts = set(first_of_section.values())
    return joined(
        element("h2", "Every rule"),
        scrolled_table(
            "matrix sortable",
            element(
                "thead",
                element(
                    "tr",
                    sorting_head(0, book.noun.capitalize(), "ascending", "name"),
                    [_head_of(rule, book, firsts) for rule in rules.values()],
                ),
            ),
            element("tbody", [_matrix_row(row, list(rules), firsts) for row in rows]),
            element("tfoot", _sums(rows, list(rules), firsts)),
        ),
        element(
            "div",
            [element("span", WORDS[verdict], class_=f"chip {CLASS[verdict]}") for verdict in Verdict],
            class_="legend",
        ),
    )


def _head_of(rule: Rule, book: Book, firsts: set[str]) -> Markup:
    section = book.section(rule.section_id)
    about = f"{rule.id} {rule.title} ({rule.level.value}); {section.title if section else ''}"
    return element(
        "th",
        element("div", rule.id, class_="rule-name"),
        scope="col",
        title=about,
        class_="first" if rule.id in firsts else None,
    )


def _matrix_row(row: Row, rules: Sequence[str], firsts: set[str]) -> Markup:
    if isinstance(row.server, Untested):  # why, stands in the other table
        return element(
            "tr", row.head(), element("td", "not tested", colspan=str(len(rules)), class_="untested open")
        )
    by_id = {result.id: result for result in row.results}
    return element("tr", row.head(), [_cell(row, by_id.get(each), each in firsts) for each in rules])


def _cell(row: Row, result: CaseResult | None, is_first: bool) -> Markup:
    border = "first" if is_first else ""
    if result is None:
        return element("td", class_=border or None)
    sign = SIGNS[result.verdict]
    about = f"{row.server.target}: {result.id} {result.rule.title}: {result.verdict.value}"
    return element(
        "td",
        element("a", sign, href=f"{row.page}#case-{result.id}", title=about, aria_label=about)
        if has_article(result)
        else sign,
        class_=f"{CLASS[result.verdict]} {border}".strip(),
    )


def _sums(rows: Sequence[Row], rules: Sequence[str], firsts: set[str]) -> Markup:
    broken = dict.fromkeys(rules, 0)
    for row in rows:
        for result in row.results:
            broken[result.id] += result.verdict in (Verdict.FAIL, Verdict.WARN)
    return element(
        "tr",
        element("th", "Broken by", scope="row"),
        [element("td", str(broken[r] or ""), class_="first" if r in firsts else None) for r in rules],
    )
