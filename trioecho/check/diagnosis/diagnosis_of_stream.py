"""From which cuts, merges and sizes a server stands, when it fails several cases about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

from ..client.finding import Deviation, is_stop, nothing_came
from ..client.wire import Wire
from .diagnosis_of_bytes import (
    announces_all,
    cause_of_bytes,
    is_cut_off,
    is_refused_in_words,
    is_sent_back_early,
)

_SIZES = (("1.2", 1), ("1.3", 255), ("1.4", 256), ("1.5", 65535), ("1.6", 65536))


def cause_in_stream(failed: Mapping[str, Deviation], passed: Collection[str], wire: Wire) -> str | None:
    """Name what is wrong with how a server reads; None if nothing is.

    Args:
      failed: the cases that failed, except those that fail only now and then.
      passed: those that passed.
      wire: how headers are written.
    """
    header, payload = failed.get("2.3"), failed.get("2.4")
    is_impatient = "2.9" in failed and "2.1" not in failed and is_stop(failed["2.9"])
    if is_impatient and "2.1" in passed:
        header = payload = None  # a cut does no harm; but a busy machine may make a long pause of one
    if header is not None or payload is not None:
        return _cause_of_cuts(header, payload, failed)
    if "2.5" in failed:
        return _cause_of_two(failed["2.5"], wire)
    truncated = failed.get("5.3")
    if truncated is not None and truncated.cause_id == "streams-before-complete":
        return truncated.cause_id
    if is_impatient:
        return "short-read-timeout"  # and 2.8 too, where a busy machine makes a pause there
    if "2.8" in failed:
        return _cause_of_rest(failed["2.8"], wire)
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
    if is_stop(deviation) and came == wanted[:1]:
        return "one-parse-per-recv"
    return cause_of_bytes(deviation, wire) or "segment-taken-for-frame"


def _cause_of_rest(deviation: Deviation, wire: Wire) -> str | None:
    """Name the cause from a frame that came with the beginning of the next; None if its bytes say another."""
    if is_sent_back_early(deviation, wire):
        return "streams-before-complete"
    return "drops-rest-of-segment" if cause_of_bytes(deviation, wire) is None else None


def _cause_of_sizes(failed: Mapping[str, Deviation], wire: Wire) -> str | None:
    """Name the cause by the size from which on frames are not echoed."""
    for (before, _), (rule_id, size) in pairwise(_SIZES):
        if rule_id in failed and before not in failed:
            if nothing_came(failed[rule_id]) or is_refused_in_words(failed[rule_id], wire):
                return "limit-too-low"
            if rule_id == "1.3":
                continue
            if size in (256, 65536) and not is_cut_off(failed[rule_id], wire):
                return "short-length-field"
            if is_stop(failed[rule_id]) and announces_all(failed[rule_id], wire):
                return "partial-send-ignored"
            return "fixed-buffer"
    large = failed.get("1.7")
    if large is None or is_refused_in_words(large, wire):
        return None
    if "1.6" not in failed and large.received_bytes:
        return "partial-send-ignored" if announces_all(large, wire) else "fixed-buffer"
    return None
