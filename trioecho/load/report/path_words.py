"""Put into words what the kernel knew of the path, and what that can explain."""

from __future__ import annotations

from collections.abc import Iterator

from ...base.histogram import Histogram
from ...base.quantities import in_ms, plural
from .. import LoadResult
from ..results.path_counts import PathCounts
from ..results.path_result import explain

# A smaller part of the time in which the server, or the send buffer, had no room is not worth a word.
_WORTH_A_WORD = 0.01
_MS = 1e6


def path_in_words(result: LoadResult) -> str | None:
    """Return what became of segments, round trips and windows, on one line; None where there is no path."""
    path = result.path
    if path is None:
        return None
    if not path.connections:
        return f"not known: {path.missing}" if path.missing else None
    counts = path.counts
    parts = [retransmits_in_words(counts)]
    if counts.rtt_ns.count:
        parts.append(
            f"round trip, ms: p50 {in_ms((counts.rtt_ns.percentile(50) or 0) / _MS)}, "
            f"max {in_ms(counts.rtt_ns.max / _MS)}"
        )
    if counts.congestion_window.count:
        parts.append(
            f"congestion window p50 {counts.congestion_window.percentile(50):,}, "
            f"least {least(counts.congestion_window):,}"
        )
    if counts.unsent_bytes.max:
        parts.append(f"unsent, B: mean {counts.unsent_bytes.mean or 0:,.0f}, max {counts.unsent_bytes.max:,}")
    parts += _limits_in_words(counts)
    if path.missing:
        parts.append(f"of {plural(path.connections, 'connection')} alone: {path.missing}")
    return "; ".join(parts)


def retransmits_in_words(counts: PathCounts) -> str:
    """Return how many segments were sent again, and of how many."""
    share = counts.retransmit_share
    needless = f", {counts.needless:,} of them needlessly" if counts.needless else ""
    if share is None:
        return f"{plural(counts.retransmits, 'segment')} sent again{needless}"
    percent = f" ({100 * share:.2g} %)" if counts.retransmits else ""
    return f"{counts.retransmits:,} of {counts.data_segments:,} segments sent again{percent}{needless}"


def _limits_in_words(counts: PathCounts) -> Iterator[str]:
    for limited_us, what in (
        (counts.window_limited_us, "the server's receive window"),
        (counts.buffer_limited_us, "the send buffer"),
    ):
        if counts.busy_us and limited_us >= _WORTH_A_WORD * counts.busy_us:
            yield f"limited by {what} {limited_us / counts.busy_us:.0%} of the time"
    if counts.out_of_order:
        yield f"{plural(counts.out_of_order, 'segment')} came out of order"


def explanation_in_words(result: LoadResult) -> str | None:
    """Return what segments that were sent again can explain, a sentence or two; None if that is nothing."""
    found = explain(result.path, result.latency_ns, result.plan, result.length_s)
    if found is None:
        return None
    were = "was" if found.retransmits == 1 else "were"
    replies = f"{found.slow:,} {'reply' if found.slow == 1 else 'replies'}"
    rto = f"{in_ms(found.rto_ns / _MS)} ms"
    facts = (
        f"{plural(found.retransmits, 'segment')} {were} sent again, and {replies} took the retransmission "
        f"timeout ({rto}) or longer"
    )
    if found.is_whole:
        return f"{facts}: that can explain the {found.percentile} ({in_ms(found.latency_ns / _MS)} ms)."
    return f"{facts}: that can explain {found.most:,} of them at most."


def least(histogram: Histogram) -> int:
    """Return the smallest value, as exact as a histogram has it; 0 if it is empty."""
    return next((value for value, _ in histogram.steps()), 0)
