"""Act 1 of the demo: 100 messages, each echo verified; a graceful shutdown; the same again."""

from __future__ import annotations

from . import clients
from .page import Page, ProgressDisplay
from .servers import SERVE, Server, open_server

# Messages from one sign of progress to the next, which must not disturb the measurement.
_SHOW_EVERY = 20


async def show_messages_and_shutdown(page: Page, progress: ProgressDisplay) -> None:
    """Show act 1: verified echoes, and two graceful shutdowns, one of them in the middle of traffic."""
    page.heading("1. 100 messages, each echo verified; a graceful shutdown; again")
    async with open_server(SERVE) as server:
        port = server.port
        page.event("server", f"started, listens on 127.0.0.1:{port}")
        await _verify_hundred(page, progress, server, "")
        server.terminate()
        exit_code, final = await server.wait_stopped()
    page.event("SIGTERM", f"exit code {exit_code}; final report: {final.messages_total} messages echoed")
    page.claim(
        exit_code == 0 and final.messages_total == 100,
        f"SIGTERM: exit code {exit_code}; the final report has {final.messages_total} of 100 messages",
    )
    async with open_server(SERVE, port=port) as server:
        page.event("server", f"started again at once, listens on 127.0.0.1:{server.port}")
        page.claim(server.port == port, f"Restarted at once on the same port, {port}")
        await _verify_hundred(page, progress, server, " after the restart")
        page.event("client", "now sends without pause, and without waiting for echoes, until ...")
        end = await clients.stop_during_traffic(server)
    page.event("SIGTERM", f"... in the middle of that: exit code {end.exit_code}")
    ended = "then the end of the stream" if end.ended_cleanly else "then a torn or reset connection"
    page.event("client", f"{end.sent:,} sent, {end.echoed:,} echoed in order, {ended}")
    echoed = end.final_report.messages_total - 100
    page.event(
        "server", f"final report: {end.final_report.messages_total:,} messages echoed, 100 and {echoed:,}"
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


async def _verify_hundred(page: Page, progress: ProgressDisplay, server: Server, when: str) -> None:
    counter = _Counter(progress, "100 messages", 100)
    async with await clients.open_local_channel(server.port) as channel:
        summary = await clients.verify(channel, clients.payloads(100), on_send=counter.count)
    progress.clear()
    page.event(
        "client",
        f"{summary.messages} of 100 echoes byte-identical and in order, in {summary.elapsed_s * 1000:.0f} ms",
    )
    page.claim(summary.messages == 100, f"{summary.messages} of 100 messages came back byte-identical{when}")


class _Counter:
    """Shows how many messages were sent."""

    def __init__(self, progress: ProgressDisplay, what: str, total: int) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self._done = 0

    def count(self) -> None:
        self._done += 1
        if self._done % _SHOW_EVERY == 0:
            self._progress.show(self._what, self._done, self._total)
