"""PostgreSQL, with a database of its own, as Debian has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from ..candidate import Candidate, Need, Ready, fault

_VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_PROGRAMS = _VERSIONS[-1] if _VERSIONS else Path("/usr/lib/postgresql/bin")
# It does not run as root.
_AS_POSTGRES = () if os.geteuid() else ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
_PARAMETERS = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"
_STARTUP = (len(_PARAMETERS) + 4).to_bytes(4, "big") + _PARAMETERS
_QUERIES = Path(__file__).with_name("postgresql_queries.py")


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
    # No frame as all others are; the replies end with ReadyForQuery.
    startup = {"hex": _STARTUP.hex(), "raw": True, "until": b"Z".hex()}
    (folder / "startup.jsonl").write_text(json.dumps(startup))


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
    load=(
        *("--format", "postgres", "--first-message", "{folder}/startup.jsonl"),
        *("--reply", f"{_QUERIES}:select", "-c", "10", "-n", "500"),
    ),
    ready=Ready(_STARTUP, b"R"),
    note="While it recovers it listens, and refuses sessions; so the suite is given one that serves.",
    prepare=_make_database,
)
