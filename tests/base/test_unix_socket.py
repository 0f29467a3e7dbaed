"""The file of a Unix socket: whose it is, and when it is removed."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.unix_socket import (
    CannotListenError,
    Owner,
    SocketFile,
    listen_on_path,
    parse_mode,
    parse_owner,
)

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")


def left_behind(path: Path) -> Path:
    """A file as of a service that was killed."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()
    return path


def test_what_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = left_behind(tmp_path / "echo.sock")
    listening, file = listen_on_path(str(path))
    with listening, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
    assert file is not None
    file.remove()
    assert not path.exists()


def test_what_somebody_listens_on_is_left(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(CannotListenError, match="another program listens there"):
            listen_on_path(str(path))
        assert path.is_socket()


def test_a_full_queue_is_somebody(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as queued:
        busy.bind(str(path))
        busy.listen(0)
        queued.connect(str(path))
        with pytest.raises(CannotListenError, match="another program listens there"):
            listen_on_path(str(path))
        assert path.is_socket()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, None])
def test_what_is_no_such_socket_is_left(tmp_path: Path, kind: socket.SocketKind | None) -> None:
    path = tmp_path / "echo.sock"
    with socket.socket(socket.AF_UNIX, kind or socket.SOCK_DGRAM) as other:
        if kind is None:
            path.write_text("mine")
        else:
            other.bind(str(path))
        with pytest.raises(CannotListenError, match="no socket" if kind is None else "another program"):
            listen_on_path(str(path))
        assert path.exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotListenError, match=f"there is no folder {tmp_path}/nowhere"):
        listen_on_path(f"{tmp_path}/nowhere/echo.sock")


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotListenError, match="a file that is no socket"):
        listen_on_path(str(path))
    assert path.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_has_its_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    owner = Owner(os.getuid(), os.getgid(), "me")
    listening, _ = listen_on_path(str(path), mode=0o620, owner=owner)
    with listening:
        found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o620
    assert (found.st_uid, found.st_gid) == (owner.user, owner.group)


def test_an_owner_that_cannot_be_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "echo.sock"
    with pytest.raises(CannotListenError, match="cannot give it to www-data: Operation not permitted"):
        listen_on_path(str(path), owner=Owner(1, 1, "www-data"))
    assert list(tmp_path.iterdir()) == []


def test_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    listening, file = listen_on_path(str(path))
    assert file is not None
    with listening:
        path.unlink()
        left_behind(path)
        file.remove()
    assert path.is_socket()


def test_a_file_made_later_is_another_although_it_has_the_number_of_the_first(tmp_path: Path) -> None:
    path = left_behind(tmp_path / "echo.sock")
    first = SocketFile.at(str(path))
    path.unlink()
    left_behind(path)
    while SocketFile.at(str(path)).identity[2] == first.identity[2]:  # within a tick of the kernel
        path.unlink()
        left_behind(path)
    first.remove()
    assert path.is_socket()


@pytest.mark.parametrize(("text", "mode"), [("660", 0o660), ("0660", 0o660), ("0o600", 0o600), ("000", 0)])
def test_a_mode_is_read(text: str, mode: int) -> None:
    assert parse_mode(text) == mode


@given(st.from_regex(r"\A(0o)?[0-9]{0,5}\Z") | st.text())
def test_any_text_is_a_mode_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_mode(text) <= 0o777


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [("root", 0, -1), ("root:0", 0, 0), (":0", -1, 0), ("7:9", 7, 9), ("0:", 0, -1)],
)
def test_an_owner_is_read(text: str, user: int, group: int) -> None:
    assert parse_owner(text) == Owner(user, group, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no owner"),
        (":", "is no owner"),
        ("nobody-here", "no user 'nobody-here'"),
        (":nobody-here", "no group 'nobody-here'"),
        ("4294967295", "below 4294967295"),
    ],
)
def test_what_is_no_owner_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_owner(text)
