"""Make the connections of a load: what each sends, and what its replies are compared with."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..message_list import MessageList
from ..plan import LoadPlan
from ..recorded_traffic import RecordedTraffic
from .connection import RECEIVE_BUFFER_BYTES, LoadConnection
from .connection_parts import ConnectionParts
from .conversation import UserConversation, conversations_of
from .in_order import InOrderConnection
from .keyed import KeyedConnection, RenderedKeyedConnection
from .keyed_messages import KeyFunction
from .payloads import PayloadRings
from .recorded import RecordedConnection
from .recording import Recording
from .rendered import ConversationConnection, RenderedConnection, RenderedInOrderConnection
from .reply_check import check_of
from .ring import Ring, reply_ring, sent_ring
from .sending import ClosedSocket, Socket
from .tally import LoadTally
from .template_ring import TemplateReplies, TemplateRing


class ConnectionMaker:
    """Makes connections, which share one buffer, and all that is the same for them.

    Args:
      plan: of the load.
      tally: of the connections.
      messages: those of the plan's `source`; None if it has none, or they are recorded.
      recorded: the messages of each connection, where the plan replays a recording.
      folder: where the module of a user's function may be.
      clock: ns.
      echo_class: of connections whose replies are their messages.
      recording: of what they send; None if nothing is recorded.

    Raises:
      FunctionNotFoundError: the function that is to check replies cannot be used; a `ValueError`.
      ValueError: the messages are not those of the plan, or a reply is missing.
    """

    def __init__(
        self,
        plan: LoadPlan,
        tally: LoadTally,
        *,
        messages: MessageList | None = None,
        recorded: RecordedTraffic | None = None,
        folder: str = "",
        clock: Callable[[], int] = time.perf_counter_ns,
        echo_class: type[LoadConnection] = LoadConnection,
        recording: Recording | None = None,
    ) -> None:
        given = messages if recorded is None else recorded
        if plan.source != (given and given.source):
            raise ValueError("the messages are not those of the plan: its source has to be theirs")
        self._plan = plan
        self._tally = tally
        self._recording = recording
        self._clock = clock
        self._echo_class = echo_class
        self._buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self._ring_of: Callable[[int], Ring]
        self._kept: dict[int, Ring] = {}
        self._replies_of: Callable[[int], Ring] | None = None
        self._templates: MessageList | None = None
        if recorded is not None:
            messages_of = recorded.messages_of
            self._ring_of = lambda number: sent_ring(messages_of(number), plan.format)
            if plan.reply.word == "recorded":
                self._replies_of = lambda number: reply_ring(messages_of(number), plan.format)
        elif messages is None:
            self._ring_of = PayloadRings(plan).ring
        elif messages.source.templates:
            self._templates = messages
        else:
            ring = sent_ring(messages, plan.format)
            self._ring_of = lambda number: ring
            if plan.reply.word == "recorded":
                replies = reply_ring(messages, plan.format)
                self._replies_of = lambda number: replies
        traits = plan.service
        self._begin_conversation = conversations_of(plan.reply, folder) if traits.conversation else None
        is_checked = not (plan.reply.is_compared or traits.conversation)
        self._check = check_of(plan.reply, folder) if is_checked else None
        self._key_of = None if traits.key is None else KeyFunction(traits.key, folder)

    def make(self, number: int, connected: Socket, *, first: int = 0) -> LoadConnection:
        """Return a connection of the load, which has this socket.

        Args:
          number: which one, from 0.
          connected: its socket.
          first: its first message, from 0; another one of that number may have sent those before it.
        """
        if self._recording is not None:
            connected = self._recording.watch(connected)
        plan = self._plan

        def parts_with(ring: Ring) -> ConnectionParts:
            return ConnectionParts(
                number,
                connected,
                ring,
                self._tally,
                format=plan.format,
                largest_reply=plan.largest_reply,
                buffer=self._buffer,
                clock=self._clock,
                first=first,
            )

        if self._begin_conversation is not None:
            conversation = UserConversation(plan.reply.text, self._begin_conversation, number, plan.format)
            talking = ConversationConnection(parts_with(conversation), conversation)
            if plan.service.ends_whole and not plan.churn.renews:
                talking.most_beyond = plan.messages or 0
            return talking
        if self._templates is not None:
            templates = TemplateRing(self._templates, plan.format, number, plan.seed)
            return self._make_rendered(parts_with(templates), templates)
        parts = parts_with(self._ring(number))
        recorded = None if self._replies_of is None else self._replies_of(number)
        if self._key_of is not None:
            replies = recorded or (parts.ring if plan.reply.is_compared else None)
            return KeyedConnection(parts, replies=replies, check=self._check, key_of=self._key_of)
        if not plan.reply.is_compared:
            return InOrderConnection(parts, check=self._check)
        if recorded is not None:
            return RecordedConnection(parts, recorded)
        return self._echo_class(parts)

    def _ring(self, number: int) -> Ring:
        if not self._plan.churn.renews:
            return self._ring_of(number)
        ring = self._kept.get(number)
        if ring is None:  # it takes longer to make than a connection to be opened
            ring = self._kept[number] = self._ring_of(number)
        return ring

    def make_absent(self, number: int) -> LoadConnection:
        """Return a connection that is over before its first message, as it could not be opened."""
        connection = self.make(number, ClosedSocket())
        connection.is_over = True
        return connection

    def _make_rendered(self, parts: ConnectionParts, ring: TemplateRing) -> LoadConnection:
        plan = self._plan
        recorded = TemplateReplies(ring) if plan.reply.word == "recorded" else None
        if self._key_of is not None:
            replies = recorded or (ring if plan.reply.is_compared else None)
            return RenderedKeyedConnection(parts, replies=replies, check=self._check, key_of=self._key_of)
        if not plan.reply.is_compared:
            return RenderedInOrderConnection(parts, check=self._check)
        return RenderedConnection(parts, recorded)
