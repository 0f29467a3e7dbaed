"""What the measured numbers of act 3 mean: numbers in, sentences out.

No sentence is fixed: the numbers choose it, so numbers that contradict the theory get a
sentence that says so. Times are in milliseconds, except where a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Two rates that differ by at most this are called the same: clocks, sleeps and
# schedulers of a busy machine are not more exact.
_AGREEMENT = 0.1
# Two service times within this factor are called about the same.
_SAME_SERVICE = 1.25


@dataclass(frozen=True)
class ReportInterval:
    """One report of the server.

    Attributes:
      seconds: its length.
      messages: echoed in it.
      service_ms: their mean service time; None without messages.
      course_sample_ms: the mean of the same messages, timed as the course sample does.
    """

    seconds: float
    messages: int
    service_ms: float | None
    course_sample_ms: float | None

    @property
    def rate(self) -> float:
        """Messages per second, as the server reports it."""
        return self.messages / self.seconds


@dataclass(frozen=True)
class Load:
    """A closed-loop load: what its clients measured, and the server's reports of it.

    Attributes:
      clients: side by side.
      messages: of all clients.
      think_ms: pause of a client between an echo and its next message.
      elapsed_s: from the first send to the last echo.
      round_trip_ms: mean, as the clients saw it.
      intervals: the reports, the final one included, in order; at least one with messages.
    """

    clients: int
    messages: int
    think_ms: float
    elapsed_s: float
    round_trip_ms: float
    intervals: Sequence[ReportInterval]

    @property
    def rate(self) -> float:
        """Messages per second while the load ran."""
        return self.messages / self.elapsed_s

    @property
    def predicted_rate(self) -> float:
        """What a closed loop must give: clients / (think + round trip), per second."""
        return predicted_rate(self.clients, self.think_ms, self.round_trip_ms)

    @property
    def keeps_the_law(self) -> bool:
        """Whether the rate is near what the law predicts, or lower only as on a machine that is very busy."""
        return 0.5 < self.rate / self.predicted_rate < 1 + _AGREEMENT

    @property
    def service_ms(self) -> float:
        """Mean service time over all messages."""
        return _mean((interval.service_ms, interval.messages) for interval in self.intervals)

    @property
    def course_sample_ms(self) -> float:
        """Mean over all messages of what the course sample's clock says."""
        return _mean((interval.course_sample_ms, interval.messages) for interval in self.intervals)


def predicted_rate(clients: int, think_ms: float, round_trip_ms: float) -> float:
    """Return the messages per second of a closed loop."""
    return clients / (think_ms + round_trip_ms) * 1000


def _mean(weighted: Iterator[tuple[float | None, int]]) -> float:
    known = [(value, weight) for value, weight in weighted if value is not None and weight]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)


def interval_sentences(burst: Load) -> str:
    """Compare the rate of a burst with the rate that its intervals report."""
    busy = [interval for interval in burst.intervals if interval.messages]
    peak = max(busy, key=lambda interval: interval.rate)
    began = (
        f"The burst had its {burst.messages:,} messages echoed in {burst.elapsed_s:.3g} s: "
        f"{burst.rate:,.0f} msg/s. "
    )
    if len(busy) > 1:
        began += f"It fell into {len(busy)} intervals. "
    said = (
        f"the report says {peak.rate:,.0f} msg/s"
        if len(busy) == 1
        else (f"the fullest report says {peak.rate:,.0f} msg/s")
    )
    factor = burst.rate / peak.rate
    if factor > 1 + _AGREEMENT:
        share = min(1.0, burst.elapsed_s / peak.seconds)
        return began + (
            f"Yet {said}, a factor of {_number(factor)} less: it divides by the whole interval of "
            f"{peak.seconds:.1f} s, of which the load filled {share:.0%}; the rest was silence. An "
            "interval's rate is the load's rate only if the load lasts for the whole of it."
        )
    if factor < 1 - _AGREEMENT:
        return began + (
            f"Surprisingly {said}, which is more than the clients saw: they must have been held up "
            "outside of this interval, by a machine that was busy with something else."
        )
    return began + (
        f"And {said}: the same, since this burst was long enough to fill an interval of {peak.seconds:.1f} s."
    )


def steady_sentences(paced: Load) -> str:
    """Compare the rates of a longer load from interval to interval."""
    full = [interval for interval in paced.intervals[:-1] if interval.messages]
    if not full:
        return f"The paced load was over before an interval was; it made {paced.rate:,.0f} msg/s."
    rates = [interval.rate for interval in full]
    listed = ", ".join(f"{rate:,.0f}" for rate in rates)
    began = (
        f"Under the paced load the reports say {listed} msg/s; over its whole run {paced.rate:,.0f} msg/s. "
    )
    if max(rates) <= min(rates) * (1 + _AGREEMENT):
        return began + "Its intervals are full of load from end to end, so interval and load agree."
    if rates[0] < (1 - _AGREEMENT) * max(rates) and (
        len(rates) == 1 or max(rates[1:]) <= min(rates[1:]) * (1 + _AGREEMENT)
    ):
        return began + "The first interval is lower, as the load began inside it; the others agree."
    return began + (
        f"They differ by {max(rates) / min(rates) - 1:.0%}, which a closed loop with a fixed think time does "
        "not explain: this machine was busy with something else as well."
    )


def law_sentences(load: Load, name: str) -> str:
    """Compare the measured rate with clients / (think + round trip)."""
    loop_ms = load.clients / load.rate * 1000
    rest_ms = loop_ms - load.think_ms - load.round_trip_ms
    deviation = load.rate / load.predicted_rate - 1
    began = (
        f"{name}: {load.clients} / ({load.think_ms:g} ms + {load.round_trip_ms:.3f} ms) = "
        f"{load.predicted_rate:,.0f} msg/s predicted, {load.rate:,.0f} msg/s measured ({deviation:+.1%}). "
    )
    if deviation > _AGREEMENT:
        return began + (
            "That is more than the law allows, which is surprising: not all clients can have been "
            "in the loop all the time, or the mean round trip is not that of the whole run."
        )
    if deviation < -_AGREEMENT:
        began += f"The loop has {rest_ms:.3f} ms more than these two: "
        if load.think_ms:
            return (
                began + "the pauses end late, as they do on a machine with no processor free at that moment."
            )
        return began + (
            "what a client itself does between an echo and its next send, with "
            f"{load.clients} clients in one process that take turns. In this law that is think time, too."
        )
    if load.think_ms > load.round_trip_ms:
        return began + (
            f"{load.think_ms / loop_ms:.0%} of the loop is think time, so the clients set this rate; "
            "even a server that took no time at all could raise it only to "
            f"{predicted_rate(load.clients, load.think_ms, 0):,.0f} msg/s."
        )
    return began + "The round trip is the larger part of the loop, and sets this rate."


def little_sentences(load: Load, name: str) -> str:
    """Say what part of the round trip is service, and how many messages are where (Little's law)."""
    service, round_trip = load.service_ms, load.round_trip_ms
    in_flight = load.rate * round_trip / 1000
    in_service = load.rate * service / 1000
    began = f"{name}: round trip {round_trip:.3f} ms, service {service:.3f} ms"
    if service >= round_trip:
        return began + (
            ". Service longer than the round trip that contains it is surprising: "
            "the two means cannot be of the same messages."
        )
    return began + (
        f" ({service / round_trip:.0%} of it). By Little's law (rate x time), {in_flight:.2g} messages are "
        f"on their way at any moment, {in_service:.2g} of them in service."
    )


def rest_sentences(burst: Load, paced: Load) -> str:
    """Say what the rest of the round trip is, and why it differs between the loads."""
    began = (
        "The rest of the round trip is what service leaves out: the loopback, the scheduler's wake-ups, and "
        "two Python processes, each with one thread that takes its connections in turn. "
    )
    in_flight = burst.rate * burst.round_trip_ms / 1000
    ratio = burst.round_trip_ms / paced.round_trip_ms
    if ratio > 1 + _AGREEMENT:
        return began + (
            f"Under the burst it is {_times(ratio)} as long as under the paced load: {in_flight:.1f} "
            "messages are on their way at a time, and wait for each other."
        )
    if ratio < 1 - _AGREEMENT:
        paced_in_flight = paced.rate * paced.round_trip_ms / 1000
        return began + (
            f"Under the paced load the round trip is {_times(1 / ratio)} as long, with only "
            f"{paced_in_flight:.2g} messages on their way at a time. The likely reason: both processes "
            "sleep between messages, and must be woken up for each."
        )
    return began + "Both loads see about the same round trip, so messages hardly wait for each other."


def service_sentences(burst: Load, paced: Load) -> str:
    """Compare the service times of the two loads, in which the server does the same."""
    ratio = paced.service_ms / burst.service_ms
    began = f"Service alone: burst {burst.service_ms:.3f} ms, paced {paced.service_ms:.3f} ms"
    if ratio > _SAME_SERVICE:
        return began + (
            ". The same code takes longer when there is less to do: it runs on a core that has just been "
            "idle, with caches that others have used. (That is the usual reason; it was not measured here.)"
        )
    if ratio < 1 / _SAME_SERVICE:
        return began + (
            ". It is longer under the burst, where server and clients compete for the processor: an echo "
            "that is interrupted has that time in it. (A likely reason; it was not measured here.)"
        )
    return began + ": about the same, as the server does the same for a message whatever the load."


def course_sample_sentences(burst: Load, paced: Load) -> str:
    """Say what the course sample's clock shows, which starts before the receive."""
    claim, service = paced.course_sample_ms, paced.service_ms
    loop_ms = paced.clients / paced.rate * 1000
    factor = claim / service
    began = (
        f"Under the paced load that clock says {claim:.3f} ms, where the service time is {service:.3f} ms: "
        f"{_times(factor)} as much. "
    )
    if factor < 1 + _AGREEMENT:
        return (
            f"Under the paced load that clock says {claim:.3f} ms and the service time is {service:.3f} ms: "
            "surprisingly the same, although the clients thought in between."
        )
    if abs(claim / loop_ms - 1) <= _AGREEMENT:
        began += (
            "It is the time of a client's whole loop "
            f"({paced.clients} / {paced.rate:,.0f} msg/s = {loop_ms:.3f} ms), "
            f"{paced.think_ms:g} ms of it think time: a number about the client, not about the server. "
        )
    else:
        began += f"It is not even the time of a client's loop ({loop_ms:.3f} ms), which is surprising. "
    other = burst.course_sample_ms
    if claim > other * (1 + _AGREEMENT):
        service_ratio = service / burst.service_ms
        began += (
            f"By the same clock a message of the burst takes {other:.3f} ms: the busy server would seem "
            f"{_times(claim / other)} as fast as the idle one. By service time "
        )
        began += (
            "it is not faster."
            if service_ratio < 1 + _AGREEMENT
            else f"it is {_times(service_ratio)} as fast."
        )
    return began.rstrip()


def _times(factor: float) -> str:
    return f"{_number(factor)} times"


def _number(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 9.95 else f"{factor:.1f}"
