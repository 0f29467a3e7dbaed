"""How fast a server is, and what follows from that: how long to wait for it, and how much to ask of it."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_PATIENCE_S, _ROUND_TRIPS_OF_PATIENCE, _MOST_PATIENCE_S = 1.0, 5, 10.0
_CONFIRM_FACTOR, _MOST_CONFIRM_PATIENCE_S = 3, 20.0
# How many echoes, one by one, are usual for a case.
_USUAL = 100
# A step of a case asks for no more than a slow server can give in so long.
_STEP_S = 3.0


@dataclass(frozen=True)
class Pace:
    """How fast a server is.

    Attributes:
      round_trip_s: the median from sending a small frame to its echo, in seconds; 0 if
        no echo came right.
      frame_s: how much longer each further frame of a run takes that was sent at once.
      connect_s: how much longer the first echo of a connection takes than others.
    """

    round_trip_s: float = 0.0
    frame_s: float = 0.0
    connect_s: float = 0.0

    @property
    def patience_s(self) -> float:
        """How long the server may be silent.

        A second is for what a busy machine, or a lost segment, may add; five round
        trips are for what a slow server may vary.
        """
        slowest_s = max(self.round_trip_s, self.connect_s)
        return min(_LEAST_PATIENCE_S + _ROUND_TRIPS_OF_PATIENCE * slowest_s, _MOST_PATIENCE_S)

    @property
    def confirm_patience_s(self) -> float:
        """How long it may be, alone, before its silence is believed."""
        return min(_CONFIRM_FACTOR * self.patience_s, _MOST_CONFIRM_PATIENCE_S)

    @property
    def is_slow(self) -> bool:
        """Whether cases ask for fewer echoes because of it."""
        return min(self.echoes_one_by_one, self.connections) < _USUAL

    @property
    def in_words(self) -> str:
        """What it is that takes so long."""
        parts = [f"a round trip takes {self.round_trip_s:.2g} s"]
        if self.frame_s:
            parts.append(f"each further frame of a run {self.frame_s:.2g} s")
        if self.connect_s:
            parts.append(f"a new connection {self.connect_s:.2g} s more")
        return ", ".join(parts)

    @property
    def echoes_one_by_one(self) -> int:
        """How many echoes can be asked for, each after the one before."""
        return _so_many(self.round_trip_s)

    @property
    def echoes_at_once(self) -> int:
        """How many echoes can be asked for in one go."""
        return _so_many(self.frame_s)

    @property
    def connections(self) -> int:
        """How many connections can be used, one after the other, each for an echo."""
        return _so_many(self.round_trip_s + self.connect_s)


def _so_many(each_s: float) -> int:
    # Two are the least of which one can come after the other.
    return max(2, int(_STEP_S / max(each_s, 1e-5)))
