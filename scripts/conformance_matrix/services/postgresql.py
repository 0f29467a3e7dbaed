"""PostgreSQL, with a database of its own, as Debian has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from ..candidate import Candidate, Need, Ready, fault

_VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_PROGRAMS = _VERSIONS[-1] if _VERSIONS else Path("/usr/lib/postgresql/bin")
# It does not run as root.
_AS_POSTGRES = () if os.geteuid() else ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
_STARTUP = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"


def _make_database(folder: Path) -> None:
    if _AS_POSTGRES:
        folder.chmod(0o755)
        shutil.chown(folder, "postgres")
    options = ("--username=postgres", "--auth=trust", "--no-sync", "--locale=C")
    subprocess.run(
        [*_AS_POSTGRES, str(_PROGRAMS / "initdb"), "-D", str(folder / "data"), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )


CANDIDATE = Candidate(
    name="postgresql",
    title="PostgreSQL",
    command=(
        *_AS_POSTGRES,
        str(_PROGRAMS / "postgres"),
        *("-D", "{folder}/data", "-p", "{port}", "-k", "", "-c", "listen_addresses=127.0.0.1"),
        *("-c", "fsync=off", "-c", "max_connections=300"),  # 100 would be too few for rule 3.2
    ),
    deviations=(
        fault(
            "4.7",
            why="A length that it refuses ends its process with the rest of the message unread, and the "
            "kernel then resets the connection.",
        ),
    ),
    needs=(Need(str(_PROGRAMS / "postgres"), "postgresql"),),
    version=(str(_PROGRAMS / "postgres"), "--version"),
    check=("--preset", "postgres"),
    ready=Ready((len(_STARTUP) + 4).to_bytes(4, "big") + _STARTUP, b"R"),
    note="While it recovers it listens, and refuses sessions; so the suite is given one that serves. It is "
    "not loaded: its session begins with a message of another format, and with many replies to that one.",
    prepare=_make_database,
)
