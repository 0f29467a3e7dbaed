"""What a load knows of a service, beside how frames are written and when a reply is right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..base.json_part import Part
from .message_list import MessageSource, read_message_source

# Attributes that old files do not have: they mean the defaults.
_ADDED_LATER = frozenset({"first_messages", "conversation", "key", "ends_whole", "proxy_headers"})

ProxyHeaders = Literal["v1", "v2"]


@dataclass(frozen=True)
class ServiceTraits:
    """What a service wants of its clients. The default is a service that wants nothing.

    Attributes:
      first_messages: what is known of the messages that every connection sends before all others, and
        whose replies it awaits: a login, a session request. None if there are none.
      conversation: whether the function of the plan's `reply` is a generator function, which makes the
        messages, too.
      ends_whole: whether conversations that are under way when all messages are sent go on to their ends,
        for as many messages more at most.
      key: ``MODULE:FUNCTION`` that returns what a message and its reply have in common, if replies come
        in any order; None if they come in the order of their messages.
      proxy_headers: the version of the PROXY header with which each connection begins, with its own
        addresses; None if there is none.
    """

    first_messages: MessageSource | None = None
    conversation: bool = False
    key: str | None = None
    ends_whole: bool = False
    proxy_headers: ProxyHeaders | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def read_service_traits(part: Part) -> ServiceTraits:
    """Return the traits that `ServiceTraits.to_dict` described.

    Raises:
      DamagedError: they are none.
    """
    traits: ServiceTraits = part.record(
        ServiceTraits, readers={MessageSource: read_message_source}, may_be_missing=_ADDED_LATER
    )
    return traits
