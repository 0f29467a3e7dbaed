"""Clients for the demo: several at a time, and one that is cut off in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import trio

from ..channel import FrameChannel
from ..client import EchoError, EchoSummary, message_payload, open_frame_channel, verify_echoes
from ..errors import ProtocolError
from ..histogram import Histogram
from .page import DemoError
from .servers import Server, ServerReport

PAYLOAD_BYTES = 64
_CONNECT_TIMEOUT_S = 10.0
_INTERRUPTED_TIMEOUT_S = 15.0
# How long messages go back and forth before SIGTERM comes in between.
_BEFORE_SIGTERM_S = 0.1


@dataclass(frozen=True)
class LoadResult:
    """What clients that ran side by side saw, all echoes being right.

    Attributes:
      messages: echoes verified.
      elapsed_s: from the first send to the last echo.
      round_trip_ns: from before a send to its echo, of all clients.
    """

    messages: int
    elapsed_s: float
    round_trip_ns: Histogram


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


async def connect(port: int) -> FrameChannel:
    """A channel to a server on this machine.

    Raises:
      DemoError: it cannot be reached.
    """
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await open_frame_channel("127.0.0.1", port)
    except (OSError, trio.TooSlowError) as error:
        raise DemoError(f"cannot connect to 127.0.0.1:{port}: {error.__cause__ or error}") from None


def payloads(client: int, count: int) -> list[bytes]:
    """Messages of one client, of which no two clients and no two messages have the same."""
    return [message_payload(client * count + number, PAYLOAD_BYTES) for number in range(1, count + 1)]


async def verify(
    channel: FrameChannel,
    messages: Sequence[bytes],
    *,
    pause_s: float = 0.0,
    on_send: Callable[[], object] = lambda: None,
) -> EchoSummary:
    """Send the messages one after the other and compare each echo.

    Raises:
      DemoError: one did not come back right.
    """
    summary = EchoSummary()
    try:
        await verify_echoes(channel, _noted(messages, on_send), summary=summary, pause_s=pause_s)
    except EchoError as error:
        raise DemoError(f"{error} ({summary.messages} of {len(messages)} echoes were right)") from None
    return summary


def _noted(messages: Iterable[bytes], on_send: Callable[[], object]) -> Iterator[bytes]:
    for message in messages:
        on_send()
        yield message


async def run_clients(
    port: int,
    *,
    clients: int,
    messages: int,
    think_s: float = 0.0,
    on_send: Callable[[], object] = lambda: None,
) -> LoadResult:
    """Clients side by side, each in a closed loop: send, wait for the echo, think, send.

    Those that think start one after the other, within one think time.
    All are connected, and all messages made, before the first is sent.

    Raises:
      DemoError: a client failed; the others are cancelled.
    """
    to_send = [payloads(client, messages) for client in range(clients)]
    summaries: list[EchoSummary] = []
    ended: list[float] = []
    failure: DemoError | None = None
    ready = 0
    all_ready = trio.Event()

    async def run_client(client: int, messages: Sequence[bytes]) -> None:
        nonlocal failure, ready
        try:
            async with await connect(port) as channel:
                ready += 1
                if ready == clients:
                    all_ready.set()
                await all_ready.wait()
                # Not in step: thinking clients are to be independent of each other.
                await trio.sleep(think_s * client / clients)
                began = trio.current_time()
                summary = await verify(channel, messages, pause_s=think_s, on_send=on_send)
                summaries.append(summary)
                ended.append(began + summary.elapsed_s)
        except DemoError as error:
            failure = failure or error
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for client, messages_of_client in enumerate(to_send):
            nursery.start_soon(run_client, client, messages_of_client)
        await all_ready.wait()
        all_began = trio.current_time()
    if failure is not None:
        raise failure
    round_trip_ns = Histogram()
    for summary in summaries:
        round_trip_ns.merge(summary.round_trip_ns)
    return LoadResult(sum(s.messages for s in summaries), max(ended) - all_began, round_trip_ns)


async def stop_during_traffic(server: Server) -> Interrupted:
    """Stop a server while a client sends as fast as it can, without waiting for echoes.

    Raises:
      DemoError: the client got something else than echoes, or the server did not end.
    """
    sent = echoed = 0
    ended_cleanly = False
    failure: DemoError | None = None
    channel = await connect(server.port)

    async def send() -> None:
        nonlocal sent
        try:
            while True:
                await channel.send(message_payload(sent + 1, PAYLOAD_BYTES))
                sent += 1
        except trio.BrokenResourceError:
            return  # receiving will tell

    async def receive() -> None:
        nonlocal echoed, ended_cleanly, failure
        try:
            async for echo in channel:
                if echo != message_payload(echoed + 1, PAYLOAD_BYTES):
                    failure = DemoError(f"message {echoed + 1}: the echo is another one")
                    break
                echoed += 1
            ended_cleanly = failure is None
        except (ProtocolError, trio.BrokenResourceError):
            pass  # not a clean end
        sending.cancel_scope.cancel()

    with trio.move_on_after(_INTERRUPTED_TIMEOUT_S) as patience:
        async with channel, trio.open_nursery() as sending:
            sending.start_soon(send)
            sending.start_soon(receive)
            await trio.sleep(_BEFORE_SIGTERM_S)
            server.terminate()
    if patience.cancelled_caught:
        raise DemoError(f"the server goes on {_INTERRUPTED_TIMEOUT_S:g} s after SIGTERM")
    if failure is not None:
        raise failure
    exit_code, final_report = await server.wait_stopped()
    return Interrupted(sent, echoed, ended_cleanly, exit_code, final_report)
