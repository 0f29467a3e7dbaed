"""Where and with what a load was carried out."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from ...base.version import version_and_build


@dataclass(frozen=True)
class Machine:
    """Where and with what a load was carried out.

    Attributes:
      name: the host's.
      system: operating system, its version, the architecture.
      cpus: CPUs that the process may use.
      python: version and implementation.
      trioecho: version and build.
    """

    name: str
    system: str
    cpus: int
    python: str
    trioecho: str


def this_machine() -> Machine:
    """Return where and with what this process runs."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cpus = os.cpu_count() or 1
    return Machine(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=cpus,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        trioecho=version_and_build(),
    )
