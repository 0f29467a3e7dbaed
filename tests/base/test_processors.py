"""How many processors there are for a process: by affinity, and by the quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from trioecho.base.processors import count_processors

V2 = "31 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 35 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "37 35 0:31 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory"
V1_IN_CONTAINER = "36 35 0:30 /docker/12ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def count_in(root: Path, cgroup: str, mountinfo: str, files: Mapping[str, str]) -> int:
    contents = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mountinfo}
    contents |= {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return count_processors(root)


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "files", "processors"),
    [
        ("0::/", V2, {}, 8),
        ("0::/", V2, {"cpu.max": "max 100000"}, 8),
        ("0::/", V2, {"cpu.max": "200000 100000"}, 2),
        ("0::/", V2, {"cpu.max": "150000 100000"}, 2),
        ("0::/", V2, {"cpu.max": "10000 100000"}, 1),
        ("0::/", V2, {"cpu.max": "6400000 100000"}, 8),
        ("0::/a/b", V2, {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", V2, {"a/b/cpu.max": "50000 10000", "a/cpu.max": "600000 100000"}, 5),
        ("0::/../elsewhere", V2, {"cpu.max": "200000 100000"}, 8),
        (
            "5:memory:/\n4:cpu,cpuacct:/x\n0::/",
            f"{V1_MEMORY}\n{V1}",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "400000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            4,
        ),
        (
            "4:cpu,cpuacct:/x",
            V1,
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            8,
        ),
        (
            "4:cpu,cpuacct:/docker/12ab",
            V1_IN_CONTAINER,
            {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("0::/", V2, {"cpu.max": "nonsense"}, 8),
        ("0::/", V2, {"cpu.max": "1 0"}, 8),
    ],
)
def test_a_quota_counts_where_it_is_less_than_the_affinity(
    cgroup: str, mountinfo: str, files: Mapping[str, str], processors: int, tmp_path: Path
) -> None:
    assert count_in(tmp_path, cgroup, mountinfo, files) == processors


def test_where_nothing_is_known_of_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert count_processors(tmp_path) == 8


def test_without_affinity_all_processors_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert count_processors(tmp_path) == 5
