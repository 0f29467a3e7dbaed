"""HAProxy and nginx with the samples of the package, in front of servers on ports of their own."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path

from .guard import GUARD_S
from .processes import children_of
from .programs import needs_program

# In the samples: where clients connect, and the three servers.
SAMPLE_PORT, SAMPLE_SERVERS = 26067, (26071, 26072, 26073)
NAMES = ("one", "two", "three")


def sample(name: str) -> str:
    return resources.files("trioecho").joinpath("deploy").joinpath(name).read_text("utf-8")


def wait_until(is_so: Callable[[], object], what: str | Callable[[], str]) -> None:
    """Ask again and again; a balancer has no other way to tell."""
    give_up_at = time.monotonic() + GUARD_S
    while not is_so():
        assert time.monotonic() < give_up_at, what if isinstance(what, str) else what()
        time.sleep(0.005)


class Balancer:
    """A balancer that runs.

    Attributes:
      port: where clients connect.
      process: the first one of the balancer.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def connect(self) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=GUARD_S)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def take_out(self, number: int) -> None:
        """Send no new connections to one of the servers; those that are open stay."""
        raise NotImplementedError

    def take_in(self, number: int) -> None:
        """Send it connections again; return when it gets some."""
        raise NotImplementedError


class Haproxy(Balancer):
    """HAProxy, by its stats socket."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], stats: Path) -> None:
        super().__init__(port, process)
        self._stats = stats

    def command(self, words: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(GUARD_S)
            connection.connect(str(self._stats))
            connection.sendall(f"{words}\n".encode())
            return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()

    def has_started(self) -> bool:
        try:
            return bool(self.command("show stat"))
        except (FileNotFoundError, ConnectionRefusedError):  # its file is there before it listens
            return False

    def server(self, number: int) -> dict[str, str]:
        """What it says of one of the servers: ``status``, ``scur`` (sessions), and more."""
        rows = csv.DictReader(self.command("show stat").removeprefix("# ").splitlines())
        return next(row for row in rows if row["svname"] == NAMES[number])

    def is_up(self, number: int) -> bool:
        return self.server(number)["status"] == "UP"

    def has_checked(self, number: int) -> bool:
        """Whether the last check of a server succeeded; at the start there was none."""
        return self.server(number)["check_status"] == "L7OK"

    def take_out(self, number: int) -> None:
        assert self.command(f"set server echo/{NAMES[number]} state drain").strip() == ""
        wait_until(lambda: self.server(number)["status"].startswith("DRAIN"), "it is not drained")

    def take_in(self, number: int) -> None:
        assert self.command(f"set server echo/{NAMES[number]} state ready").strip() == ""
        wait_until(lambda: self.is_up(number), "it is not up")


class Nginx(Balancer):
    """nginx, by its configuration and its processes."""

    def __init__(
        self, port: int, process: subprocess.Popen[bytes], config: Path, servers: Sequence[int], log: Path
    ) -> None:
        super().__init__(port, process)
        self._log = log
        self._servers = servers
        self._config = config
        self._original = config.read_text()
        wait_until(lambda: bool(self._workers()), "no worker has started")

    def _workers(self) -> set[int]:
        """Those that take new connections."""
        workers = set()
        for pid in children_of(self.process.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"nginx: worker process\0"):
                    workers.add(pid)
        return workers

    def _configure(self, config: str) -> None:
        old = self._workers()
        self._config.write_text(config)
        self.process.send_signal(signal.SIGHUP)

        def has_new_worker() -> bool:
            return bool(new := self._workers()) and new.isdisjoint(old)

        wait_until(has_new_worker, lambda: f"no new worker beside {old}: {self._state()}")

    def _state(self) -> str:
        lines = [f"the first process: {self.process.poll()}"]
        for pid in children_of(self.process.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines.append(f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes()!r}")
        return "\n".join([*lines, *self._log.read_text().splitlines()[-20:]])

    def take_out(self, number: int) -> None:
        lines = self._original.splitlines(keepends=True)
        [at] = [at for at, line in enumerate(lines) if f":{self._servers[number]} " in line]
        lines[at] = lines[at].replace(";", " down;")
        self._configure("".join(lines))

    def take_in(self, number: int) -> None:
        self._configure(self._original)


def asking_ready(text: str, admin_ports: Sequence[int]) -> str:
    """HAProxy's sample with the other check, as its comment says: /readyz in the place of a frame."""
    lines = [line for line in text.splitlines(keepends=True) if "tcp-check" not in line]
    text = "".join(lines).replace("    #   option httpchk", "    option httpchk")
    text = text.replace("    #   http-check", "    http-check").replace(" check-send-proxy\n", "\n")
    for number, port in zip(SAMPLE_SERVERS, admin_ports, strict=True):
        assert f":{number}\n" in text
        text = text.replace(f":{number}\n", f":{number} check port {port}\n")
    return text


def _with_ports(text: str, port: int, servers: Sequence[int]) -> str:
    for number, server in zip(SAMPLE_SERVERS, servers, strict=True):
        assert str(number) in text
        text = text.replace(str(number), str(server))
    return text.replace(str(SAMPLE_PORT), str(port))


@contextlib.contextmanager
def haproxy(
    servers: Sequence[int], folder: Path, *, change: Callable[[str], str] = str, interval: str = "50ms"
) -> Iterator[Haproxy]:
    program = needs_program("haproxy")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        text = _with_ports(change(sample("haproxy.cfg")), port, servers)
        for here, there in (
            (f"bind 127.0.0.1:{port}", f"bind fd@{listening.fileno()}"),
            ("/run/haproxy/admin.sock", str(folder / "s")),
            ("inter 1s", f"inter {interval}"),
        ):
            assert here in text
            text = text.replace(here, there)
        config = folder / "haproxy.cfg"
        config.write_text(text)
        process = subprocess.Popen(
            [program, "-db", "-f", config],
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    with _ended(process):
        balancer = Haproxy(port, process, folder / "s")
        wait_until(balancer.has_started, "HAProxy has not started")
        yield balancer


@contextlib.contextmanager
def haproxy_elsewhere(
    prefix: Sequence[str], address: str, servers: Sequence[str], folder: Path
) -> Iterator[Haproxy]:
    """HAProxy on another host, where the prefix runs it; clients connect to the address."""
    text = sample("haproxy.cfg")
    changes = [(f"127.0.0.1:{SAMPLE_PORT}", address), ("/run/haproxy/admin.sock", str(folder / "s"))]
    changes += [(f"127.0.0.1:{port}", server) for port, server in zip(SAMPLE_SERVERS, servers, strict=True)]
    for here, there in changes:
        assert here in text
        text = text.replace(here, there)
    config = folder / "haproxy.cfg"
    config.write_text(text)
    process = subprocess.Popen(
        [*prefix, needs_program("haproxy"), "-db", "-f", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with _ended(process):
        balancer = Haproxy(int(address.rpartition(":")[2]), process, folder / "s")
        wait_until(balancer.has_started, "HAProxy has not started")
        yield balancer


@contextlib.contextmanager
def nginx(servers: Sequence[int], folder: Path) -> Iterator[Nginx]:
    program = needs_program("nginx")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # As nginx leaves it to one that replaces it: else the slower of two workers that are woken for one
        # connection waits in accept(2) for the next one, and hears no reload meanwhile.
        listening.setblocking(False)
        port = listening.getsockname()[1]
        text = _with_ports(sample("nginx.conf"), port, servers)
        assert "/run/nginx.pid" in text
        config, log = folder / "nginx.conf", folder / "nginx.log"
        config.write_text(text.replace("/run/nginx.pid", str(folder / "pid")))
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [program, "-e", "stderr", "-c", config, "-g", "daemon off;"],
                # So nginx inherits sockets from one that it replaces.
                env={**os.environ, "NGINX": f"{listening.fileno()};"},
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
    with _ended(process):
        yield Nginx(port, process, config, servers, log)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(GUARD_S)
        finally:
            process.kill()
            process.wait()
