"""trioecho that puts frames through pipes from another size on than its code says.

python trioecho_spliced.py MAX_FRAME_LENGTH LEAST_PIPED_BYTES
"""

from __future__ import annotations

import sys

import trio

from trioecho import Limits, PerfCounterClock, echo, serve_frames
from trioecho.connection import exchange

exchange.LEAST_PIPED_BYTES = int(sys.argv[2])


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    await serve_frames(echo, listeners, limits=Limits(max_frame_length=int(sys.argv[1])))


trio.run(main, clock=PerfCounterClock())
