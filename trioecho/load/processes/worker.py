"""``python -m trioecho.load.processes.worker``: a part of a load, in a process of its own.

Its standard input is a socket, over which the supervisor sends its commands, and over which
the worker reports (see `messages`). When the supervisor is gone, the worker ends.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from dataclasses import replace

import trio

from ...base.heartbeats import BEAT_S, SilenceWatch
from ...connection.json_frames import JsonChannel
from ...errors import RemoteProtocolError
from ..engine.local_addresses import own_sources
from ..errors import CannotConnectError, TooManyConnectionsError
from ..message_list import GivenMessages
from ..recorded_traffic import RecordedTraffic
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from .local import LocalRun
from .message_parts import messages_from_parts
from .messages import (
    Heartbeat,
    LoadMessage,
    LoadMessagesPart,
    LoadWorkerConfig,
    LoadWorkerReady,
    LoadWorkerStarted,
    StartCommand,
    StopCommand,
    decode_load_message,
    encode_load_message,
)


async def carry_out(channel: JsonChannel) -> None:
    """Carry out the part of a load that the supervisor's configuration gives to this worker."""
    try:
        config, given, recorded = await _receive_task(channel)
    except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        return  # the supervisor is gone, and wants nothing
    await carry_out_part(channel, config, given, recorded)


async def carry_out_part(
    channel: JsonChannel,
    config: LoadWorkerConfig,
    given: GivenMessages,
    recorded: RecordedTraffic | None = None,
) -> LoadResult | CannotConnectError | TooManyConnectionsError | None:
    """Do the same with a configuration that is known, and with messages that are the user's own, or recorded.

    Returns:
      What came of it, which was also sent; None if the supervisor is gone.
    """
    plan = config.plan
    if config.has_own_sources and plan.churn.sources:
        try:
            sources = own_sources(plan.churn.sources)
        except ValueError as error:
            none = CannotConnectError(plan.host, plan.port, f"of --bind, {error}")
            await channel.send(encode_load_message(none))
            return none
        plan = replace(plan, churn=replace(plan.churn, sources=sources))
    start_at: list[int] = []
    may_start = trio.Event()
    silence = SilenceWatch()
    to_writer, to_write = trio.open_memory_channel[LoadMessage](math.inf)

    async def when_to_start() -> int:
        to_writer.send_nowait(LoadWorkerReady(plan.churn.sources))
        await may_start.wait()
        return start_at[0]

    def on_progress(progress: LoadProgress) -> None:
        if progress.phase != "connecting":
            to_writer.send_nowait(progress)

    run = LocalRun(
        plan,
        config.first,
        config.count,
        on_progress=on_progress,
        progress_interval_s=config.progress_interval_s,
        is_cautious=config.is_cautious,
        messages=given.messages,
        first_messages=given.first_messages,
        recorded=recorded,
        folder=config.folder,
        recording=config.recording,
        when_to_start=when_to_start,
        on_start=lambda late_ns: to_writer.send_nowait(LoadWorkerStarted(max(0, late_ns))),
    )

    async def follow_commands() -> None:
        with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
            async for document in channel:
                silence.note_message()
                command = decode_load_message(document)
                if isinstance(command, StartCommand):
                    start_at.append(command.at)
                    may_start.set()
                elif isinstance(command, StopCommand):
                    run.stop()
        nursery.cancel_scope.cancel()

    async def watch_supervisor(most_silent_beats: int) -> None:
        await silence.wait_for_silence(lambda: most_silent_beats)
        nursery.cancel_scope.cancel()  # it hangs, and nobody would stop this load

    async def beat() -> None:
        while True:
            to_writer.send_nowait(Heartbeat())
            await trio.sleep(BEAT_S)

    async def write() -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # `follow_commands` sees that
            async for message in to_write:
                await channel.send(encode_load_message(message))

    outcome: LoadResult | CannotConnectError | TooManyConnectionsError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow_commands)
        if config.most_silent_beats is not None:
            nursery.start_soon(watch_supervisor, config.most_silent_beats)
        async with trio.open_nursery() as writing:
            writing.start_soon(write)
            with to_writer:
                async with trio.open_nursery() as beating:
                    beating.start_soon(beat)
                    outcome = await _outcome(run)
                    beating.cancel_scope.cancel()
                to_writer.send_nowait(outcome)
        nursery.cancel_scope.cancel()
    return outcome


async def _receive_task(
    channel: JsonChannel,
) -> tuple[LoadWorkerConfig, GivenMessages, RecordedTraffic | None]:
    """Return what to do, and the messages that are the user's own, or recorded."""
    config = decode_load_message(await channel.receive())
    while isinstance(config, Heartbeat):  # on a cluster it may come first
        config = decode_load_message(await channel.receive())
    if not isinstance(config, LoadWorkerConfig):
        raise TypeError(f"a worker's first message is its configuration, not {config}")
    parts: list[LoadMessagesPart] = []
    while not (parts and parts[-1].is_last):
        part = decode_load_message(await channel.receive())
        if isinstance(part, Heartbeat):
            continue
        if not isinstance(part, LoadMessagesPart):
            raise TypeError(f"the messages of a load follow its configuration, not {part}")
        parts.append(part)
    return config, *messages_from_parts(parts)


async def _outcome(run: LocalRun) -> LoadResult | CannotConnectError | TooManyConnectionsError:
    try:
        return await run.run()
    except (CannotConnectError, TooManyConnectionsError) as error:
        return error


async def _main() -> None:
    async with JsonChannel(socket.socket(fileno=os.dup(0))) as channel:
        await carry_out(channel)


if __name__ == "__main__":
    trio.run(_main)
