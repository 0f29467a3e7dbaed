"""Every faulty server fails the cases that are named for its bug, passes others, and its bug is named.

Set TRIOECHO_FAULTY_SERVERS=all to try every case on every server, which takes half an hour;
else each server is tried on some of the cases that it fails and some that it
passes, so that every case of the book is failed by some server.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

import pytest
import trio

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, run_command
from tests.support.sockets import echoes, receive_all, receive_exactly, reset
from tests.support.wire import frame
from trioecho.check.book.book import RULES, select
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.runner.suite import CannotCheckError, Settings, Target, check
from trioecho.check.spawned.spawned_server import parse_command
from trioecho.check.verdict import SuiteResult, Verdict
from trioecho.faulty import FAULTY_SERVERS, EchoServer, FaultyServer, wrong_lines
from trioecho.faulty.buffered import BufferedServer

# Some servers leak sockets, and let exceptions out of their threads: that is their bug.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


def module_of(server: type[FaultyServer]) -> str:
    return server.__module__.rpartition(".")[2]


ALL = os.environ.get("TRIOECHO_FAULTY_SERVERS") == "all"
AT_A_TIME = 6
# Side by side they take longer than any would alone.
TIME_LIMIT_S = 1000
# Cases that are quick, and about different things.
QUICK = ("1.2", "1.8", "2.3", "2.5", "2.8", "4.4", "5.2")
# What else has to be tried so that a cause can be told from others with the same effect.
CONTEXT = {"reading": ("1", "2"), "lengths": ("1", "4"), "content": ("1",), "replying": ("1",)}
# A bug that connections share, or that ends the server, must not show in a case that runs beside.
ONE_CASE_AT_A_TIME = ("sharing", "ending", "aftermath")
# Where the bug may end the process.
IN_OWN_PROCESS = ("ending", "aftermath", "lifecycle")
# Whose bug is a short time: the suite tries again on a fresh server what a busy machine may have made fail.
SENSITIVE_TO_TIME = ("impatient",)
MODULES = sorted({module_of(server) for server in FAULTY_SERVERS.values()})
ONE_OF_EACH_MODULE = {module_of(server): name for name, server in reversed(FAULTY_SERVERS.items())}.values()


def ids(names: Iterable[str]) -> list[str]:
    """The rules named by id or section."""
    names = list(names)
    return [rule.id for rule in select(names)] if names else []


FAILS = {name: ids(server.bug.fails) for name, server in FAULTY_SERVERS.items()}
MAY_FAIL = {name: ids(server.bug.may_fail) for name, server in FAULTY_SERVERS.items()}


def first_failed_by() -> dict[str, str]:
    """For each rule the server that fails it and fewest others."""
    return {
        rule_id: min(
            (name for name in FAULTY_SERVERS if rule_id in FAILS[name]), key=lambda name: len(FAILS[name])
        )
        for rule_id in RULES
        if any(rule_id in failed for failed in FAILS.values())
    }


def cases_to_try(name: str) -> list[str]:
    if ALL:
        return list(RULES)
    assigned = [rule_id for rule_id, first in first_failed_by().items() if first == name]
    quick = [case_id for case_id in QUICK if case_id not in (*FAILS[name], *MAY_FAIL[name])]
    context = ids(CONTEXT.get(module_of(FAULTY_SERVERS[name]), ()))
    context = [case_id for case_id in context if not RULES[case_id].needs_spawn]
    return list(dict.fromkeys([*FAILS[name][:2], *assigned, *quick, *context]))


async def grade(server: type[FaultyServer], cases: Sequence[str]) -> SuiteResult:
    """Check a server, in a process of its own where a case needs that."""
    rules = select(list(cases))
    jobs = 1 if module_of(server) in ONE_CASE_AT_A_TIME else 8
    limit = server.default_limit
    is_started = module_of(server) in IN_OWN_PROCESS or server.bug.name in SENSITIVE_TO_TIME
    if is_started or any(rule.needs_spawn for rule in rules):
        command = shlex.join(
            [sys.executable, "-m", "trioecho", "faulty", server.bug.name, "--port", "{port}"]
        )
        settings = Settings(
            command=tuple(parse_command(command)), max_frame_length=limit, spawn_timeout_s=GUARD_S
        )
        return await check(Target(command), settings, rules=rules, jobs=jobs, time_limit_s=TIME_LIMIT_S)
    faulty = server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_until_stopped, faulty)
        try:
            settings = Settings(max_frame_length=limit)
            target = Target(server.bug.name, faulty.address)
            return await check(target, settings, rules=rules, jobs=jobs, time_limit_s=TIME_LIMIT_S)
        finally:
            faulty.stop()


async def serve_until_stopped(server: EchoServer) -> None:
    await trio.to_thread.run_sync(server.serve)


async def judge(server: type[FaultyServer]) -> list[str]:
    """What is otherwise than the server's `bug` says."""
    bug = server.bug
    name = bug.name
    cases = cases_to_try(name)
    try:
        result = await grade(server, cases)
    except CannotCheckError as error:
        return [f"{name} cannot be checked: {error}"]
    failed = {found.rule.id: found for found in result.results if found.verdict is not Verdict.PASS}
    wrong = [
        f"{name} should have passed {case_id}: {found.verdict.value}, {found.summary}"
        for case_id, found in failed.items()
        if case_id not in (*FAILS[name], *MAY_FAIL[name]) and found.verdict is not Verdict.NOT_APPLICABLE
    ]
    wrong += [
        f"{name} should have failed {case_id}"
        for case_id in cases
        if case_id in FAILS[name]
        and (case_id not in failed or failed[case_id].verdict not in (Verdict.FAIL, Verdict.WARN))
    ]
    causes = [cause.id for cause in result.causes]
    if bug.cause not in causes[:2]:
        wrong.append(f"{name} should have been told {bug.cause}, and was told {causes}")
    return wrong


def judge_all(servers: Iterable[type[FaultyServer]]) -> list[str]:
    """What is otherwise than these servers' `bug` says."""
    wrong: list[str] = []

    async def judge_them() -> None:
        limiter = trio.CapacityLimiter(AT_A_TIME)

        async def judge_one(server: type[FaultyServer]) -> None:
            async with limiter:
                wrong.extend(await judge(server))

        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(judge_one, server)

    trio.run(judge_them)
    gc.collect()  # what was leaked must not be found in another test
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_suite_finds_every_bug_and_names_it(module: str) -> None:
    wrong = judge_all(server for server in FAULTY_SERVERS.values() if module_of(server) == module)
    assert not wrong, "\n".join(wrong)


def test_the_suite_finds_a_bug_of_every_kind_and_names_it() -> None:
    wrong = judge_all(FAULTY_SERVERS[name] for name in ONE_OF_EACH_MODULE)
    assert not wrong, "\n".join(wrong)


def test_every_case_of_the_book_can_be_failed() -> None:
    assert set(first_failed_by()) == set(RULES)


def test_every_bug_is_described() -> None:
    for name, server in FAULTY_SERVERS.items():
        bug = server.bug
        assert bug.name == name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        for text in (bug.summary, bug.works, bug.shows, bug.fix, bug.source):
            assert text, name
        assert re.search(r"https://|classroom habit|RFC|\(\d\)", bug.source), name
        assert "# BUG" in wrong_lines(server), name
        assert bug.cause in CAUSES, name
    assert len(FAULTY_SERVERS) >= 24


# ---- the honest server, and the command ----


@pytest.mark.parametrize("honest", [EchoServer, BufferedServer])
def test_the_honest_server_keeps_its_promises(honest: type[EchoServer]) -> None:
    async def serve_and_ask() -> None:
        server = honest()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_until_stopped, server)
            await trio.to_thread.run_sync(ask, server)
            server.stop()

    trio.run(serve_and_ask)


def ask(server: EchoServer) -> None:
    data = b"".join(frame(bytes(size)) for size in (0, 1, 255, 65536, 1 << 20))
    refused = (1 << 20) + 1
    with socket.create_connection(server.address) as peer:
        assert echoes(peer, data)
        peer.sendall(frame(b"last") + refused.to_bytes(4, "big") + bytes(100_000))
        assert receive_all(peer) == frame(b"last")
    with socket.create_connection(server.address) as peer:
        peer.sendall(frame(b"whole") + frame(b"cut off")[:-1])
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == frame(b"whole")


@contextlib.contextmanager
def faulty_process(name: str) -> Iterator[ServerProcess]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "faulty", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield ServerProcess(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_faulty_server_can_be_started_and_stopped(number: signal.Signals) -> None:
    with faulty_process("strips") as server:
        with server.connect() as peer:
            peer.sendall(frame(b" blanks ") + frame(b"none"))
            assert receive_exactly(peer, 18) == frame(b"blanks") + frame(b"none")
            server.send_signal(number)
            assert receive_all(peer) == b""
        assert server.wait() == 0


def test_a_bug_that_ends_the_server_is_told_in_a_line() -> None:
    with faulty_process("dies-on-reset") as server:
        peer = server.connect()
        peer.sendall(frame(b"x")[:-1])
        reset(peer)
        assert server.wait() == 1
        assert "has crashed, as its bug has it: ConnectionResetError" in server.log
        assert len(server.log.splitlines()) == 1


def test_the_servers_are_listed_and_explained() -> None:
    listed = run_command("faulty", "--list").stdout
    assert max(map(len, listed.splitlines())) <= 80
    names = [line.split()[:2] for line in listed.splitlines() if not line.startswith(" ")]
    assert [name for name, next_word in names if next_word != "HOST:PORT"] == list(FAULTY_SERVERS)
    explained = run_command("faulty", "--explain", "short-payload").stdout
    for part in ("short-payload", "recv(n)", "# BUG", "https://github.com/pszturmaj/ddb/issues/2"):
        assert part in explained
    assert "summary=" not in explained  # what is said above in words is not shown as code


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "name a server"),
        (("short-paylaod",), 2, "did you mean short-payload?"),
        (("--explain", "nothing"), 2, "no server or client is called 'nothing'"),
        (("strips", "--port", "70000"), 2, "not a port"),
        (("strips", "127.0.0.1:1"), 2, "strips is a server, and listens where --host and --port say"),
        (("no-timeout", "127.0.0.1:1", "--port", "0"), 2, "--port is for servers"),
        (
            ("no-timeout", "127.0.0.1:1"),
            1,
            "no server listens on 127.0.0.1, port 1: the connection was refused",
        ),
        (("no-timeout",), 2, "no-timeout is a client; say where a server listens: 127.0.0.1:26066"),
        (("no-timeout", "nowhere"), 2, "nowhere"),
        (("strips", "--host", "nowhere.invalid"), 3, "cannot listen on nowhere.invalid:0"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], code: int, told: str) -> None:
    result = run_in_process("faulty", *arguments)
    assert result.returncode == code
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
