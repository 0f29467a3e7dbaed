"""What a supervisor and its workers send to each other: JSON documents over a `JsonChannel`.

::

    supervisor                                                       worker
        LoadWorkerConfig  what to do                       ------------>
        LoadMessagesPart  one or several                   ------------>
                          (see `message_parts`)
                                                           <------------  Heartbeat, every beat until the end
                                                           <------------  LoadWorkerReady
        StartCommand      when all are ready               ------------>
                                                           <------------  LoadWorkerStarted
                                                           <------------  LoadProgress, on its schedule
        Heartbeat         if the worker is to end when     ------------>
                          these do not come
        StopCommand       if the load is to end early      ------------>
                          (at any time)
                                                           <------------  LoadResult, or an error

An error says why there is no result. The end of the stream means that the other process is
gone, for whatever reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..engine.recording import RecordingTask
from ..errors import CannotConnectError, StrangeServerError, TooManyConnectionsError, TooManyToWaitForError
from ..plan import LoadPlan
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from ..results.result_json import histogram_as_json, interval_as_json, result_as_document
from ..results.result_reader import histogram_from_json, interval_from_json, result_from_document
from ..results.stage_result import StageResult


@dataclass(frozen=True)
class LoadWorkerConfig:
    """What a worker has to do.

    Attributes:
      plan: of the whole load.
      first: the first of the connections that are the worker's.
      count: how many are.
      progress_interval_s: seconds from one `LoadProgress` to the next.
      is_cautious: as of `LoadRun`.
      folder: where the module of a user's function may be.
      recording: what to record; None for nothing.
      has_own_sources: whether each machine uses those of the plan's sources that are its own.
      most_silent_beats: how many beats the supervisor may be silent before the worker ends;
        None for as many as it likes.
    """

    plan: LoadPlan
    first: int
    count: int
    progress_interval_s: float
    is_cautious: bool
    folder: str = ""
    recording: RecordingTask | None = None
    most_silent_beats: int | None = None
    has_own_sources: bool = False


@dataclass(frozen=True)
class LoadMessagesPart:
    """A part of the messages of a load that are the user's own; if there are none, one part says so.

    Attributes:
      text: of a JSON document, which is cut into parts.
      is_last: whether no other follows.
    """

    text: str
    is_last: bool


@dataclass(frozen=True)
class LoadWorkerReady:
    """The worker's connections are open.

    Attributes:
      sources: the addresses from which they were made; empty if the system has chosen.
    """

    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadWorkerStarted:
    """The worker sends its messages from now on, so many ns after the moment of the `StartCommand`."""

    late_ns: int


@dataclass(frozen=True)
class Heartbeat:
    """The one who sends this does not hang."""


@dataclass(frozen=True)
class StartCommand:
    """The worker is to start ``at`` this time, in ns of `time.perf_counter_ns`."""

    at: int


@dataclass(frozen=True)
class StopCommand:
    """The worker is to stop, as `LoadRun.stop` does."""


_STAGE_COUNTS = ("sent", "messages", "bytes", "received", "failed")
_STAGE_HISTOGRAMS = ("latency_ns", "from_send_ns")

LoadMessage = (
    LoadWorkerConfig
    | LoadMessagesPart
    | Heartbeat
    | LoadWorkerReady
    | LoadWorkerStarted
    | StartCommand
    | StopCommand
    | LoadProgress
    | LoadResult
    | CannotConnectError
    | TooManyConnectionsError
)


def encode_load_message(message: LoadMessage) -> dict[str, Any]:
    """Return the message as a JSON document."""
    return {type(message).__name__: _fields(message)}


def decode_load_message(document: Mapping[str, Any]) -> LoadMessage:
    """Return the message of a document that `encode_load_message` made."""
    [(kind, fields)] = document.items()
    return _DECODERS[kind](fields)


def _fields(message: LoadMessage) -> Any:
    if isinstance(message, LoadResult):
        return result_as_document(message)
    if isinstance(message, LoadProgress):
        return {
            "phase": message.phase,
            "t_s": message.t_s,
            "interval": interval_as_json(message.interval),
            "sent": message.sent,
            "messages": message.messages,
            "errors": dict(message.errors),
            "connections": message.connections,
            "planned": message.planned,
            "send_lateness_ns": histogram_as_json(message.send_lateness_ns),
            "from_send_ns": histogram_as_json(message.from_send_ns),
            "taken_back": message.taken_back,
            "unsent": message.unsent,
            "failed": message.failed,
            "stages": [_stage_fields(stage) for stage in message.stages],
        }
    if isinstance(message, LoadWorkerConfig):
        return {
            "plan": message.plan.to_dict(),
            "first": message.first,
            "count": message.count,
            "progress_interval_s": message.progress_interval_s,
            "is_cautious": message.is_cautious,
            "folder": message.folder,
            "recording": None if message.recording is None else asdict(message.recording),
            "most_silent_beats": message.most_silent_beats,
            "has_own_sources": message.has_own_sources,
        }
    if isinstance(message, Exception):
        return list(message.args)
    return asdict(message)


def _stage_fields(stage: StageResult) -> dict[str, Any]:
    """Return what was counted in a stage since the last report: sums of such counts are a whole stage's."""
    counts = {name: getattr(stage, name) for name in _STAGE_COUNTS}
    histograms = {name: histogram_as_json(getattr(stage, name)) for name in _STAGE_HISTOGRAMS}
    return {"name": stage.name, "errors": dict(stage.errors), **counts, **histograms}


def _stage(fields: Mapping[str, Any]) -> StageResult:
    histograms = {name: histogram_from_json(fields[name]) for name in _STAGE_HISTOGRAMS}
    return StageResult(**{**fields, "errors": Counter(fields["errors"]), **histograms})


def _config(fields: Mapping[str, Any]) -> LoadWorkerConfig:
    recording = fields["recording"] and RecordingTask(**fields["recording"])
    return LoadWorkerConfig(**{**fields, "plan": LoadPlan.from_dict(fields["plan"]), "recording": recording})


def _progress(fields: Mapping[str, Any]) -> LoadProgress:
    interval = interval_from_json(fields["interval"])
    histograms = {name: histogram_from_json(fields[name]) for name in ("send_lateness_ns", "from_send_ns")}
    stages = tuple(map(_stage, fields["stages"]))
    return LoadProgress(**{**fields, "interval": interval, **histograms, "stages": stages})


_DECODERS: dict[str, Callable[[Any], LoadMessage]] = {
    "LoadWorkerConfig": _config,
    "LoadMessagesPart": lambda fields: LoadMessagesPart(**fields),
    "Heartbeat": lambda fields: Heartbeat(),
    "LoadWorkerReady": lambda fields: LoadWorkerReady(tuple(fields["sources"])),
    "LoadWorkerStarted": lambda fields: LoadWorkerStarted(**fields),
    "StartCommand": lambda fields: StartCommand(**fields),
    "StopCommand": lambda fields: StopCommand(),
    "LoadProgress": _progress,
    "LoadResult": result_from_document,
    "CannotConnectError": lambda arguments: CannotConnectError(*arguments),
    "StrangeServerError": lambda arguments: StrangeServerError(*arguments),
    "TooManyConnectionsError": lambda arguments: TooManyConnectionsError(*arguments),
    "TooManyToWaitForError": lambda arguments: TooManyToWaitForError(*arguments),
}
