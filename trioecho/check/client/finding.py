"""How a case says that it was not as it should be."""

from __future__ import annotations

import enum

from ...base.quantities import plural
from ..book.rule import Level
from .wire import Wire


class Kind(enum.Enum):
    """What a case met instead of what it expected."""

    SILENCE = "nothing came in time"
    END = "the server ended the connection"
    RESET = "the server reset the connection"
    WRONG = "other bytes came"
    EXTRA = "bytes came that nothing asked for"
    NO_CONNECTION = "no connection"
    OTHER = "something else"


# How a deviation looks where the server may have ended.
BREAKS_OFF = (Kind.NO_CONNECTION, Kind.END, Kind.RESET)
# What waiting longer could change, and so has to be seen twice.
UNCERTAIN = {Kind.SILENCE, Kind.NO_CONNECTION}


class Deviation(Exception):  # noqa: N818 - it is the server that errs
    """A case ends here: the server did something else.

    Attributes:
      kind (Kind): what was met.
      expected (str): what should have come, in words.
      actual (str): what came, in words.
      expected_bytes (bytes): the same in bytes, as far as it is of use.
      received_bytes (bytes): what came, as far as it is of use.
      cause_id (str | None): the likely cause, where the case itself knows.
      level (Level | None): if the rule's own does not fit.
      echoes_before (int): how many frames had come back right on the connection before.
      is_only_now_and_then (bool): whether it was right on a fresh server.
      is_cause_seen (bool): whether the bytes leave no doubt of that cause: replies had identifiers.
      is_uncertain (bool): whether it must be seen again, alone and with more time, to be believed.
      delay_s (float): by how much this machine made a pause between two pieces longer than the case
        has it, in seconds, where the server may have ended the connection for that; else 0.
    """

    def __init__(
        self,
        kind: Kind,
        expected: str,
        actual: str,
        *,
        expected_bytes: bytes = b"",
        received_bytes: bytes = b"",
        cause_id: str | None = None,
        level: Level | None = None,
        is_uncertain: bool | None = None,
    ) -> None:
        super().__init__(f"expected {expected}; {actual}")
        self.kind = kind
        self.expected = expected
        self.actual = actual
        self.expected_bytes = expected_bytes
        self.received_bytes = received_bytes
        self.cause_id = cause_id
        self.level = level
        self.echoes_before: int = 0
        self.is_only_now_and_then: bool = False
        self.is_cause_seen: bool = False
        self.delay_s: float = 0.0
        self.is_uncertain: bool = kind in UNCERTAIN if is_uncertain is None else is_uncertain


class NotApplicableError(Exception):
    """A case cannot be tried on this server; the message says why."""


class InconclusiveError(Exception):
    """A case could not be decided; the message says why."""


def is_stop(deviation: Deviation) -> bool:
    """Return whether the server only stopped, and sent nothing wrong."""
    return deviation.kind in (Kind.SILENCE, Kind.END, Kind.RESET)


def nothing_came(deviation: Deviation) -> bool:
    """Return whether the server has ended the connection, or reset it, without a byte."""
    return deviation.kind in (Kind.END, Kind.RESET) and not deviation.received_bytes


def echo_deviation(
    wire: Wire,
    kind: Kind,
    expected: bytes,
    received: bytes,
    *,
    waited_s: float,
    cause_id: str | None = None,
    noun: str = "echo",
) -> Deviation:
    """Make the deviation of echoes that are not what was sent, or of replies that are not as before."""
    payloads, _ = wire.split(expected)
    is_echo = noun == "echo"
    wanted = (
        f"{'the echo of a frame' if is_echo else 'a reply'} "
        f"with {plural(len(payloads[0]), 'byte')} of payload"
        if len(payloads) == 1
        else f"{'the echoes of' if is_echo else 'replies in'} {plural(len(payloads), 'frame')}, "
        f"{plural(len(expected), 'byte')}"
    )
    return Deviation(
        kind,
        wanted,
        _what_came(wire, kind, expected, received, waited_s, noun),
        expected_bytes=expected,
        received_bytes=received,
        cause_id=cause_id,
    )


def _what_came(wire: Wire, kind: Kind, expected: bytes, received: bytes, waited_s: float, noun: str) -> str:
    same = common_length(expected, received)
    right, _ = wire.split(expected[:same])
    begins_at = sum(map(wire.size, right))
    rest = same - begins_at
    came = "came back" if noun == "echo" else "came"
    after = {
        Kind.SILENCE: f"then nothing for {waited_s:.1f} s",
        Kind.END: "then the server ended the connection",
        Kind.RESET: "then the server reset the connection",
    }
    if kind in after:
        if not received:
            return after[kind].replace("then nothing", "nothing came").removeprefix("then ")
        if rest:
            whole = f"{plural(len(right), 'frame')} and " if right else ""
            return f"{whole}{plural(rest, 'byte')} of the next {came} right, {after[kind]}"
        return f"{plural(len(right), 'frame')} {came} right, {after[kind]}"
    if same == len(expected):
        return f"{plural(len(right), 'frame')} {came} right, then {plural(len(received) - same, 'byte')} more"
    frame = len(right) + 1
    width = wire.payload_at(expected[begins_at:])
    place = "header" if rest < width else f"payload, byte {rest - width}"
    here = slice(same, same + 1)
    return (
        f"the {noun} {'of' if noun == 'echo' else 'to'} frame {frame} differs in its {place}: "
        f"0x{received[here].hex()} came instead of 0x{expected[here].hex()}"
    )


def common_length(one: bytes, other: bytes) -> int:
    """Return how many bytes two strings have in common at their beginnings."""
    least, most = 0, min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    while most - least > 1:
        middle = (least + most) // 2
        if one[:middle] == other[:middle]:
            least = middle
        else:
            most = middle
    return least
