"""Clients for the demo: one at a time, several side by side, and one that is cut off in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import trio

from ..base.endpoint import why_not_connected
from ..base.nursery import open_background_nursery
from ..client.verifying import EchoError, EchoSummary, message_payload, verify_echoes
from ..connection.channel import FrameChannel
from ..connection.connect import open_frame_channel
from ..errors import ProtocolError
from ..load import (
    CannotConnectError,
    LoadPlan,
    LoadProgress,
    LoadResult,
    Sizes,
    TooManyConnectionsError,
    run_load,
)
from ..load.report.words import discrepancy_in_words
from .page import DemoError
from .servers import Server, ServerReport

PAYLOAD_BYTES = 64
_CONNECT_TIMEOUT_S = 10.0
_INTERRUPTED_TIMEOUT_S = 15.0
_LOAD_TIMEOUT_S = 10.0
# How often a load reports its progress; the burst is over before the first time.
_PROGRESS_INTERVAL_S = 0.2
# How long messages go back and forth before SIGTERM comes in between.
_BEFORE_SIGTERM_S = 0.1


@dataclass(frozen=True)
class Interrupted:
    """What a client saw that was still sending when the server was stopped.

    Attributes:
      sent: messages that the client's kernel had taken.
      echoed: echoes that came back, in order and byte-identical.
      ended_cleanly: whether the stream then ended between two frames.
      exit_code: the server's.
      final_report: the server's.
    """

    sent: int
    echoed: int
    ended_cleanly: bool
    exit_code: int
    final_report: ServerReport


async def open_local_channel(port: int) -> FrameChannel:
    """Return a channel to a server on this machine.

    Raises:
      DemoError: it cannot be connected to.
    """
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await open_frame_channel("127.0.0.1", port)
    except trio.TooSlowError:
        reason = f"no reply within {_CONNECT_TIMEOUT_S:g} s"
    except OSError as error:
        reason = why_not_connected(error)
    raise DemoError(f"cannot connect to 127.0.0.1:{port}: {reason}")


def payloads(count: int) -> list[bytes]:
    """Return messages of which no two are the same."""
    return [message_payload(number, PAYLOAD_BYTES) for number in range(1, count + 1)]


async def verify(
    channel: FrameChannel,
    messages: Sequence[bytes],
    *,
    on_send: Callable[[], object] = lambda: None,
) -> EchoSummary:
    """Send the messages one after the other and compare each echo.

    Raises:
      DemoError: one did not come back right.
    """
    summary = EchoSummary()
    try:
        await verify_echoes(channel, _noted(messages, on_send), summary=summary)
    except EchoError as error:
        raise DemoError(f"{error} ({summary.messages} of {len(messages)} echoes were right)") from None
    return summary


def _noted(messages: Iterable[bytes], on_send: Callable[[], object]) -> Iterator[bytes]:
    for message in messages:
        on_send()
        yield message


async def put_load(
    port: int,
    *,
    clients: int,
    messages: int,
    think_s: float = 0.0,
    on_progress: Callable[[int], object] = lambda done: None,
) -> LoadResult:
    """Run clients side by side, each in a closed loop: send, wait for the echo, think, send.

    Args:
      port: the server's, on this machine.
      clients: how many.
      messages: of each client.
      think_s: how long each client thinks.
      on_progress: called now and then with the number of echoes so far.

    Raises:
      DemoError: the server cannot be reached, or an echo was not right.
    """
    plan = LoadPlan(
        "127.0.0.1",
        port,
        connections=clients,
        messages=messages,
        sizes=Sizes.of(PAYLOAD_BYTES),
        think_s=think_s,
        timeout_s=_LOAD_TIMEOUT_S,
    )

    def show(progress: LoadProgress) -> None:
        if progress.phase == "measuring":
            on_progress(progress.messages)

    try:
        result = await run_load(
            plan, on_progress=show, progress_interval_s=_PROGRESS_INTERVAL_S, is_cautious=False
        )
    except (CannotConnectError, TooManyConnectionsError) as error:
        raise DemoError(str(error)) from None
    if result.errors:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.errors.items()))
        first = discrepancy_in_words(result.discrepancies[0])
        raise DemoError(f"{result.messages:,} of {clients * messages:,} echoes were right: {kinds}; {first}")
    return result


async def stop_during_traffic(server: Server) -> Interrupted:
    """Stop a server while a client sends as fast as it can, without waiting for echoes.

    Raises:
      DemoError: the client got something else than echoes, or the server did not end.
    """
    sent = echoed = 0
    ended_cleanly = False
    channel = await open_local_channel(server.port)

    async def send() -> None:
        nonlocal sent
        try:
            while True:
                await channel.send(message_payload(sent + 1, PAYLOAD_BYTES))
                sent += 1
        except trio.BrokenResourceError:
            return  # the receive fails as well

    async def terminate() -> None:
        await trio.sleep(_BEFORE_SIGTERM_S)
        server.terminate()

    with trio.move_on_after(_INTERRUPTED_TIMEOUT_S) as patience:
        async with channel, open_background_nursery() as sending:
            sending.start_soon(send)
            sending.start_soon(terminate)
            try:
                async for echo in channel:
                    if echo != message_payload(echoed + 1, PAYLOAD_BYTES):
                        raise DemoError(f"message {echoed + 1}: the echo is another one")
                    echoed += 1
                ended_cleanly = True
            except (ProtocolError, trio.BrokenResourceError):
                pass  # not a clean end
    if patience.cancelled_caught:
        raise DemoError(f"the server goes on {_INTERRUPTED_TIMEOUT_S:g} s after SIGTERM")
    exit_code, final_report = await server.wait_stopped()
    return Interrupted(sent, echoed, ended_cleanly, exit_code, final_report)
