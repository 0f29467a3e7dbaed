"""trioecho with a handler of one's own: a function from message to message.

python trioecho_reply.py MAX_FRAME_LENGTH async|plain
"""

from __future__ import annotations

import sys

import trio

from trioecho import Limits, PerfCounterClock, reply_with, serve_frames


async def reply_async(message: bytes) -> bytes:
    return message


def reply_plain(message: bytes) -> bytes:
    return message


handler = {"async": reply_with(reply_async), "plain": reply_with(reply_plain)}[sys.argv[2]]


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await serve_frames(handler, listeners, limits=Limits(max_frame_length=int(sys.argv[1])))


trio.run(main, clock=PerfCounterClock())
