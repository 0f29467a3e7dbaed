"""How many processors this process may keep busy."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def count_processors(root: Path = Path("/")) -> int:
    """Return how many processors there are for this process, at least 1.

    Those that it may run on (its affinity) count, and not more than its control
    group has time for: a container with a quota of 1.5 processors has 2.

    Args:
      root: where Linux's ``proc`` and ``sys`` are.
    """
    has_affinity = hasattr(os, "sched_getaffinity")
    processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota = min(_quotas(root), default=math.inf)
    return max(1, processors if quota >= processors else math.ceil(quota))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in processors, of this process's control group and of those that it is in."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):  # not Linux, or hidden
        return
    for group in groups:
        # 0::/a/b is version 2; 4:cpu,cpuacct:/a/b version 1, with a hierarchy for each controller.
        _, controllers, path = group.split(":", 2)
        for mount in mounts:
            # 31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw
            own, _, kind = mount.partition(" - ")
            file_system, _, options = kind.split(" ", 2)
            _, _, _, mounted_path, at = own.split(" ")[:5]
            is_version_2 = file_system == "cgroup2" and not controllers
            is_version_1 = (
                file_system == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(",")
            )
            if is_version_2 or is_version_1:
                for folder in _folders(root / at.lstrip("/"), mounted_path, path):
                    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                        yield _quota_of_version_2(folder) if is_version_2 else _quota_of_version_1(folder)


def _folders(mount_point: Path, mounted_path: str, path: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it, as far as they can be seen from here."""
    group = PurePosixPath(path)
    # In a container, the path may be the host's, and what is mounted the group itself.
    inside = group.relative_to(mounted_path) if group.is_relative_to(mounted_path) else PurePosixPath()
    if ".." not in inside.parts:
        yield from (mount_point / each for each in (inside, *inside.parents))


def _quota_of_version_2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_of_version_1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return math.inf if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())
