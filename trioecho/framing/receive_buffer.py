"""Bytes between their arrival and the frame that they are a part of."""

from __future__ import annotations


class ReceiveBuffer:
    """Received bytes that were not taken yet, contiguous and in order.

    Appending and taking cost time linear in the bytes, however they are cut,
    because a byte is moved only when at least as many were taken before it.
    For the same reason the storage is at most about twice what is left in it,
    and it grows only by what was appended.
    """

    __slots__ = ("_start", "_storage")

    def __init__(self) -> None:
        # Either bytes adopted from the caller, which cost no copy, or a
        # bytearray of our own, which can grow in place.
        self._storage: bytes | bytearray = b""
        self._start = 0

    def __len__(self) -> int:
        return len(self._storage) - self._start

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes at the end. Later changes to ``data`` by the caller are not seen.

        Raises:
          TypeError: ``data`` is not bytes-like; ``bytes(5)`` would be five zeros.
        """
        if type(data) is not bytes:
            data = memoryview(data)
        if not len(self):
            self._replace(data if type(data) is bytes else bytes(data))
        elif isinstance(self._storage, bytearray):
            self._storage += data
        else:
            grown = bytearray(memoryview(self._storage)[self._start :])
            grown += data
            self._replace(grown)

    def window(self) -> tuple[bytes | bytearray, int]:
        """Return the storage and the offset in it where the untaken bytes start.

        For reading only, and only until the next call of another method.
        """
        return self._storage, self._start

    def take(self, count: int, *, skip: int = 0) -> bytes:
        """Remove ``count`` bytes from the front; return them without the first ``skip``.

        Raises:
          ValueError: fewer than ``count`` bytes are here; nothing is taken.
        """
        self._check(count)
        start, stop = self._start + skip, self._start + count
        storage = self._storage
        # A slice of bytes is one copy; a slice of a bytearray would be two.
        taken = storage[start:stop] if isinstance(storage, bytes) else bytes(memoryview(storage)[start:stop])
        self._start = stop
        if 2 * stop >= len(storage):
            self._keep_rest()
        return taken

    def take_view(self, count: int) -> memoryview:
        """Remove ``count`` bytes from the front; return a view of them.

        A long view shares the buffer's storage, a short one is a copy. Either is read-only
        and stays as it is, whatever happens to the buffer.

        Raises:
          ValueError: fewer than ``count`` bytes are here; nothing is taken.
        """
        if count < len(self) - count:
            return memoryview(self.take(count))
        self._check(count)
        view = memoryview(self._storage)[self._start : self._start + count]
        self._start += count
        self._keep_rest()  # from now on the old storage belongs to the view
        return view.toreadonly()

    def _check(self, count: int) -> None:
        if not 0 <= count <= len(self):
            raise ValueError(f"cannot take {count} bytes: the buffer has {len(self)}")

    def _keep_rest(self) -> None:
        rest = memoryview(self._storage)[self._start :]
        self._replace(bytearray(rest) if rest else b"")

    def _replace(self, storage: bytes | bytearray) -> None:
        self._storage = storage
        self._start = 0
