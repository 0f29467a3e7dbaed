"""A turn of the reactor: receive for all, hand what came to their exchanges, send for all.

Nothing in this module waits, and all of it is done for every message. What many connections
at rest are to echo goes through it together (rule 6 of the exchange), with as few steps for
each as can be; ``scripts/bench --only many`` measures what that saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import trio

from .echoes_at_rest import EchoesAtRest
from .interest import Interest, Use
from .receiving import SMALL_BYTES
from .registration import EPOLL_EVENTS, Registration
from .sending import Wire

# To fetch a member of an enum takes as long as a call, before Python 3.12.
_READABLE, _WRITABLE, _TURN = Interest.READABLE, Interest.WRITABLE, Interest.TURN
_ECHO = Use.ECHO
# Who received something, what, and when; and who has what to send.
_Received = tuple[Registration, Wire, float]
_Outgoing = tuple[Registration, Wire]


class Turns:
    """Moves the bytes of all connections whose sockets are ready, and goes on with resumed ones.

    Each method returns how many tasks it has woken.

    Attributes:
      waiting: connections with more messages than one turn replies to: they are in the next, too.
      cut: those of whose last record of TLS a part has come in this turn, or the rest.

    Args:
      registrations: all connections, by their descriptors. The reactor removes them.
    """

    __slots__ = ("_echoes", "_now", "_registrations", "cut", "waiting")

    def __init__(self, registrations: dict[int, Registration]) -> None:
        self.waiting: list[Registration] = []
        self.cut: list[Registration] = []
        self._registrations = registrations
        self._echoes: EchoesAtRest | None = None  # like the first connection
        # The same as trio.current_time(), which looks for the clock at every call.
        self._now = trio.lowlevel.current_clock().current_time

    def add(self, registration: Registration) -> None:
        """Serve a connection from now on."""
        self._registrations[registration.descriptor] = registration
        if self._echoes is None:
            self._echoes = EchoesAtRest(registration.exchange)
        registration.echoes_with_others = self._echoes.is_for(registration.exchange)

    def take(self, ready: Sequence[tuple[int, int]]) -> int:
        """Take a turn for all whose sockets are ready, as an epoll reports them, and all that wait."""
        waiting, self.waiting = self.waiting, []
        registrations, now = self._registrations, self._now
        received: list[_Received] = []
        outgoing: list[_Outgoing] = []
        resting: list[Registration] = []
        received_at_rest: list[bytes] = []
        woken = 0
        for descriptor, _ in ready:
            registration = registrations.get(descriptor)
            if registration is None:  # a listener, for which a task waits
                woken += 1
                continue
            exchange = registration.exchange
            data: Wire | None
            try:
                if exchange.is_at_rest and exchange.use is _ECHO and registration.echoes_with_others:
                    receive = registration.receive  # to call an attribute that is no method takes longer
                    received_at_rest.append(receive(SMALL_BYTES))
                    resting.append(registration)
                elif (interest := exchange.interest) is _READABLE:
                    if exchange.expects_small:
                        receive = registration.receive
                        received.append((registration, receive(SMALL_BYTES), now()))
                    elif (data := registration.receive_large()) is not None:
                        received.append((registration, data, now()))
                        # It lies where the next would be received.
                        woken += self._hand_over(received, outgoing)
                        received, outgoing = [], []
                elif interest is _WRITABLE:
                    outgoing.append((registration, exchange.unsent))
                else:
                    # Its task does something else, and the socket would always be ready.
                    registration.watch(None)
            except BlockingIOError:
                pass
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                woken += self._fail(registration, registration.translate_error(error))
        if resting:
            woken += self._echo_all(resting, received_at_rest)
        if received or outgoing:
            woken += self._hand_over(received, outgoing)
        if self.cut:
            woken += self._note_records()
        return woken + self.resume_all(waiting) if waiting else woken

    def _note_records(self) -> int:
        """Report to exchanges whether a record of TLS has come in part, behind all that they were given."""
        cut, now = self.cut[:], self._now()
        self.cut.clear()
        woken = 0
        for registration in cut:
            if self._registrations.get(registration.descriptor) is registration:
                was_readable = registration.exchange.interest is _READABLE
                registration.note_record(now)
                if was_readable and registration.exchange.interest is not _READABLE:
                    woken += self._attend(registration)
        return woken

    def resume_all(self, resumed: Sequence[Registration]) -> int:
        """Go on with connections whose tasks have taken their messages, or that have waited."""
        outgoing: list[_Outgoing] = []
        now = self._now()
        woken = 0
        for registration in resumed:
            if self._registrations.get(registration.descriptor) is not registration:
                continue
            exchange = registration.exchange
            try:
                wire = exchange.resume(now)
                if wire is not None:
                    outgoing.append((registration, wire))
                elif exchange.interest is not _READABLE or registration.watched is not _READABLE:
                    woken += self._attend(registration)
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                woken += self._fail(registration, error)
        return woken + self._send_for_all(outgoing) if outgoing else woken

    def _echo_all(self, resting: Sequence[Registration], received: Sequence[bytes]) -> int:
        """Send back what exchanges at rest have received, or hand it over."""
        received_at = self._now()
        sizes = list(map(len, received))
        echoes = self._echoes
        if len(resting) == 1 or echoes is None or not echoes.can_echo(received, sizes):
            return self._hand_over(
                [(who, data, received_at) for who, data in zip(resting, received, strict=True)], []
            )
        accepted: list[int] = []
        failures: dict[Registration, BaseException] = {}
        for registration, data in zip(resting, received, strict=True):
            send = registration.send
            try:
                accepted.append(send(data))
            except BlockingIOError:
                accepted.append(0)
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                accepted.append(0)
                failures[registration] = registration.translate_error(error)
        if accepted == sizes:
            exchanges = [registration.exchange for registration in resting]
            echoes.note_sent(exchanges, sum(sizes), received_at, self._now())
            return 0
        return self._note_each(zip(resting, received, accepted, strict=True), failures, received_at)

    def _note_each(
        self,
        sends: Iterable[tuple[Registration, bytes, int]],
        failures: Mapping[Registration, BaseException],
        received_at: float,
    ) -> int:
        """Hand over what was received at rest, and how much of its echo was accepted."""
        now = self._now()
        woken = 0
        for registration, data, accepted in sends:
            exchange = registration.exchange
            try:
                exchange.receive(data, received_at)  # it is to be sent, and was
                if registration in failures:
                    raise failures[registration]
                exchange.sent(accepted, now)
                if exchange.interest is not _READABLE:
                    woken += self._attend(registration)
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                woken += self._fail(registration, error)
        return woken

    def _hand_over(self, received: Sequence[_Received], outgoing: list[_Outgoing]) -> int:
        """Hand what came to the exchanges, and send."""
        woken = 0
        for registration, data, received_at in received:
            exchange = registration.exchange
            try:
                wire = exchange.receive(data, received_at)
                if wire is not None:
                    outgoing.append((registration, wire))
                elif exchange.interest is not _READABLE:
                    woken += self._attend(registration)
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                woken += self._fail(registration, error)
        return woken + self._send_for_all(outgoing) if outgoing else woken

    def _send_for_all(self, outgoing: Sequence[_Outgoing]) -> int:
        """Send, as much as is accepted at once."""
        now = self._now
        woken = 0
        for registration, wire in outgoing:
            exchange = registration.exchange
            send = registration.send
            rest: Wire | None = wire
            try:
                while rest is not None:
                    try:
                        accepted = send(rest)
                    except BlockingIOError:
                        accepted = 0
                    rest = exchange.sent(accepted, now())
                if exchange.interest is not _READABLE or registration.watched is not _READABLE:
                    woken += self._attend(registration)
            except BaseException as error:  # noqa: BLE001 - it belongs to the connection's task, which raises it
                woken += self._fail(registration, registration.translate_error(error))
        return woken

    def _attend(self, registration: Registration) -> int:
        """Watch for what the exchange waits for now, or wake the task."""
        interest = registration.exchange.interest
        if interest in EPOLL_EVENTS:
            rearm(registration, self._now())
            return 0
        if interest is _TURN:
            self.waiting.append(registration)
            return 0
        registration.wake()
        return 1

    def _fail(self, registration: Registration, error: BaseException) -> int:
        registration.exchange.give_up(self._now())
        registration.failure = error
        registration.leave()
        registration.wake()
        return 1


def rearm(registration: Registration, now: float) -> None:
    """Wait for what the exchange waits for now: something to receive, or room to send."""
    if registration.exchange.interest is _WRITABLE:
        registration.exchange.begin_block(now)
    registration.watch(registration.exchange.interest)
