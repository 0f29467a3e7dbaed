"""A query that PostgreSQL replies to with several messages: what `trioecho load` asks it."""

from __future__ import annotations

from collections.abc import Generator

from trioecho import Frame


def select(connection: int) -> Generator[Frame | None, Frame, bool]:
    """Ask for a row, and read all up to ReadyForQuery; right if that row has come, and no other."""
    reply = yield Frame(b"Q", b"SELECT 6 * 7\0")
    rows = []
    while reply.header[:1] != b"Z":
        if reply.header[:1] == b"D":
            rows.append(bytes(reply))
        reply = yield None
    return rows == [b"\0\x01\0\0\0\x0242"]
