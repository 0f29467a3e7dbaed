"""trioecho with a handler of one's own: a function from message to message.

python trioecho_reply.py MAX_FRAME_LENGTH
"""

from __future__ import annotations

import sys

import trio

from trioecho import CounterClock, Limits, reply_with, serve_frames


async def reply(message: bytes) -> bytes:
    return message


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await serve_frames(reply_with(reply), listeners, limits=Limits(max_frame_length=int(sys.argv[1])))


trio.run(main, clock=CounterClock())
