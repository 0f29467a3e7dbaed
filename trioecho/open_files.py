"""How many files, sockets among them, this process may have open."""

from __future__ import annotations

import contextlib
import math

# What a process needs beside its connections.
OTHER_DESCRIPTORS = 64


def allow_open_files(wanted: float) -> float:
    """Raise the soft limit of open files as far as is wanted and may be, as Redis does.

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
