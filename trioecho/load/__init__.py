"""Load whose numbers hold up: every reply is compared, and the generator watches itself.

`LoadPlan` says what is to be done, `run_load` does it, `LoadResult` is what it measured.
"""

from __future__ import annotations

from ..cluster.cluster import Cluster
from ..cluster.errors import ClusterError, ClusterSupportMissingError
from .churn import Churn, Span
from .cluster.opening import open_cluster
from .engine.payloads import rebuild_payload
from .errors import (
    CannotConnectError,
    ClusterWorkerFailedError,
    StrangeServerError,
    TooManyConnectionsError,
    WorkerFailedError,
)
from .message_list import MessageList, MessageSource, read_message_list
from .plan import LoadPlan
from .recorded_traffic import RecordedTraffic, Replay, read_recorded_traffic
from .reply_rule import ReplyRule
from .results.discrepancy import Discrepancy
from .results.generator_health import GeneratorHealth
from .results.lost_worker import LostWorker
from .results.merging import merge
from .results.path_counts import PathCounts
from .results.path_result import PathResult
from .results.progress import LoadProgress
from .results.result import LoadResult
from .results.result_json import result_as_json
from .results.result_reader import UnreadableResultError, result_from_json
from .results.sockets_given import SocketsGiven
from .results.time_series import LoadInterval
from .results.worker_share import WorkerShare
from .run import LoadRun, run_load
from .service_traits import ServiceTraits
from .sizes import SizeRange, Sizes
from .socket_options import SocketOptions
from .stages import Ramp, Stage

__all__ = [
    "CannotConnectError",
    "Churn",
    "Cluster",
    "ClusterError",
    "ClusterSupportMissingError",
    "ClusterWorkerFailedError",
    "Discrepancy",
    "GeneratorHealth",
    "LoadInterval",
    "LoadPlan",
    "LoadProgress",
    "LoadResult",
    "LoadRun",
    "LostWorker",
    "MessageList",
    "MessageSource",
    "PathCounts",
    "PathResult",
    "Ramp",
    "RecordedTraffic",
    "Replay",
    "ReplyRule",
    "ServiceTraits",
    "SizeRange",
    "Sizes",
    "SocketOptions",
    "SocketsGiven",
    "Span",
    "Stage",
    "StrangeServerError",
    "TooManyConnectionsError",
    "UnreadableResultError",
    "WorkerFailedError",
    "WorkerShare",
    "merge",
    "open_cluster",
    "read_message_list",
    "read_recorded_traffic",
    "rebuild_payload",
    "result_as_json",
    "result_from_json",
    "run_load",
]
