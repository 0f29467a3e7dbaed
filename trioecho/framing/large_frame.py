"""Where frames of many MiB are received: straight into the place where they stay.

Bytes that are received into a buffer which all connections share must be copied
out of it before the next receive. For small frames that is cheaper than a buffer
for each. For a frame of 16 MiB it is not (``scripts/bench --only huge``); nor is
fresh memory, which the kernel must map and clear page by page. So the rest of a
large frame is received into blocks, which are used again for other connections.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK_BYTES = 1 << 20
# A frame of which less has been received is not worth a block, whatever length it
# announces: a connection never holds more than a block beyond what it was sent.
LARGE_BYTES = 1 << 18
# Free blocks that are kept: enough for two frames of 16 MiB.
_KEPT_BLOCKS = 32


class BlockPool:
    """Blocks of memory that are used again; all connections of a thread can share one."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """Return a block of `BLOCK_BYTES`; it still holds what it was used for before."""
        return self._free.pop() if self._free else memoryview(bytearray(BLOCK_BYTES))

    def give_back(self, blocks: Sequence[memoryview]) -> None:
        """Take back blocks that nobody looks at any more."""
        self._free += blocks[: max(0, _KEPT_BLOCKS - len(self._free))]


class LargeFrame:
    """A frame on its way, header included.

    Attributes:
      received, missing: bytes of it that have come, and that have not.
      pieces: all of it, in order, once none is missing.
      blocks: those that it lies in; give them back to the pool when it is done with.

    Args:
      beginning: what has come so far.
      size: bytes that the frame has in all.
      pool: where blocks come from.
    """

    __slots__ = ("_buffer", "_pool", "blocks", "missing", "pieces", "received")

    def __init__(self, beginning: bytes | memoryview, size: int, pool: BlockPool) -> None:
        self.received: int = len(beginning)
        self.missing: int = size - len(beginning)
        self.pieces: list[bytes | memoryview] = [beginning]
        self.blocks: list[memoryview] = []
        self._pool = pool
        self._buffer = memoryview(b"")

    def get_buffer(self) -> memoryview:
        """Return where to receive next; it is empty when nothing is missing."""
        if not self._buffer and self.missing:
            block = self._pool.take()
            self._buffer = block[: self.missing]
            self.blocks.append(block)
            self.pieces.append(self._buffer)
        return self._buffer

    def add(self, data: bytes | bytearray | memoryview) -> int:
        """Take what comes next: what was received into `get_buffer`, or a copy of anything else.

        Returns:
          How many bytes of ``data`` belong to this frame.
        """
        view = memoryview(data).cast("B")
        if view.obj is self._buffer.obj:
            self._fill(len(view))
            return len(view)
        rest = view[: self.missing]
        taken = len(rest)
        while rest:
            buffer = self.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            self._fill(count)
            rest = rest[count:]
        return taken

    def _fill(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self.received += count
        self.missing -= count
