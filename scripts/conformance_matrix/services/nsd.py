"""NSD, an authoritative name server, as Debian has it, with one small zone."""

from __future__ import annotations

from pathlib import Path

from ..candidate import Candidate, Need, documented
from . import dns_queries

_CONFIGURATION = """\
server:
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  database: ""
  pidfile: ""
  xfrdfile: ""
  username: ""
remote-control:
  control-enable: no
zone:
  name: localhost
  zonefile: localhost.zone
"""
_ZONE = """\
$ORIGIN localhost.
$TTL 3600
@ SOA @ root 1 3600 600 86400 3600
@ NS @
@ A 127.0.0.1
@ AAAA ::1
"""


def _prepare(folder: Path) -> None:
    (folder / "nsd.conf").write_text(_CONFIGURATION.replace("{folder}", str(folder)))
    (folder / "localhost.zone").write_text(_ZONE)


CANDIDATE = Candidate(
    name="nsd",
    title="DNS: NSD",
    command=("nsd", "-d", "-c", "{folder}/nsd.conf", "-a", "127.0.0.1", "-p", "{port}"),
    deviations=(
        documented(
            "6.2",
            why="At SIGTERM it ends at once (nsd(8)), and the kernel resets what it had not read. RFC 7766, "
            "section 6.2.4, has clients ask again.",
        ),
    ),
    needs=(Need("nsd", "nsd"),),
    version=("nsd", "-v"),
    requests=dns_queries.AS_LINES,
    check=("--preset", "dns"),
    load=("--format", "dns", "--messages", "{requests}", "--reply", "count", "-c", "10", "-n", "500"),
    prepare=_prepare,
)
