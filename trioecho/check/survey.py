"""The first look at a server: is it there, does it speak frames, how fast, and to several at once?"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Literal

import trio

from .finding import Deviation, Kind
from .probe import Probe, Settings
from .wire import Wire

_ANSWER_S = 4.0
_OTHER_ANSWER_S = 0.5
_TRIPS = 9
_LEAST_PATIENCE_S, _ROUND_TRIPS_OF_PATIENCE, _MOST_PATIENCE_S = 1.0, 50, 10.0
_CONFIRM_FACTOR = 3

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


class CannotCheckError(Exception):
    """The suite cannot be run against this; the message says what was seen."""


@dataclass(frozen=True)
class Survey:
    """What the first look has shown.

    Attributes:
      round_trip_s: the median, in seconds; 0 if no echo came right.
      echoes: whether frames come back right at all.
      is_concurrent: whether a second connection is served while a first one stalls.
      other_wire: the headers that the server seems to speak instead.
      is_one_behind: whether an echo came only with the next frame.
      answers_at_end: whether an echo came only when the connection ended.
    """

    round_trip_s: float = 0.0
    echoes: bool = True
    is_concurrent: bool = True
    other_wire: Wire | None = None
    is_one_behind: bool = False
    answers_at_end: bool = False

    @property
    def patience_s(self) -> float:
        """How long the server may be silent."""
        if not self.echoes:
            return _OTHER_ANSWER_S
        return min(max(_LEAST_PATIENCE_S, _ROUND_TRIPS_OF_PATIENCE * self.round_trip_s), _MOST_PATIENCE_S)

    @property
    def confirm_patience_s(self) -> float:
        """How long it may be, alone, before its silence is believed."""
        return self.patience_s * (_CONFIRM_FACTOR if self.echoes else 1)


async def survey(address: tuple[str, int], settings: Settings) -> Survey:
    """Look at a server.

    Raises:
      CannotCheckError: there is none, or it is no server of frames.
    """
    probe = Probe("survey", address, settings, patience_s=_ANSWER_S)
    first = await _first_answer(probe)
    if isinstance(first, bytes):
        _raise_if_other_protocol(first, address)
        if first == probe.wire.frame(_hello(probe)):
            return await _measure(probe)
        return await _speaks_otherwise(probe, settings, await _other_wire(probe, settings))
    if first is Kind.SILENCE and await _answers_the_second(probe):
        return Survey(echoes=False, is_concurrent=False, is_one_behind=True)
    if first is Kind.SILENCE and await _answers_at_end(probe):
        return Survey(echoes=False, is_concurrent=False, answers_at_end=True)
    other = await _other_wire(probe, settings)
    if other is None:
        await _ask_for_a_page(probe)
        if first is Kind.SILENCE:
            raise CannotCheckError(
                f"{_named(address)} accepts connections and answers nothing: "
                f"{_ANSWER_S:g} s after a frame of 5 bytes nothing had come"
            )
    return await _speaks_otherwise(probe, settings, other)


def _named(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hello(probe: Probe) -> bytes:
    return b"hello"[: probe.fitting(5)]


async def _first_answer(probe: Probe) -> bytes | Kind:
    try:
        async with probe.connect() as peer:
            frame = probe.wire.frame(_hello(probe))
            await peer.send(frame)
            answer = b""
            while len(answer) < len(frame):
                piece = await peer.receive(within_s=_OTHER_ANSWER_S if answer else None)
                if isinstance(piece, Kind):
                    return answer or piece
                answer += piece
            return answer
    except Deviation as deviation:
        raise CannotCheckError(f"cannot reach {_named(probe.address)}: {deviation.actual}") from None


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


async def _other_wire(probe: Probe, settings: Settings) -> Wire | None:
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
        asking = Probe("survey", probe.address, replace(settings, wire=other), patience_s=_OTHER_ANSWER_S)
        try:
            async with asking.connect() as peer:
                # Two lengths, so that no answer is right by chance.
                await peer.echo(b"hello", b"hello again")
        except Deviation:
            continue
        return other
    return None


async def _speaks_otherwise(probe: Probe, settings: Settings, other: Wire | None) -> Survey:
    if other is None:
        return Survey(echoes=False, is_concurrent=False)
    asking = Probe("survey", probe.address, replace(settings, wire=other), patience_s=_OTHER_ANSWER_S)
    return Survey(
        echoes=False, is_concurrent=await _is_concurrent(asking, _LEAST_PATIENCE_S), other_wire=other
    )


async def _measure(probe: Probe) -> Survey:
    times = []
    try:
        async with probe.connect() as peer:
            for _ in range(_TRIPS):
                began = time.perf_counter()
                await peer.echo(_hello(probe))
                times.append(time.perf_counter() - began)
    except Deviation:
        if not times:
            return Survey(echoes=False, is_concurrent=False)
    found = Survey(round_trip_s=statistics.median(times))
    return replace(found, is_concurrent=await _is_concurrent(probe, found.patience_s))


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
