"""An echo on Node.js' own sockets."""

from __future__ import annotations

from ..candidate import Candidate, Need, documented

CANDIDATE = Candidate(
    name="nodejs",
    title="Node.js, `net`",
    command=("node", "{sources}/length_prefixed.js", "{port}"),
    deviations=(
        documented(
            "6.2",
            why="Without a handler of its own, a process of Node.js ends at SIGTERM at once (Node.js, "
            "process, Signal events), and the kernel resets what it had not read.",
        ),
    ),
    needs=(Need("node", "nodejs"),),
    version=("node", "--version"),
    load=("-c", "10", "-n", "500", "--pipeline", "8"),
    max_frame_length=1 << 20,
)
