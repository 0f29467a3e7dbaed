"""All runs of one sitting, with what they ran on; to and from JSON.

==========  ======================================================================
schema      "trioecho-bench/2"
time        when it began (ISO 8601)
machine     what it ran on: system, cpus, python, versions, placement, load_average, load
builds      names of trioecho's builds, which are compared with the others
workloads   by name: by the server's name, its runs in the order of repetitions,
            each with the attributes of `Run`, or {"reason"} of a failure
==========  ======================================================================
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .compare import Failure, Run, Runs
from .processes import Cpus

_SCHEMA = "trioecho-bench/2"
_LIBRARIES = ("trioecho", "trio", "uvloop", "twisted", "anyio", "gevent")


class UnreadableSittingError(ValueError):
    """A text is not what `Sitting.to_json` writes; the message is one line."""


@dataclass
class Sitting:
    """What was measured, and on what.

    Attributes:
      time: when it began.
      machine: see the module.
      builds: see the module.
      runs: of each server, by the workload's name.
    """

    time: str
    machine: Mapping[str, Any]
    builds: Sequence[str]
    runs: dict[str, Runs] = field(default_factory=dict)

    @classmethod
    def begin(cls, cpus: Cpus, builds: Sequence[str], load: str) -> Sitting:
        """Return an empty one, here and now; ``load`` is a note on what plays the clients."""
        machine = {
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "versions": dict(_installed(_LIBRARIES)),
            "placement": cpus.note,
            "load_average": round(os.getloadavg()[0], 2),
            "load": load,
        }
        return cls(time.strftime("%Y-%m-%dT%H:%M:%S%z"), machine, list(builds))

    @property
    def is_disturbed(self) -> bool:
        """True if others had work for a processor when it began."""
        return float(self.machine["load_average"]) > 0.5  # half a processor, over the last minute

    def describe(self) -> str:
        """Return what it ran on, in two lines."""
        machine = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        return (
            f"{self.time}, {machine['system']}, {machine['cpus']} processors, {machine['placement']}; "
            f"load average before it {machine['load_average']}\n"
            f"Python {machine['python']}, {versions}; {machine['load']}"
        )

    def to_json(self) -> str:
        """Return everything, as one JSON object."""
        workloads = {
            workload: {name: [asdict(run) for run in of_server] for name, of_server in runs.items()}
            for workload, runs in self.runs.items()
        }
        parts = {"schema": _SCHEMA, "time": self.time, "machine": self.machine, "builds": self.builds}
        parts["workloads"] = workloads
        return json.dumps(parts, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Sitting:
        """Return the sitting of which `to_json` gave this.

        Raises:
          UnreadableSittingError: it is something else.
        """
        try:
            parts = json.loads(text)
            if parts["schema"] != _SCHEMA:
                raise UnreadableSittingError(f"its schema is not {_SCHEMA!r}")
            runs: dict[str, Runs] = {
                workload: {name: [_run(run) for run in of_server] for name, of_server in servers.items()}
                for workload, servers in parts["workloads"].items()
            }
            return cls(parts["time"], parts["machine"], parts["builds"], runs)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnreadableSittingError(f"not written by scripts/bench --json: {error}") from None


def _run(parts: Mapping[str, Any]) -> Run | Failure:
    return Failure(**parts) if "reason" in parts else Run(**parts)


def _installed(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)
