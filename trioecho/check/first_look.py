"""The first look at a server: is it there, and does it speak frames?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import trio

from .finding import Deviation, Kind
from .measure import ask, hello, measure, serves_several
from .obstacle import ONE_BEHIND, ONLY_AT_END, Answer, obstacle_in
from .pace import Pace
from .probe import Probe, Settings
from .survey import OTHER_ANSWER_S, CannotCheckError, Survey
from .wire import Wire

_ANSWER_S = 4.0
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
        first = await ask(probe, hello(probe))
    except Deviation as deviation:
        if deviation.kind is not Kind.RESET:
            raise CannotCheckError(f"cannot reach {_named(probe.address)}: {deviation.actual}") from None
        first = Answer(hello(probe), b"", Kind.RESET)
    _raise_if_other_protocol(first.data, probe.address)
    if first.is_right:
        return await measure(probe, first)
    if first.is_silent and await _answers_the_second(probe):
        return Survey(echoes=False, is_concurrent=False, obstacle=ONE_BEHIND)
    if first.is_silent and await _answers_at_end(probe):
        return Survey(echoes=False, is_concurrent=False, obstacle=ONLY_AT_END)
    return await _look_again(first, locate, settings)


async def _look_again(first: Answer, locate: Locate, settings: Settings) -> Survey:
    """When the first frame did not come back: other frames, other headers, and what comes unasked."""
    answers = [first]
    for payload in _MORE:
        probe = Probe("survey", await locate(), settings, patience_s=_ANSWER_S)
        try:
            answer = await ask(probe, payload[: probe.fitting(len(payload))], within_s=OTHER_ANSWER_S)
            if answer.is_right:  # the first connection was an exception
                return await measure(probe, answer)
            answers.append(answer)
        except Deviation as deviation:
            answers.append(Answer(payload, b"", deviation.kind))
    if (other := await _other_wire(locate, settings)) is not None:
        asking = Probe("survey", await locate(), replace(settings, wire=other), patience_s=OTHER_ANSWER_S)
        is_concurrent = await serves_several(asking, Pace().patience_s)
        return Survey(echoes=False, is_concurrent=is_concurrent, other_wire=other)
    unasked: bytes | Kind
    probe = Probe("survey", await locate(), settings, patience_s=OTHER_ANSWER_S)
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
            answer = await peer.receive(within_s=OTHER_ANSWER_S)
    except Deviation:
        return
    if isinstance(answer, bytes):
        _raise_if_other_protocol(answer, probe.address)


async def _answers_the_second(probe: Probe) -> bool:
    frame = probe.wire.frame(hello(probe))
    try:
        async with probe.connect() as peer:
            peer.patience_s = 2 * OTHER_ANSWER_S
            await peer.send(frame)
            await trio.sleep(OTHER_ANSWER_S)
            await peer.send(frame)
            await peer.expect(frame)
    except Deviation:
        return False
    return True


async def _answers_at_end(probe: Probe) -> bool:
    frame = probe.wire.frame(hello(probe))
    try:
        async with probe.connect() as peer:
            peer.patience_s = 2 * OTHER_ANSWER_S
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
        asking = Probe("survey", await locate(), replace(settings, wire=other), patience_s=OTHER_ANSWER_S)
        try:
            async with asking.connect() as peer:
                # Two lengths, so that no answer is right by chance.
                await peer.echo(b"hello", b"hello again")
        except Deviation:
            continue
        return other
    return None
