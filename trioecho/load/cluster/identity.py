"""What both sides of a load on a cluster must have in common: what plans and messages are made of."""

from __future__ import annotations

from typing import Any

from ...base.client_tls import ClientTls
from ...cluster.identity import schema_of
from ...cluster.messages import EngineEnded, StartEngine
from ..churn import Churn
from ..message_list import MessageSource
from ..plan import LoadPlan
from ..processes.messages import LoadWorkerConfig
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from ..service_traits import ServiceTraits

# Whatever travels, or is a part of what does.
_TRAVELS: tuple[Any, ...] = (
    *(LoadPlan, Churn, ClientTls, MessageSource, ServiceTraits),
    *(LoadWorkerConfig, LoadProgress, LoadResult, StartEngine, EngineEnded),
)


def own_schema() -> str:
    """Return a hash of the names and types of all attributes of plans, configurations and results."""
    return schema_of(_TRAVELS)
