"""A framed service of your own in a page of code: it answers each message with its text reversed.

    python scripts/serve.py [PORT]

Everything that `trioecho serve` promises holds here as well: connections are
isolated from each other, sizes and times are limited, SIGTERM drains.
"""

import signal
import sys
from functools import partial

import trio

from trioecho import Limits, Report, reply_with, serve_frames


def reply(message: bytes) -> bytes:
    return message.decode(errors="replace")[::-1].encode()


def print_report(report: Report) -> None:
    print(f"{report.messages_total} messages, {report.connections} connections", flush=True)


async def main(port: int) -> None:
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    limits = Limits(max_frame_length=4096, idle_timeout_s=60)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_frames, reply_with(reply), listeners, limits=limits, on_report=print_report)
        )
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print(
                f"listening on 127.0.0.1:{listeners[0].socket.getsockname()[1]}", file=sys.stderr, flush=True
            )
            await anext(signals)
        # The nursery waits until the drain is over; a second Ctrl-C would end that, too.
        server.drain()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 26066)
