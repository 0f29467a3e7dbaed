"""The faulty servers: echo servers with one bug each, all of them met in real life.

They prove that ``trioecho check`` sees what it should see, and are there to be
shown in class. Each differs from `EchoServer` in one place. Nothing here uses the
project's own framing, so that the suite and its proof share no mistakes.
"""

from __future__ import annotations

from . import aftermath, content, ending, lengths, lifecycle, reading, replying, sharing
from .bug import Bug, FaultyServer, wrong_lines
from .honest import EchoServer

__all__ = ["FAULTY_SERVERS", "Bug", "EchoServer", "FaultyServer", "wrong_lines"]

# By name; those of a module in the order in which they stand there.
FAULTY_SERVERS: dict[str, type[FaultyServer]] = {
    server.bug.name: server
    for module in (reading, lengths, content, replying, sharing, ending, aftermath, lifecycle)
    for server in vars(module).values()
    if isinstance(server, type) and issubclass(server, FaultyServer) and server is not FaultyServer
}
