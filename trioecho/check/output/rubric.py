"""Points and feedback under the four headings by which the course grades homework."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...base.printable import printable
from ..book.book import Heading
from ..verdict import CaseResult, Cause, SuiteResult, Verdict
from .plain import counted, sentence, with_full_stop
from .tested import Tested, Untested

EQUAL_POINTS: Mapping[Heading, float] = dict.fromkeys(Heading, 25)

# What a case takes part with, and what it earns.
_WEIGHT = {"MUST": 2, "SHOULD": 1}
_STEP = 0.5  # points are given in halves
# The most that can be had of the points, by the number of core rules that are broken.
_CAPS = (1.0, 0.5, 0.25)
# One that breaks the simplest rule of its book has nothing of which others could say anything.
# Unless it is for one of these: then frames are read, and replies made, though not the right ones.
_READS_FRAMES = {
    "little-endian",
    "length-includes-header",
    "other-header-width",
    "length-of-text",
    "no-header-in-reply",
    "bytes-added",
    "case-changed",
    "content-changed",
    "same-reply",
}
# A server that breaks a core rule for this reads no frames: under every heading rules hold because
# nothing is done.
_NO_FRAMING = "no-framing"


@dataclass(frozen=True)
class HeadingGrade:
    """What one heading comes to.

    Attributes:
      heading: which.
      out_of: the points that could be had.
      points: those that are proposed; None if they cannot be judged from outside.
      tried, held: the rules that were tried, and those of them that held.
      feedback: sentences for the author of the server.
      reproduce: the command that shows the first thing that is wrong; empty if nothing is.
    """

    heading: Heading
    out_of: float
    points: float | None
    tried: int
    held: int
    feedback: tuple[str, ...]
    reproduce: str = ""


@dataclass(frozen=True)
class Grade:
    """What one server comes to.

    Attributes:
      target: how the server was named, or the client.
      headings: in the course's order.
      remarks: what the teacher should know before relying on the points.
      causes: what probably is wrong, the likeliest first.
      noun: which of both it is.
    """

    target: str
    headings: tuple[HeadingGrade, ...]
    remarks: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    noun: str = "server"

    @property
    def points(self) -> float | None:
        """Their sum over the headings that were judged; None if none was."""
        judged = [grade.points for grade in self.headings if grade.points is not None]
        return sum(judged) if judged else None

    @property
    def out_of(self) -> float:
        """What could be had under those headings."""
        return sum(grade.out_of for grade in self.headings if grade.points is not None)

    @property
    def left_to_teacher(self) -> float:
        """What could be had under the others."""
        return sum(grade.out_of for grade in self.headings if grade.points is None)


def grade(server: Tested, points: Mapping[Heading, float] = EQUAL_POINTS) -> Grade:
    """Give points and feedback for a server or a client.

    Under each heading a rule at MUST weighs 2 and one at SHOULD 1. A rule that held
    earns its weight, a warning about a MUST half of it. The points are the earned part
    of the whole; but at most half of it if a core rule is broken, and a quarter if
    several are (`Rule.is_core`). They are rounded down to a half, so that only a server
    without a fault has all. A server that does not even echo a frame of one byte has none,
    under any heading: what holds then, holds because nothing is done. So it is with one
    that sends bytes back as they come, without framing, which has at most a quarter under
    each. Where every reply is wrong in the same way, or has other headers, the rules about
    replies have no points, and the others are left to the teacher.

    Rules that were not applicable or inconclusive count neither way; where more than
    half are inconclusive, the points are left to the teacher. So are those for the
    analysis: how clear that is cannot be judged from outside.

    Args:
      server: what the suite found.
      points: what each heading is worth.
    """
    if isinstance(server, Untested):
        return Grade(
            printable(server.target),
            tuple(HeadingGrade(heading, points[heading], None, 0, 0, ()) for heading in Heading),
            (f"The {server.book.noun} could not be tested: {printable(server.reason)}",),
            noun=server.book.noun,
        )
    explained: set[str] = set()
    return Grade(
        printable(server.target),
        tuple(_grade_heading(server, heading, points[heading], explained) for heading in Heading),
        tuple(_remarks(server)),
        server.causes,
        server.book.noun,
    )


def _grade_heading(server: SuiteResult, heading: Heading, out_of: float, explained: set[str]) -> HeadingGrade:
    if heading is Heading.ANALYSIS:
        return HeadingGrade(heading, out_of, None, 0, 0, tuple(_about_analysis(server)))
    results = [result for result in server.results if result.rule.heading is heading]
    tried = [r for r in results if r.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.WARN)]
    held = [result for result in tried if result.verdict is Verdict.PASS]
    feedback = list(_feedback(results, tried, held, explained))
    broken = [result for result in server.results if result.verdict is Verdict.FAIL and result.rule.is_core]
    core = [result for result in broken if result.rule.heading is heading]
    simplest = [result for result in broken if result.id == server.book.simplest]
    unframed = [result for result in broken if result.cause is not None and result.cause.id == _NO_FRAMING]
    weight = sum(_WEIGHT[result.rule.level.value] for result in tried)
    unsure = sum(result.verdict is Verdict.INCONCLUSIVE for result in results)
    points = None
    is_unsure = unsure > len(tried) and not core
    if simplest and not (is_unsure and all(map(_is_about_replies, simplest))):
        points = 0.0
        feedback.append(f"No points without {_list(simplest)}.")
    elif is_unsure:
        feedback.append("So few rules have a verdict that the points are left to the teacher.")
    elif weight:
        cap = _CAPS[-1] if unframed else _CAPS[min(len(core), len(_CAPS) - 1)]
        points = math.floor(out_of * min(sum(map(_earned, tried)) / weight, cap) / _STEP) * _STEP
        if unframed:
            feedback.append(f"At most a quarter of the points without framing: {_list(unframed)}.")
        elif core:
            most = "half" if len(core) == 1 else "a quarter"
            feedback.append(f"At most {most} of the points, for a core rule is broken: {_list(core)}.")
    return HeadingGrade(
        heading,
        out_of,
        points,
        len(tried),
        len(held),
        tuple(feedback),
        next((printable(r.reproduce) for r in tried if r.verdict is Verdict.FAIL), ""),
    )


def _is_about_replies(result: CaseResult) -> bool:
    return result.cause is not None and result.cause.id in _READS_FRAMES


def _earned(result: CaseResult) -> float:
    weight = _WEIGHT[result.rule.level.value]
    if result.verdict is Verdict.PASS:
        return weight
    return max(weight - 1, 0) if result.verdict is Verdict.WARN else 0


def _feedback(
    results: Sequence[CaseResult],
    tried: Sequence[CaseResult],
    held: Sequence[CaseResult],
    explained: set[str],
) -> Iterator[str]:
    """Write the sentences of a heading; ``explained`` are the causes that another has explained already."""
    if not tried:
        yield "None of its rules was tried."
    elif len(held) == len(tried):
        yield f"Rules tried: {len(tried)}; all held."
    else:
        yield f"Rules tried: {len(tried)}; held: {len(held)}."
    for cause, of_cause in _by_cause(result for result in tried if result.verdict is Verdict.FAIL):
        if cause is None:
            yield from _what_was_seen("", of_cause)
        elif cause.id in explained:
            yield f"As above: {cause.words} It shows in {_list(of_cause)}."
        else:
            explained.add(cause.id)
            yield f"{cause.words} {cause.advice} It shows in {_list(of_cause)}."
            if cause.id == "crashes":
                yield from map(sentence, _most_telling(of_cause[0].notes))
    yield from _what_was_seen(
        "Worth a look: ", [result for result in tried if result.verdict is Verdict.WARN]
    )
    if unsure := [result for result in results if result.verdict is Verdict.INCONCLUSIVE]:
        yield f"No verdict, and not counted: {_list(unsure)}."


def _by_cause(
    results: Iterable[CaseResult],
) -> list[tuple[Cause | None, list[CaseResult]]]:
    """Group the results by cause: the most frequent first, those without a cause last."""
    groups: dict[Cause | None, list[CaseResult]] = {}
    for result in results:
        groups.setdefault(result.cause, []).append(result)
    return sorted(groups.items(), key=lambda group: (group[0] is None, -len(group[1])))


def _what_was_seen(beginning: str, results: Iterable[CaseResult]) -> Iterator[str]:
    """Write a sentence for each thing that was seen, with all the cases that saw it."""
    groups: dict[str, list[CaseResult]] = {}
    for result in results:
        groups.setdefault(result.summary, []).append(result)
    for summary, seen_in in groups.items():
        advice = f" {cause.advice}" if (cause := seen_in[0].cause) else ""
        yield f"{beginning}{_list(seen_in)}: {with_full_stop(summary)}{advice}"


def _most_telling(notes: Sequence[str]) -> Sequence[str]:
    """Find the one note that most likely says why a server crashed, if there is any."""
    telling = [note for note in notes if re.search(r"error|exception|panic|signal", note, re.IGNORECASE)]
    return (telling or notes)[-1:]


def _named(result: CaseResult) -> str:
    title = result.rule.title
    if not title[1].isupper():  # SIGTERM stays as it is
        title = title[0].lower() + title[1:]
    return f"{result.id} ({title})"


def _list(results: Sequence[CaseResult]) -> str:
    names = [_named(result) for result in results]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _about_analysis(server: SuiteResult) -> Iterator[str]:
    yield (
        f"Not judged: how clear the analysis is cannot be seen from outside the {server.book.noun}. "
        "These points are for the teacher to give."
    )
    if server.causes:
        found = " ".join(cause.words for cause in server.causes[:3])
        yield f"A question to put to the author: does the analysis mention what was found here? {found}"


def _remarks(server: SuiteResult) -> Iterator[str]:
    if len(server.results) < len(server.book.rules):
        yield f"Only {len(server.results)} of the book's {len(server.book.rules)} rules were asked for."
    skipped = [result for result in server.results if result.verdict is Verdict.NOT_APPLICABLE]
    needing_spawn = [result for result in skipped if result.rule.needs_spawn]
    if server.command is None and needing_spawn:
        yield (
            f"{counted(len(needing_spawn), 'rule')} can be tried only on a server that is started by "
            "--spawn; they count neither way."
        )
    elif skipped:
        yield f"Not applicable, and not counted: {', '.join(result.id for result in skipped)}."
    yield from map(sentence, server.notes)
