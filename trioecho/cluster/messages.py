"""What a command and its bridge send to each other: JSON documents in frames.

The bridge is a process of its own, since Dask has an event loop and threads of its own. It
carries messages; what they mean it does not know. ::

    command                                                          bridge
        OpenCluster       which one                       ------------>
                                                           <------------  ClusterOpened, or ClusterRefused
        StartEngine       on a worker, for a run           ------------>
        ToEngine          a JSON document                  ------------>
                                                           <------------  FromEngine, a JSON document
        MeasureClocks     of some workers                  ------------>
                                                           <------------  ClocksMeasured
                                                           <------------  EngineEnded
        EndEngine         at once                          ------------>

Workers are known by their numbers in `ClusterOpened`. The end of the stream ends the bridge, and it
ends all engines before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class OpenCluster:
    """The bridge is to connect to a cluster, or to start one.

    Attributes:
      text: of the `ClusterSpec`.
      workers: how many are needed; None for those that are there, if there is one.
      wait_s: how long to wait for them, and for the scheduler, in seconds.
      identity: of the `Purpose`.
    """

    text: str
    workers: int | None
    wait_s: float
    identity: str


@dataclass(frozen=True)
class ClusterOpened:
    """The cluster is there.

    Attributes:
      workers: what `remote.describe_worker` said of each, or ``{"address": ..., "failure": why it did not}``.
    """

    workers: list[dict[str, Any]]


@dataclass(frozen=True)
class ClusterRefused:
    """There is no such cluster, or none with workers; the reason ends a sentence that begins with it."""

    reason: str


@dataclass(frozen=True)
class StartEngine:
    """An engine is to be started on a worker.

    Attributes:
      run, worker: which engine.
      name: for people who look at processes.
      program: of the `Purpose`.
    """

    run: int
    worker: int
    name: str
    program: list[str]


@dataclass(frozen=True)
class ToEngine:
    """A message for an engine."""

    run: int
    worker: int
    message: Any


@dataclass(frozen=True)
class FromEngine:
    """A message of an engine."""

    run: int
    worker: int
    message: Any


@dataclass(frozen=True)
class EngineEnded:
    """Nothing comes from an engine any more.

    Attributes:
      run, worker: which engine.
      reason: why, in words that follow the name of the worker.
      exit_code: of its process, a signal's number with a minus; None if that is not known.
    """

    run: int
    worker: int
    reason: str
    exit_code: int | None = None


@dataclass(frozen=True)
class EndEngine:
    """An engine is to end at once."""

    run: int
    worker: int


@dataclass(frozen=True)
class MeasureClocks:
    """The clocks of these workers are to be read, several times."""

    workers: list[int]


@dataclass(frozen=True)
class ClocksMeasured:
    """What `clock.ClockReading` has, for each worker that was asked for; none for one that is gone."""

    readings: list[list[list[int]]]


BridgeMessage = (
    OpenCluster
    | ClusterOpened
    | ClusterRefused
    | StartEngine
    | ToEngine
    | FromEngine
    | EngineEnded
    | EndEngine
    | MeasureClocks
    | ClocksMeasured
)
_KINDS: dict[str, type[BridgeMessage]] = {
    kind.__name__: kind
    for kind in (
        *(OpenCluster, ClusterOpened, ClusterRefused, StartEngine, ToEngine, FromEngine),
        *(EngineEnded, EndEngine, MeasureClocks, ClocksMeasured),
    )
}


def encode_bridge_message(message: BridgeMessage) -> dict[str, Any]:
    """Return the message as a JSON document."""
    if isinstance(message, ToEngine | FromEngine):  # whose message is large, and is not to be copied
        return {type(message).__name__: {name.name: getattr(message, name.name) for name in fields(message)}}
    return {type(message).__name__: asdict(message)}


def decode_bridge_message(document: Mapping[str, Any]) -> BridgeMessage:
    """Return the message of a document that `encode_bridge_message` made."""
    [(kind, attributes)] = document.items()
    return _KINDS[kind](**attributes)


def encode_from_engine(run: int, worker: int, document: bytes) -> bytes:
    """Return a `FromEngine` whose message is JSON already, as the bytes of its document."""
    return b'{"FromEngine": {"run": %d, "worker": %d, "message": %b}}' % (run, worker, document)
