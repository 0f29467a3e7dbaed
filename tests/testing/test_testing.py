"""What the package has for the tests of other projects."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import trio

import trioecho.testing
from tests.support.balancers import wait_until
from tests.support.guard import GUARD_S, guarded
from tests.support.processes import server_process
from tests.support.sockets import receive_exactly
from tests.support.wire import frame
from trioecho.guide import read_topic
from trioecho.proxy import KINDS
from trioecho.proxy.named_fault import read_fault
from trioecho.testing import (
    DirectionWord,
    FaultWord,
    ProxyClient,
    ProxyCommandError,
    ProxyCounters,
    ProxyProcessError,
    RemoteProxy,
    open_fault_proxy,
    process,
    run_proxies,
)


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    with server_process() as server:
        yield server.port


@pytest.fixture(scope="module")
def proxies() -> Iterator[ProxyClient]:
    with run_proxies() as client:
        yield client


@pytest.fixture
def proxy(proxies: ProxyClient, server_port: int) -> Iterator[RemoteProxy]:
    added = proxies.add_proxy("one", ("127.0.0.1", server_port))
    yield added
    added.remove()


def echo(peer: socket.socket, payload: bytes) -> bytes:
    peer.sendall(frame(payload))
    return receive_exactly(peer, len(frame(payload)))[4:]


def connect(proxy: RemoteProxy) -> contextlib.closing[socket.socket]:
    return contextlib.closing(socket.create_connection(proxy.address, timeout=GUARD_S))


# ---- in a process of its own ----


def test_faults_are_added_changed_and_removed_while_a_connection_lasts(proxy: RemoteProxy) -> None:
    with connect(proxy) as peer:
        assert echo(peer, b"one") == b"one"
        proxy.add_fault("corrupt", on_frame=2, direction="to-client", seed=3)
        proxy.add_fault("coalesce", "1MiB", name="held", coalesce_time="1ms")
        assert proxy.faults() == [
            {"name": "corrupt", "fault": "corrupt", "direction": "to-client", "on_frame": 2, "seed": 3},
            {
                "name": "held",
                "fault": "coalesce",
                "direction": "both",
                "value": "1MiB",
                "coalesce_time": "1ms",
            },
        ]
        assert echo(peer, b"two") != b"two"
        proxy.change_fault("corrupt", on_frame=None, probability=1)
        assert echo(peer, b"three") != b"three"
        proxy.remove_fault("corrupt")
        assert echo(peer, b"four") == b"four"
        proxy.clear_faults()
        assert proxy.faults() == []
        assert proxy.counters() == ProxyCounters(
            1, 1, 0, {"to-server": 31, "to-client": 31}, {"corrupted": 2}
        )


def test_a_proxy_is_disabled_enabled_and_sent_elsewhere(proxy: RemoteProxy, server_port: int) -> None:
    address = proxy.address
    proxy.disable()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=GUARD_S)
    proxy.enable()
    assert proxy.address == address
    proxy.set_target("127.0.0.1:1")
    with contextlib.suppress(ConnectionResetError), connect(proxy) as peer:  # it may still be connecting then
        assert peer.recv(1) == b""
    proxy.set_target(("127.0.0.1", server_port))
    with connect(proxy) as peer:
        assert echo(peer, b"one") == b"one"


def test_a_reset_is_for_all_proxies(proxies: ProxyClient, proxy: RemoteProxy) -> None:
    proxy.add_fault("stall")
    proxy.disable()
    proxies.reset()
    assert [each.name for each in proxies.proxies()] == ["one"]
    with connect(proxies.proxy("one")) as peer:
        assert echo(peer, b"one") == b"one"


def test_what_is_refused_says_what_would_be_right(proxies: ProxyClient, proxy: RemoteProxy) -> None:
    with pytest.raises(ProxyCommandError, match="delay needs a value, as '5ms-20ms'") as refused:
        proxy.add_fault("delay")
    assert refused.value.status == 400
    with pytest.raises(ProxyCommandError, match="there is no proxy 'two'; there are one") as refused:
        proxies.proxy("two")
    assert refused.value.status == 404
    with pytest.raises(ProxyCommandError, match="there is a proxy one already") as refused:
        proxies.add_proxy("one", "127.0.0.1:1", listen="[::1]:0")
    assert refused.value.status == 409


def test_the_process_takes_commands_on_a_unix_socket_too(tmp_path: Path, server_port: int) -> None:
    path = tmp_path / "admin"
    with run_proxies(admin=f"unix:{path}") as client:
        added = client.add_proxy("one", f"127.0.0.1:{server_port}", faults=[{"fault": "drop", "on_frame": 9}])
        with connect(added) as peer:
            assert echo(peer, b"one") == b"one"
    assert not path.exists()


def test_after_the_block_the_process_is_gone(server_port: int) -> None:
    with pytest.raises(ZeroDivisionError), run_proxies() as client:
        raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        client.proxies()


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STOP_S", 0.01)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    with run_proxies():
        started[0].send_signal(signal.SIGSTOP)
    assert started[0].returncode == -signal.SIGKILL


OWNER = """
import os, signal, sys
from trioecho.testing import run_proxies
with run_proxies() as proxies:
    try:
        if sys.argv[1] == "SIGINT":
            os.killpg(0, signal.SIGINT)
        print(proxies.admin, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print(len(proxies.proxies()), flush=True)
"""


def run_owner(word: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_process_ends_with_the_tests_when_these_are_killed() -> None:
    with run_owner("") as owner:
        assert owner.stdout is not None
        host, _, port = owner.stdout.readline().strip().rpartition(":")
        owner.kill()
        assert owner.wait(GUARD_S) == -signal.SIGKILL

        def is_gone() -> bool:
            try:
                socket.create_connection((host, int(port)), timeout=GUARD_S).close()
            except ConnectionError:
                return True
            return False

        wait_until(is_gone, "the proxies outlive their owner")


def test_a_signal_of_the_terminal_is_for_the_tests_alone() -> None:
    with run_owner("SIGINT") as owner:
        assert owner.communicate(timeout=GUARD_S)[0] == "0\n"
        assert owner.returncode == 0


def test_a_process_that_does_not_start_says_why() -> None:
    with pytest.raises(ProxyProcessError, match="there is no option '--colour'"):
        with run_proxies("--colour"):
            pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ProxyProcessError, match="--admin: cannot listen on"):
            with run_proxies(admin=f"127.0.0.1:{taken.getsockname()[1]}"):
                pass


@pytest.mark.parametrize("reply", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", b"SSH-2.0-x\r\n"])
def test_what_is_no_proxy_is_a_connection_error(reply: bytes) -> None:
    def answer(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(1 << 16)
            peer.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        try:
            with pytest.raises(ConnectionError, match="trioecho proxy"):
                ProxyClient(f"127.0.0.1:{listening.getsockname()[1]}", timeout_s=GUARD_S).proxies()
        finally:
            thread.join()


# ---- on Trio ----


async def test_a_proxy_runs_in_the_process_of_the_test(server_port: int) -> None:
    with guarded():
        async with open_fault_proxy(("127.0.0.1", server_port), faults=[{"fault": "drop"}]) as proxy:
            await proxy.clear_faults()
            stream = await trio.open_tcp_stream(*proxy.address)
            async with stream:
                assert await echoed(stream, b"one") == b"one"
                await proxy.add_fault("corrupt", direction="to-client")
                assert await echoed(stream, b"two") != b"two"
                await proxy.change_fault("corrupt", on_frame=9)
                assert proxy.faults()[0]["on_frame"] == 9
                await proxy.remove_fault("corrupt")
                assert await echoed(stream, b"three") == b"three"
                assert proxy.counters().faults == {"corrupted": 1}
                with pytest.raises(ValueError, match="delay needs a value"):
                    await proxy.add_fault("delay")
                await proxy.disable()
                with pytest.raises(OSError, match="all attempts to connect"):
                    await trio.open_tcp_stream(*proxy.address)
                await proxy.set_target(f"127.0.0.1:{server_port}")
                await proxy.enable()
            async with await trio.open_tcp_stream(*proxy.address) as stream:
                assert await echoed(stream, b"four") == b"four"


async def echoed(stream: trio.SocketStream, payload: bytes) -> bytes:
    await stream.send_all(frame(payload))
    wire = b""
    while len(wire) < len(frame(payload)):
        part = await stream.receive_some()
        assert part
        wire += part
    return wire[4:]


# ---- what is public ----


def test_faults_have_the_words_of_the_proxy() -> None:
    assert get_args(FaultWord) == tuple(KINDS)
    for direction in get_args(DirectionWord):
        assert read_fault({"fault": "drop", "direction": direction}).direction == direction


def test_pytest_is_imported_by_nothing_but_its_plugin() -> None:
    program = "import trioecho, trioecho.testing, sys; print('pytest' in sys.modules, 'trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    assert all(hasattr(trioecho.testing, name) for name in trioecho.testing.__all__)


CONFTEST = """
import pytest
@pytest.fixture
def server_address():
    return ("127.0.0.1", PORT)
"""


def test_the_example_of_the_guide_passes(tmp_path: Path, server_port: int) -> None:
    section = read_topic("proxy").partition("## In your own tests")[2]
    plugin, tests, on_trio = (part.partition("```")[0] for part in section.split("```python\n")[1:4])
    (tmp_path / "conftest.py").write_text(plugin + CONFTEST.replace("PORT", str(server_port)))
    (tmp_path / "test_example.py").write_text(tests)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    program = on_trio.replace("26066", str(server_port)) + "\n\ntrio.run(main)\n"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert (shown.stderr, shown.stdout) == ("", "b'\\x00\\x00\\x00\\x05hello' 9\n")
