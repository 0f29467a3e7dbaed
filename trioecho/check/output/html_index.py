"""Many servers on one page: a table of verdicts and points, a matrix of rules, a page for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from ...base.html import Markup, document, element, joined
from ..book.book import Heading, Rule
from ..verdict import Cause, SuiteResult
from .as_html import in_brief, results_as_html
from .html_book import outcome_class
from .html_index_parts import Row, scrolled_table, sorting_head
from .html_index_style import INDEX_STYLE, POLICY, SCRIPT
from .html_matrix import matrix
from .page_names import INDEX, page_names
from .plain import counted, with_full_stop
from .rubric import EQUAL_POINTS, grade
from .tested import Conformance, Tested, book_of, outcome_of

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
        Row(server, grade(server, points), quote(name), outcome_of(server, strict=strict))
        for name, server in zip(names, servers, strict=True)
    ]
    return {**pages, INDEX: _index(rows, strict)}


def _noun(rows: Sequence[Row]) -> str:
    return book_of([row.server for row in rows]).noun


def _index(rows: Sequence[Row], strict: bool) -> str:
    counts = [(sum(row.outcome == outcome for row in rows), outcome) for outcome in _OUTCOMES]
    verdicts = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    title = f"Conformance of {counted(len(rows), _noun(rows))}"
    return document(
        title,
        INDEX_STYLE,
        element(
            "header",
            element("h1", title),
            element("p", f"{verdicts}. A name leads to the page with the evidence.", class_="faint"),
        ),
        element("main", _overview(rows), matrix(rows), _most_frequent(rows, strict)),
        element("script", Markup(SCRIPT)),
        head=element("link", rel="icon", href="data:,"),
        policy=POLICY,
    )


def _overview(rows: Sequence[Row]) -> Markup:
    judged = [
        heading
        for number, heading in enumerate(Heading)
        if any(row.grade.headings[number].points is not None for row in rows)
    ]
    most_points = max((row.grade.out_of for row in rows), default=0)
    heads = [
        (_noun(rows).capitalize(), "ascending"),
        ("Verdict", "ascending"),
        (f"Points of {most_points:g}" if judged else "Points", "descending"),
        *((heading.value.capitalize(), "descending") for heading in judged),
        ("What is probably wrong", None),
    ]
    classes = ["name", None, "number", *("number wide" for _ in judged), "wide"]
    return joined(
        element("h2", "Verdicts and points"),
        scrolled_table(
            "overview sortable",
            element(
                "thead",
                element("tr", [sorting_head(n, *head, classes[n]) for n, head in enumerate(heads)]),
            ),
            element("tbody", [_overview_row(row, judged) for row in rows]),
        ),
        element(
            "p",
            "The points are a proposal, and say nothing of what cannot be seen from outside.",
            class_="source",
        ),
    )


def _overview_row(row: Row, judged: Sequence[Heading]) -> Markup:
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
        [_points(by_heading[heading].points, "number wide") for heading in judged],
        element("td", causes[0].words if causes else in_brief(row.server), class_="wide"),
    )


def _points(points: float | None, class_: str = "number") -> Markup:
    key = "-1" if points is None else f"{points * 2:.0f}"  # they are halves
    return element("td", "–" if points is None else f"{points:g}", class_=class_, data_key=key)


def _most_frequent(rows: Sequence[Row], strict: bool) -> Markup:
    causes: dict[Cause, list[Row]] = {}
    broken: dict[Rule, list[Row]] = {}
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


def _often(title: str, found: Iterator[tuple[Markup, list[Row]]]) -> Markup | None:
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
                    element(
                        "div",
                        f"{counted(len(who), _noun(who))}: ",
                        _links(who),
                        class_="names faint",
                    ),
                )
                for words, who in items
            ],
            class_="causes often",
        ),
    )


def _links(rows: Sequence[Row]) -> Markup:
    parts: list[Markup | str] = []
    for row in rows:
        parts += [", ", row.link] if parts else [row.link]
    return joined(*parts)
