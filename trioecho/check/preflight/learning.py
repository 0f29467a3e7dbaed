"""What a service replies to requests, asked as a polite client does: one at a time, and each waited for."""

from __future__ import annotations

import trio

from ...base.difference import describe_difference
from ...base.endpoint import why_not_connected
from ...base.printable import printable
from ..client.asked import Asked
from ..client.finding import Deviation, InconclusiveError, Kind
from ..client.learned import LearnedRequest
from ..client.peer import Peer
from ..client.probe import Probe
from ..client.settings import Settings
from ..client.wire import FramedPayload, is_as_given
from .blocker import Answer
from .measure import measure
from .other_services import service_of
from .result import CannotCheckError, Locate, Preflight

_REPLY_S = 4.0
# Clocks in replies count seconds at least; within one they would look the same.
_LATER_S = 1.1
_ROUNDS, _LEAST_TIMES = 2, 2
# On a connection a count may begin anew, and get another digit; a slow service is not asked so often.
_TIMES, _TIMES_S = 20, 0.5
# What belongs to a reply comes so soon after it.
_REST_S = 0.1
_SHOWN_BYTES = 16
# A service that was just started is waited for so long, and asked so often.
_READY_S, _ASK_AGAIN_S = 15.0, 0.1


async def learn(locate: Locate, settings: Settings, asked: Asked) -> Preflight:
    """Ask for all replies, several times, and measure how fast the service is.

    Raises:
      CannotCheckError: there is none, or it does not reply as is needed.
      SpawnError: it does not start again.
    """
    took_s = 0.0
    if settings.command is not None:
        await wait_until_ready(Probe("preflight", await locate(), settings, patience_s=_REPLY_S), asked)
    for number in range(_ROUNDS):
        if number:
            await trio.sleep(_LATER_S)
        probe = Probe("preflight", await locate(), settings, patience_s=_REPLY_S)
        for request in asked.requests:
            began = trio.current_time()
            replies = await _replies(probe, asked, request)
            took_s = (trio.current_time() - began) / len(replies)
            for reply in replies:
                request.learn(reply)
    for request in asked.requests:
        request.widen()
    first = Answer(asked.requests[0].payload, b"", None, is_right=True, elapsed_s=took_s)
    return await measure(Probe("preflight", await locate(), settings, patience_s=_REPLY_S), first)


async def wait_until_ready(probe: Probe, asked: Asked) -> None:
    """Wait until a service that was just started replies to a polite client, or for some seconds.

    Many listen before they can serve: a database that recovers, a virtual machine that warms up.
    """
    with trio.move_on_after(_READY_S):
        while not await _is_ready(probe, asked):  # noqa: ASYNC110 - it is another process
            await trio.sleep(_ASK_AGAIN_S)


async def _is_ready(probe: Probe, asked: Asked) -> bool:
    try:
        async with probe.connect() as peer:
            await peer.send(asked.of_case(probe.random).fresh(asked.requests[0]).frame)
            return isinstance(await peer.receive(), bytes)
    except (Deviation, InconclusiveError):
        return False


async def learn_more(probe: Probe, asked: Asked) -> bool:
    """Ask once more, after a reply has differed; return whether more may differ than was known."""
    has_more = False
    for request in asked.requests:
        try:
            replies = await _replies(probe, asked, request)
        except (CannotCheckError, InconclusiveError):
            return has_more
        for reply in replies:
            has_more |= request.learn_later(reply)
    return has_more


async def _replies(probe: Probe, asked: Asked, request: LearnedRequest) -> list[bytes]:
    """Ask on a connection of its own, and again on the same if that can be."""
    asked = asked.of_case(probe.random)
    where = probe.where
    replies: list[bytes] = []
    try:
        async with probe.connect() as peer:
            end = trio.current_time() + _TIMES_S
            while len(replies) < _TIMES and (len(replies) < _LEAST_TIMES or trio.current_time() < end):
                sent = asked.fresh(request).frame
                await peer.send(sent)
                frame, ending = await _frame(peer, probe, with_rest=not replies)
                if ending is not None:
                    if replies:  # that it replies only once is for a case to see
                        break
                    raise CannotCheckError(f"{where} {_no_reply(probe, asked, request, frame, ending)}")
                _look_at(where, probe, asked, request, sent, frame)
                replies.append(frame)
    except Deviation as deviation:
        cause = deviation.__cause__
        if asked.first_messages and not isinstance(cause, OSError):
            raise CannotCheckError(
                f"{where} does not take the first message of a connection: {deviation.actual}"
            ) from None
        why = why_not_connected(cause) if isinstance(cause, OSError) else deviation.actual
        raise CannotCheckError(f"cannot connect to {where}: {why}") from None
    return replies


async def _frame(peer: Peer, probe: Probe, *, with_rest: bool) -> tuple[bytes, Kind | None]:
    """Receive a whole frame, and perhaps what comes after it; or what came instead, and how it ended."""
    received = b""
    while probe.wire.first(received) is None:
        piece = await peer.receive()
        if isinstance(piece, Kind):
            return received, piece
        received += piece
    more = await peer.receive(within_s=_REST_S) if with_rest else b""
    return received + more if isinstance(more, bytes) else received, None


def _which(asked: Asked, request: LearnedRequest) -> str:
    number = f" {asked.requests.index(request) + 1}" if len(asked.requests) > 1 else ""
    return f"request{number} of {asked.source}"


def _no_reply(probe: Probe, asked: Asked, request: LearnedRequest, received: bytes, ending: Kind) -> str:
    which = _which(asked, request)
    if received:
        who = service_of(received, request.frame, probe.wire)
        like = f"; this looks like {who}" if who else ""
        shown = printable(repr(received[:_SHOWN_BYTES])[1:])
        return f"replies to {which} with {shown}, which is no frame of {probe.wire}{like}"
    how = {Kind.SILENCE: f"sends no reply to {which} within {_REPLY_S:g} s", Kind.RESET: f"resets at {which}"}
    return how.get(ending, f"ends the connection at {which}, without a reply")


def _look_at(
    where: str, probe: Probe, asked: Asked, request: LearnedRequest, sent: bytes, frame: bytes
) -> None:
    """See that one frame came, and the right one where that is known.

    Raises:
      CannotCheckError: another came, or several.
    """
    payloads, rest = probe.wire.split(frame)
    which = _which(asked, request)
    if len(payloads) > 1 or rest:
        raise CannotCheckError(
            f"{where} replies to {which} with more than one frame; a request needs one that is its reply"
        )
    _look_at_identifier(where, asked, request, sent, frame)
    frame = request.normal(frame)
    [payload], _ = probe.wire.split(frame)
    if request.given is not None and not is_as_given(request.given, frame, payload):
        raise CannotCheckError(
            f"{where} does not reply to {which} as is expected, even when it is asked politely: "
            f"{_differs(request.given, frame, payload)}"
        )


def _look_at_identifier(where: str, asked: Asked, request: LearnedRequest, sent: bytes, frame: bytes) -> None:
    """See that the reply has the request's identifier."""
    identifier, came = request.id_in(sent, 0), request.reply_id(frame)
    if asked.correlation is None or came == identifier:
        return
    here, there = asked.correlation.request.in_words, asked.correlation.reply.in_words
    came_words = "which it does not have" if came is None else f"where {came.hex(' ')} came"
    raise CannotCheckError(
        f"{where} replies to {_which(asked, request)} without its identifier: {(identifier or b'').hex(' ')} "
        f"was in {here}, and is not in {there} of the reply, {came_words} (--correlate {asked.correlation})"
    )


def _differs(given: bytes, frame: bytes, payload: bytes) -> str:
    if isinstance(given, FramedPayload) and payload == given:
        return f"header included, {describe_difference(given.frame, frame)}"
    different = describe_difference(given, payload)
    return different or f"it has {len(payload)} bytes of payload, and not {len(given)}"
