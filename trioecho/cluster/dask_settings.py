"""What Dask is told not to do on clusters that are started for a command: it has no tasks there."""

from __future__ import annotations

import importlib
from typing import Any

# Names and meanings: https://docs.dask.org/en/stable/configuration.html#distributed-scheduler and
# what follows it. ``scripts/bench cluster`` measures what the processes of Dask use.
_QUIET: dict[str, Any] = {
    "distributed": {
        "worker": {
            # A hundred times a second it looks which function of a task runs, and, by a thread, what
            # the event loop does: for a dashboard.
            "profile": {"enabled": False},
        },
        "admin": {
            # How late the event loop is, every 20 ms in the scheduler, in each worker and in its nanny.
            "tick": {"interval": "1s"},
            # Memory, processor and network of the machine, every 500 ms in the same processes.
            "system-monitor": {"interval": "10s"},
        },
        "scheduler": {
            # Both move tasks and their data between workers.
            "work-stealing": False,
            "active-memory-manager": {"start": False},
        },
    },
}


def quieten_dask() -> None:
    """Set this for the clusters that this process starts, and for their workers.

    What the user has set, in Dask's files or in the environment, stays as it is, unless it is Dask's default.
    """
    importlib.import_module("distributed")  # whose defaults these replace
    importlib.import_module("dask.config").update_defaults(_QUIET)
