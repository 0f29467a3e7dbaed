"""An echo server that times each message twice, to compare two definitions.

``python -m trioecho.demo.timed_server`` serves echoes as ``trioecho serve``
does, and reports as JSON Lines as it does. To each report it adds, as
``course_sample_ms``, the same messages timed as the course sample times them: with a
clock that starts before the receive. It is a program of its own, because a server that
shares a process with its clients is measured together with them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio

from ..base.addresses import listening_line
from ..base.histogram import Histogram
from ..base.units import NS_PER_S
from ..connection.channel import FrameChannel
from ..server.report import Report
from ..server.report_lines import report_as_json
from ..server.serving import FrameServer, serve_frames


class TwofoldTiming:
    """A handler, and reports that have both timings in them.

    Args:
      write_line: takes the JSON lines.
    """

    def __init__(self, write_line: Callable[[str], object]) -> None:
        self._write_line = write_line
        self._course_sample_ns = Histogram()

    async def echo(self, channel: FrameChannel) -> None:
        """Echo as `trioecho.echo` does, with the course sample's clock around it."""
        while True:
            began = trio.current_time()  # here: while the client still thinks
            try:
                batch = await channel.receive_batch()
            except trio.EndOfChannel:
                return
            await channel.send_batch(batch)
            elapsed_ns = round((trio.current_time() - began) * NS_PER_S)
            self._course_sample_ns.record(elapsed_ns, batch.frame_count)

    def report(self, report: Report) -> None:
        """Write a report with both timings; `serve_frames` has made the service's own."""
        course_sample_ns, self._course_sample_ns = self._course_sample_ns, Histogram()
        line = json.loads(report_as_json(report))
        line["course_sample_ms"] = {
            "mean": _ms(course_sample_ns.mean),
            "p50": _ms(course_sample_ns.percentile(50)),
            "p99": _ms(course_sample_ns.percentile(99)),
        }
        self._write_line(json.dumps(line))


def _ms(ns: float | None) -> float | None:
    return None if ns is None else round(ns / 1e6, 6)


async def serve_timed(
    port: int,
    stop: AsyncIterator[object],
    write_report: Callable[[str], object],
    write_log: Callable[[str], object],
) -> None:
    """Serve on the loopback until ``stop`` yields something, then drain.

    Raises:
      OSError: the port is not free.
    """
    timing = TwofoldTiming(write_report)
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server: FrameServer = await nursery.start(
            partial(serve_frames, timing.echo, listeners, on_report=timing.report)
        )
        write_log(listening_line([listeners[0].socket.getsockname()]))
        await anext(stop)
        server.drain()


async def _main(port: int) -> None:
    def write_to(stream_name: str) -> Callable[[str], object]:
        stream = getattr(sys, stream_name)

        def write(line: str) -> None:
            stream.write(line + "\n")
            stream.flush()

        return write

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await serve_timed(port, signals, write_to("stdout"), write_to("stderr"))


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description="An echo server that times each message twice.")
    _parser.add_argument("--port", type=int, default=0)
    trio.run(_main, _parser.parse_args().port)
