"""Results as one page for people: no script, nothing loaded, all of it in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...base.html import Markup, document, element, joined
from ..book.book import Level, Section
from ..verdict import Cause, SuiteResult, Verdict
from .html_book import CLASS, WORDS, chip, link_to_rule, outcome_class, rule_book
from .html_case import case_article
from .html_style import STYLE
from .plain import asking_words, counted, duration_of, sentence, verdict_counts
from .tested import Tested, Untested, book_of, outcome_of

# What is in the page cannot run or load anything, whatever a server has sent.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_COUNTED = (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)


def results_as_html(servers: Sequence[Tested], *, strict: bool = False, index: str = "") -> str:
    """Write all results as one HTML document, with the rule book at its end.

    It needs no network, and follows the reader's preference for light or dark.

    Args:
      servers: what the suite found.
      strict: whether a broken SHOULD counts.
      index: the page that has others beside these, to link to; empty if there is none.
    """
    alone = len(servers) == 1
    title = servers[0].target if alone else counted(len(servers), book_of(servers).noun)
    return document(
        f"Conformance of {title}",
        STYLE,
        element(
            "header",
            element("p", element("a", "← All servers", href=index), class_="back") if index else None,
            element("h1", "Conformance report"),
            element("p", "What ", element("code", "trioecho check"), " found, rule by rule.", class_="faint"),
            None if alone else _table_of_servers(servers, strict),
        ),
        element(
            "main",
            [
                _server(server, number, "" if alone else f"{number}-", strict)
                for number, server in enumerate(servers, 1)
            ],
            rule_book(servers),
        ),
        head=element("link", rel="icon", href="data:,"),
        policy=_POLICY,
    )


def _table_of_servers(servers: Sequence[Tested], strict: bool) -> Markup:
    rows = []
    for number, server in enumerate(servers, 1):
        outcome = outcome_of(server, strict=strict)
        rows.append(
            element(
                "tr",
                element("td", element("span", outcome, class_=f"chip {outcome_class(outcome)}")),
                element(
                    "td",
                    element("a", server.target, href=f"#server-{number}"),
                    element("br"),
                    element("span", in_brief(server), class_="faint"),
                ),
            )
        )
    names = ("Outcome", book_of(servers).noun.capitalize())
    heads = element("tr", [element("th", name, scope="col") for name in names])
    return element("table", element("thead", heads), element("tbody", rows))


def _server(server: Tested, number: int, prefix: str, strict: bool) -> Markup:
    outcome = outcome_of(server, strict=strict)
    banner = element(
        "div",
        element("strong", outcome.capitalize()),
        element("span", in_brief(server)),
        class_=f"outcome {outcome_class(outcome)}",
    )
    head = joined(element("p", server.target, class_="target"), banner)
    if isinstance(server, Untested):
        return element("section", head, class_="server", id=f"server-{number}")
    return element(
        "section",
        head,
        _facts(server, strict),
        [
            element("p", words, class_="said")
            for words in (asking_words(server.asking) if server.asking else ())
        ],
        [element("p", sentence(note), class_="said") for note in server.notes],
        _causes(server, prefix),
        _map(server, prefix),
        *(
            _group(title, server, verdict, prefix)
            for title, verdict in (
                ("Broken rules", Verdict.FAIL),
                ("Warnings", Verdict.WARN),
                ("Without a verdict", Verdict.INCONCLUSIVE),
            )
        ),
        _table_of_cases(server, prefix),
        class_="server",
        id=f"server-{number}",
    )


def in_brief(server: Tested) -> str:
    """Say in a line what came of a server."""
    if isinstance(server, Untested):
        return server.reason
    return verdict_counts(server, _COUNTED) or "no case was run"


def _facts(server: SuiteResult, strict: bool) -> Markup:
    limit = server.max_frame_length
    client = server.client
    of_server = {
        "Address": server.address if server.address != server.target else None,
        "Command": server.command if server.command != server.target else None,
        "Limit": "not given" if limit is None else f"{limit:,} bytes",
        "Round trip": duration_of(server.round_trip_s) if server.round_trip_s else "not known",
    }
    of_client = {
        "Messages": f"{client.messages:,}" if client else None,
        "A right run": duration_of(client.run_s) if client else None,
    }
    facts = {
        **(of_client if client else of_server),
        "Headers": server.format,
        "Seed": str(server.seed),
        "Silence allowed": f"{duration_of(server.patience_s)}, then {duration_of(server.confirm_patience_s)}",
        "Side by side": counted(server.jobs, "case"),
        "Checked by": None if server.machine is None else str(server.machine),
        "SHOULDs": "count (--strict)" if strict else "warn",
        "Started": f"{server.started_at[:19].replace('T', ' ')} UTC",
        "Took": duration_of(server.elapsed_s),
        "With": ", ".join(f"{name} {version}" for name, version in server.versions.items()) or None,
    }
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value))
            for name, value in facts.items()
            if value is not None
        ],
        class_="facts",
    )


def _causes(server: SuiteResult, prefix: str) -> Markup | None:
    if not server.causes:
        return None
    return joined(
        element("h2", "What is probably wrong"),
        element("ol", [_cause(cause, server, prefix) for cause in server.causes], class_="causes"),
    )


def _cause(cause: Cause, server: SuiteResult, prefix: str) -> Markup:
    shows = [result for result in server.results if result.cause and result.cause.id == cause.id]
    return element(
        "li",
        cause.words,
        " ",
        element("b", cause.advice),
        element("ul", [element("li", chip(result, prefix)) for result in shows], class_="chips"),
    )


def _map(server: SuiteResult, prefix: str) -> Markup:
    def row(section: Section) -> Iterator[Markup]:
        results = [result for result in server.results if result.rule.section == section.number]
        if results:
            yield element("h3", f"{section.id} {section.title}")
            yield element("ul", [element("li", chip(result, prefix)) for result in results], class_="chips")

    return joined(
        element("h2", "All sections"),
        element("div", [part for section in server.book.sections for part in row(section)], class_="map"),
        element(
            "div",
            [element("span", WORDS[verdict], class_=f"chip {CLASS[verdict]}") for verdict in Verdict],
            class_="legend",
        ),
    )


def _group(title: str, server: SuiteResult, verdict: Verdict, prefix: str) -> Markup | None:
    results = [result for result in server.results if result.verdict is verdict]
    if not results:
        return None
    return joined(
        element("h2", f"{title} ({len(results)})"),
        [
            case_article(result, prefix, is_open=verdict is Verdict.FAIL and result is results[0])
            for result in results
        ],
    )


def _table_of_cases(server: SuiteResult, prefix: str) -> Markup:
    rows = [
        element(
            "tr",
            element("td", chip(result, prefix)),
            element(
                "td",
                link_to_rule(result.rule, result.rule.title),
                None if result.rule.level is Level.MUST else f" ({result.rule.level.value})",
                element("br"),
                element("span", result.summary, class_="faint"),
            ),
            element("td", duration_of(result.elapsed_s), class_="number wide"),
        )
        for result in server.results
    ]
    heads = element(
        "tr",
        element("th", "Case", scope="col"),
        element("th", "Rule, and what was seen", scope="col"),
        element("th", "Time", scope="col", class_="number wide"),
    )
    return joined(
        element("h2", "All cases"), element("table", element("thead", heads), element("tbody", rows))
    )
