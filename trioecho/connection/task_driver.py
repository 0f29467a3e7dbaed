"""Moves the bytes of one connection in its own task, or in the one that sends.

That is for in-memory and other streams; for sockets, also under TLS, where there is no reactor, or
that leave it in a drain; and for what a handler of channels sends.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from .exchange import Exchange
from .interest import Interest
from .transport import Transport

_WHAT_IS_HERE = (Interest.ARRIVED, Interest.LAST_CHANCE)


class TaskDriver:
    """Gives an exchange what it waits for, in the task that calls.

    Attributes:
      wake: ends a wait for something to receive; does nothing when there is none.

    Args:
      exchange, transport: the connection's.
    """

    __slots__ = ("_exchange", "_now", "_transport", "wake")

    def __init__(self, exchange: Exchange, transport: Transport) -> None:
        self._exchange = exchange
        self._transport = transport
        self._now = trio.lowlevel.current_clock().current_time
        self.wake: Callable[[], object] = _do_nothing

    async def step(self) -> None:
        """Wait for what the exchange waits for, and give it that; within its clocks. A checkpoint.

        When `wake` ends the wait, nothing is given.

        Raises:
          Whatever the exchange and the transport raise.
        """
        exchange, transport, now = self._exchange, self._transport, self._now
        if exchange.interest is Interest.WRITABLE:
            await self.send_unsent()
            return
        if exchange.interest is Interest.TURN:
            await trio.lowlevel.checkpoint()
            if exchange.resume(now()) is not None:
                await self.send_unsent()
            return
        # A part of a record may have come with the handshake, or in a receive that was cancelled.
        exchange.note_record(transport.is_inside_record, now())
        was_readable = exchange.interest is Interest.READABLE
        if was_readable:
            data = await self.receive_until(exchange.deadline, exchange.decoder.get_buffer())
        else:
            data = await self._receive_what_is_here()
        if data is not None and exchange.receive(data, now()) is not None:
            await self.send_unsent()
        exchange.note_record(transport.is_inside_record, now())
        if data is None:
            if not was_readable and exchange.interest in _WHAT_IS_HERE:
                exchange.nothing_arrived()
            elif now() >= exchange.deadline:
                exchange.deadline_passed()

    async def receive_until(
        self, deadline: float, buffer: memoryview | None = None
    ) -> bytes | memoryview | None:
        """Receive as `Transport.receive` does, but wait no longer than until then or until `wake`."""
        with trio.CancelScope(deadline=deadline) as wait:
            self.wake = wait.cancel
            try:
                return await self._transport.receive(buffer)
            finally:
                self.wake = _do_nothing
        return None

    async def _receive_what_is_here(self) -> bytes | memoryview | None:
        buffer = self._exchange.decoder.get_buffer()
        if self._exchange.interest is Interest.LAST_CHANCE:
            return await self._transport.look(buffer)
        return await self._transport.receive_arrived(buffer)

    async def send_unsent(self) -> None:
        """Send all that is unsent, within the write clock; a checkpoint only if it has to wait.

        When it fails or is cancelled, the connection is torn.

        Raises:
          WriteTimeoutError: the kernel accepted nothing for too long.
          Whatever the exchange and the transport raise.
        """
        exchange, transport, now = self._exchange, self._transport, self._now
        try:
            while unsent := exchange.unsent_bytes:
                accepted = transport.send_nowait(unsent)
                exchange.sent(accepted, now())
                if accepted < len(unsent):
                    exchange.begin_block(now())
                    with trio.CancelScope(deadline=exchange.write_deadline):
                        exchange.sent(await transport.send(exchange.unsent_bytes), now())
        except BaseException:
            exchange.tear(now())
            raise


def _do_nothing() -> None:
    pass
