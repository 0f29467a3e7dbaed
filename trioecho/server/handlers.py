"""What a server does with a connection: a handler, and those that are here already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..connection.channel import FrameChannel
from ..connection.connection_info import ConnectionInfo, connection_info
from ..connection.handlers import check_maker, checked_reply

Handler = Callable[[FrameChannel], Awaitable[object]]


def echo(channel: FrameChannel) -> Awaitable[None]:
    """Send back every frame that the channel receives, as it is."""
    return channel.echo()


def reply_with(reply: Callable[[bytes], bytes | Awaitable[bytes]]) -> Handler:
    """Return a handler that sends back the reply to every message, in order.

    Args:
      reply: returns the reply to a message. An async function runs in the task of the connection,
        and may wait. Any other is faster, and everything waits for it: it has to return at
        once. See `FrameChannel.reply_with`.

    Raises:
      TypeError: ``reply`` is not a function of one message.
    """
    checked = checked_reply(reply)

    def reply_to_all(channel: FrameChannel) -> Awaitable[None]:
        return channel._reply_with(checked)

    return reply_to_all


def reply_per_connection(
    make_reply: Callable[[ConnectionInfo], Callable[[bytes], bytes | Awaitable[bytes]]],
) -> Handler:
    """Return a handler as `reply_with` does, with a function of its own for each connection.

    For what a connection remembers between its messages, or for replies that depend on who
    the peer is. It is as fast as `reply_with`.

    Args:
      make_reply: a function, or a class whose objects can be called. It gets a `ConnectionInfo` when the
        connection begins, and returns the function of messages. It is not async, and has to
        return at once. What it raises ends that connection alone.

    Raises:
      TypeError: ``make_reply`` is not a function of one argument. If what it returns is not a function
        of one message, that connection ends with it.
    """
    check_maker(make_reply)

    def reply_to_all(channel: FrameChannel) -> Awaitable[None]:
        made = make_reply(connection_info(channel._transport, channel.peer))
        return channel._reply_with(checked_reply(made))

    return reply_to_all
