"""Install what servers need, with Debian's packages."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from .candidate import Need

# A service that its package starts by itself would take a port of this machine: this keeps it from that.
_NO_SERVICES = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def install(needs: Iterable[Need]) -> None:
    """Install Debian's packages that are missing; modules of Python come with the extra ``conformance``.

    A package that cannot be installed is left out; the servers that need it are then skipped.
    """
    packages = dict.fromkeys(need.package for need in needs if not need.in_python)
    if not packages:
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    settings = [f"{name}={value}" for name, value in _NO_SERVICES.items()]
    apt = [*as_root, "env", *settings, "apt-get", "--yes", "--quiet"]
    subprocess.run([*apt, "update"], check=False)
    for package in packages:
        subprocess.run([*apt, "install", "--no-install-recommends", package], check=False)
