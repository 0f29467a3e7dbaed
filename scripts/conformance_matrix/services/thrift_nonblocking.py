"""Apache Thrift's TNonblockingServer: one thread for all sockets, with a parser of its own."""

from __future__ import annotations

from ..candidate import Candidate, Need, fault
from . import thrift_calls

CANDIDATE = Candidate(
    name="thrift_nonblocking",
    title="Thrift: `TNonblockingServer`",
    command=("{python}", "{sources}/thrift_ping.py", "nonblocking", "{port}"),
    deviations=(
        fault(
            "4.6",
            "4.7",
            "7.3",
            why="A length over the limit that comes together with a whole frame ends the server, for all its "
            "clients: it closes the socket, and then takes its number, which is -1 now, out of the poll; the "
            "`ValueError` leaves `serve()` (`TNonblockingServer.handle`).",
        ),
        thrift_calls.ENDS_AT_SIGTERM,
    ),
    needs=(Need("thrift", "thrift", in_python=True),),
    version=("{python}", "-c", "from importlib.metadata import version; print(version('thrift'))"),
    requests=thrift_calls.AS_LINES,
    check=thrift_calls.CHECK,
    load=thrift_calls.LOAD,
)
