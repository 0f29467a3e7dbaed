"""Programs of others that tests start, where they are installed."""

from __future__ import annotations

import os
import shutil

import pytest

# Of the packages in .ci/packages. With TRIOECHO_PROGRAMS=required, a missing one is a failure.
_INSTALLED_IN_CI = {
    "chromium",
    "dumpcap",
    "fcgiwrap",
    "haproxy",
    "ip",
    "logger",
    "nft",
    "nginx",
    "prometheus",
    "promtool",
    "ssh",
    "ssh-agent",
    "sshd",
    "systemd-analyze",
    "systemd-socket-activate",
    "tshark",
}


def find_program(*names: str) -> str | None:
    """Return the path of the first that is installed, or None; administrators' too."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def needs_program(*names: str) -> str:
    """Return the path of the first that is installed; skip the test by name if there is none."""
    found = find_program(*names)
    if found is None:
        if os.environ.get("TRIOECHO_PROGRAMS") == "required" and not _INSTALLED_IN_CI.isdisjoint(names):
            pytest.fail(f"{names[0]} is not installed; .ci/install does that")
        pytest.skip(f"{names[0]} is not installed")
    return found
