"""The rules of section 6: how the server starts and stops."""

from __future__ import annotations

from .rule import Heading, Level, Rule, Section
from .sources import RUBRIC

LIFECYCLE = Section(
    6,
    "Lifecycle",
    "Start, stop and start again, of a server that --spawn has started.",
    (
        Rule(
            "6.1",
            "Ready when it listens",
            Level.MUST,
            "The first connection that the server's port accepts is served.",
            "That a port can be connected to is what supervisors take for readiness.",
            "systemd, Kubernetes: a TCP probe is a connect",
            Heading.CORRECTNESS,
            needs_spawn=True,
        ),
        Rule(
            "6.2",
            "SIGTERM drains",
            Level.SHOULD,
            "After SIGTERM in the middle of traffic a client has received the echoes of an exact prefix of "
            "what it sent, then the end of the stream: no part of a frame, and no reset.",
            "Then the client knows which messages have a reply, and can send the others to the next server.",
            "Kubernetes, systemd and docker stop send SIGTERM first; Twelve-Factor App, IX: disposability",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.3",
            "SIGTERM ends it",
            Level.MUST,
            "After SIGTERM the process ends, although an idle connection is open, and its port accepts "
            "no more connections.",
            "A supervisor kills a process that does not end, and the work under way is lost.",
            "signal(7); docker stop kills after 10 s",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.4",
            "Restart on the same port",
            Level.MUST,
            "Right after the server has ended with connections open, it can be started again on the same "
            "port.",
            "Connections that the server has closed first are remembered in TIME-WAIT and keep the port, "
            "unless SO_REUSEADDR is set.",
            "RFC 9293, 3.6.1: TIME-WAIT; socket(7): SO_REUSEADDR; " + RUBRIC + ": edge cases",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
        Rule(
            "6.5",
            "SIGINT ends it",
            Level.MUST,
            "After SIGINT (Ctrl-C) the process ends, although an idle connection is open.",
            "Its user at a terminal expects that. Threads that are not daemons, and locks that "
            "are held, keep a process alive.",
            "signal(7)",
            Heading.EDGE_CASES,
            needs_spawn=True,
        ),
    ),
)
