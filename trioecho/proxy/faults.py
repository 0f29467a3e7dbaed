"""The faults that a stream can have, and the steps that the proxy does in consequence."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..framing import FrameFormat


class FrameFault(enum.Enum):
    """What can happen to a frame."""

    CORRUPT = "corrupt"  # one bit of its payload is inverted
    DROP = "drop"  # it does not arrive
    DUPLICATE = "duplicate"  # it arrives twice
    SWAP = "swap"  # it arrives after the next one
    TRUNCATE = "truncate"  # the stream ends inside of it
    RESET = "reset"  # the connection is reset inside of it
    STALL = "stall"  # from some byte of it on nothing is passed on


class Cut(enum.Enum):
    """How a stream stops being passed on."""

    END = "end"  # with the end of the stream
    RESET = "reset"  # with a reset of both connections
    STALL = "stall"  # with silence


class Send(NamedTuple):
    """Pass these bytes on."""

    data: bytes


Step = Send | Cut


@dataclass(frozen=True)
class FrameRule:
    """A fault of frames, and the frames that have it.

    Attributes:
      fault: what happens to them.
      on_frame: the frame that is chosen, counted from 1 on each connection; None for any.
      probability: how probably a frame is chosen, from 0 to 1.
      seed: of the rule's random numbers; None for the proxy's.
      name: two rules of one seed choose apart from each other by their names.

    Raises:
      ValueError: a number makes no sense.
    """

    fault: FrameFault
    on_frame: int | None = None
    probability: float = 1.0
    seed: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability cannot be {self.probability}")
        if self.on_frame is not None and self.on_frame < 1:
            raise ValueError(f"frames are counted from 1, and {self.on_frame} is none")


# Gives a rule its source of random numbers.
NumbersOf = Callable[[FrameRule], random.Random]


@dataclass(frozen=True)
class Faults:
    """The faults of a stream; by default none.

    Attributes:
      slice_bytes: the least and the most bytes of a piece; None for pieces as they come.
      coalesce_bytes: bytes are held back until there are this many, or `coalesce_s` have passed.
      coalesce_s: the longest time that bytes are held back, in seconds.
      delay_s: the least and the most seconds from the arrival of a piece until it is passed on.
        Delays overlap, and the order stays.
      gap_s: the least seconds from one piece to the next.
      bandwidth_bytes_per_s: bytes that pass in a second; 0 for no limit.
      reset_after_bytes: the connection is reset when this many bytes have been passed on; None for never.
      reset_after_total_bytes: likewise, when this many have been passed on by all connections together.
      end_after_bytes: the stream is ended when this many bytes have been passed on; None for never.
      reset_after_s: the connection is reset when it has been open for so many seconds; None for never.
      frame_rules: what happens to chosen frames. A frame has the fault of the first rule that chooses it.
      format: how headers are written.

    Raises:
      ValueError: a number makes no sense.
    """

    slice_bytes: tuple[int, int] | None = None
    coalesce_bytes: int = 0
    coalesce_s: float = 0.05
    delay_s: tuple[float, float] = (0.0, 0.0)
    gap_s: float = 0.0
    bandwidth_bytes_per_s: int = 0
    reset_after_bytes: int | None = None
    reset_after_total_bytes: int | None = None
    end_after_bytes: int | None = None
    reset_after_s: float | None = None
    frame_rules: tuple[FrameRule, ...] = ()
    format: FrameFormat = field(default_factory=FrameFormat)

    def __post_init__(self) -> None:
        if self.slice_bytes is not None and not 1 <= self.slice_bytes[0] <= self.slice_bytes[1]:
            raise ValueError(f"pieces cannot have {self.slice_bytes} bytes")
        if not 0 <= self.delay_s[0] <= self.delay_s[1] < math.inf:
            raise ValueError(f"a delay cannot be {self.delay_s} s")
        if self.reset_after_s is not None and not 0 <= self.reset_after_s < math.inf:
            raise ValueError(f"a reset cannot come after {self.reset_after_s} s")
        for number in (self.coalesce_bytes, self.coalesce_s, self.gap_s, self.bandwidth_bytes_per_s):
            if not 0 <= number < math.inf:
                raise ValueError(f"a size, a time or a rate cannot be {number}")
        for limit in (self.reset_after_bytes, self.reset_after_total_bytes, self.end_after_bytes):
            if limit is not None and limit < 0:
                raise ValueError(f"a stream cannot end after {limit} bytes")


CLEAN = Faults()
