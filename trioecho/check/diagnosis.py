"""What probably is wrong with a server, from the pattern of what passed and what did not.

A pure function of the findings. The same bug shows in many cases, and many bugs
fail one case; so each case is judged by the bytes that came in it, and by what
other cases, which differ from it in one thing, say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from .book import RULES
from .diagnosis_of_bytes import announces_all, cause_of_bytes, is_cut_off
from .finding import Deviation, Kind
from .survey import Survey
from .wire import Wire

# What a bug in reading from a stream shows in, beside the section about it.
_STREAMED = {"1.4", "1.5", "1.6", "1.7", "3.1", "3.4", "3.5", "3.6", "7.1"}
# What one shows in that stumbles over cuts: the end of the stream, and of the server, is a cut, too.
_CUT = {"5.3", "6.2", "7.2"}
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
_ENORMOUS = ("4.3", "4.4", "4.5")
_ENDS_SERVER = {"error-ends-server", "dies-on-reset", "dies-on-broken-pipe"}
_CONTENT = {"text-decoding", "strips-whitespace", "line-oriented", "content-changed"}
_NEIGHBOURS = {"3.2", "3.3", "3.4", "3.6", "7.3"}
_SIZES = (("1.3", 255), ("1.4", 256), ("1.5", 65535), ("1.6", 65536))
_STOPPED = (Kind.SILENCE, Kind.END, Kind.RESET)


@dataclass(frozen=True)
class Diagnosis:
    """Likely causes.

    Attributes:
      by_case: a cause's id for each case that did not pass, where one is known.
      overall: ids over all cases, the one that explains most of them first.
    """

    by_case: dict[str, str]
    overall: tuple[str, ...]


def diagnose(
    deviations: Mapping[str, Deviation | None],
    survey: Survey,
    wire: Wire,
    *,
    ended_in: Collection[str] = (),
) -> Diagnosis:
    """Name likely causes.

    Args:
      deviations: of each case that was decided; None for one that passed.
      survey: the first look at the server.
      wire: how headers are written.
      ended_in: the cases in which the server's process ended.
    """
    failed = {rule_id: found for rule_id in RULES if (found := deviations.get(rule_id)) is not None}
    everywhere = _cause_everywhere(survey, wire) or _cause_of_simplest(failed, wire)
    # Whatever needs others beside it, or before it, says nothing about how a stream is read.
    stream = _cause_in_stream({i: each for i, each in failed.items() if not each.is_only_now_and_then}, wire)
    by_case: dict[str, str] = {}
    for rule_id, deviation in failed.items():
        cause_id = (
            everywhere
            or _cause_of_neighbours(rule_id, failed)
            or _cause_from_stream(rule_id, stream)
            or ("shared-state" if deviation.is_only_now_and_then else None)
            or _cause_of_extra_bytes(rule_id, deviation, failed)
            or _cause_at_limit(rule_id, deviation, failed)
            or (None if rule_id == "1.9" else cause_of_bytes(deviation, wire))
            or _cause_of_cut_off(rule_id, deviation, wire)
            or _cause_of_case(rule_id, deviation)
            or _cause_of_ending(rule_id, deviation, failed)
            or deviation.cause_id
            or ("crashes" if rule_id in ended_in else None)
            or (stream if deviation.kind in (Kind.WRONG, Kind.EXTRA) else None)
        )
        if cause_id is not None:
            by_case[rule_id] = cause_id
    _explain_what_is_left(by_case, failed)
    return Diagnosis(by_case, tuple(cause_id for cause_id, _ in Counter(by_case.values()).most_common()))


def _explain_what_is_left(by_case: dict[str, str], failed: Mapping[str, Deviation]) -> None:
    """What looks like headers, and random streams, fail by what has been found more plainly before."""
    content = [by_case[rule_id] for rule_id in ("1.10", "1.8") if by_case.get(rule_id) in _CONTENT]
    commonest = Counter(cause_id for rule_id, cause_id in by_case.items() if rule_id[0] in "12")
    found = content or [cause_id for cause_id, _ in commonest.most_common(1)]
    if content and "1.9" in failed:
        by_case["1.9"] = content[0]
    crashes = [cause_id for cause_id in by_case.values() if cause_id in _ENDS_SERVER]
    for rule_id in failed:
        if crashes and by_case.get(rule_id) == "crashes":
            by_case[rule_id] = crashes[0]
        if rule_id[0] == "7" and rule_id not in by_case and found:
            by_case[rule_id] = found[0]


def _cause_everywhere(survey: Survey, wire: Wire) -> str | None:
    """A cause that lets no frame come back right."""
    if survey.obstacle is not None:
        return survey.obstacle.cause_id
    if survey.unasked:
        return "speaks-unasked"
    if (other := survey.other_wire) is None:
        return None
    if other.header_bytes != wire.header_bytes:
        return "other-header-width"
    return "little-endian" if other.byte_order != wire.byte_order else "length-includes-header"


def _cause_of_simplest(failed: Mapping[str, Deviation], wire: Wire) -> str | None:
    """What makes even a frame of one byte come back wrong does so with any other."""
    simplest, truncated = failed.get("1.2"), failed.get("5.3")
    if truncated is not None and truncated.cause_id == "other-header-width":
        return truncated.cause_id  # as long as the first half of headers is 0, all looks right
    if simplest is None:
        return None
    return simplest.cause_id or cause_of_bytes(simplest, wire)


def _cause_of_neighbours(rule_id: str, failed: Mapping[str, Deviation]) -> str | None:
    """One connection at a time fails all that needs two."""
    second = failed.get("3.2")
    if rule_id in _NEIGHBOURS and second is not None and second.cause_id == "single-threaded":
        return "single-threaded"
    return None


def _cause_from_stream(rule_id: str, stream: str | None) -> str | None:
    """What a bug in reading explains."""
    if (
        rule_id in _STREAMED
        or RULES[rule_id].section == 2
        or (rule_id in _CUT and stream in _STUMBLES_OVER_CUTS)
        or (rule_id in _MISREAD and stream == "short-length-field")
    ):
        return stream
    return None


def _cause_of_extra_bytes(rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation]) -> str | None:
    """Whoever sends bytes where none should come does so wherever there is reason to."""
    if deviation.kind not in (Kind.EXTRA, Kind.WRONG) or RULES[rule_id].section not in (4, 7):
        return None
    for first in ("5.3", "4.3", "4.4"):
        found = failed.get(first)
        if (
            found is not None
            and found.kind is Kind.EXTRA
            and found.cause_id in ("streams-before-complete", "length-overflow", "signed-length")
        ):
            return found.cause_id
    return None


def _cause_of_ending(rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation]) -> str | None:
    """Who loses echoes at one end loses them at others; and a reset is a broken pipe, too."""

    def has(first: str, cause_id: str) -> bool:
        return (found := failed.get(first)) is not None and found.cause_id == cause_id

    if deviation.cause_id == "earlier-frames-lost" and has("5.1", "last-reply-lost-at-half-close"):
        return "last-reply-lost-at-half-close"
    return "dies-on-reset" if rule_id == "5.5" and has("5.4", "dies-on-reset") else None


def _cause_at_limit(rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation]) -> str | None:
    """Whoever takes a frame over the limit has none or a wrong one; who refuses it late waits for any."""
    if rule_id not in ("4.1", *_ENORMOUS, "4.2"):
        return None
    waits = any(failed[each].kind is Kind.SILENCE for each in _ENORMOUS if each in failed)
    if (over := failed.get("4.1")) is not None and over.kind is Kind.EXTRA:
        return "no-limit" if waits else "limit-not-enforced"
    # 4.2 can fail only where the limit was told.
    return "limit-checked-late" if "4.2" in failed and deviation.kind is Kind.SILENCE else None


def _cause_in_stream(failed: Mapping[str, Deviation], wire: Wire) -> str | None:
    """From which cuts and sizes a server stands."""
    header, payload = failed.get("2.3"), failed.get("2.4")
    if header is not None or payload is not None:
        return _cause_of_cuts(header, payload, failed)
    if "2.5" in failed:
        return _cause_of_two(failed["2.5"], wire)
    truncated = failed.get("5.3")
    if truncated is not None and truncated.cause_id == "streams-before-complete":
        return truncated.cause_id
    if "2.9" in failed and "2.1" not in failed:
        return "short-read-timeout"  # and 2.8 too, where a busy machine makes a pause there
    if "2.8" in failed:
        return "drops-rest-of-segment"
    return _cause_of_sizes(failed, wire)


def _cause_of_cuts(
    header: Deviation | None, payload: Deviation | None, failed: Mapping[str, Deviation]
) -> str | None:
    if payload is None:
        return "header-taken-whole"
    if header is None:
        return "recv-n-taken-for-n-bytes"
    if "2.5" in failed:
        return "segment-taken-for-frame"
    # Both fail. One who reads a part and answers it takes recv(n) for n bytes; one
    # who parses whole receives, and forgets what is left, answers nothing.
    if payload.received_bytes or "2.6" not in failed:
        return "recv-n-taken-for-n-bytes"
    return "stateless-reads"


def _cause_of_two(deviation: Deviation, wire: Wire) -> str | None:
    came, _ = wire.split(deviation.received_bytes)
    wanted, _ = wire.split(deviation.expected_bytes)
    if deviation.kind in _STOPPED and came == wanted[:1]:
        return "one-parse-per-recv"
    return cause_of_bytes(deviation, wire) or "segment-taken-for-frame"


def _cause_of_sizes(failed: Mapping[str, Deviation], wire: Wire) -> str | None:
    """From which size on frames are not echoed."""
    for (before, _), (rule_id, size) in pairwise(_SIZES):
        if rule_id in failed and before not in failed:
            if size in (256, 65536) and not is_cut_off(failed[rule_id], wire):
                return "short-length-field"
            if failed[rule_id].kind in _STOPPED and announces_all(failed[rule_id], wire):
                return "partial-send-ignored"
            return "fixed-buffer"
    large = failed.get("1.7")
    if large is not None and "1.6" not in failed and large.received_bytes:
        return "partial-send-ignored" if announces_all(large, wire) else "fixed-buffer"
    return None


def _cause_of_cut_off(rule_id: str, deviation: Deviation, wire: Wire) -> str | None:
    """Of an echo that is the beginning of what was sent."""
    if not is_cut_off(deviation, wire):
        return None
    if RULES[rule_id].section == 2:
        return "recv-n-taken-for-n-bytes"
    return "fixed-buffer" if rule_id in ("1.5", "1.6", "1.7") else None


def _cause_of_case(rule_id: str, deviation: Deviation) -> str | None:
    """What a case is about, if nothing says more."""
    if rule_id == "1.1":
        return "zero-length-taken-for-eof"
    if rule_id in ("1.8", "1.10") and deviation.cause_id is None and deviation.kind in _STOPPED:
        return "text-decoding"
    if rule_id == "1.9":
        return deviation.cause_id or "looks-for-header-in-payload"
    return None
