"""The samples for HAProxy and nginx, each in front of three servers: what arrives, and what is lost."""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.balancers import NAMES, Balancer, Haproxy, asking_ready, haproxy, nginx, wait_until
from tests.support.guard import SUITE_GUARD_S, guarded
from tests.support.processes import ServerProcess, run_command, server_process
from tests.support.slow import slow
from tests.support.sockets import receive_exactly
from tests.support.tls import write_files
from tests.support.wire import frame
from trioecho.load import Churn, LoadPlan, LoadProgress, LoadRun, Sizes, Span

Open = Callable[[Sequence[int], Path], AbstractContextManager[Balancer]]
each_balancer = pytest.mark.parametrize("open_balancer", [haproxy, nginx])

# A message is replied to with who sent it, and the process; a check of the balancer's own is echoed.
SERVICE = """\
import json, os, pathlib
from contextlib import asynccontextmanager
from trioecho import ConnectionInfo

@asynccontextmanager
async def counting():
    counts = {"clients": 0, "checks": 0}

    def serve(connection: ConnectionInfo):
        kind = "checks" if connection.proxy_address is None else "clients"
        names = json.dumps([connection.address, connection.proxy_address, os.getpid()]).encode()

        async def reply(message: bytes) -> bytes:
            counts[kind] += 1
            return names if message == b"who?" else message

        return reply

    yield serve
    pathlib.Path(f"counts-{os.getpid()}.json").write_text(json.dumps(counts))
"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the service in it; its name is short, as that of a socket has to be."""
    folder = tmp_path_factory.mktemp("b")
    (folder / "service.py").write_text(SERVICE)
    monkeypatch.chdir(folder)
    return folder


class Servers:
    """Three servers behind a balancer, some of them started again.

    Attributes:
      running: the three.
      ended: those before them.
      counted: replies to clients by those that have ended, and to checks.
    """

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self.running = [self._start() for _ in NAMES]
        self.ended: list[ServerProcess] = []
        self.counted: Counter[str] = Counter()

    def _start(self, port: int = 0) -> ServerProcess:
        options = ("service.py:counting", "--proxy-protocol", "auto", "--metrics-interval", "0")
        return self._stack.enter_context(server_process(*options, port=port))

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.running]

    def stop(self, number: int) -> None:
        """Drain one, and look that all it counted was sent, and nothing was an error."""
        server = self.running[number]
        assert server.stop() == 0
        counts = json.loads((self._folder / f"counts-{server.process.pid}.json").read_text())
        report = server.reports[-1]
        assert report["messages_total"] == counts["clients"] + counts["checks"]
        assert report["errors"] == {}
        assert "warning:" not in server.log
        self.counted.update(counts)
        self.ended.append(server)

    def restart(self, number: int) -> None:
        self.stop(number)
        self.running[number] = self._start(self.running[number].port)


@contextlib.contextmanager
def balanced(open_balancer: Open, folder: Path) -> Iterator[tuple[Balancer, Servers]]:
    with contextlib.ExitStack() as stack:
        servers = Servers(stack, folder)
        yield stack.enter_context(open_balancer(servers.ports, folder)), servers


def ask_who(peer: Any) -> tuple[list[Any], list[Any], int]:
    """The client's address, the balancer's, and the server's process, as a server says."""
    peer.sendall(frame(b"who?"))
    length = int.from_bytes(receive_exactly(peer, 4), "big")
    client, balancer, pid = json.loads(receive_exactly(peer, length))
    return client, balancer, pid


@each_balancer
def test_every_server_learns_who_the_client_is(open_balancer: Open, folder: Path) -> None:
    with balanced(open_balancer, folder) as (balancer, servers):
        if isinstance(balancer, Haproxy):
            for number in range(len(NAMES)):
                wait_until(partial(balancer.has_checked, number), "the check does not succeed")
        seen: set[int] = set()
        with contextlib.ExitStack() as stack:
            while len(seen) < len(NAMES):
                peer = stack.enter_context(balancer.connect())
                client, its_balancer, pid = ask_who(peer)
                assert client == list(peer.getsockname())
                assert its_balancer[0] == "127.0.0.1"
                assert its_balancer != client
                seen.add(pid)
        assert seen == {server.process.pid for server in servers.running}
        for number in range(len(NAMES)):
            servers.stop(number)
        assert servers.counted["clients"] >= len(NAMES)
        assert bool(servers.counted["checks"]) == isinstance(balancer, Haproxy)


@each_balancer
def test_a_killed_server_loses_only_its_own(open_balancer: Open, folder: Path) -> None:
    with balanced(open_balancer, folder) as (balancer, servers), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(balancer.connect()) for _ in range(9)]
        at = [ask_who(peer)[2] for peer in peers]
        dead = servers.running[1].process
        assert dead.pid in at
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        for peer, pid in zip(peers, at, strict=True):
            if pid == dead.pid:
                with contextlib.suppress(ConnectionResetError):
                    assert peer.recv(1) == b""
            else:
                assert ask_who(peer)[2] == pid
        for _ in range(12):  # none of them is refused
            with balancer.connect() as peer:
                assert ask_who(peer)[2] != dead.pid
        for number in (0, 2):
            servers.stop(number)


@pytest.mark.parametrize("size", [64, slow(1 << 20)], ids=["64B", "1MiB"])
@each_balancer
async def test_a_rolling_restart_loses_no_message(open_balancer: Open, size: int, folder: Path) -> None:
    seen = 0
    wanted: list[tuple[int, trio.Event]] = []
    more = 100 if size == 64 else 20

    def on_progress(progress: LoadProgress) -> None:
        nonlocal seen
        seen = progress.messages
        for at, event in wanted:
            if seen >= at and progress.connections == 6:
                event.set()

    async def messages() -> None:
        wanted.append((seen + more, trio.Event()))
        await wanted[-1][1].wait()

    with balanced(open_balancer, folder) as (balancer, servers), guarded():
        plan = LoadPlan(
            "127.0.0.1",
            balancer.port,
            connections=6,
            sizes=Sizes.of(size, size),
            churn=Churn(reconnect=True),
            duration_s=600.0,
            timeout_s=60.0,
        )
        run = LoadRun(plan, on_progress=on_progress, progress_interval_s=0.01)

        async def roll() -> None:
            for number in range(len(NAMES)):
                await messages()
                for step in (balancer.take_out, servers.restart, balancer.take_in):
                    await trio.to_thread.run_sync(step, number)
            await messages()
            run.stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(roll)
            result = await run.run()
        for number in range(len(NAMES)):
            await trio.to_thread.run_sync(servers.stop, number)
    assert result.errors == {}
    assert result.messages == result.due
    # Those of the beginning were each ended once or more by the server that drained.
    assert result.churn.renewed >= 6
    # What a server has received it has replied to, and what it has replied to has come.
    assert servers.counted["clients"] == result.messages


@pytest.mark.slow
async def test_haproxy_sees_by_readyz_that_a_server_is_about_to_end(folder: Path) -> None:
    options = ("--proxy-protocol", "v2", "--admin", "127.0.0.1:0", "--drain-delay", "6s")
    with contextlib.ExitStack() as stack, guarded():
        servers = [stack.enter_context(server_process(*options)) for _ in NAMES]
        admin = [int(server.read_log_line().rpartition(":")[2]) for server in servers]
        balancer = stack.enter_context(
            haproxy(
                [server.port for server in servers],
                folder,
                change=partial(asking_ready, admin_ports=admin),
                interval="300ms",  # HAProxy gives a check up that takes longer
            )
        )
        plan = LoadPlan(
            "127.0.0.1",
            balancer.port,
            connections=6,
            churn=Churn(reconnect=True, per_connection=Span(1, 20), connect_rate=300.0),
            duration_s=600.0,
            timeout_s=60.0,
        )
        run = LoadRun(plan)

        def end_one() -> None:
            wait_until(partial(balancer.has_checked, 1), "the check does not succeed")
            servers[1].send_signal()
            wait_until(lambda: balancer.server(1)["status"] == "DOWN", "it is still up")
            assert servers[1].process.poll() is None  # it has not even begun to drain
            assert servers[1].wait() == 0

        async def end_one_and_stop() -> None:
            await trio.to_thread.run_sync(end_one)
            run.stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_one_and_stop)
            result = await run.run()
        for number in (0, 2):
            assert servers[number].stop() == 0
    assert result.errors == {}
    assert result.messages == result.due
    assert [server.reports[-1]["errors"] for server in servers] == [{}, {}, {}]
    assert not any("warning: 127." in server.log for server in servers)
    # The checks are no messages here.
    assert sum(server.reports[-1]["messages_total"] for server in servers) == result.messages


@pytest.mark.slow
def test_tls_goes_through_haproxy_and_so_do_its_checks(folder: Path) -> None:
    files = write_files(folder)

    def with_tls(text: str) -> str:
        assert "check-send-proxy\n" in text
        return text.replace("check-send-proxy\n", "check-send-proxy check-ssl verify none\n")

    with contextlib.ExitStack() as stack:
        options = ("--proxy-protocol", "v2", *files.options)
        servers = [stack.enter_context(server_process(*options)) for _ in NAMES]
        ports = [server.port for server in servers]
        # Of a check, HAProxy gives the handshake no longer than its interval.
        balancer = stack.enter_context(haproxy(ports, folder, change=with_tls, interval="3s"))
        for number in range(len(NAMES)):
            wait_until(partial(balancer.has_checked, number), "the check does not succeed")
        address = f"localhost:{balancer.port}"
        done = run_command("client", address, "--tls", "--cacert", files.client_ca, "-n", "20")
        assert (done.returncode, done.stderr) == (0, "")
        for server in servers:
            assert server.stop() == 0
    for server in servers:
        assert server.reports[-1]["errors"] == {}
        assert server.reports[-1]["messages_total"] >= 1  # of a check
        assert "warning:" not in server.log


@pytest.mark.slow
@each_balancer
def test_all_rules_hold_through_it(open_balancer: Open, folder: Path) -> None:
    with balanced(open_balancer, folder) as (balancer, _):
        done = run_command("check", f"127.0.0.1:{balancer.port}", guard_s=SUITE_GUARD_S)
    assert done.returncode == 0, done.stdout
    assert "45 passed, 8 not applicable" in done.stdout
