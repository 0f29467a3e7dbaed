"""What an exchange waits for, and what its frames are for."""

from __future__ import annotations

import enum


class Interest(enum.Enum):
    """What an exchange waits for."""

    READABLE = enum.auto()
    ARRIVED = enum.auto()
    LAST_CHANCE = enum.auto()
    WRITABLE = enum.auto()
    MESSAGES = enum.auto()
    TURN = enum.auto()
    ENDED = enum.auto()
    NOTHING = enum.auto()


class Use(enum.Enum):
    """What whole frames are for."""

    ECHO = enum.auto()
    REPLY = enum.auto()
    TAKE = enum.auto()


RECEIVING: frozenset[Interest] = frozenset({Interest.READABLE, Interest.ARRIVED, Interest.LAST_CHANCE})
