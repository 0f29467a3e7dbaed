"""Small echo servers of ours, written in the ways in which one writes them in Python."""

from __future__ import annotations

from .candidate import Candidate, Deviation, Need, documented, fault

_MIB = 1 << 20
_TWISTED = (Need("twisted", "twisted", in_python=True),)
_ECHO_LOAD = ("--connections", "10", "-n", "500", "--pipeline", "8")


def _script(
    name: str,
    title: str,
    *deviations: Deviation,
    needs: tuple[Need, ...] = (),
    limit: int | None = _MIB,
) -> Candidate:
    return Candidate(
        name.removesuffix(".py"),
        title,
        ("{python}", f"{{sources}}/{name}", "{port}"),
        deviations,
        needs,
        load=_ECHO_LOAD,
        max_frame_length=limit,
    )


OWN = (
    Candidate(
        "trioecho",
        "`trioecho serve`",
        ("{python}", "-m", "trioecho", "serve", "--port", "{port}"),
        load=_ECHO_LOAD,
        max_frame_length=_MIB,
    ),
    _script("asyncio_streams.py", "asyncio, streams"),
    _script("asyncio_protocol.py", "asyncio, protocol"),
    _script("twisted_int32.py", "Twisted, `Int32StringReceiver`", needs=_TWISTED),
    _script(
        "twisted_plain.py",
        "Twisted, as one writes it at first",
        fault(
            "3.7",
            why="A transport keeps what is written to it; nothing stops its reading meanwhile. One "
            "`registerProducer` fixes it.",
        ),
        documented(
            "5.1",
            why="Unless the protocol is `IHalfCloseableProtocol`, Twisted takes a client that has ended "
            "its side for one that is gone, and drops what it has not sent.",
        ),
        needs=_TWISTED,
    ),
    _script("threads.py", "threads, done right"),
    _script(
        "course_sample.py",
        "the course's sample",
        fault("4.3", "4.4", "4.5", why="It has no limit, and waits for as many bytes as were announced."),
        fault(
            "4.9",
            why="`recv(n)` is called with all of the length that was announced, and Python takes memory for "
            "n bytes before it asks the kernel.",
        ),
        fault(
            "6.2",
            why="`stop` does not wait for connections: the process ends, and resets what was under way.",
        ),
        limit=None,
    ),
)
