"""What a person at a terminal is told: the book, the verdicts as they come, the evidence, the summary.

Lines of at most 80 columns; nothing here prints.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator

from .book import SECTIONS, Rule, Section
from .output import Tested, outcome_of
from .output.plain import counted, duration, event_heading, hex_rows, printable
from .verdict import CaseResult, Cause, Event, SuiteResult, Verdict, counts_against

_WIDTH = 80
_LABEL = 14
_NAME = 34
# Of a transcript that is longer, a terminal shows so many events of its beginning and of its end.
_FIRST_EVENTS, _LAST_EVENTS = 6, 4
# Of bytes all, if they are so few rows; of more only the first row.
_SHOWN_ROWS = 3
_ROW_BYTES = 16

_MARKS = {
    Verdict.PASS: ("✓", "32"),
    Verdict.FAIL: ("✗", "31;1"),
    Verdict.WARN: ("!", "33"),
    Verdict.NOT_APPLICABLE: ("-", "2"),
    Verdict.INCONCLUSIVE: ("?", "35"),
}
_BOLD, _DIM, _GREEN, _RED = "1", "2", "32;1", "31;1"


class Palette:
    """Colours, or none.

    Args:
      is_coloured: whether the terminal shows them.
    """

    def __init__(self, is_coloured: bool) -> None:
        self._is_coloured = is_coloured

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, by the number of ECMA-48."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_coloured and text else text


# ---- the book ----


def book_lines() -> Iterator[str]:
    """All rules, a line each."""
    for number, section in enumerate(SECTIONS):
        if number:
            yield ""
        yield f"{section.number} {section.title}"
        for rule in section.rules:
            spawn = "  (--spawn)" if rule.needs_spawn else ""
            yield f"  {rule.id:<5} {rule.level.value:<7} {rule.title}{spawn}"


def explain_lines(rule: Rule) -> Iterator[str]:
    """One rule in full."""
    yield f"{rule.id}  {rule.title}"
    yield from _labelled("level", f"{rule.level.value}")
    yield from _labelled("requirement", rule.requirement)
    yield from _labelled("reason", rule.reason)
    yield from _labelled("source", rule.source)
    yield from _labelled("grades", f"{rule.heading.value}{', a core rule' * rule.is_core}")
    if rule.needs_spawn:
        yield from _labelled("needs", "a server that --spawn has started")


def explain_section_lines(section: Section) -> Iterator[str]:
    """A section, and its rules in full."""
    yield f"{section.number} {section.title}"
    yield from _wrapped(section.about, "")
    for rule in section.rules:
        yield ""
        yield from explain_lines(rule)


# ---- a run ----


def suite_lines(result: SuiteResult, palette: Palette, *, strict: bool, is_verbose: bool) -> Iterator[str]:
    """All verdicts, the evidence of those that are not as they should be, and the summary."""
    yield palette.paint(f"trioecho check {printable(result.target)}", _BOLD)
    if result.command is not None:
        yield f"started on {result.address}"
    for section in SECTIONS:
        results = [each for each in result.results if each.rule.section == section.number]
        if results:
            yield ""
            yield palette.paint(f"{section.number} {section.title}", _BOLD)
            yield from _section_lines(results, palette, is_verbose)
    told: dict[str, str] = {}
    for each in result.results:
        if each.verdict in (Verdict.FAIL, Verdict.WARN):
            yield ""
            yield from _evidence_lines(each, palette, told)
    yield ""
    yield from _summary_lines(result, palette, strict)


def _section_lines(results: list[CaseResult], palette: Palette, is_verbose: bool) -> Iterator[str]:
    for _, alike in itertools.groupby(results, _undecided_alike):
        result, *others = alike
        mark, code = _MARKS[result.verdict]
        if others:
            words = f"{result.id} to {others[-1].id}: {printable(result.summary)}"
            first, *rest = textwrap.wrap(words, _WIDTH - 10, break_on_hyphens=False)
            yield f"  {palette.paint(mark, code)} {first}"
            for line in rest:
                yield f"    {line}"
            continue
        words = result.rule.title
        if result.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE) or (
            is_verbose and result.verdict is Verdict.PASS
        ):
            words = f"{words}: {printable(result.summary)}"
        first, *rest = textwrap.wrap(words, _WIDTH - 10, break_on_hyphens=False)
        yield f"  {palette.paint(mark, code)} {result.id:<5} {_dim_if(result, first, palette)}"
        for line in rest:
            yield f"          {_dim_if(result, line, palette)}"


def _undecided_alike(result: CaseResult) -> str:
    """The same for cases that can be told of in one line."""
    is_undecided = result.verdict is Verdict.INCONCLUSIVE and not result.transcript
    return result.summary if is_undecided else result.id


def _dim_if(result: CaseResult, line: str, palette: Palette) -> str:
    return palette.paint(line, _DIM) if result.verdict is Verdict.NOT_APPLICABLE else line


def _evidence_lines(result: CaseResult, palette: Palette, told: dict[str, str]) -> Iterator[str]:
    """Why a case did not pass; ``told`` says in which case each cause was explained."""
    mark, code = _MARKS[result.verdict]
    yield palette.paint(f"{mark} {result.id}  {result.rule.title} ({result.rule.level.value})", code)
    yield from _labelled("expected", printable(result.expected))
    yield from _labelled("actual", printable(result.actual))
    if result.cause is not None and result.cause.id in told:
        yield from _labelled("likely cause", f"{result.cause.id}, as in {told[result.cause.id]}")
    elif result.cause is not None:
        told[result.cause.id] = result.id
        yield from _labelled("likely cause", result.cause.words)
        yield from _labelled("what to do", result.cause.advice)
    for note in result.notes:
        yield from _labelled("note", printable(note))
    yield from _transcript_lines(result)
    # Not wrapped, so that it can be copied.
    yield f"  {'reproduce':<{_LABEL}}{printable(result.reproduce)}"


def _labelled(label: str, words: str) -> Iterator[str]:
    indent = " " * (_LABEL + 2)
    text = textwrap.wrap(words, _WIDTH - len(indent), break_on_hyphens=False) or [""]
    yield f"  {label:<{_LABEL}}{text[0]}".rstrip()
    for line in text[1:]:
        yield indent + line


def _wrapped(words: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(
        words, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _transcript_lines(result: CaseResult) -> Iterator[str]:
    events = result.transcript
    if not events:
        return
    yield "  transcript"
    if len(events) <= _FIRST_EVENTS + _LAST_EVENTS + 1:
        yield from _event_lines(events)
        return
    yield from _event_lines(events[:_FIRST_EVENTS])
    hidden = len(events) - _FIRST_EVENTS - _LAST_EVENTS + result.events_left_out
    yield f"    ... {counted(hidden, 'event')} ..."
    yield from _event_lines(events[-_LAST_EVENTS:])


def _event_lines(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        yield f"    {event_heading(event)}"
        shown = _SHOWN_ROWS if event.size_bytes <= _SHOWN_ROWS * _ROW_BYTES else 1
        for _, digits, text in hex_rows(event.data[: shown * _ROW_BYTES]):
            yield f"        {digits:<47}  {text}"
        if event.size_bytes > shown * _ROW_BYTES:
            yield f"        ... and {counted(event.size_bytes - shown * _ROW_BYTES, 'more byte')}"


def _summary_lines(result: SuiteResult, palette: Palette, strict: bool) -> Iterator[str]:
    counts = [
        f"{count:,} {words}"
        for verdict, words in (
            (Verdict.PASS, "passed"),
            (Verdict.FAIL, "failed"),
            (Verdict.WARN, "warned"),
            (Verdict.NOT_APPLICABLE, "not applicable"),
            (Verdict.INCONCLUSIVE, "inconclusive"),
        )
        if (count := result.count(verdict))
    ]
    yield f"{', '.join(counts)}; seed {result.seed}, {duration(result.elapsed_s)}"
    yield from _wrapped(_timing_words(result), "")
    for note in result.notes:
        yield from _wrapped(f"Note: {printable(note)}.", "")
    if result.causes:
        yield "Likely causes, over all cases:"
        for cause in result.causes:
            yield from _cause_lines(cause, result)
    outcome = result.outcome(strict=strict)
    words = f"{printable(result.target)} is {outcome}"
    if outcome == "inconclusive":
        words = f"{printable(result.target)}: inconclusive, no rule was seen broken"
    elif outcome == "conformant" and result.count(Verdict.WARN):
        words += f", but for {counted(result.count(Verdict.WARN), 'SHOULD')} (--strict makes them count)"
    yield from (
        palette.paint(line, _GREEN if outcome == "conformant" else _RED)
        for line in textwrap.wrap(f"{words}.", _WIDTH, break_on_hyphens=False)
    )


def _timing_words(result: SuiteResult) -> str:
    if not result.round_trip_s:
        return f"No round trip could be measured; nothing was waited for longer than {result.patience_s:g} s."
    return (
        f"Round trip {duration(result.round_trip_s)}: after a silence of {result.patience_s:.3g} s a case is "
        f"tried again, alone, with up to {result.confirm_patience_s:.3g} s, before the silence is believed."
    )


def _cause_lines(cause: Cause, result: SuiteResult) -> Iterator[str]:
    cases = ", ".join(
        each.id for each in result.results if each.cause is not None and each.cause.id == cause.id
    )
    first, *rest = textwrap.wrap(f"{cause.words} ({cases})", _WIDTH - 4, break_on_hyphens=False)
    yield f"  * {first}"
    for line in rest:
        yield f"    {line}"


def table_lines(servers: Iterable[Tested], *, strict: bool) -> Iterator[str]:
    """Several servers, a line each, under their names where these are long."""
    for server in servers:
        name = printable(server.target)
        if len(name) > _NAME:  # the end of a name tells it from others
            yield name
            name = ""
        line = f"{name:<{_NAME}} {outcome_of(server, strict=strict):<14}"
        if isinstance(server, SuiteResult):
            broken = sum(counts_against(each, strict=strict) for each in server.results)
            warned = server.count(Verdict.FAIL) + server.count(Verdict.WARN) - broken
            line += f" {server.count(Verdict.PASS):>2} passed {broken:>2} broken {warned:>2} warned"
        yield line.rstrip()
