"""The messages of one connection that wait for replies in any order: by a key that both have in common."""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import NamedTuple

from ...base.describe import describe_with_place
from ...base.functions_by_name import FunctionReference, find_plain_function
from ...base.printable import printable_line
from .matching import MOST_OVERDUE, InFlight, MessageTimes

# How many keys of messages that had their replies are remembered.
_MOST_ANSWERED = 256
_SHOWN_CHARACTERS = 40


class NoKeyError(Exception):
    """The function gave no key; the message is one line that says why."""


class KeyFunction:
    """A function of the user that gives the key of a message, or of a reply.

    Args:
      name: ``MODULE:FUNCTION``.
      folder: where its module may be.

    Raises:
      FunctionNotFoundError: there is no such function, or it is of no use.
    """

    def __init__(self, name: str, folder: str) -> None:
        self._name = name
        reference = FunctionReference(name, folder)
        self._function: Callable[[bytes], Hashable] = find_plain_function(
            reference, b"payload", takes="a payload"
        )

    def __call__(self, payload: bytes) -> Hashable:
        """Return the key.

        Raises:
          NoKeyError: the function raised an exception, or what it returned cannot be a key.
        """
        try:
            key = self._function(payload)
            hash(key)
        except Exception as error:  # noqa: BLE001 - a function of the user may raise anything, and ends nothing
            raise NoKeyError(f"{self._name} raised {printable_line(describe_with_place(error))}") from None
        return key


class KeyedMessage(NamedTuple):
    """A message that was sent.

    Attributes:
      key: of it; `KEYLESS` if the function gave none.
      times: when it was due, and sent.
      kind: of the error that it is, whatever its reply; empty if that is not known yet.
      detail: of that error, in words.
    """

    key: Hashable
    times: MessageTimes
    kind: str = ""
    detail: str = ""


# The key of messages that have none: a reply that belongs to no other is that of the oldest of them.
KEYLESS: Hashable = object()


class KeyedInFlight(InFlight):
    """The messages of a connection that wait for replies.

    Here `next` is how many do not wait any more, whichever they are.

    Attributes:
      waiting: by their numbers from 0, oldest first.
      overdue: the same of those whose time is over; a reply may still come.
      missing: those that are not waited for any more; the caller counts them, and takes them out.

    Args:
      key_of: gives keys.
      payload_of: gives the payload of a message.
      first: the first message.
    """

    __slots__ = ("_answered", "_key_of", "_owners", "_payload_of", "missing", "overdue", "waiting")

    next: int
    stop: int

    def __init__(self, key_of: KeyFunction, payload_of: Callable[[int], bytes], first: int = 0) -> None:
        super().__init__(first)
        self.waiting: dict[int, KeyedMessage] = {}
        self.overdue: dict[int, KeyedMessage] = {}
        self.missing: list[tuple[int, MessageTimes]] = []
        self._key_of = key_of
        self._payload_of = payload_of
        # Messages with a key, oldest first: there is mostly one.
        self._owners: dict[Hashable, list[int]] = {}
        self._answered: OrderedDict[Hashable, int] = OrderedDict()

    @property
    def known(self) -> Collection[int]:
        """The messages to which a reply may come."""
        return ChainMap(self.waiting, self.overdue)

    def add(self, count: int, due: int, sent: int) -> None:
        """Note that ``count`` messages were offered that were due at the same time."""
        for message in range(self.stop, self.stop + count):
            self._add(message, due, sent)
        self.stop += count

    def _add(self, message: int, due: int, sent: int) -> None:
        key, kind, detail = KEYLESS, "", ""
        try:
            key = self._key_of(self._payload_of(message))
        except NoKeyError as error:
            kind, detail = "unchecked", str(error)
        owners = self._owners.setdefault(key, [])
        if key is not KEYLESS and owners:
            if owners[-1] in self.waiting:
                kind, detail = "same_key", f"its key {shown_key(key)} is that of message {owners[-1] + 1}"
            else:  # from now on a reply with that key is this message's
                self.missing += [(owner, self.overdue.pop(owner).times) for owner in owners]
                owners.clear()
        owners.append(message)
        self._answered.pop(key, None)
        self.waiting[message] = KeyedMessage(key, MessageTimes(due, sent), kind, detail)

    def take(self, key: Hashable) -> tuple[int, KeyedMessage] | None:
        """Take out the message with this key that was sent first, and return it; None if there is none."""
        owners = self._owners.get(key)
        if not owners:
            return None
        message = owners[0]
        return message, self._take_out(message)

    def take_oldest(self) -> tuple[int, KeyedMessage]:
        """Take out the message that has waited for the longest time."""
        message = next(iter(self.waiting))
        return message, self._take_out(message)

    def _take_out(self, message: int) -> KeyedMessage:
        taken = self.waiting.pop(message, None)
        if taken is None:
            taken = self.overdue.pop(message)
        else:
            self.next += 1
        owners = self._owners[taken.key]
        owners.remove(message)
        if not owners:
            del self._owners[taken.key]
        answered = self._answered
        answered[taken.key] = message
        if len(answered) > _MOST_ANSWERED:
            answered.popitem(last=False)
        return taken

    def answered(self, key: Hashable) -> int | None:
        """Return the message with this key that had its reply, if that was not long ago."""
        return self._answered.get(key)

    def pass_over(self, count: int) -> None:
        """Stop waiting for the ``count`` oldest messages."""
        for message in list(self.waiting)[:count]:
            self.overdue[message] = self.waiting.pop(message)
        self.next += count
        while len(self.overdue) > MOST_OVERDUE:
            oldest = next(iter(self.overdue))
            self.missing.append((oldest, self._take_out(oldest).times))

    def sent_before(self, time: int) -> int:
        """Return how many messages that wait were sent before that time."""
        count = 0
        for message in self.waiting.values():
            if message.times.sent >= time:
                break
            count += 1
        return count

    def first_sent_from(self, time: int) -> int:
        """Return how many messages were sent before that time."""
        return self.stop - (len(self.waiting) - self.sent_before(time))


def shown_key(key: Hashable) -> str:
    """Return a key as reports show it."""
    text = printable_line(repr(key))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
