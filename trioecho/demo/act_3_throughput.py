"""Act 3 of the demo: throughput and service time under load, with an analysis."""

from __future__ import annotations

from ..load import LoadResult
from . import analysis, clients
from .analysis import Load, ReportInterval
from .page import Page, ProgressDisplay
from .servers import TIMED_SERVER, ServerReport, open_server

_CLIENTS = 5
_MESSAGES = 200
# 200 messages with this pause last 6 s, and so for three reports.
_THINK_S = 0.03
_REPORT_S = 2.0
_REPORT_TIMEOUT_S = 10.0
# How much an interval may differ from 2 s on a busy machine.
_INTERVAL_TOLERANCE_S = 0.5


class _Table:
    """The server's reports, a row for each as it comes."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.load = "burst"
        page.line("                                          service time        course sample's")
        page.line("load          interval   messages  msg/s  mean ms   p99 ms   mean ms   p99 ms")

    def add(self, report: ServerReport) -> None:
        service, sample = report.service_ms, report.course_sample_ms
        rate = f"{report.messages_per_s:>6,.0f}"
        times = " ".join(
            f"{'-' if value is None else format(value, '.3f'):>8}"
            for value in (service["mean"], service["p99"], sample["mean"], sample["p99"])
        )
        load_name = "(rest)" if report.final else self.load
        self._page.line(f"{load_name:<14}{report.interval_s:.3f} s {report.messages:>9,} {rate} {times}")


async def show_throughput(page: Page, progress: ProgressDisplay) -> None:
    """Show act 3: a burst and a paced load, with the server's reports and what they mean."""
    total = _CLIENTS * _MESSAGES
    page.heading(f"3. {_CLIENTS} clients x {_MESSAGES} messages, with a report every {_REPORT_S:g} s")
    page.paragraph(
        "First a burst: every client sends its next message as soon as it has the echo, a closed loop, as "
        f"trioecho load makes it. Then the same messages paced: a think time of {_THINK_S * 1000:g} ms after "
        f"each echo (--think {_THINK_S * 1000:g}ms). The server's service time of a message runs from its "
        "last byte received to its echo accepted by the kernel. The last columns time the same messages as "
        "the course sample does: from before the receive. The row (rest) is the final report, made at "
        "shutdown; the shorter it is, the less its rate says."
    )
    page.line()
    table = _Table(page)
    async with open_server(TIMED_SERVER, on_report=table.add) as server:
        burst = await clients.put_load(server.port, clients=_CLIENTS, messages=_MESSAGES)
        progress.show("waiting for the server's report", 0, 0)
        await server.wait_reported(burst.messages, _REPORT_TIMEOUT_S)
        burst_reports = list(server.reports)
        progress.clear()
        round_trip_ms = (burst.latency_ns.mean or 0) / 1e6
        predicted = analysis.predicted_rate(_CLIENTS, _THINK_S * 1000, round_trip_ms)
        page.line(
            f"  prediction: {_CLIENTS} clients / ({_THINK_S * 1000:g} ms think + {round_trip_ms:.3f} ms "
            f"round trip) = {predicted:,.0f} msg/s"
        )

        table.load = f"{_THINK_S * 1000:g} ms think"
        paced = await clients.put_load(
            server.port,
            clients=_CLIENTS,
            messages=_MESSAGES,
            think_s=_THINK_S,
            on_progress=lambda done: progress.show("paced load", done, total),
        )
        progress.clear()
        server.terminate()
        exit_code, final = await server.wait_stopped()
        paced_reports = server.reports[len(burst_reports) :]
    verified = burst.messages + paced.messages
    page.claim(
        final.messages_total == verified == 2 * total and exit_code == 0,
        f"{_CLIENTS} clients x {_MESSAGES} messages, twice: {verified:,} echoes verified, "
        f"{final.messages_total:,} in the server's count",
    )
    seconds = [report.interval_s for report in server.reports if not report.final]
    page.claim(
        len(seconds) >= 3 and all(abs(length - _REPORT_S) < _INTERVAL_TOLERANCE_S for length in seconds),
        f"{len(seconds)} reports at intervals of {min(seconds):.3f} to {max(seconds):.3f} s, and a final one",
    )
    _analyse(page, _as_load(burst, 0, burst_reports), _as_load(paced, _THINK_S, paced_reports))


def _as_load(result: LoadResult, think_s: float, reports: list[ServerReport]) -> Load:
    return Load(
        clients=_CLIENTS,
        messages=result.messages,
        think_ms=think_s * 1000,
        elapsed_s=result.elapsed_s,
        round_trip_ms=(result.latency_ns.mean or 0) / 1e6,
        intervals=[
            ReportInterval(r.interval_s, r.messages, r.service_ms["mean"], r.course_sample_ms["mean"])
            for r in reports
        ],
    )


def _analyse(page: Page, burst: Load, paced: Load) -> None:
    for title, sentences in (
        ("Rate and interval", (analysis.interval_sentences(burst), analysis.steady_sentences(paced))),
        (
            "What sets the rate: clients / (think time + round trip)",
            (analysis.law_sentences(burst, "Burst"), analysis.law_sentences(paced, "Paced")),
        ),
        (
            "Service time and round trip",
            (
                analysis.little_sentences(burst, "Burst"),
                analysis.little_sentences(paced, "Paced"),
                analysis.rest_sentences(burst, paced),
                analysis.service_sentences(burst, paced),
            ),
        ),
        (
            "The course sample's clock, which starts before the receive",
            (analysis.course_sample_sentences(burst, paced),),
        ),
    ):
        page.line()
        page.line(title)
        for paragraph in sentences:
            page.paragraph(paragraph)
    page.claim(
        paced.keeps_the_law,
        f"The paced rate is set by the clients: {paced.predicted_rate:,.0f} msg/s predicted, "
        f"{paced.rate:,.0f} measured",
    )
    page.claim(
        paced.service_ms < paced.round_trip_ms and paced.course_sample_ms > 0.9 * paced.think_ms,
        f"Service time has no think time in it: {paced.service_ms:.3f} ms; the course sample's clock would "
        f"have said {paced.course_sample_ms:.3f} ms",
    )
