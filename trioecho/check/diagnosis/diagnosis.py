"""What probably is wrong with a server, from the pattern of what passed and what did not.

A pure function of the findings. The same bug shows in many cases, and many bugs
fail one case; so each case is judged by the bytes that came in it, and by what
other cases, which differ from it in one thing, say. A cause is named only for
what it can bring about: one about silence is none for wrong bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ..book.book import RULES
from ..client.finding import Deviation, Kind, is_stop
from ..client.wire import Wire
from ..verdict import Cause
from .causes import CAUSES
from .diagnosis_of_bytes import cause_of_bytes, is_cut_off, is_refused_in_words, is_unasked
from .diagnosis_of_stream import cause_in_stream
from .diagnosis_of_trouble import (
    BROKEN_OFF,
    ENDS_SERVER,
    cause_at_limit,
    cause_of_ending,
    cause_of_extra_bytes,
    cause_of_neighbours,
    cause_of_one_reply,
    cause_of_others,
    ends_after_one,
    own_cause,
)
from .diagnosis_of_wire import advice_for

# What a bug in reading from a stream shows in, beside the section about it.
_STREAMED = {"1.3", "1.4", "1.5", "1.6", "1.7", "3.1", "3.4", "3.5", "3.6", "7.1"}
# What one shows in that stumbles over cuts: the end of the stream, and of the server, is a cut, too.
_CUT = {"1.12", "5.3", "6.2", "7.2"}
_STUMBLES_OVER_CUTS = {
    "recv-n-taken-for-n-bytes",
    "header-taken-whole",
    "segment-taken-for-frame",
    "stateless-reads",
    "drops-rest-of-segment",
    "streams-before-complete",
}
# What one shows in that misreads lengths: they are enormous there, or random.
_MISREAD = {"1.8", "4.1", "4.2", "4.3", "4.4", "4.5", "4.7", "4.8", "5.3", "7.2", "7.3"}
_CONTENT = {"text-decoding", "strips-whitespace", "line-oriented", "content-changed"}
# Here each connection gets one frame, or several one after the other, and nothing is done to it.
_PLAIN = ("1.2", "1.3", "1.8", "1.10", "1.11", "2.1", "2.2", "2.5", "2.6", "3.1")


@dataclass(frozen=True)
class Diagnosis:
    """Likely causes.

    Attributes:
      by_case: a cause's id for each case that did not pass, where one is known.
      overall: ids over all cases, the one that explains most of them first.
      details: what was seen, for causes by id of which more is known than their words say.
      wire: how headers should be written.
    """

    by_case: dict[str, str]
    overall: tuple[str, ...]
    details: Mapping[str, str] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)

    def cause(self, cause_id: str) -> Cause:
        """Return a cause in words, with what was seen of it."""
        cause = CAUSES[cause_id]
        if (advice := advice_for(cause_id, self.wire)) is not None:
            cause = replace(cause, advice=advice)
        detail = self.details.get(cause_id)
        return cause if detail is None else replace(cause, words=f"{cause.words} {detail}")

    def cause_of(self, case_id: str) -> Cause | None:
        """Return the cause of a case, if one is known."""
        return self.cause(self.by_case[case_id]) if case_id in self.by_case else None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All of them, the one that explains most cases first."""
        return tuple(map(self.cause, self.overall))


def name_causes(
    deviations: Mapping[str, Deviation | None],
    wire: Wire,
    *,
    everywhere: str | None = None,
    detail: str = "",
    is_blocked: bool = False,
    ended_in: Collection[str] = (),
    foreign_in: Collection[str] = (),
    is_echo: bool = True,
) -> Diagnosis:
    """Name likely causes.

    Args:
      deviations: of each case that was decided; None for one that passed.
      wire: how headers are written.
      everywhere: the cause that lets no frame come back right, if the preflight has found one.
      detail: what the preflight has seen of that cause, as a sentence.
      is_blocked: whether that cause is why most cases were not tried.
      ended_in: the cases in which the server's process ended.
      foreign_in: the cases in which a connection got bytes that only others had sent.
      is_echo: whether echoes were expected, and not replies of another kind.
    """
    failed = {rule_id: found for rule_id in RULES if (found := deviations.get(rule_id)) is not None}
    of_any_frame = everywhere or _cause_of_simplest(failed, wire)
    # Whatever needs others beside it, or before it, says nothing about how a stream is read.
    alone = {i: each for i, each in failed.items() if not each.is_only_now_and_then and i not in ended_in}
    plain = ["1.11"] if "1.11" in deviations else _PLAIN
    gives_one_reply = any(ends_after_one(alone[i], wire) for i in plain if i in alone)
    passed = {rule_id for rule_id, deviation in deviations.items() if deviation is None}
    stream = None if gives_one_reply else cause_in_stream(alone, passed, wire)
    by_case: dict[str, str] = {}
    for rule_id, deviation in failed.items():
        has_crashed = rule_id in ended_in or deviation.kind is Kind.NO_CONNECTION
        cause_id = (
            (deviation.cause_id if deviation.is_cause_seen else None)
            or of_any_frame
            or cause_of_others(rule_id, deviation, failed, foreign_in, has_crashed=has_crashed)
            or cause_of_one_reply(rule_id, deviation, wire, gives_one_reply=gives_one_reply)
            or cause_of_neighbours(rule_id, failed)
            or (None if has_crashed else _cause_from_stream(rule_id, deviation, stream, failed, wire))
            or (deviation.cause_id if rule_id == "3.5" and "3.1" not in failed else None)
            or cause_of_extra_bytes(rule_id, deviation, failed, wire)
            or cause_at_limit(rule_id, deviation, failed)
            or (None if rule_id == "1.9" else cause_of_bytes(deviation, wire))
            or _cause_of_cut_off(rule_id, deviation, wire)
            or _cause_of_case(rule_id, deviation, wire)
            or cause_of_ending(rule_id, deviation, failed)
            or own_cause(deviation, has_crashed=rule_id in ended_in)
            or ("crashes" if rule_id in ended_in else None)
            or (stream if deviation.kind in (Kind.WRONG, Kind.EXTRA) else None)
        )
        if cause_id is not None:
            by_case[rule_id] = cause_id
    _explain_what_is_left(by_case, failed)
    _distinguish_no_framing(by_case, deviations)
    if not is_echo:  # of which other bytes say less
        by_case = {each: "other-reply" if cause in _CONTENT else cause for each, cause in by_case.items()}
    overall = tuple(cause_id for cause_id, _ in Counter(by_case.values()).most_common())
    if everywhere is not None and is_blocked and not overall:
        overall = (everywhere,)  # the cases that would show it were not asked for
    details = {everywhere: detail} if everywhere in overall and detail else {}
    return Diagnosis(by_case, overall, details, wire)


def _explain_what_is_left(by_case: dict[str, str], failed: Mapping[str, Deviation]) -> None:
    """Explain what random streams and payloads like headers show by what simpler cases have shown."""
    content = [by_case[rule_id] for rule_id in ("1.10", "1.8") if by_case.get(rule_id) in _CONTENT]
    commonest = Counter(cause_id for rule_id, cause_id in by_case.items() if rule_id[0] in "12")
    found = content or [cause_id for cause_id, _ in commonest.most_common(1)]
    if content and "1.9" in failed:
        by_case["1.9"] = content[0]
    crashes = [cause_id for cause_id in by_case.values() if cause_id in ENDS_SERVER]
    for rule_id in failed:
        if crashes and by_case.get(rule_id) == "crashes":
            by_case[rule_id] = crashes[0]
        if rule_id[0] == "7" and rule_id not in by_case and found:
            by_case[rule_id] = found[0]


def _distinguish_no_framing(by_case: dict[str, str], deviations: Mapping[str, Deviation | None]) -> None:
    """Name "no-framing" for a server that sends back parts of headers and fails no case of cuts or merges."""
    stumbles = any(deviations.get(rule_id, True) for rule_id in ("2.3", "2.4", "2.5", "2.6"))
    if stumbles or by_case.get("1.12") != "streams-before-complete":
        return
    for rule_id, cause_id in by_case.items():
        if cause_id == "streams-before-complete":
            by_case[rule_id] = "no-framing"


def _cause_of_simplest(failed: Mapping[str, Deviation], wire: Wire) -> str | None:
    """Name what makes even a frame of one byte come back wrong: it does so with any other."""
    simplest, truncated = failed.get("1.2"), failed.get("5.3")
    if truncated is not None and truncated.cause_id == "other-header-width":
        return truncated.cause_id  # as long as the first half of headers is 0, all looks right
    if simplest is None:
        return None
    return own_cause(simplest) or cause_of_bytes(simplest, wire)


def _cause_from_stream(
    rule_id: str, deviation: Deviation, stream: str | None, failed: Mapping[str, Deviation], wire: Wire
) -> str | None:
    """Name what a bug in reading explains, unless the case has seen what such a bug does not cause."""
    if stream == "limit-too-low":
        is_refused = deviation.kind in BROKEN_OFF or is_refused_in_words(deviation, wire)
        return stream if is_refused and RULES[rule_id].section not in (4, 6) else None
    if rule_id == "3.5" and deviation.cause_id is not None and "3.1" not in failed:
        return None  # many frames come back right as long as they are read
    if rule_id == "6.2" and deviation.kind in (Kind.RESET, Kind.SILENCE):
        return None
    if rule_id in ("7.2", "7.3", "4.8") and is_stop(deviation) and deviation.cause_id is not None:
        return None
    if (
        rule_id in _STREAMED
        or RULES[rule_id].section == 2
        or (rule_id in _CUT and stream in _STUMBLES_OVER_CUTS)
        or (rule_id in _MISREAD and stream == "short-length-field")
    ):
        return stream
    return None


def _cause_of_cut_off(rule_id: str, deviation: Deviation, wire: Wire) -> str | None:
    """Name the cause of an echo that is the beginning of what was sent."""
    if not is_cut_off(deviation, wire):
        return None
    if RULES[rule_id].section == 2:
        return "recv-n-taken-for-n-bytes"
    return "fixed-buffer" if rule_id in ("1.5", "1.6", "1.7") else None


def _cause_of_case(rule_id: str, deviation: Deviation, wire: Wire) -> str | None:
    """Name what a case is about, if nothing says more."""
    if rule_id in ("1.8", "1.10") and deviation.cause_id is None and is_stop(deviation):
        return "text-decoding"
    if rule_id == "1.9" and deviation.kind not in BROKEN_OFF:
        return deviation.cause_id or "looks-for-header-in-payload"
    return "speaks-unasked" if rule_id == "2.9" and is_unasked(deviation, wire) else None
