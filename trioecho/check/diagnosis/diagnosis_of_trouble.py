"""What cases about neighbours, limits and endings say of a server, each by itself and together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..book.book import RULES
from ..client.finding import Deviation, Kind
from ..client.wire import Wire
from .diagnosis_of_bytes import is_sent_back_early, whole_frames

_ENORMOUS = ("4.3", "4.4", "4.5")
ENDS_SERVER = {"error-ends-server", "dies-on-reset", "dies-on-broken-pipe"}
_NEIGHBOURS = {"3.2", "3.3", "3.4", "3.6", "7.3"}
_BESIDE_OTHERS = {"3.2", "3.3", "3.4", "3.6", "4.8", "5.4", "5.5", "5.7", "7.3"}
BROKEN_OFF = (Kind.END, Kind.RESET)
# What a case names because nothing came, or no connection was to be had: wrong bytes have other causes.
_ABOUT_STOPS = {
    *ENDS_SERVER,
    "single-threaded",
    "connection-limit",
    "blocked-by-non-reader",
    "starves-others",
    "leaks-connections",
    "not-ready-when-listening",
    "last-reply-lost-at-half-close",
    "half-close-ignored",
    "earlier-frames-lost",
}
# For these others must wait: one that is ended has another reason.
_ABOUT_SILENCE = {"single-threaded", "blocked-by-non-reader", "starves-others"}


def own_cause(deviation: Deviation, *, has_crashed: bool = False) -> str | None:
    """Return the cause that the case has named, if it is one for what came."""
    is_about_stops = deviation.cause_id in _ABOUT_STOPS
    if deviation.cause_id in _ABOUT_SILENCE and deviation.kind in BROKEN_OFF:
        return None
    if is_about_stops and (is_wrong(deviation) or (has_crashed and deviation.cause_id not in ENDS_SERVER)):
        return None
    return deviation.cause_id


def is_wrong(deviation: Deviation) -> bool:
    """Return whether bytes came that were not expected."""
    return deviation.kind in (Kind.WRONG, Kind.EXTRA)


def ends_after_one(deviation: Deviation, wire: Wire) -> bool:
    """Return whether a connection gave one echo that was right, and ended."""
    right = whole_frames(deviation, wire) + deviation.echoes_before
    return deviation.kind in BROKEN_OFF and right == 1


def cause_of_one_reply(
    rule_id: str, deviation: Deviation, wire: Wire, *, gives_one_reply: bool
) -> str | None:
    """Name the cause of what ends because a connection gives one reply."""
    # What came before is not counted where a case waits for the end of the connection itself.
    waits_for_end = rule_id == "4.7" and not deviation.received_bytes and deviation.kind in BROKEN_OFF
    is_of_it = gives_one_reply and (waits_for_end or ends_after_one(deviation, wire))
    return "one-reply" if is_of_it else None


def cause_of_others(
    rule_id: str,
    deviation: Deviation,
    failed: Mapping[str, Deviation],
    foreign_in: Collection[str],
    *,
    has_crashed: bool,
) -> str | None:
    """Name what one connection does to another: give it bytes, or end it. Only where that was seen."""
    if has_crashed:
        return None
    proofs = {*foreign_in, *(each for each, found in failed.items() if found.cause_id == "shared-state")}
    if rule_id in proofs or (proofs and (deviation.is_only_now_and_then or rule_id in _BESIDE_OTHERS)):
        return "shared-state"
    closes = failed.get("5.6")
    ends_others = closes is not None and closes.cause_id == "ends-others"
    return "ends-others" if ends_others and deviation.kind in BROKEN_OFF else None


def cause_of_neighbours(rule_id: str, failed: Mapping[str, Deviation]) -> str | None:
    """Name the cause where one connection at a time fails all that needs two."""
    second = failed.get("3.2")
    if rule_id in _NEIGHBOURS and second is not None and own_cause(second) == "single-threaded":
        return "single-threaded" if failed[rule_id].kind is Kind.SILENCE else None
    return None


def cause_of_extra_bytes(
    rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation], wire: Wire
) -> str | None:
    """Name the cause of bytes where none should come, if another case has shown it."""
    if deviation.kind not in (Kind.EXTRA, Kind.WRONG) or RULES[rule_id].section not in (4, 7):
        return None
    if deviation.cause_id == "refusal-said":
        return deviation.cause_id
    for first in ("5.3", "4.3", "4.4"):
        found = failed.get(first)
        if (
            found is not None
            and found.kind is Kind.EXTRA
            and found.cause_id in ("streams-before-complete", "length-overflow", "signed-length")
        ):
            return found.cause_id
    return "streams-before-complete" if is_sent_back_early(deviation, wire) else None


def cause_of_ending(rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation]) -> str | None:
    """Name the cause of an end or a reset that another case has shown already."""
    reset = failed.get("5.4")
    has_died_of_it = reset is not None and own_cause(reset) == "dies-on-reset"
    if rule_id == "5.5" and has_died_of_it and not is_wrong(deviation):
        return "dies-on-reset"
    resets = any(failed[each].cause_id == "ends-with-reset" for each in ("5.1", "5.2") if each in failed)
    return "ends-with-reset" if rule_id == "4.7" and resets and deviation.kind is Kind.RESET else None


def cause_at_limit(rule_id: str, deviation: Deviation, failed: Mapping[str, Deviation]) -> str | None:
    """Name the cause of a frame over the limit that is echoed, or refused too late."""
    if rule_id not in ("4.1", *_ENORMOUS, "4.2"):
        return None
    waits = any(failed[each].kind is Kind.SILENCE for each in _ENORMOUS if each in failed)
    if (over := failed.get("4.1")) is not None and over.kind is Kind.EXTRA:
        return "no-limit" if waits else "limit-not-enforced"
    if over is not None and over.kind is deviation.kind is Kind.SILENCE:
        return "refused-without-end"
    # 4.2 can fail only where the limit was given.
    waits_early = "4.2" in failed and failed["4.2"].kind is Kind.SILENCE
    return "limit-checked-late" if waits_early and deviation.kind is Kind.SILENCE else None
