"""What stands between those who do the work of a connection and those who wait for it.

Steps are generators that receive and send without waiting, and yield a `Wait`
when there is nothing else to do. Who waits, and resumes them, is a driver. When
they wait for something to receive, they may also be sent what a driver has received.
"""

from __future__ import annotations

import enum
from collections.abc import Generator


class Wait(enum.Enum):
    """What steps wait for."""

    READABLE = enum.auto()  # until there may be something to receive
    ARRIVED = enum.auto()  # as long as it takes to know whether something is here already
    WRITABLE = enum.auto()  # until there may be room to send
    TURN = enum.auto()  # for nothing, but others shall have their turn
    TAKEN = enum.auto()  # until the connection's task has taken what was received


Steps = Generator[Wait, bytes | memoryview | None, None]
