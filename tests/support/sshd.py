"""An sshd of a test's own: its keys, its configuration, and nothing of this machine's."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .programs import needs_program
from .sockets import LOOPBACK

# An sshd of root wants this folder, and no option names another. Where it is missing, each sshd
# sees one of its own.
_FOLDER = Path("/run/sshd")
_IN_ITS_OWN_FOLDER = "mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "


class Sshd:
    """Listens, and starts an sshd for each connection, as inetd does.

    Attributes:
      port: where it listens.
      home: of whoever connects: ``.ssh`` in it has the key, and knows the host.
      sessions: the sshds.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sessions: list[subprocess.Popen[bytes]] = []
        self._mark = secrets.token_hex(8)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._command = self._configured()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def processes(self) -> list[int]:
        """Return all processes that were started in sessions."""
        mark = f"TRIOECHO_TEST_SESSION={self._mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for session in self.sessions:
            session.kill()
            session.wait()

    def _configured(self) -> list[str]:
        keys = self.home / ".ssh"
        keys.mkdir(mode=0o700)
        for key in (self.home / "host_key", keys / "id_ed25519"):
            words = [needs_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(words, check=True)
        host_key = (self.home / "host_key.pub").read_text()
        (keys / "known_hosts").write_text(f"[{LOOPBACK}]:{self.port} {host_key}")
        configuration = self.home / "sshd_config"
        configuration.write_text(
            f"HostKey {self.home}/host_key\n"
            f"AuthorizedKeysFile {keys}/id_ed25519.pub\n"
            f"SetEnv TRIOECHO_TEST_SESSION={self._mark}\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin prohibit-password\nPidFile none\n"
        )
        command = [needs_program("sshd"), "-i", "-f", str(configuration)]
        if os.getuid() or _FOLDER.exists():
            return command
        unshare = [shutil.which("unshare") or "unshare", "-m"]
        if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
            pytest.skip("sshd needs /run/sshd, and a mount namespace is not allowed here")
        return [*unshare, "sh", "-c", _IN_ITS_OWN_FOLDER + shlex.join(command)]

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                self.sessions.append(
                    subprocess.Popen(
                        self._command, stdin=peer.fileno(), stdout=peer.fileno(), stderr=subprocess.DEVNULL
                    )
                )


@contextlib.contextmanager
def own_sshd(home: Path) -> Iterator[Sshd]:
    """An sshd in whose sessions the user of this process can do what it may."""
    needs_program("sshd")
    sshd = Sshd(home)
    try:
        yield sshd
    finally:
        sshd.close()


def user() -> str:
    return getpass.getuser()
