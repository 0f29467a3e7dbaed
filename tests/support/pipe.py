"""A pipe between a `NonBlockingWriter` and a reader that the test is."""

from __future__ import annotations

import os

from trioecho.cli.shared.non_blocking_writer import NonBlockingWriter


class Pipe:
    """A pipe whose writing end is a writer's."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        self.writer = NonBlockingWriter(self.stream)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stream.close()
        if self.reading >= 0:
            os.close(self.reading)

    def close_reading(self) -> None:
        os.close(self.reading)
        self.reading = -1

    def read_all(self) -> list[str]:
        os.set_blocking(self.reading, False)
        data = b""
        try:
            while piece := os.read(self.reading, 1 << 16):
                data += piece
        except BlockingIOError:
            pass
        return data.decode().split("\n")
