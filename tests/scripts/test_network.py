"""scripts/network: hosts with their own names, addresses, clocks and cables, which leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.namespaces import HostNetwork, command_of, host_network
from tests.support.programs import needs_program

NAME = f"try-{os.getpid()}"
# Connects to an address and prints whether that works within a second.
REACH = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[1], 9), timeout=1)\n"
    "except ConnectionRefusedError: print('reached')\n"
    "except OSError: print('not reached')\n"
)


def run_script(*words: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *command_of(NAME), *words], capture_output=True, text=True, timeout=GUARD_S, check=False
    )


@pytest.fixture(scope="module")
def network() -> Iterator[HostNetwork]:
    with host_network() as network:
        yield network


def on(network: HostNetwork, host: str, *words: str) -> str:
    done = subprocess.run(
        [*network.on(host), *words], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def namespaces() -> set[str]:
    return {path.name for path in Path("/run/netns").iterdir() if path.name.startswith(f"{NAME}-")}


def links() -> str:
    """The network cards of this machine, and their addresses."""
    return subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout


def test_each_host_has_a_name_and_addresses_of_its_own(network: HostNetwork) -> None:
    assert on(network, "gen2", "hostname") == "gen2"
    shown = on(network, "balancer", "ip", "-4", "-o", "address", "show", "scope", "global")
    assert [line.split()[1:4:2] for line in shown.splitlines()] == [
        ["front", "198.18.0.20/24"],
        ["back", "198.19.0.20/24"],
    ]


def test_a_cable_can_be_pulled_out_and_plugged_in(network: HostNetwork) -> None:
    def reach(address: str, host: str = "balancer") -> str:
        return on(network, host, sys.executable, "-c", REACH, address)

    assert reach("198.18.0.12") == reach("198.19.0.31") == "reached"
    assert reach("198.19.0.31", host="gen1") == "not reached"  # there is only the way over the balancer
    network.cut("server1")
    assert (reach("198.19.0.31"), reach("198.19.0.32")) == ("not reached", "reached")
    network.join("server1")
    assert reach("198.19.0.31") == "reached"


def test_a_command_is_the_process_and_its_exit_code_is_what_comes(network: HostNetwork) -> None:
    with subprocess.Popen(
        [*network.on("gen1"), "sh", "-c", "echo $$; exec cat"], stdin=-1, stdout=-1
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.terminate()
        assert process.wait(GUARD_S) == -signal.SIGTERM
    assert subprocess.run([*network.on("gen1"), "sh", "-c", "exit 3"], check=False).returncode == 3


def test_clocks_go_alike_and_are_hours_apart_where_the_kernel_can_do_that(network: HostNetwork) -> None:
    own = Path("/proc/self/ns/time")
    program = "import os, time; print(os.readlink('/proc/self/ns/time'), time.monotonic())"
    shown = [on(network, host, sys.executable, "-c", program).split() for host in ("gen1", "gen2")]
    if shown[0][0] == str(own.readlink()):
        pytest.skip("this kernel lets no process enter a time namespace by itself")
    assert float(shown[1][1]) - float(shown[0][1]) > 3600


def test_up_twice_is_up_once_and_down_ends_what_runs(network: HostNetwork) -> None:
    before = links()
    try:
        assert run_script("up").stderr == f"scripts/network: {NAME} is up\n"
        there = namespaces()
        assert len(there) == 9
        with subprocess.Popen(
            [*HostNetwork(NAME).on("gen1"), "sh", "-c", "echo it runs; exec sleep 50"], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"it runs\n"
            delayed = run_script("up", "--delay", "1ms")  # it stays, and each network card gets a delay
            assert delayed.returncode == 0
            assert " is up" in delayed.stderr
            assert ("without delay: tc netem says" in delayed.stderr) == (delayed.stderr.count(",") > 0)
            assert namespaces() == there
            assert process.poll() is None
            assert run_script("down").returncode == 0
            assert process.wait(GUARD_S) == -signal.SIGTERM
    finally:
        run_script("down")
    assert namespaces() == set()
    assert links() == before
    assert run_script("down").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_try_removes_the_network_whatever_signal_comes(network: HostNetwork, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*command_of(NAME), "try", "cat"], stdin=-1, stderr=-1, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert "is up" in process.stderr.readline()
        assert len(namespaces()) == 9
        os.killpg(process.pid, number)  # as a terminal does
        assert process.wait(GUARD_S) == 128 + number
        assert process.stderr.read() == ""
    assert namespaces() == set()


def test_try_leaves_a_network_that_was_there(network: HostNetwork) -> None:
    try:
        assert run_script("up").returncode == 0
        done = run_script("try", "true")
        assert done.returncode == 1
        assert done.stderr == (
            f"scripts/network: {NAME} is up already, and try would remove it; give another --name\n"
        )
        assert len(namespaces()) == 9
    finally:
        run_script("down")


def test_without_rights_it_is_one_line() -> None:
    needs_program("ip")
    powerless = ["setpriv", "--bounding-set", "-all"] if os.geteuid() == 0 else []
    done = run_script("up", prefix=powerless)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("scripts/network: ")
    assert line.endswith("; it needs root")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "gen1", "true"], "scripts/network: there is no network: scripts/network up"),
        (["cut", "gen1"], "scripts/network: there is no network: scripts/network up"),
        (["run", "gen1"], "scripts/network: error: run needs a command to run"),
        (["cut", "gen9"], "scripts/network cut: error: argument HOST: invalid choice: 'gen9'"),
        (["up", "down"], "scripts/network: error: unrecognized arguments: down"),
    ],
)
def test_wrong_use_is_told(words: list[str], reason: str) -> None:
    done = run_script(*words)
    assert done.returncode in (1, 2)
    assert done.stderr.splitlines()[-1].startswith(reason)
