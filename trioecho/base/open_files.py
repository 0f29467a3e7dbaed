"""How many files, sockets among them, this process may have open."""

from __future__ import annotations

import contextlib
import math
import os

# What a process needs beside its connections.
OTHER_DESCRIPTORS = 64


def allow_open_files(wanted: float) -> float:
    """Raise the soft limit of open files as far as is wanted and allowed, as Redis does.

    Args:
      wanted: how many; may be infinite.

    Returns:
      The limit now; infinite where there is none.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return math.inf
    soft, hard = (
        math.inf if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    allowed = min(wanted, hard)
    if soft < allowed:
        new = resource.RLIM_INFINITY if math.isinf(allowed) else int(allowed)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (new, resource.RLIM_INFINITY if math.isinf(hard) else int(hard))
            )
            return allowed
    return soft


def has_room_for(descriptors: int) -> bool:
    """Return whether this process can open so many files more, and has a few left then."""
    limit = allow_open_files(0)
    try:
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
    except OSError:
        return False
    return lowest_free + descriptors + _SPARE_DESCRIPTORS <= limit


# What may be open for a moment beside all connections: while names are resolved, and
# several addresses tried.
_SPARE_DESCRIPTORS = 16


def connections_that_fit(max_connections: int, descriptors_each: int) -> int:
    """Raise the limit of open files for that many connections, and return how many fit.

    Call it when everything else is open already.

    Args:
      max_connections: how many are wanted; 0 for any number.
      descriptors_each: how many open files each takes.

    Returns:
      At least 1; 0 for any number.
    """
    wanted = max_connections or math.inf
    limit = allow_open_files(wanted * descriptors_each + OTHER_DESCRIPTORS)
    try:
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
    except OSError:
        return 1
    fit = min(wanted, (limit - lowest_free - _SPARE_DESCRIPTORS) // descriptors_each)
    return 0 if math.isinf(fit) else max(1, int(fit))
