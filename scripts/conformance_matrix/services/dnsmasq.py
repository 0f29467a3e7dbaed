"""dnsmasq, a forwarder and cache for small networks, as Debian has it; asked for what it knows itself."""

from __future__ import annotations

import getpass

from ..candidate import Candidate, Need, documented
from . import dns_queries

CANDIDATE = Candidate(
    name="dnsmasq",
    title="DNS: dnsmasq",
    command=(
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        f"--user={getpass.getuser()}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--address=/localhost/127.0.0.1",
        "--port={port}",
    ),
    deviations=(
        documented(
            "2.2",
            "2.6",
            "3.1",
            "3.5",
            why="It ends a connection after 100 queries (`TCP_MAX_QUERIES` in its `config.h`). RFC 7766, "
            "section 6.2.4, has clients ask again.",
        ),
        documented(
            "3.2",
            why="It serves 20 connections at a time, each in a process (`MAX_PROCS` in its `config.h`); "
            "others wait.",
        ),
        documented(
            "6.5",
            why="SIGINT says that the time of day is right (dnsmasq(8), `--dnssec-no-timecheck`); it ends at "
            "SIGTERM.",
        ),
    ),
    needs=(Need("dnsmasq", "dnsmasq-base"),),
    version=("dnsmasq", "--version"),
    requests=dns_queries.AS_LINES,
    check=("--preset", "dns"),
    # Fewer than the 100 queries, and the 20 connections, that it takes.
    load=("--format", "dns", "--messages", "{requests}", "--reply", "count", "-c", "10", "-n", "90"),
)
