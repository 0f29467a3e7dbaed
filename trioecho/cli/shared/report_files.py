"""Files that reports are written to: prepared before the work that they report on, each by itself.

A report is in its file whole, or not at all: it is written to a new file beside it, which then
takes its name. What has no content of its own to keep (a device, a pipe, a standard stream) is
written as it is, and so is a file whose directory takes no other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, TextIO

from ...base.describe import describe, describe_with_place
from ...base.printable import printable_line
from .exit_codes import ExitCode
from .output import CommandError, print_error, print_result, show_traceback
from .terminal import text_width

_STDOUT = "-"


class ReportFiles:
    """Where reports go, by kind; ``-`` is stdout.

    Args:
      wanted: their paths.
      prog: the command, which each error begins with.
      inputs: paths that the command reads; None is no path.

    Raises:
      CommandError: one cannot be written, two are the same file, or one is an input.
    """

    def __init__(self, wanted: Mapping[str, str], prog: str, inputs: Iterable[str | None] = ()) -> None:
        self._prog = prog
        self._paths = {kind: printable_line(path) or "''" for kind, path in wanted.items()}
        self._targets: dict[str, _Target] = {}
        owners: dict[object, str] = {}
        read = _identities_of_inputs(inputs)
        for kind, path in wanted.items():
            shown = self._paths[kind]
            try:
                target = self._targets[kind] = _target_of(path)
            except (OSError, ValueError) as error:
                raise CommandError(ExitCode.WRONG_USAGE, f"cannot write {shown}: {_reason(error)}") from None
            if target.identity in owners:
                other = owners[target.identity]
                same = shown if other == shown else f"{other} and {shown} are the same file, which"
                raise CommandError(
                    ExitCode.WRONG_USAGE, f"{same} cannot take two reports; give each a file of its own"
                )
            if target.identity in read:
                other = read[target.identity]
                same = f"{shown} is" if other == shown else f"{other} and {shown} are the same file, which is"
                raise CommandError(
                    ExitCode.WRONG_USAGE, f"{same} read and cannot take a report; give that a file of its own"
                )
            owners[target.identity] = shown

    @property
    def use_stdout(self) -> bool:
        """True if a report goes to stdout, so that lines for people do not."""
        return any(self.is_stdout(kind) for kind in self._targets)

    def print_text(self, text: str, *, is_safe: bool = False) -> None:
        """Print lines for people as `print_result` does: to stdout, unless a report goes there."""
        (print_error if self.use_stdout else print_result)(text, is_safe=is_safe)

    @property
    def text_width(self) -> int:
        """The number of columns that lines for people may have."""
        return text_width(sys.stderr if self.use_stdout else sys.stdout)

    def is_stdout(self, kind: str) -> bool:
        """Return whether this report goes to stdout."""
        target = self._targets[kind]
        return isinstance(target, _Stream) and target.stream is sys.stdout

    def write(self, makers: Mapping[str, Callable[[], bytes]], *, is_quiet: bool = False) -> bool:
        """Make and write each report, also when another fails; return whether all went well.

        A line on stderr says what could not be written, and why. Unless ``is_quiet``, a line
        says which files were written.
        """
        written = []
        went_well = True
        for kind, target in self._targets.items():
            shown = self._paths[kind]
            try:
                report = makers[kind]()
            except Exception as error:  # noqa: BLE001 - whatever spoils one report must not cost the others
                show_traceback(error)
                print_error(f"{self._prog}: cannot make {shown}: {describe_with_place(error)}")
                went_well = False
                continue
            try:
                target.write(report)
            except OSError as error:
                print_error(f"{self._prog}: cannot write {shown}: {_reason(error)}")
                went_well = False
            else:
                written += [shown] if isinstance(target, _File) else []
        if written and not is_quiet:
            self.print_text(f"wrote {', '.join(written)}")
        return went_well


def write_whole(path: str, content: bytes) -> None:
    """Write a file whole, or leave what was there.

    Raises:
      OSError: it cannot be written.
    """
    _target_of(path).write(content)


class _Target(Protocol):
    """Where a report goes.

    Attributes:
      identity: equal for all names of the same thing.
    """

    identity: object

    def write(self, report: bytes) -> None:
        """Write the report.

        Raises:
          OSError: it could not be written whole.
        """


class _Stream:
    """Stdout or stderr, under any name."""

    def __init__(self, stream: TextIO, identity: object) -> None:
        self.stream = stream
        self.identity = identity

    def write(self, report: bytes) -> None:
        self.stream.flush()
        self.stream.buffer.write(report if report.endswith(b"\n") else report + b"\n")
        self.stream.flush()


class _Device:
    """A device or a pipe, which stays as it is."""

    def __init__(self, path: str, identity: object) -> None:
        self._path = Path(path)
        self.identity = identity

    def write(self, report: bytes) -> None:
        self._path.write_bytes(report)


class _File:
    """A file, which may exist or not.

    Args:
      path: its own, and not a link's.
      status: None if there is no such file yet.

    Raises:
      OSError: it cannot be written.
    """

    def __init__(self, path: str, status: os.stat_result | None) -> None:
        self.identity: object = path if status is None else (status.st_dev, status.st_ino)
        self._path = Path(path)
        self._mode = None if status is None else stat.S_IMODE(status.st_mode)
        if status is not None:
            with self._path.open("ab"):
                pass
        try:
            beside = self._name_beside()
            with beside.open("xb"):
                beside.unlink()
            self._is_replaced = True
        except OSError:
            if status is None:
                raise
            self._is_replaced = False

    def write(self, report: bytes) -> None:
        if not self._is_replaced:
            self._path.write_bytes(report)
            return
        beside = self._name_beside()
        try:
            with beside.open("xb") as file:
                file.write(report)
                file.flush()
                os.fsync(file.fileno())
            if self._mode is not None:
                beside.chmod(self._mode)
            beside.replace(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            if error.errno != errno.EBUSY:  # it is mounted, as into a container, and keeps its place
                raise
            self._path.write_bytes(report)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def _name_beside(self) -> Path:
        return self._path.with_name(f".trioecho-{secrets.token_hex(8)}")


def _target_of(path: str) -> _Target:
    """Find out what a path is, and that it can be written; what it holds stays.

    Raises:
      OSError: it cannot.
    """
    if path == _STDOUT:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        return _Stream(sys.stdout, _identity(_status_of(sys.stdout), path))
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        if not path:
            raise
        return _File(os.path.realpath(path), None)
    identity = _identity(status, path)
    if not _is_null(status):
        for stream in (sys.stdout, sys.stderr):
            if (theirs := _status_of(stream)) is not None and os.path.samestat(status, theirs):
                return _Stream(stream, identity)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISREG(status.st_mode):
        return _File(os.path.realpath(path), status)
    if not stat.S_ISFIFO(status.st_mode):  # whose reader would take the close for the end
        with Path(path).open("ab"):
            pass
    return _Device(path, identity)


def _identities_of_inputs(paths: Iterable[str | None]) -> dict[object, str]:
    """Return the names of those that are files, which a report would replace, by what they are."""
    found: dict[object, str] = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):  # whoever reads it says why it cannot be read
            if path is not None and stat.S_ISREG((status := Path(path).stat()).st_mode):
                found[_identity(status, path)] = printable_line(path)
    return found


def _status_of(stream: TextIO | None) -> os.stat_result | None:
    try:
        return None if stream is None else os.fstat(stream.fileno())
    except (OSError, ValueError):  # it has no descriptor, or one that is closed
        return None


def _identity(status: os.stat_result | None, path: str) -> object:
    if status is None:
        return path
    # Nothing is lost if two reports go to the null device.
    return object() if _is_null(status) and path != _STDOUT else (status.st_dev, status.st_ino)


def _is_null(status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, Path(os.devnull).stat())
    except OSError:
        return False


def _reason(error: OSError | ValueError) -> str:
    return describe(error)
