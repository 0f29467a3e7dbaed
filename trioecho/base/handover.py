"""What a running service hands to the process that takes its place: its listening sockets.

They go by inheritance, as those of a service manager do. A variable of the environment says which
descriptors they are. The new process reports through a pipe that it serves; the old one then ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .service_manager import PassedSocketsError, take_socket
from .unix_socket import SocketFile

VARIABLE = "TRIOECHO_UPGRADE"
READY = b"ready\n"


@dataclass(frozen=True)
class HandedSocket:
    """A listening socket.

    Attributes:
      descriptor: in the new process.
      is_shared: whether others have it for ever, such as a service manager.
    """

    descriptor: int
    is_shared: bool = False


@dataclass(frozen=True)
class Handover:
    """What is handed over.

    Attributes:
      process: the one that hands over.
      sockets: the first of each address, and then what its workers have beside them.
      beside: the latter.
      files: of Unix sockets, to be removed at the end.
      names: what a service manager calls its sockets.
      admin: what ``--admin`` listens on.
      admin_file: of a Unix socket there, to be removed at the end.
      wanted: where the old process was to listen, as its user has written it.
      ready: the descriptor of the pipe on which the new process says that it serves.
    """

    process: int
    sockets: tuple[HandedSocket, ...]
    beside: tuple[HandedSocket, ...] = ()
    files: tuple[SocketFile, ...] = ()
    names: tuple[str, ...] = ()
    admin: tuple[HandedSocket, ...] = ()
    admin_file: SocketFile | None = None
    wanted: str = ""
    ready: int = -1

    @property
    def descriptors(self) -> list[int]:
        """Those of all sockets."""
        return [each.descriptor for each in (*self.sockets, *self.beside, *self.admin)]

    def as_text(self) -> str:
        """Return it as a variable of the environment has it."""
        return json.dumps(asdict(self))

    def with_ready(self, descriptor: int) -> Handover:
        """Return it with the pipe."""
        return replace(self, ready=descriptor)

    def take(self, handed: HandedSocket) -> socket.socket:
        """Return a socket that was handed over.

        Raises:
          PassedSocketsError: it does not listen, or is not open.
        """
        return take_socket(handed.descriptor, f"descriptor {handed.descriptor}, which was handed over,")

    def refuse_admin(self) -> None:
        """Close what ``--admin`` listened on, and remove its file: this process has no such pages."""
        for each in self.admin:
            with contextlib.suppress(PassedSocketsError):
                self.take(each).close()
        if self.admin_file is not None:
            self.admin_file.remove()

    def report_ready(self) -> None:
        """Report that this process serves; once."""
        with contextlib.suppress(OSError):  # the other one is gone, and so nobody else serves
            os.write(self.ready, READY)
        with contextlib.suppress(OSError):
            os.close(self.ready)


def take_handover(environment: MutableMapping[str, str]) -> Handover | None:
    """Return what was handed to this process, and remove it from the environment; None if nothing was.

    Raises:
      PassedSocketsError: the variable was written by somebody else.
    """
    text = environment.pop(VARIABLE, None)
    if text is None:
        return None
    try:
        fields = json.loads(text)
        handover = Handover(
            process=int(fields["process"]),
            sockets=tuple(HandedSocket(**each) for each in fields["sockets"]),
            beside=tuple(HandedSocket(**each) for each in fields["beside"]),
            files=tuple(map(_file, fields["files"])),
            names=tuple(map(str, fields["names"])),
            admin=tuple(HandedSocket(**each) for each in fields["admin"]),
            admin_file=None if fields["admin_file"] is None else _file(fields["admin_file"]),
            wanted=str(fields["wanted"]),
            ready=int(fields["ready"]),
        )
        os.set_inheritable(handover.ready, False)
    except (ValueError, KeyError, TypeError, OSError, OverflowError):
        raise PassedSocketsError(
            f"{VARIABLE} in the environment is for a process that takes the place of another; unset it"
        ) from None
    return handover


def _file(fields: Any) -> SocketFile:
    return SocketFile(fields["path"], tuple(fields["identity"]))
