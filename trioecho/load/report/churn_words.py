"""Put into words what became of the connections of a load: outages, renewals, and their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...base.histogram import Histogram
from ...base.quantities import in_ms, in_seconds, plural
from .. import LoadResult
from ..results.churn_result import MOST_OUTAGES, Outage
from ..results.tls_result import agreements_in_words

# Outages that are named one by one; of further ones the longest are.
_MOST_NAMED = 5


def connections_in_words(result: LoadResult) -> str:
    """Return how many connections were opened, and how many later ones."""
    words = [f"{result.connections_opened:,} of {result.plan.connections:,} connections"]
    churn = result.churn
    if churn.renewed or result.plan.churn.renews:
        words.append(f"{churn.renewed:,} more later")
    if churn.ended:
        words.append(f"{churn.ended:,} ended by the load")
    return ", ".join(words)


def attempts_in_words(result: LoadResult) -> str | None:
    """Return how late attempts to connect were, where there was a rate for them; else None."""
    lateness = result.churn.attempt_lateness_ns
    if not lateness.count:
        return None
    return f"{plural(lateness.count, 'attempt')}, late, ms: {times_in_words(lateness)}"


def times_in_words(histogram: Histogram) -> str:
    """Return the usual numbers of a histogram of nanoseconds, in milliseconds, on one line."""
    values = [(f"p{percent}", histogram.percentile(percent)) for percent in (50, 99)]
    values.append(("max", histogram.max if histogram.count else None))
    return ", ".join(f"{name} {in_ms(None if ns is None else ns / 1e6)}" for name, ns in values)


def handshakes_in_words(result: LoadResult) -> str | None:
    """Return how long handshakes took, how many were resumed, and what was agreed on; None without TLS."""
    tls = result.tls
    if tls is None or not tls.handshake_ns.count:
        return None
    resumed = (
        f"; {tls.resumed_in_words}" if tls.resumed or (result.plan.tls and result.plan.tls.resume) else ""
    )
    times = times_in_words(tls.handshake_ns)
    what = f"{plural(tls.handshake_ns.count, 'handshake')}, ms: {times}{resumed}"
    return f"{what}; {agreements_in_words(tls.agreements)}"


def sockets_in_words(result: LoadResult) -> str | None:
    """Return what the kernel gave to sockets; None where nothing was asked for."""
    found = [given.in_words(result.plan.sockets) for given in result.sockets]
    return " or ".join(dict.fromkeys(found)) or None


def outages_in_words(result: LoadResult) -> str | None:
    """Return how many outages there were, and how long; None for a load that does not connect again."""
    if not result.plan.churn.reconnect:
        return None
    outages, lost = result.churn.outages, result.churn.outage_ns
    if not outages:
        return "none"
    more = " or more" if len(outages) >= MOST_OUTAGES else ""
    total_s = sum(outage.length_s for outage in outages)
    longest_s = max(outage.length_s for outage in outages)
    return (
        f"{len(outages):,}{more}, {in_seconds(total_s)} in all, the longest {in_seconds(longest_s)}; "
        f"{plural(lost.count, 'connection')} lost"
    )


def outages_as_lines(result: LoadResult) -> Iterator[str]:
    """Yield a line for each of the first outages, or the longest; and for each reason of failed attempts."""
    outages = result.churn.outages
    shown: Sequence[Outage] = outages
    if len(outages) > _MOST_NAMED:
        shown = sorted(sorted(outages, key=lambda outage: -outage.length_s)[:_MOST_NAMED])
        yield f"the {_MOST_NAMED} longest:"
    for outage in shown:
        over = "" if outage.is_over else ", not over at the end"
        when = f"from {in_seconds(outage.start_s)} on for {in_seconds(outage.length_s)}"
        yield f"{when}: {plural(outage.connections, 'connection')}{over}"
    for reason, count in sorted(result.churn.failed_attempts.items(), key=lambda item: -item[1]):
        yield f"{plural(count, 'attempt')} to connect failed: {reason}"
