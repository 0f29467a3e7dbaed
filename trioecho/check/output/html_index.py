"""Many servers on one page: a table of verdicts and points, a matrix of rules, a page for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from ...base.html import Markup, document, element, joined
from ..book.book import SECTIONS, Heading, Rule
from ..verdict import CaseResult, Cause, SuiteResult, Verdict
from .as_html import in_brief, results_as_html
from .html_book import CLASS, SIGNS, WORDS, has_article, outcome_class
from .html_index_style import INDEX_STYLE, POLICY, SCRIPT
from .page_names import INDEX, page_names
from .plain import counted, with_full_stop
from .rubric import EQUAL_POINTS, Grade, grade
from .tested import Conformance, Tested, Untested, outcome_of

_OUTCOMES: tuple[Conformance, ...] = ("conformant", "not conformant", "inconclusive", "not tested")


def results_as_pages(
    servers: Sequence[Tested],
    points: Mapping[Heading, float] = EQUAL_POINTS,
    *,
    strict: bool = False,
) -> dict[str, str]:
    """Write a page for each server, and last the index of them; return them by the names of their files.

    All of them are in one folder, need no network, and follow the reader's preference for light
    or dark. Only the index has a script, which sorts its tables.

    Args:
      servers: what the suite found.
      points: what each heading is worth.
      strict: whether a broken SHOULD counts.
    """
    names = page_names([server.target for server in servers])
    pages = {
        name: results_as_html([server], strict=strict, index=INDEX)
        for name, server in zip(names, servers, strict=True)
    }
    rows = [
        _Row(server, grade(server, points), quote(name), outcome_of(server, strict=strict))
        for name, server in zip(names, servers, strict=True)
    ]
    return {**pages, INDEX: _index(rows, strict)}


class _Row:
    """A server on the index."""

    def __init__(self, server: Tested, points: Grade, page: str, outcome: Conformance) -> None:
        self.server = server
        self.grade = points
        self.page = page
        self.outcome = outcome

    @property
    def results(self) -> Sequence[CaseResult]:
        """What came of its cases; none if it was not tested."""
        return () if isinstance(self.server, Untested) else self.server.results

    @property
    def link(self) -> Markup:
        """Its name, linked to its page."""
        return element("a", self.server.target, href=self.page)

    def head(self) -> Markup:
        """Return its name at the beginning of a row."""
        return element("th", self.link, scope="row", data_key=self.server.target)


def _index(rows: Sequence[_Row], strict: bool) -> str:
    counts = [(sum(row.outcome == outcome for row in rows), outcome) for outcome in _OUTCOMES]
    verdicts = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    title = f"Conformance of {counted(len(rows), 'server')}"
    return document(
        title,
        INDEX_STYLE,
        element(
            "header",
            element("h1", title),
            element("p", f"{verdicts}. A name leads to the page with the evidence.", class_="faint"),
        ),
        element("main", _overview(rows), _matrix(rows), _most_frequent(rows, strict)),
        element("script", Markup(SCRIPT)),
        head=element("link", rel="icon", href="data:,"),
        policy=POLICY,
    )


# ---- verdicts and points ----


def _overview(rows: Sequence[_Row]) -> Markup:
    judged = [
        heading
        for number, heading in enumerate(Heading)
        if any(row.grade.headings[number].points is not None for row in rows)
    ]
    most_points = max((row.grade.out_of for row in rows), default=0)
    heads = [
        ("Server", "ascending"),
        ("Verdict", "ascending"),
        (f"Points of {most_points:g}" if judged else "Points", "descending"),
        *((heading.value.capitalize(), "descending") for heading in judged),
        ("What is probably wrong", None),
    ]
    return joined(
        element("h2", "Verdicts and points"),
        _scrolled(
            "overview sortable",
            element("thead", element("tr", [_sorting(n, *head) for n, head in enumerate(heads)])),
            element("tbody", [_overview_row(row, judged) for row in rows]),
        ),
        element(
            "p",
            "The points are a proposal, and say nothing of what cannot be seen from outside a server.",
            class_="source",
        ),
    )


def _sorting(column: int, words: str, sort: str | None, **attributes: str | None) -> Markup:
    has = {"data_sort": sort, "data_column": str(column)} if sort else {}
    class_ = "name" if column == 0 else None
    return element("th", words, scope="col", class_=class_, **has, **attributes)


def _overview_row(row: _Row, judged: Sequence[Heading]) -> Markup:
    by_heading = {each.heading: each for each in row.grade.headings}
    causes = row.server.causes if isinstance(row.server, SuiteResult) else ()
    return element(
        "tr",
        row.head(),
        element(
            "td",
            element("span", row.outcome, class_=f"chip {outcome_class(row.outcome)}"),
            data_key=str(_OUTCOMES.index(row.outcome)),
        ),
        _points(row.grade.points),
        [_points(by_heading[heading].points) for heading in judged],
        element("td", causes[0].words if causes else in_brief(row.server)),
    )


def _points(points: float | None) -> Markup:
    key = "-1" if points is None else f"{points * 2:.0f}"  # they are halves
    return element("td", "–" if points is None else f"{points:g}", class_="number", data_key=key)


def _scrolled(class_: str, *parts: Markup | None) -> Markup:
    """Make a table that may be wider than the window; a keyboard can scroll it, too."""
    return element("div", element("table", *parts, class_=class_), class_="scroll", tabindex="0")


# ---- rules ----


def _matrix(rows: Sequence[_Row]) -> Markup | None:
    rules = {result.id: result.rule for row in rows for result in row.results}
    if not rules:
        return None
    first_of_section = {rule.section: number for number, rule in reversed(list(rules.items()))}
    firsts = set(first_of_section.values())
    return joined(
        element("h2", "Every rule"),
        _scrolled(
            "matrix sortable",
            element(
                "thead",
                element(
                    "tr", _sorting(0, "Server", "ascending"), [_head_of(r, firsts) for r in rules.values()]
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


def _head_of(rule: Rule, firsts: set[str]) -> Markup:
    titles = [section.title for section in SECTIONS if section.number == rule.section]
    about = f"{rule.id} {rule.title} ({rule.level.value}); {' '.join(titles)}"
    return element(
        "th",
        element("div", rule.id, class_="rule-name"),
        scope="col",
        title=about,
        class_="first" if rule.id in firsts else None,
    )


def _matrix_row(row: _Row, rules: Sequence[str], firsts: set[str]) -> Markup:
    if isinstance(row.server, Untested):
        words = f"not tested: {row.server.reason}"
        return element(
            "tr", row.head(), element("td", words, colspan=str(len(rules)), class_="untested open")
        )
    by_id = {result.id: result for result in row.results}
    return element("tr", row.head(), [_cell(row, by_id.get(each), each in firsts) for each in rules])


def _cell(row: _Row, result: CaseResult | None, is_first: bool) -> Markup:
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


def _sums(rows: Sequence[_Row], rules: Sequence[str], firsts: set[str]) -> Markup:
    broken = dict.fromkeys(rules, 0)
    for row in rows:
        for result in row.results:
            broken[result.id] += result.verdict in (Verdict.FAIL, Verdict.WARN)
    return element(
        "tr",
        element("th", "Broken by", scope="row"),
        [element("td", str(broken[r] or ""), class_="first" if r in firsts else None) for r in rules],
    )


# ---- what to speak of with all ----


def _most_frequent(rows: Sequence[_Row], strict: bool) -> Markup:
    causes: dict[Cause, list[_Row]] = {}
    broken: dict[Rule, list[_Row]] = {}
    for row in rows:
        if isinstance(row.server, SuiteResult):
            for cause in row.server.causes:
                causes.setdefault(cause, []).append(row)
            for result in row.server.broken(strict=strict):
                broken.setdefault(result.rule, []).append(row)
    return joined(
        _often(
            "Likely causes, the most frequent first",
            ((joined(cause.words, " ", element("b", cause.advice)), who) for cause, who in causes.items()),
        ),
        _often(
            "Broken rules, the most frequent first",
            ((joined(f"{rule.id} {with_full_stop(rule.title)}"), who) for rule, who in broken.items()),
        ),
    )


def _often(title: str, found: Iterator[tuple[Markup, list[_Row]]]) -> Markup | None:
    items = sorted(found, key=lambda each: -len(each[1]))
    if not items:
        return None
    return joined(
        element("h2", title),
        element(
            "ol",
            [
                element(
                    "li",
                    words,
                    element("div", f"{counted(len(who), 'server')}: ", _links(who), class_="names faint"),
                )
                for words, who in items
            ],
            class_="causes often",
        ),
    )


def _links(rows: Sequence[_Row]) -> Markup:
    parts: list[Markup | str] = []
    for row in rows:
        parts += [", ", row.link] if parts else [row.link]
    return joined(*parts)
