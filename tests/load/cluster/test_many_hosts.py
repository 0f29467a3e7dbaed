"""Three generators, a balancer and three servers, each a host of its own with its own clock and cables."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.load.cluster.test_end_to_end import OTHERS, lines_until, wait_until_gone
from tests.support.balancers import haproxy_elsewhere
from tests.support.clusters import ClusterProcesses, cluster_processes
from tests.support.guard import GUARD_S
from tests.support.namespaces import HostNetwork, address_of, host_network
from tests.support.processes import UTF8, ServerProcess, run_command, server_process
from tests.support.programs import needs_program

GENERATORS, SERVERS = ("gen1", "gen2", "gen3"), ("server1", "server2", "server3")
TARGET = f"{address_of('balancer', 'front')}:26067"
PORT = 26066

# Notes what each message was; those that come without a client's address are checks of the balancer.
SERVICE = """\
import collections, hashlib, json, os, pathlib
from contextlib import asynccontextmanager
from trioecho import ConnectionInfo

@asynccontextmanager
async def noting():
    seen = {"proxied": collections.Counter(), "direct": collections.Counter()}

    def serve(connection: ConnectionInfo):
        messages = seen["direct" if connection.proxy_address is None else "proxied"]

        async def reply(message: bytes) -> bytes:
            messages[hashlib.sha256(message).hexdigest()] += 1
            return message

        return reply

    yield serve
    pathlib.Path(f"seen-{os.getpid()}.json").write_text(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def network() -> Iterator[HostNetwork]:
    needs_program("haproxy")
    with host_network() as network:
        yield network


@pytest.fixture(scope="module")
def cluster(network: HostNetwork) -> Iterator[ClusterProcesses]:
    address = address_of("control", "front")
    with cluster_processes(*GENERATORS, host=address, on=network.on) as cluster:
        yield cluster


class Servers:
    """Three servers on hosts of their own, behind a balancer on one more."""

    def __init__(self, stack: contextlib.ExitStack, network: HostNetwork, folder: Path) -> None:
        (folder / "service.py").write_text(SERVICE)
        self._folder = folder
        self._running = {
            host: stack.enter_context(
                server_process(
                    *("service.py:noting", "--host", address_of(host, "back")),
                    *("--proxy-protocol", "v2", "--proxy-allow-from", address_of("balancer", "back")),
                    port=PORT,
                    prefix=network.on(host),
                    cwd=folder,
                )
            )
            for host in SERVERS
        }
        addresses = [f"{address_of(host, 'back')}:{PORT}" for host in SERVERS]
        stack.enter_context(haproxy_elsewhere(network.on("balancer"), TARGET, addresses, folder))

    def stop(self) -> Counter[str]:
        """Drain all, and return how often each message came from clients."""
        proxied: Counter[str] = Counter()
        for server in self._running.values():
            assert server.stop() == 0
            seen = seen_by(server, self._folder)
            # Its final report has the same number.
            assert server.reports[-1]["messages_total"] == sum(
                map(Counter.total, map(Counter, seen.values()))
            )
            assert seen["proxied"], "the balancer has sent nothing there"
            proxied.update(seen["proxied"])
        return proxied


def seen_by(server: ServerProcess, folder: Path) -> dict[str, dict[str, int]]:
    seen: dict[str, dict[str, int]] = json.loads((folder / f"seen-{server.process.pid}.json").read_text())
    return seen


@contextlib.contextmanager
def balanced(network: HostNetwork, folder: Path) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack, network, folder)


@contextlib.contextmanager
def loading(
    network: HostNetwork, cluster: ClusterProcesses, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """A load of all generators, which has begun."""
    words = [sys.executable, "-m", "trioecho", "load", TARGET, "--cluster", cluster.address, *options]
    with subprocess.Popen(
        [*network.on("control"), *words, "--cluster-wait", "1m", "--json", "-"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=UTF8,
    ) as process:
        assert process.stderr is not None
        try:
            while "in all" not in (line := process.stderr.readline()):
                assert line, process.communicate()
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_what_three_generators_sent_is_what_three_servers_counted(
    network: HostNetwork, cluster: ClusterProcesses, tmp_path: Path
) -> None:
    plan = ("-c", "9", "-n", "40", "--size", "8-200", "--json", "-")
    with balanced(network, tmp_path) as servers:
        done = run_command(
            *("load", TARGET, "--cluster", cluster.address, "--cluster-wait", "1m", *plan),
            prefix=network.on("control"),
        )
        assert done.returncode == 0, done.stderr
        counted = servers.stop()
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["errors"] == {}
    assert result["messages"] == counted.total() == 360
    shares = {worker["name"]: worker for worker in result["workers"]}
    assert {name: share["host"] for name, share in shares.items()} == {name: name for name in GENERATORS}
    assert [share["messages_sent"] for share in shares.values()] == [120] * 3
    assert sorted(machine["name"] for machine in result["machines"]) == [*GENERATORS]

    # One generator would have sent these messages to one server: each of them, and as often.
    with server_process("service.py:noting", cwd=tmp_path) as server:
        alone = run_command("load", f"127.0.0.1:{server.port}", *plan)
        assert alone.returncode == 0, alone.stderr
        assert server.stop() == 0
    assert Counter(seen_by(server, tmp_path)["direct"]) == counted
    assert json.loads(alone.stdout)["bytes"] == result["bytes"]


@pytest.mark.slow
def test_a_link_that_is_down_for_a_moment_is_a_stall_that_is_measured(
    network: HostNetwork, cluster: ClusterProcesses, tmp_path: Path
) -> None:
    plan = ("-c", "9", "--rate", "300", "--duration", "10s", "--timeout", "1m")
    with balanced(network, tmp_path) as servers:
        with loading(network, cluster, *plan) as load:
            network.cut("server2")
            began = time.monotonic()
            time.sleep(1)  # that long nothing goes to one server, or comes from it
            stalled_ms = 1000 * (time.monotonic() - began)
            network.join("server2")
            out, err = load.communicate(timeout=GUARD_S)
        counted = servers.stop()
    assert load.returncode in (0, 5), err  # on a busy machine the generators themselves are late
    result: dict[str, Any] = json.loads(out)
    # TCP has sent again what was lost; nobody's time is left out.
    assert result["errors"] == {}
    assert result["messages"] == result["messages_due"] == counted.total() == 3000
    assert result["latency_ms"]["max"] >= stalled_ms


@pytest.mark.slow
def test_a_server_that_is_cut_off_is_an_error_for_each_message_that_was_lost(
    network: HostNetwork, cluster: ClusterProcesses, tmp_path: Path
) -> None:
    with balanced(network, tmp_path) as servers:
        plan = ("-c", "9", "--rate", "300", "--duration", "10s", "--timeout", "2s")
        with loading(network, cluster, *plan) as load:
            network.cut("server2")
            out, err = load.communicate(timeout=GUARD_S)
        network.join("server2")
        counted = servers.stop()
    assert load.returncode == 1, err
    result: dict[str, Any] = json.loads(out)
    lost = result["errors"].pop("missing")
    assert result["errors"].keys() <= {"connection_stalled"}
    assert result["messages_due"] == result["messages_sent"] == result["messages"] + lost == 3000
    # A reply may have been under way when the cable was pulled.
    assert result["messages"] <= counted.total() <= result["messages"] + lost


@pytest.mark.slow
def test_a_generator_that_is_cut_off_is_lost_and_its_engine_ends(
    network: HostNetwork, tmp_path: Path
) -> None:
    address = address_of("control", "front")
    with cluster_processes(*GENERATORS, host=address, on=network.on) as cluster, balanced(network, tmp_path):
        with loading(network, cluster, "-c", "9", "--duration", "1h") as load:
            [engine] = cluster.engines_of("gen2")
            network.cut("gen2")
            told = lines_until(load, OTHERS)  # Dask takes half a minute to be sure
            network.join("gen2")
            wait_until_gone(engine)
            load.send_signal(signal.SIGINT)
            out, _ = load.communicate(timeout=GUARD_S)
    assert load.returncode == 130
    assert "worker gen2 on gen2 is gone: " in told
    assert "it had 3 of 9 connections, and had sent " in told
    [lost] = json.loads(out)["lost"]
    assert (lost["name"], lost["connections"]) == ("worker gen2 on gen2", 3)
