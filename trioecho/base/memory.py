"""How much memory this machine has left."""

from __future__ import annotations

from pathlib import Path


def available_bytes(proc: Path = Path("/proc")) -> int | None:
    """Return the memory that new programs can have without swapping; None where that is not known.

    Args:
      proc: where Linux's ``proc`` is.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = (line.split() for line in lines if line.startswith("MemAvailable:"))
    return next((int(kilobytes) * 1024 for _, kilobytes, _ in fields), None)
