"""One run of the client: connect, verify every echo, and find out what a server is that does not echo."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import trio

from ..base.addresses import format_address
from ..base.nursery import open_background_nursery
from ..connection.channel import FrameChannel
from ..connection.connect import open_frame_channel
from ..connection.tls_errors import ClientCertificateError
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from .asking import ask_what_it_is
from .tls_hints import why_no_channel, why_not_accepted
from .verifying import (
    EchoSummary,
    NoEchoError,
    message_payload,
    verify_echoes,
)

_CONNECT_TIMEOUT_S = 10.0
# A server that is silent for this long after the first message is asked what it is.
_SILENCE_S = 1.0


class CannotVerifyError(Exception):
    """The server cannot be reached, or is no server of such frames; the message explains which."""


@dataclass(frozen=True)
class EchoPlan:
    """What a client is to do.

    Attributes:
      host, port: where the server listens.
      messages: how many are sent.
      least_bytes, most_bytes: the sizes of their payloads, both ends included.
      seed: decides the sizes.
      timeout_s: how long to wait for an echo; 0 for no limit.
      format: how headers are written.
      ssl_context: for TLS; None if the connection is plain.
      server_hostname: whose certificate the server has to have; None for the host's.
    """

    host: str
    port: int
    messages: int = 100
    least_bytes: int = 64
    most_bytes: int = 64
    seed: int = 0
    timeout_s: float = 10.0
    format: FrameFormat = field(default_factory=FrameFormat)
    ssl_context: ssl.SSLContext | None = None
    server_hostname: str | None = None


async def verify_server(plan: EchoPlan, summary: EchoSummary) -> None:
    """Send the messages of the plan one at a time, and compare each echo before the next is sent.

    A server that sends nothing within a second after the first message is asked on other
    connections what it is. So is one that ends the connection instead of the first echo.

    Args:
      plan: what to do.
      summary: is kept up to date with every echo, so it also describes a run that failed.

    Raises:
      CannotVerifyError: the server cannot be reached, or is no server of such frames.
      EchoError: an echo was wrong, late or missing.
    """
    finding: str | None = None
    first_is_sent = trio.Event()

    async def ask_when_silent(scope: trio.CancelScope) -> None:
        nonlocal finding
        await first_is_sent.wait()
        await trio.sleep(_SILENCE_S)
        if not summary.messages:
            found = await _ask(plan)
            if found is not None and not summary.messages:
                finding = found
                scope.cancel()

    try:
        async with await _connect(plan) as channel, open_background_nursery() as nursery:
            nursery.start_soon(ask_when_silent, nursery.cancel_scope)
            payloads = _payloads(plan, first_is_sent.set)
            await verify_echoes(channel, payloads, summary=summary, timeout_s=plan.timeout_s)
    except NoEchoError as error:
        if isinstance(error.__context__, ClientCertificateError):
            finding = why_not_accepted(error.__context__)
        elif error.number == 1:
            finding = await _ask(plan)
        if finding is None:
            raise
    if finding is not None:
        raise CannotVerifyError(f"{format_address((plan.host, plan.port))} {finding}")


async def _ask(plan: EchoPlan) -> str | None:
    """Ask the server what it is; under TLS there are no such questions."""
    if plan.ssl_context is not None:
        return None
    return await ask_what_it_is(plan.host, plan.port, plan.format, has_tls_option=True)


async def _connect(plan: EchoPlan) -> FrameChannel:
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await open_frame_channel(
                plan.host,
                plan.port,
                ssl_context=plan.ssl_context,
                server_hostname=plan.server_hostname,
                format=plan.format,
                max_frame_length=max(plan.most_bytes, DEFAULT_MAX_FRAME_LENGTH),
            )
    except trio.TooSlowError:
        reason = f"no reply within {_CONNECT_TIMEOUT_S:g} s"
    except (OSError, UnicodeError) as error:
        reason = why_no_channel(error)
    raise CannotVerifyError(f"cannot connect to {format_address((plan.host, plan.port))}: {reason}")


def _payloads(plan: EchoPlan, on_first_sent: Callable[[], object]) -> Iterator[bytes]:
    """Yield the payloads; each is asked for when the one before has been sent."""
    lengths = random.Random(plan.seed)
    for number in range(1, plan.messages + 1):
        if number == 2:
            on_first_sent()
        yield message_payload(number, lengths.randint(plan.least_bytes, plan.most_bytes))
    on_first_sent()
