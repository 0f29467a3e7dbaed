"""The preflight: is a server there, and does it speak frames?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio

from ...base.endpoint import why_not_connected
from ...base.printable import printable
from ..client.asked import Asked
from ..client.finding import Deviation, InconclusiveError, Kind
from ..client.pace import Pace
from ..client.peer import Peer
from ..client.probe import Probe
from ..client.settings import Settings
from ..client.tls_socket import HandshakeFailedError
from ..spawned.spawned_server import Spawner, SpawnError
from .blocker import ONE_BEHIND, ONLY_AT_END, ONLY_FIRST, Answer, blocker_in, blocker_of_wire, wrong_in_all
from .learning import learn
from .measure import ask, first_connection, hello, measure, serves_several
from .other_headers import Exchanged, other_wire
from .other_services import QUESTIONS, TLS_SERVER, service_of
from .result import OTHER_ANSWER_S, CannotCheckError, Locate, Preflight

_ANSWER_S = 4.0
# After so long a silence it is asked what else it may be.
_DOUBT_S = 1.0
_SHOWN_BYTES = 40
# Payloads that are tried again, on connections of their own, before it is believed that none comes back.
_MORE = (b"again", b"x", b"0123456789" * 6)


async def run_preflight(locate: Locate, settings: Settings, spawner: Spawner | None = None) -> Preflight:
    """Look at a server.

    Args:
      locate: returns where it is.
      settings: what all cases have in common.
      spawner: starts it; None if the suite does not.

    Raises:
      CannotCheckError: there is none, or it is no server of frames.
      SpawnError: it does not start again.
    """
    if isinstance(asked := settings.dialogue, Asked):
        return await learn(locate, settings, asked)
    probe = Probe("preflight", await locate(), settings, patience_s=_ANSWER_S, spawner=spawner)
    first, unreachable = await _ask_first(probe)
    found = await measure(probe, first) if first.is_right else None
    if spawner is not None and (found.blocker is ONLY_FIRST if found else not first.data):
        # To ask whether it listens took its first connection.
        found = await _look_at_first_connection(probe) or found
    if found is not None:
        return found
    if unreachable is not None:
        raise CannotCheckError(unreachable)
    probe.address = await locate()  # the server of before may have ended, or was ended for a fresh one
    if not first.is_silent and blocker_in([first], Kind.SILENCE, probe.wire) is not None:
        _raise(await _what_it_is(probe, b"", *QUESTIONS))
    if first.is_silent and await _answers_the_second(probe):
        return Preflight(echoes=False, is_concurrent=False, blocker=ONE_BEHIND)
    if first.is_silent and await _answers_at_end(probe):
        return Preflight(echoes=False, is_concurrent=False, blocker=ONLY_AT_END)
    return await _look_again(first, locate, settings)


async def _ask_first(probe: Probe) -> tuple[Answer, str | None]:
    """Send the first frame; return the answer, and why there was no connection if there was none.

    A silence may be that of a server which waits for something else than frames; the
    longest wait is for one that is slow.

    Raises:
      CannotCheckError: it is another service.
    """
    first = Answer(hello(probe), b"", Kind.RESET)
    unreachable = named = None
    async with trio.open_nursery() as nursery:

        async def doubt() -> None:
            nonlocal named
            await trio.sleep(_DOUBT_S)
            longer = probe.wire.frame(_MORE[-1][: probe.fitting(len(_MORE[-1]))])
            named = await _what_it_is(probe, b"", longer, *QUESTIONS)
            if named is not None:
                nursery.cancel_scope.cancel()

        nursery.start_soon(doubt)
        try:
            first = await ask(probe, hello(probe))
        except Deviation as deviation:
            cause = deviation.__cause__
            if deviation.kind is not Kind.RESET or isinstance(cause, HandshakeFailedError):
                why = why_not_connected(cause) if isinstance(cause, OSError) else deviation.actual
                unreachable = f"cannot connect to {probe.where}: {why}"
        nursery.cancel_scope.cancel()
    _raise(named or _other_service(first.data, probe.wire.frame(first.payload), probe))
    return first, unreachable


async def _look_at_first_connection(probe: Probe) -> Preflight | None:
    try:
        return await first_connection(probe)
    except InconclusiveError as error:
        raise SpawnError(str(error)) from None


async def _look_again(first: Answer, locate: Locate, settings: Settings) -> Preflight:
    """Try other frames and other headers, and listen for unasked bytes: the first frame did not come back."""
    answers = [first]
    for payload in _MORE:
        probe = Probe("preflight", await locate(), settings, patience_s=_ANSWER_S)
        try:
            answer = await ask(probe, payload[: probe.fitting(len(payload))], within_s=OTHER_ANSWER_S)
            if answer.is_right and not first.data:  # the first connection was an exception
                return await measure(probe, answer)
            if probe.wire.split(answer.data)[0]:  # other bytes may be a greeting, and the echo still to come
                _raise(_other_service(answer.data, probe.wire.frame(answer.payload), probe))
            answers.append(answer)
        except Deviation as deviation:
            answers.append(Answer(payload, b"", deviation.kind))
    wrong = wrong_in_all(answers, settings.wire)
    if wrong is not None and all(probe.wire.split(answer.data)[0] for answer in answers):
        return Preflight(echoes=False, is_concurrent=False, blocker=wrong)
    if (right := next((answer for answer in answers if answer.is_right), None)) is not None:
        return await measure(probe, right)  # what is wrong is for the cases to find
    probe = Probe("preflight", await locate(), settings, patience_s=OTHER_ANSWER_S)
    unasked = await _answer_to(b"", probe)
    seen = [Exchanged(probe.wire.frame(answer.payload), answer.data, answer.ending) for answer in answers]
    if isinstance(unasked, Kind):
        seen.append(Exchanged(b"", b"", unasked))
    # Who misreads lengths sends back parts of what was sent, which look like anything.
    if (other := await other_wire(locate, settings, seen)) is not None:
        asking = Probe("preflight", await locate(), replace(settings, wire=other), patience_s=OTHER_ANSWER_S)
        is_concurrent = await serves_several(asking, Pace().patience_s)
        blocker = blocker_of_wire(other, settings.wire)
        return Preflight(echoes=False, is_concurrent=is_concurrent, other_wire=other, blocker=blocker)
    if wrong is not None:
        return Preflight(echoes=False, is_concurrent=False, blocker=wrong)
    if all(answer.is_silent for answer in answers) and settings.command is None:
        raise CannotCheckError(
            f"{probe.where} accepts connections and sends no reply: "
            f"{_ANSWER_S:g} s after a frame of 5 bytes nothing had come"
        )
    ended_late = any(answer.is_silent for answer in answers) and not any(answer.data for answer in answers)
    if ended_late and settings.command is None and await _ends_by_itself(probe):
        raise CannotCheckError(
            f"{probe.where} accepts connections and sends no reply; after a while it ends them, also one on "
            "which nothing was sent: if it is a balancer, or a port that is passed on, does the server run?"
        )
    return Preflight(echoes=False, is_concurrent=False, blocker=blocker_in(answers, unasked, settings.wire))


async def _what_it_is(probe: Probe, *questions: bytes) -> str | None:
    """Ask all these at once, each on a connection of its own; in words what answers, if it is known."""
    answers: dict[bytes, bytes | Kind] = {}

    async def ask_for(question: bytes) -> None:
        answers[question] = await _answer_to(question, probe)

    async with trio.open_nursery() as nursery:
        for question in questions:
            nursery.start_soon(ask_for, question)
    seen = [(question, answer) for question in questions if isinstance(answer := answers[question], bytes)]
    named = (_other_service(answer, question, probe) for question, answer in seen)
    return next(filter(None, named), None)


async def _ends_by_itself(probe: Probe) -> bool:
    """Return whether a connection ends on which nothing was sent."""
    return await _answer_to(b"", probe, within_s=_ANSWER_S) in (Kind.END, Kind.RESET)


async def _answer_to(question: bytes, probe: Probe, *, within_s: float = OTHER_ANSWER_S) -> bytes | Kind:
    """Receive what comes first on a connection on which this was sent, which may be nothing."""
    try:
        async with probe.connect() as peer:
            if question:
                await peer.send(question)
            return await peer.receive(within_s=within_s)
    except Deviation as deviation:
        return deviation.kind


def _raise(named: str | None) -> None:
    if named is not None:
        raise CannotCheckError(named)


def _other_service(answer: bytes, sent: bytes, probe: Probe) -> str | None:
    """Say in a sentence which other service sent an answer; None if it may be one of frames."""
    if (who := service_of(answer, sent, probe.wire)) is None:
        return None
    payloads, _ = probe.wire.split(answer)
    what = "replies to frames, but does not echo" if payloads else "does not speak frames"
    line = answer.splitlines()[0][:_SHOWN_BYTES]
    seen = repr(printable(line)) if line.isascii() and line.decode().isprintable() else answer[:8].hex(" ")
    ask = " (--ask FILE checks it with requests of its own)" if payloads else ""
    tls = ": give --tls" if who == TLS_SERVER else ""
    return f"{probe.where} {what}: it replies with {seen}{ask}; this looks like {who}{tls}"


async def _answers_the_second(probe: Probe) -> bool:
    async def send_another(peer: Peer, frame: bytes) -> None:
        await trio.sleep(OTHER_ANSWER_S)
        await peer.send(frame)

    return await _answers_late(probe, send_another)


async def _answers_at_end(probe: Probe) -> bool:
    async def end(peer: Peer, _: bytes) -> None:
        peer.half_close()

    return await _answers_late(probe, end)


async def _answers_late(probe: Probe, then: Callable[[Peer, bytes], Awaitable[None]]) -> bool:
    """Return whether a frame is echoed once something else is done after it was sent."""
    frame = probe.wire.frame(hello(probe))
    try:
        async with probe.connect() as peer:
            peer.patience_s = 2 * OTHER_ANSWER_S
            await peer.send(frame)
            await then(peer, frame)
            await peer.expect(frame)
    except Deviation:
        return False
    return True
