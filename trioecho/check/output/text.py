"""What a person at a terminal reads: the book, the verdicts as they come, the evidence, the summary.

Lines are as wide as the terminal, and words are whole; nothing here prints.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator

from ...base.printable import printable
from ..book.book import SERVERS, Book, Rule, Section
from ..verdict import CaseResult, Cause, Event, SuiteResult, Verdict, counts_against
from . import Tested, outcome_of
from .plain import asking_words, client_words, counted, duration_of, event_heading, hex_rows, verdict_counts

_WIDTH = 80
COUNTED = (Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE)
# A row of 16 bytes in hex and as text needs so much; in a narrower terminal there are 8.
_WHOLE_ROW = 73
# One line for name, verdict and counts; narrower, the name has one of its own.
_WHOLE_TABLE = 79
_LABEL = 14
_NAME = 34
# Of a transcript that is longer, a terminal shows this many events of its beginning and of its end.
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
    """What the terminal shows: colours or none, and how many columns.

    Args:
      is_coloured: whether it shows colours.
      width: of its lines.
    """

    def __init__(self, is_coloured: bool, width: int = _WIDTH) -> None:
        self._is_coloured = is_coloured
        self.width: int = width

    def paint(self, text: str, code: str) -> str:
        """Write the text in a colour, by the number of ECMA-48."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_coloured and text else text


# ---- the book ----


def book_lines(width: int = _WIDTH, book: Book = SERVERS) -> Iterator[str]:
    """Write all rules, a line each."""
    for number, section in enumerate(book.sections):
        if number:
            yield ""
        yield f"{section.id} {section.title}"
        for rule in section.rules:
            spawn = "  (--spawn)" if rule.needs_spawn else ""
            first, *rest = _wrap(f"{rule.title}{spawn}", width - 16, keep_blanks=True)
            yield f"  {rule.id:<5} {rule.level.value:<7} {first}"
            yield from (f"{'':16}{line}" for line in rest)


def explain_lines(rule: Rule, width: int = _WIDTH) -> Iterator[str]:
    """Write one rule in full."""
    yield f"{rule.id}  {rule.title}"
    yield from _labelled("level", f"{rule.level.value}", width)
    yield from _labelled("requirement", rule.requirement, width)
    yield from _labelled("reason", rule.reason, width)
    yield from _labelled("source", rule.source, width)
    yield from _labelled("grades", f"{rule.heading.value}{', a core rule' * rule.is_core}", width)
    if rule.needs_spawn:
        yield from _labelled("needs", "a server that --spawn has started", width)


def explain_section_lines(section: Section, width: int = _WIDTH) -> Iterator[str]:
    """Write a section, and its rules in full."""
    yield f"{section.id} {section.title}"
    yield from _wrap(section.about, width)
    for rule in section.rules:
        yield ""
        yield from explain_lines(rule, width)


# ---- a run ----


def suite_lines(result: SuiteResult, palette: Palette, *, strict: bool, is_verbose: bool) -> Iterator[str]:
    """Write all verdicts, the evidence of those that are not as they should be, and the summary."""
    has_name = result.target not in (result.command, result.address)
    yield palette.paint(f"{'' if has_name else 'trioecho check '}{printable(result.target)}", _BOLD)
    where = f" on {result.address}" if result.address else ""  # of a server
    if result.command is not None and has_name:
        yield f"started{where} by {printable(result.command)}"  # whole, to be copied
    elif result.command is not None and where:
        yield f"started on {result.address}"
    if result.machine is not None:
        yield f"checked by {printable(str(result.machine))}"
    if result.asking is not None:
        for words in asking_words(result.asking):
            yield from _wrap(words, palette.width)
    for section in result.book.sections:
        results = [each for each in result.results if each.rule.section == section.number]
        if results:
            yield ""
            yield palette.paint(f"{section.id} {section.title}", _BOLD)
            yield from _section_lines(results, palette, is_verbose)
    explained: dict[str, str] = {}
    for each in result.results:
        if each.verdict in (Verdict.FAIL, Verdict.WARN):
            yield ""
            yield from _evidence_lines(each, palette, explained)
    yield ""
    yield from _summary_lines(result, palette, strict)


def _section_lines(results: list[CaseResult], palette: Palette, is_verbose: bool) -> Iterator[str]:
    for _, alike in itertools.groupby(results, _undecided_alike):
        result, *others = alike
        mark, code = _MARKS[result.verdict]
        if others:
            words = f"{result.id} to {others[-1].id}: {printable(result.summary)}"
            first, *rest = _wrap(words, palette.width - 10)
            yield f"  {palette.paint(mark, code)} {first}"
            for line in rest:
                yield f"    {line}"
            continue
        words = result.rule.title
        if result.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE) or (
            is_verbose and result.verdict is Verdict.PASS
        ):
            words = f"{words}: {printable(result.summary)}"
        first, *rest = _wrap(words, palette.width - 10)
        yield f"  {palette.paint(mark, code)} {result.id:<5} {_dim_if(result, first, palette)}"
        for line in rest:
            yield f"          {_dim_if(result, line, palette)}"


def _undecided_alike(result: CaseResult) -> str:
    """Write cases that are undecided for the same reason in one line."""
    is_undecided = result.verdict is Verdict.INCONCLUSIVE and not result.transcript
    return result.summary if is_undecided else result.id


def _dim_if(result: CaseResult, line: str, palette: Palette) -> str:
    return palette.paint(line, _DIM) if result.verdict is Verdict.NOT_APPLICABLE else line


def _evidence_lines(result: CaseResult, palette: Palette, explained: dict[str, str]) -> Iterator[str]:
    """Write why a case did not pass; ``explained`` says in which case each cause was explained."""
    mark, code = _MARKS[result.verdict]
    heading = f"{mark} {result.id}  {result.rule.title} ({result.rule.level.value})"
    first, *rest = _wrap(heading, palette.width - 2, keep_blanks=True)
    yield from (palette.paint(line, code) for line in (first, *(f"  {line}" for line in rest)))
    yield from _labelled("expected", printable(result.expected), palette.width)
    yield from _labelled("actual", printable(result.actual), palette.width)
    if result.cause is not None and result.cause.id in explained:
        yield from _labelled(
            "likely cause", f"as in {explained[result.cause.id]}: {result.cause.words}", palette.width
        )
    elif result.cause is not None:
        explained[result.cause.id] = result.id
        yield from _labelled("likely cause", result.cause.words, palette.width)
        yield from _labelled("what to do", result.cause.advice, palette.width)
    for note in result.notes:
        yield from _labelled("note", printable(note), palette.width)
    yield from _transcript_lines(result, palette.width)
    # Not wrapped, so that it can be copied.
    yield f"  {'reproduce':<{_LABEL}}{printable(result.reproduce)}"


def _labelled(label: str, words: str, width: int) -> Iterator[str]:
    indent = " " * (_LABEL + 2)
    text = _wrap(words, width - len(indent)) or [""]
    yield f"  {label:<{_LABEL}}{text[0]}".rstrip()
    for line in text[1:]:
        yield indent + line


def _wrap(words: str, width: int, *, keep_blanks: bool = False) -> list[str]:
    return textwrap.wrap(
        words,
        width,
        break_on_hyphens=False,
        break_long_words=False,
        replace_whitespace=not keep_blanks,
    )


def _transcript_lines(result: CaseResult, width: int) -> Iterator[str]:
    events = result.transcript
    if not events:
        return
    yield "  transcript"
    if len(events) <= _FIRST_EVENTS + _LAST_EVENTS + 1:
        yield from _event_lines(events, width)
        return
    yield from _event_lines(events[:_FIRST_EVENTS], width)
    hidden = len(events) - _FIRST_EVENTS - _LAST_EVENTS + result.events_left_out
    yield f"    ... {counted(hidden, 'event')} ..."
    yield from _event_lines(events[-_LAST_EVENTS:], width)


def _event_lines(events: Iterable[Event], width: int) -> Iterator[str]:
    row_bytes = _ROW_BYTES if width >= _WHOLE_ROW else _ROW_BYTES // 2
    for event in events:
        first, *rest = _wrap(event_heading(event), width - 6, keep_blanks=True)
        yield f"    {first}"
        yield from (f"      {line}" for line in rest)
        shown = _SHOWN_ROWS if event.size_bytes <= _SHOWN_ROWS * _ROW_BYTES else 1
        for _, digits, text in hex_rows(event.data[: shown * _ROW_BYTES], row_bytes):
            yield f"        {digits:<{3 * row_bytes - 1}}  {text}"
        if event.size_bytes > shown * _ROW_BYTES:
            yield f"        ... and {counted(event.size_bytes - shown * _ROW_BYTES, 'more byte')}"


def _summary_lines(result: SuiteResult, palette: Palette, strict: bool) -> Iterator[str]:
    counts = verdict_counts(result, COUNTED)
    counted_words = f"{counts}; seed {result.seed}, {duration_of(result.elapsed_s)}"
    yield from _wrap(counted_words, palette.width)
    yield from _wrap(_timing_words(result), palette.width)
    for note in result.notes:
        yield from _wrap(f"Note: {printable(note)}.", palette.width)
    if result.causes:
        yield "Likely causes, over all cases:"
        for cause in result.causes:
            yield from _cause_lines(cause, result, palette.width)
    outcome = result.outcome(strict=strict)
    words = f"{printable(result.target)} is {outcome}"
    if outcome == "inconclusive":
        seen = "no rule was seen broken" if result.was_tried else "none of these rules could be tried"
        words = f"{printable(result.target)}: inconclusive, {seen}"
    elif outcome == "conformant" and result.count(Verdict.WARN):
        words += f", except for {counted(result.count(Verdict.WARN), 'SHOULD')} (--strict makes them count)"
    yield from (
        palette.paint(line, _GREEN if outcome == "conformant" else _RED)
        for line in _wrap(f"{words}.", palette.width)
    )


def _timing_words(result: SuiteResult) -> str:
    if result.client is not None:
        return client_words(result.client, result.patience_s)
    if not result.round_trip_s:
        return f"No round trip could be measured; nothing was waited for longer than {result.patience_s:g} s."
    return (
        f"Round trip {duration_of(result.round_trip_s)}: after a silence of {result.patience_s:.3g} s a case "
        f"is tried again, alone, with up to {result.confirm_patience_s:.3g} s, before the silence "
        "is believed."
    )


def _cause_lines(cause: Cause, result: SuiteResult, width: int) -> Iterator[str]:
    cases = ", ".join(
        each.id for each in result.results if each.cause is not None and each.cause.id == cause.id
    )
    first, *rest = _wrap(f"{cause.words} ({cases})" if cases else cause.words, width - 4)
    yield f"  * {first}"
    for line in rest:
        yield f"    {line}"


def table_lines(servers: Iterable[Tested], *, strict: bool, width: int = _WIDTH) -> Iterator[str]:
    """Write several servers or clients, a line each, under their names where these are long."""
    for server in servers:
        name = printable(server.target)
        columns = _NAME if width >= _WHOLE_TABLE else 1
        if len(name) > columns:  # the end of a name distinguishes it from others
            yield name
            name = ""
        line = f"{name:<{columns}} {outcome_of(server, strict=strict):<14}"
        if isinstance(server, SuiteResult):
            broken = sum(counts_against(each, strict=strict) for each in server.results)
            warned = server.count(Verdict.FAIL) + server.count(Verdict.WARN) - broken
            line += f" {server.count(Verdict.PASS):>2} passed {broken:>2} broken {warned:>2} warned"
        yield line.rstrip()
