"""Apache Thrift's TThreadedServer with TFramedTransport: a thread for each connection, blocking."""

from __future__ import annotations

from ..candidate import Candidate, Need, fault
from . import thrift_calls

CANDIDATE = Candidate(
    name="thrift_threaded",
    title="Thrift: `TThreadedServer`",
    command=("{python}", "{sources}/thrift_ping.py", "threaded", "{port}"),
    deviations=(
        fault(
            "4.7",
            why="It closes the socket of a frame over the limit with the rest of that frame unread, and the "
            "kernel then resets the connection.",
        ),
        thrift_calls.ENDS_AT_SIGTERM,
    ),
    needs=(Need("thrift", "thrift", in_python=True),),
    version=("{python}", "-c", "from importlib.metadata import version; print(version('thrift'))"),
    requests=thrift_calls.AS_LINES,
    check=thrift_calls.CHECK,
    load=thrift_calls.LOAD,
)
