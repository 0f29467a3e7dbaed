"""Unix sockets: how a service gets one, and connects to one.

A service that was killed leaves the file of its socket behind, and bind(2) fails then. Such a file
is removed, but only when it is a socket and nobody answers on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from .describe import describe

# Of struct sockaddr_un, without the zero byte at its end.
LONGEST_PATH = 107 if sys.platform == "linux" else 103
# The kernel lowers it to its own limit (net.core.somaxconn); trio.open_tcp_listeners asks for the same.
_BACKLOG = 0xFFFF


class CannotListenError(Exception):
    """An address cannot be listened on; the message says why, and the cause is the system's error."""


@dataclass(frozen=True)
class Owner:
    """To whom a file is given: numbers of a user and of a group; -1 leaves one as it is."""

    user: int
    group: int
    text: str


def has_unix_sockets() -> bool:
    """Return whether this system has them, as far as Python knows."""
    return hasattr(socket, "AF_UNIX")


def check_path(path: str) -> None:
    """Find out whether this can be the path of a Unix socket.

    Raises:
      ValueError: it cannot; the message goes on after ``unix:`` and the path.
    """
    if not has_unix_sockets():
        raise ValueError("cannot be: this system has no Unix sockets")
    if not path or "\0" in path:
        raise ValueError("has no path; write unix:/path")
    if (length := len(os.fsencode(path))) > LONGEST_PATH:
        raise ValueError(
            f"has a path of {length} bytes, and that of a Unix socket has {LONGEST_PATH} at most; "
            "choose a shorter one, or one relative to the working directory"
        )
    if path.startswith("@") and sys.platform != "linux":
        raise ValueError("is a name without a file, which only Linux has")


def address_of_path(path: str) -> str:
    """Return what `socket.bind` and `socket.connect` take: of Linux's names without a file, ``@`` is 0."""
    return f"\0{path[1:]}" if path.startswith("@") else path


def why_refused(path: str) -> str:
    """Return why a Unix socket refuses a connection: what there is in its place, or that nobody listens.

    Args:
      path: as a user writes it, or as `address_of_path` returns it.
    """
    if not path.startswith(("@", "\0")):
        with contextlib.suppress(OSError):  # it is gone since, or cannot be looked at
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode):
                return "this is a folder, and no socket"
            if not stat.S_ISSOCK(mode):
                return "this is a file, and no socket"
    return "nobody listens there: does the server run?"


def parse_mode(text: str) -> int:
    """Return the mode of a file, as chmod(1) writes it in octal: ``660`` or ``0660``.

    Raises:
      ValueError: it is none; the message goes on after the text.
    """
    if not re.fullmatch(r"(0o)?0?[0-7]{3}", text, re.ASCII):
        raise ValueError("is no mode of a socket; write it in octal, from 0000 to 0777, as 0660")
    return int(text.removeprefix("0o"), 8)


def parse_owner(text: str) -> Owner:
    """Return the owner that chown(1) writes as ``USER``, ``USER:GROUP`` or ``:GROUP``; numbers, too.

    Raises:
      ValueError: there is no such user or group; the message goes on after the text.
    """
    import grp
    import pwd

    user, _, group = text.partition(":")
    if not user and not group:
        raise ValueError("is no owner; write USER, USER:GROUP or :GROUP")
    try:
        user_number = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid if user else -1
    except (KeyError, UnicodeError):
        raise ValueError(f"is no owner: this machine has no user {user!r}") from None
    try:
        group_number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid if group else -1
    except (KeyError, UnicodeError):
        raise ValueError(f"is no owner: this machine has no group {group!r}") from None
    if max(user_number, group_number) >= (1 << 32) - 1:
        raise ValueError("is no owner: numbers of users and groups are below 4294967295")
    return Owner(user_number, group_number, text)


@dataclass(frozen=True)
class SocketFile:
    """The file of a Unix socket.

    Attributes:
      path: absolute.
      identity: the file, whatever its name: its device, its number there, and when it was made, as
        numbers are used again.
    """

    path: str
    identity: tuple[int, int, int]

    @classmethod
    def at(cls, path: str) -> SocketFile:
        """Return the one that has this path now.

        Raises:
          OSError: there is none.
        """
        found = Path(path).lstat()
        return cls(str(Path(path).absolute()), (found.st_dev, found.st_ino, found.st_mtime_ns))

    def remove(self) -> None:
        """Remove the file, if it is still this one; ignore that it cannot be removed."""
        with contextlib.suppress(OSError):
            if SocketFile.at(self.path) == self:
                Path(self.path).unlink()


def listen_on_path(
    path: str, *, mode: int | None = None, owner: Owner | None = None
) -> tuple[socket.socket, SocketFile | None]:
    """Return a socket that listens on a path, and its file if it has one.

    Nobody can connect before the file has its owner and mode.

    Args:
      path: of `check_path`.
      mode: of the file; None leaves it to the umask.
      owner: of the file; None for the one of this process.

    Raises:
      CannotListenError: it cannot be listened on; no file is left behind.
    """
    where = f"unix:{path}"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file: SocketFile | None = None
    try:
        has_file = not path.startswith("@")
        if has_file:
            _remove_stale(path, where)
        try:
            listening.bind(address_of_path(path))
            file = SocketFile.at(path) if has_file else None
        except OSError as error:
            raise CannotListenError(_why_not_bound(error, path)) from error
        if file is not None:
            _give(path, where, mode, owner)
        listening.listen(_BACKLOG)
        if file is not None and SocketFile.at(path) != file:
            raise CannotListenError(
                f"cannot listen on {where}: another program has taken it at this moment; stop it, or choose "
                "another path"
            )
    except BaseException:
        listening.close()
        if file is not None:
            file.remove()
        raise
    return listening, file


def _give(path: str, where: str, mode: int | None, owner: Owner | None) -> None:
    """Give the file its owner and mode."""
    try:
        if owner is not None:
            os.chown(path, owner.user, owner.group)
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {where}: cannot give it to {owner.text if owner else ''}: {describe(error)}"
        ) from error
    try:
        if mode is not None:
            Path(path).chmod(mode)
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {where}: cannot set its mode {mode:04o}: {describe(error)}"
        ) from error


def _remove_stale(path: str, where: str) -> None:
    """Remove the file of a service that is gone.

    Raises:
      CannotListenError: it is no socket, or somebody listens there, or it cannot be removed.
    """
    try:
        found = SocketFile.at(path)
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise CannotListenError(
                f"cannot listen on {where}: there is a file that is no socket; remove it, "
                "or choose another path"
            )
    except OSError:  # nothing is there; if more is wrong, bind says what
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            pass
        except FileNotFoundError:
            return
        except (BlockingIOError, OSError) as error:
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise CannotListenError(
                    f"cannot listen on {where}: there is a socket, and it cannot be found out whether "
                    f"somebody listens there: {describe(error)}"
                ) from error
            raise CannotListenError(_why_in_use(where)) from OSError(errno.EADDRINUSE, "in use")
        else:
            raise CannotListenError(_why_in_use(where)) from OSError(errno.EADDRINUSE, "in use")
    try:
        if SocketFile.at(path) == found:
            Path(path).unlink()
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {where}: nobody listens there, and the file that is left cannot be removed: "
            f"{describe(error)}"
        ) from error


def _why_in_use(where: str) -> str:
    return (
        f"cannot listen on {where}: another program listens there, perhaps another trioecho "
        "(ss -xlp names it); stop it, or choose another path"
    )


def _why_not_bound(error: OSError, path: str) -> str:
    where = f"unix:{path}"
    folder = Path(path).parent
    if error.errno == errno.EADDRINUSE:
        return _why_in_use(where)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"cannot listen on {where}: there is no folder {folder}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot listen on {where}: not permitted to write in {folder}: {describe(error)}"
    return f"cannot listen on {where}: {describe(error)}"
