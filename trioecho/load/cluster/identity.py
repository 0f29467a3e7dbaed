"""What both sides must have in common: the version, and what plans and messages are made of."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from importlib import metadata
from typing import Any

from ...base.client_tls import ClientTls
from ..churn import Churn
from ..message_list import MessageSource
from ..plan import LoadPlan
from ..processes.messages import LoadWorkerConfig
from ..results.result import LoadResult
from ..service_traits import ServiceTraits
from .messages import EngineEnded, StartEngine

# Whatever travels, or is a part of what does.
_TRAVELS: tuple[Any, ...] = (
    *(LoadPlan, Churn, ClientTls, MessageSource, ServiceTraits),
    *(LoadWorkerConfig, LoadResult, StartEngine, EngineEnded),
)


def own_version() -> str:
    """Return the version of this package."""
    try:
        return metadata.version("trioecho")
    except metadata.PackageNotFoundError:  # a source tree that was not installed
        return "unknown"


def own_schema() -> str:
    """Return a hash of the names and types of all attributes of plans, configurations and results."""
    words = [f"{kind.__name__}.{field.name}: {field.type}" for kind in _TRAVELS for field in fields(kind)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
