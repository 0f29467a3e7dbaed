"""trioecho beside a task of one's own, which sleeps 2 ms again and again.

python trioecho_timer.py MAX_FRAME_LENGTH

At SIGTERM it prints a JSON object: by how many microseconds that task has woken late, as percentiles.
"""

from __future__ import annotations

import json
import signal
import sys
from functools import partial

import trio

from trioecho import Limits, PerfCounterClock, echo, serve_frames
from trioecho.base.histogram import Histogram

SLEEP_S = 0.002


async def sleep_again_and_again(late_us: Histogram) -> None:
    while True:
        due = trio.current_time() + SLEEP_S
        await trio.sleep_until(due)
        late_us.record(round((trio.current_time() - due) * 1e6))


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    late_us = Histogram()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
        async with trio.open_nursery() as nursery:
            limits = Limits(max_frame_length=int(sys.argv[1]))
            nursery.start_soon(partial(serve_frames, echo, listeners, limits=limits))
            nursery.start_soon(sleep_again_and_again, late_us)
            await anext(signals)
            nursery.cancel_scope.cancel()
    percentiles = {"p50": late_us.percentile(50), "p99": late_us.percentile(99), "max": late_us.max}
    print(json.dumps(percentiles))


trio.run(main, clock=PerfCounterClock())
