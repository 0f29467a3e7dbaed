"""The three acts of the demo; everything that is shown happens while it is shown."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..framing import encode_frame
from ..load import LoadResult
from . import analysis, clients, wire
from .analysis import Interval, Load
from .page import Page, Progress
from .servers import SERVE, TIMED_SERVER, Server, ServerReport, running_server

_CLIENTS = 5
_MESSAGES = 200
# 200 messages with this pause last 6 s, and so for three reports.
_THINK_S = 0.03
_REPORT_S = 2.0
_REPORT_TIMEOUT_S = 10.0
# How much an interval may differ from 2 s on a machine that is busy.
_INTERVAL_TOLERANCE_S = 0.5

_WORDS = (b"hello", b"hi")
_CUTS_AT_A_TIME = 1000
# Messages from one sign of progress to the next, which must not disturb the measurement.
_SHOW_EVERY = 20


async def run_demo(out: Callable[[str], object], progress: Progress) -> int:
    """Show the homework at work; 0 if everything held, else 1.

    Args:
      out: takes one line of the story at a time.
      progress: is told of every wait that a person would notice.

    Raises:
      DemoError: it could not be shown to the end.
    """
    page = Page(out)
    page.line_at_margin("trioecho: length-prefixed frames over TCP, echoed. All live, on 127.0.0.1.")
    await _messages_and_shutdown(page, progress)
    await _framing(page)
    await _throughput(page, progress)
    page.heading("What was shown")
    return 0 if page.summary() else 1


# ---- act 1 ----


async def _messages_and_shutdown(page: Page, progress: Progress) -> None:
    page.heading("1. 100 messages, each echo verified; a graceful shutdown; again")
    async with running_server(SERVE) as server:
        port = server.port
        page.line(f"server     started, listens on 127.0.0.1:{port}")
        await _verify_hundred(page, progress, server, "")
        server.terminate()
        exit_code, final = await server.wait_stopped()
    page.line(f"SIGTERM    exit code {exit_code}; final report: {final.messages_total} messages echoed")
    page.claim(
        exit_code == 0 and final.messages_total == 100,
        f"SIGTERM: exit code {exit_code}; the final report has {final.messages_total} of 100 messages",
    )
    async with running_server(SERVE, port=port) as server:
        page.line(f"server     started again at once, listens on 127.0.0.1:{server.port}")
        page.claim(server.port == port, f"Restarted at once on the same port, {port}")
        await _verify_hundred(page, progress, server, " after the restart")
        page.line("client     now sends without pause, and without waiting for echoes, until ...")
        end = await clients.stop_during_traffic(server)
    page.line(f"SIGTERM    ... in the middle of that: exit code {end.exit_code}")
    ended = "then the end of the stream" if end.ended_cleanly else "then a torn or reset connection"
    page.line(f"client     {end.sent:,} sent, {end.echoed:,} echoed in order, {ended}")
    echoed = end.final_report.messages_total - 100
    page.line(
        f"server     final report: {end.final_report.messages_total:,} messages echoed, 100 and {echoed:,}"
    )
    if end.sent > end.echoed:
        page.paragraph(
            f"The other {end.sent - end.echoed:,} came too late: the server had begun to stop. What is "
            "echoed is an exact prefix of what was sent, in whole frames: the client knows where to go on."
        )
    page.claim(
        end.ended_cleanly and end.exit_code == 0 and end.echoed == echoed > 0,
        f"SIGTERM in the middle of traffic: {end.echoed:,} whole echoes, and {echoed:,} in the server's "
        f"count; {ended}; exit code {end.exit_code}",
    )


async def _verify_hundred(page: Page, progress: Progress, server: Server, when: str) -> None:
    counter = _Counter(progress, "100 messages", 100)
    async with await clients.connect(server.port) as channel:
        summary = await clients.verify(channel, clients.payloads(100), on_send=counter.count)
    progress.clear()
    page.line(
        f"client     {summary.messages} of 100 echoes byte-identical and in order, "
        f"in {summary.elapsed_s * 1000:.0f} ms"
    )
    page.claim(summary.messages == 100, f"{summary.messages} of 100 messages came back byte-identical{when}")


class _Counter:
    """Shows how many messages were sent."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self._done = 0

    def count(self) -> None:
        self._done += 1
        if self._done % _SHOW_EVERY == 0:
            self._progress.show(self._what, self._done, self._total)


# ---- act 2 ----


async def _framing(page: Page) -> None:
    page.heading("2. Why length-prefix framing survives partial and coalesced reads")
    page.paragraph(
        "TCP carries a stream of bytes. It keeps their order, but not where one send ended and the next "
        "began: a receive may return half a header, or several frames at once. The header says how many "
        "bytes of payload follow, so where a frame ends is told by the bytes, not by how they arrived. The "
        "decoder hands out what is complete, keeps what is not, and goes on when more comes."
    )
    stream = b"".join(encode_frame(word) for word in _WORDS)
    page.line()
    page.line(f"Coalesced: two frames, {len(stream)} bytes, in one send call:")
    for line in wire.hex_with_meaning(_WORDS):
        page.line(f"  {line}")
    received = await wire.over_tcp([stream])
    sizes = " + ".join(str(len(data)) for data in received)
    page.line(f"received over TCP by {_counted(len(received), 'receive call')}: {sizes} bytes")
    coalesced = wire.frames_in(received)
    page.line(f"the decoder finds {_counted(len(coalesced), 'frame')}: {_quoted(coalesced)}")
    page.line()

    page.line(f"Partial: the same {len(stream)} bytes, in a send call each:")
    pieces = await wire.over_tcp([bytes([byte]) for byte in stream])
    readings = list(wire.read_pieces(pieces))
    for line in wire.wire_table(readings):
        page.line(line)
    partial = [payload for reading in readings for payload in reading.frames]
    page.line()
    saw = (
        f"the decoder saw the {len(_WORDS)} that were sent, both times"
        if coalesced == partial == list(_WORDS)
        else f"but the decoder saw {_quoted(coalesced)} and {_quoted(partial)}, which is WRONG"
    )
    page.paragraph(
        f"A reader that took each receive for a message would have seen {_counted(len(received), 'message')} "
        f"in the first case and {_counted(len(pieces), 'message')} in the second; {saw}."
    )
    cuts = right = 0
    for cut in wire.all_cuts(stream):
        cuts += 1
        right += wire.frames_in(cut) == list(_WORDS)
        if cuts % _CUTS_AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
    page.paragraph(
        f"There are {cuts:,} ways to cut these {len(stream)} bytes into pieces; tried one by one, {right:,} "
        f"of them give the same {len(_WORDS)} frames."
    )
    page.claim(
        coalesced == partial == list(_WORDS) and right == cuts,
        f"Framing: {_counted(len(received), 'receive')} or {len(pieces)}, the same {len(_WORDS)} frames; "
        f"so for {right:,} of {cuts:,} ways to cut them",
    )


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _quoted(payloads: list[bytes]) -> str:
    return ", ".join(f'"{payload.decode("ascii", "backslashreplace")}"' for payload in payloads)


# ---- act 3 ----


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


async def _throughput(page: Page, progress: Progress) -> None:
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
    async with running_server(TIMED_SERVER, on_report=table.add) as server:
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
            Interval(r.interval_s, r.messages, r.service_ms["mean"], r.course_sample_ms["mean"])
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
