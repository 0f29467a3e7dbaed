"""The first look at a server: is it there, does it speak frames, how fast, and to several at once?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import trio

from .finding import Deviation, Kind
from .obstacle import ONLY_FIRST, Answer, Obstacle, obstacle_in, too_slow
from .pace import Pace
from .peer import Peer
from .probe import Probe, Settings
from .wire import Wire

_ANSWER_S = 4.0
_OTHER_ANSWER_S = 0.5
_TRIPS, _CONNECTS, _RUN_OF_FRAMES = 9, 3, 4
# So long the round trips of a slow server are measured at most.
_MEASURE_S = 2.0
_LEAST_RUN_S = 1.0
# Heartbeats, and the like, that come more seldom are not noticed.
_IDLE_S = 0.3
# Differences of times below this are those of a busy machine.
_NOISE_S = 0.02
# Payloads that are tried again, on connections of their own, before it is believed that none comes back.
_MORE = (b"again", b"x", b"0123456789" * 6)

# What servers of other protocols say, and who says it.
_OTHER_PROTOCOLS = (
    (b"HTTP/", "an HTTP server"),
    (b"<!DOCTYPE", "an HTTP server"),
    (b"<html", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"220", "an SMTP or FTP server"),
    (b"+OK", "a POP3 server"),
    (b"* OK", "an IMAP server"),
    (b"-ERR", "a Redis server"),
    (b"\x15\x03", "a TLS server"),
)

# Where to connect; a server that was started and has ended is started again.
Locate = Callable[[], Awaitable[tuple[str, int]]]


class CannotCheckError(Exception):
    """The suite cannot be run against this; the message says what was seen."""


@dataclass(frozen=True)
class Survey:
    """What the first look has shown.

    Attributes:
      pace: how fast it is.
      echoes: whether frames come back right at all.
      is_concurrent: whether a second connection is served while a first one stalls.
      other_wire: the headers that the server seems to speak instead.
      is_one_behind: whether an echo came only with the next frame.
      answers_at_end: whether an echo came only when the connection ended.
      unasked: bytes that came on an idle connection of a server that echoes.
      obstacle: why nothing but the simplest case is worth its time; None if the cases are.
    """

    pace: Pace = field(default_factory=Pace)
    echoes: bool = True
    is_concurrent: bool = True
    other_wire: Wire | None = None
    is_one_behind: bool = False
    answers_at_end: bool = False
    unasked: bytes = b""
    obstacle: Obstacle | None = None

    @property
    def patience_s(self) -> float:
        """How long the server may be silent."""
        return self.pace.patience_s if self.echoes else _OTHER_ANSWER_S

    @property
    def confirm_patience_s(self) -> float:
        """How long it may be, alone, before its silence is believed."""
        return self.pace.confirm_patience_s if self.echoes else _OTHER_ANSWER_S


async def survey(locate: Locate, settings: Settings) -> Survey:
    """Look at a server.

    Args:
      locate: tells where it is.
      settings: what all cases have in common.

    Raises:
      CannotCheckError: there is none, or it is no server of frames.
      SpawnError: it does not start again.
    """
    probe = Probe("survey", await locate(), settings, patience_s=_ANSWER_S)
    try:
        first = await _answer(probe, _hello(probe))
    except Deviation as deviation:
        if deviation.kind is Kind.RESET:
            return await _look_again(Answer(_hello(probe), b"", Kind.RESET), locate, settings)
        raise CannotCheckError(f"cannot reach {_named(probe.address)}: {deviation.actual}") from None
    _raise_if_other_protocol(first.data, probe.address)
    if first.is_right:
        return await _measure(probe, first)
    if first.is_silent and await _answers_the_second(probe):
        return Survey(echoes=False, is_concurrent=False, is_one_behind=True)
    if first.is_silent and await _answers_at_end(probe):
        return Survey(echoes=False, is_concurrent=False, answers_at_end=True)
    if (other := await _other_wire(locate, settings)) is not None:
        asking = Probe("survey", await locate(), replace(settings, wire=other), patience_s=_OTHER_ANSWER_S)
        is_concurrent = await _is_concurrent(asking, Pace().patience_s)
        return Survey(echoes=False, is_concurrent=is_concurrent, other_wire=other)
    return await _look_again(first, locate, settings)


async def _look_again(first: Answer, locate: Locate, settings: Settings) -> Survey:
    """When the first frame did not come back, with whatever header: others, and what comes unasked."""
    answers = [first]
    unasked: bytes | Kind = Kind.SILENCE
    for payload in _MORE:
        probe = Probe("survey", await locate(), settings, patience_s=_ANSWER_S)
        try:
            answer = await _answer(probe, payload[: probe.fitting(len(payload))], within_s=_OTHER_ANSWER_S)
            if answer.is_right:  # the first connection was an exception
                return await _measure(probe, answer)
            answers.append(answer)
        except Deviation as deviation:
            answers.append(Answer(payload, b"", deviation.kind))
    probe = Probe("survey", await locate(), settings, patience_s=_OTHER_ANSWER_S)
    try:
        await _ask_for_a_page(probe)
        async with probe.connect() as peer:
            unasked = await peer.receive()
    except Deviation as deviation:
        unasked = deviation.kind
    if all(answer.is_silent for answer in answers) and settings.command is None:
        raise CannotCheckError(
            f"{_named(probe.address)} accepts connections and answers nothing: "
            f"{_ANSWER_S:g} s after a frame of 5 bytes nothing had come"
        )
    return Survey(echoes=False, is_concurrent=False, obstacle=obstacle_in(answers, unasked, settings.wire))


def _named(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hello(probe: Probe) -> bytes:
    return b"hello"[: probe.fitting(5)]


async def _answer(probe: Probe, payload: bytes, *, within_s: float | None = None) -> Answer:
    """What comes for a frame, up to as many bytes as it has.

    Raises:
      Deviation: there is no connection.
    """
    frame = probe.wire.frame(payload)
    data = b""
    began = trio.current_time()
    first_at = began
    async with probe.connect() as peer:
        await peer.send(frame)
        while len(data) < len(frame):
            piece = await peer.receive(within_s=_OTHER_ANSWER_S if data else within_s)
            if isinstance(piece, Kind):
                return Answer(payload, data, piece)
            first_at = first_at if data else trio.current_time()
            data += piece
    now = trio.current_time()
    return Answer(payload, data, None, data == frame, elapsed_s=now - began, spread_s=now - first_at)


def _raise_if_other_protocol(answer: bytes, address: tuple[str, int]) -> None:
    for beginning, who in _OTHER_PROTOCOLS:
        if answer.startswith(beginning):
            line = answer.splitlines()[0][:40].decode("ascii", "backslashreplace")
            seen = f"{line!r}" if line.isprintable() else answer[:8].hex(" ")
            raise CannotCheckError(
                f"{_named(address)} does not speak frames: it answers {seen}; this looks like {who}"
            )


async def _ask_for_a_page(probe: Probe) -> None:
    try:
        async with probe.connect() as peer:
            await peer.send(b"GET / HTTP/1.0\r\n\r\n")
            answer = await peer.receive(within_s=_OTHER_ANSWER_S)
    except Deviation:
        return
    if isinstance(answer, bytes):
        _raise_if_other_protocol(answer, probe.address)


async def _answers_the_second(probe: Probe) -> bool:
    frame = probe.wire.frame(_hello(probe))
    try:
        async with probe.connect() as peer:
            peer.patience_s = 2 * _OTHER_ANSWER_S
            await peer.send(frame)
            await trio.sleep(_OTHER_ANSWER_S)
            await peer.send(frame)
            await peer.expect(frame)
    except Deviation:
        return False
    return True


async def _answers_at_end(probe: Probe) -> bool:
    frame = probe.wire.frame(_hello(probe))
    try:
        async with probe.connect() as peer:
            peer.patience_s = 2 * _OTHER_ANSWER_S
            await peer.send(frame)
            peer.half_close()
            await peer.expect(frame)
    except Deviation:
        return False
    return True


async def _other_wire(locate: Locate, settings: Settings) -> Wire | None:
    """The headers with which it does answer."""
    wire = settings.wire
    order: Literal["big", "little"] = "little" if wire.byte_order == "big" else "big"
    widths = [width for width in (1, 2, 4, 8) if width != wire.header_bytes]
    others = [
        replace(wire, byte_order=order),
        replace(wire, counts_header=not wire.counts_header),
        *(replace(wire, header_bytes=width) for width in widths),
    ]
    for other in others:
        asking = Probe("survey", await locate(), replace(settings, wire=other), patience_s=_OTHER_ANSWER_S)
        try:
            async with asking.connect() as peer:
                # Two lengths, so that no answer is right by chance.
                await peer.echo(b"hello", b"hello again")
        except Deviation:
            continue
        return other
    return None


async def _measure(probe: Probe, first: Answer) -> Survey:
    """How fast a server is that echoes."""
    if first.spread_s > _NOISE_S and (obstacle := await too_slow(probe)) is not None:
        return Survey(Pace(first.elapsed_s), is_concurrent=False, obstacle=obstacle)
    times: list[float] = []
    later: list[float] = []
    frame_s = 0.0
    try:
        for _ in range(_CONNECTS):
            began = time.perf_counter()
            async with probe.connect() as peer:
                await peer.echo(_hello(probe))
                later.append(time.perf_counter() - began)
                trips = await _round_trips(probe, peer, _TRIPS // _CONNECTS)
                times += trips
                if max(trips) > _NOISE_S and not frame_s:
                    frame_s = await _frame_s(probe, peer, max(trips))
    except Deviation:
        pass  # the cases are about that
    if not later:
        return Survey(echoes=False, is_concurrent=False, obstacle=await _served_only_first(probe))
    # If no second echo came right on any connection, the first ones tell the time.
    round_trip_s = statistics.median(times or later)
    pace = Pace(round_trip_s, frame_s, _unless_noise(statistics.median(later) - round_trip_s))
    unasked = await _said_unasked(probe)
    return Survey(pace, is_concurrent=await _is_concurrent(probe, pace.patience_s), unasked=unasked)


async def _said_unasked(probe: Probe) -> bytes:
    """What a server that echoes says on an idle connection."""
    try:
        async with probe.connect() as peer:
            said = await peer.receive(within_s=_IDLE_S)
    except Deviation:
        return b""
    return said if isinstance(said, bytes) else b""


def _unless_noise(seconds: float) -> float:
    return seconds if seconds > _NOISE_S else 0.0


async def _round_trips(probe: Probe, peer: Peer, count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count and sum(times) < _MEASURE_S / _CONNECTS:
        began = time.perf_counter()
        await peer.echo(_hello(probe))
        times.append(time.perf_counter() - began)
    return times


async def _frame_s(probe: Probe, peer: Peer, round_trip_s: float) -> float:
    """How much longer each further frame of a run takes; 0 if they come together, or do not come back."""
    frame = probe.wire.frame(_hello(probe))
    received = 0
    first_at = None
    await peer.send(_RUN_OF_FRAMES * frame)
    while received < _RUN_OF_FRAMES * len(frame):
        piece = await peer.receive(within_s=_LEAST_RUN_S + 2 * round_trip_s)
        if isinstance(piece, Kind):
            return 0.0  # the cases are about that
        first_at = first_at or trio.current_time()
        received += len(piece)
    return _unless_noise((trio.current_time() - (first_at or 0.0)) / (_RUN_OF_FRAMES - 1))


async def _served_only_first(probe: Probe) -> Obstacle | None:
    """When a first connection was served, and a second one not: are others?"""
    for payload in _MORE:
        try:
            answer = await _answer(probe, payload[: probe.fitting(len(payload))], within_s=_OTHER_ANSWER_S)
        except Deviation:
            continue
        if answer.data:
            return None
    return ONLY_FIRST


async def _is_concurrent(probe: Probe, patience_s: float) -> bool:
    """Whether cases can run side by side without getting in each other's way."""
    frame = probe.wire.frame(_hello(probe))
    middle = probe.wire.header_bytes + 2
    try:
        async with probe.connect() as stalled, probe.connect() as other:
            other.patience_s = patience_s
            await stalled.send(frame[:middle])
            await trio.sleep(probe.pause_s)
            await other.echo(b"other"[: probe.fitting(5)])
    except Deviation:
        return False
    return True
