"""Framed services for people who have locustfiles: users of Locust, and whole loads on its workers.

`FramedUser` sends requests, one after the other, as Locust's own `HttpUser` does. `PlanUser` carries
out a load of ``trioecho load``, divided over all its users, each with an engine in a process of its own.

Locust runs on gevent, which replaces sockets and much else in its process. So nothing here imports Trio.
"""

from __future__ import annotations

# As in `typing`, whose import would take longer than all the rest of this module.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .client import FramedClient
    from .errors import CheckFailedError, ReplyTimeoutError, RequestFailedError
    from .framed_user import FramedUser
    from .plan_program import PlanFailedError
    from .plan_user import PlanUser
    from .reply import FramedReply
else:
    # Imported when they are first asked for (PEP 562): `import locust` patches the whole process, which
    # is for those who want its users.
    _HOMES = {
        "CheckFailedError": ".errors",
        "FramedClient": ".client",
        "FramedReply": ".reply",
        "FramedUser": ".framed_user",
        "PlanFailedError": ".plan_program",
        "PlanUser": ".plan_user",
        "ReplyTimeoutError": ".errors",
        "RequestFailedError": ".errors",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        try:
            value = getattr(importlib.import_module(_HOMES[name], __name__), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in ("locust", "gevent"):
                raise
            from ..base.missing_package import missing_words

            raise ImportError(
                missing_words(__name__, [str(error.name)], "locust"),
                name=__name__,
            ) from None
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "CheckFailedError",
    "FramedClient",
    "FramedReply",
    "FramedUser",
    "PlanFailedError",
    "PlanUser",
    "ReplyTimeoutError",
    "RequestFailedError",
]
