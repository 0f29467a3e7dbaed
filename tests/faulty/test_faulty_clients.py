"""The faulty clients: each breaks the rules that are named for its bug, and the likely cause is named right.

Set TRIOECHO_FAULTY_SERVERS=all to try every rule on every client.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable

import pytest
import trio

from tests.support.check_clients import check_command_of_client, command_of_client, try_cases
from tests.support.check_servers import echo_frames, listening
from tests.support.in_process import run_in_process
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, port_that_refuses
from trioecho.check.clients.book import CLIENTS
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.verdict import Verdict
from trioecho.faulty import FAULTY_SERVERS, wrong_lines
from trioecho.faulty.clients import FAULTY_CLIENTS, EchoClient, FaultyClient, PipeliningClient

ALL = os.environ.get("TRIOECHO_FAULTY_SERVERS") == "all"
AT_A_TIME = 3
BROKEN = (Verdict.FAIL, Verdict.WARN)
# These do not come so far that other cases can be tried.
BLOCKED = {"swaps-bytes", "waits-for-the-end"}


def ids(names: Iterable[str]) -> set[str]:
    """The rules named by id or section."""
    return {rule.id for name in names for rule in CLIENTS.select([name])}


FAILS = {name: ids(client.bug.fails) for name, client in FAULTY_CLIENTS.items()}
MAY_FAIL = {name: ids(client.bug.may_fail) for name, client in FAULTY_CLIENTS.items()}


def module_of(client: type[FaultyClient]) -> str:
    return client.__module__.rpartition(".")[2]


MODULES = sorted({module_of(client) for client in FAULTY_CLIENTS.values()})
# Beside its own rules, what a client is tried on: what tells its bug from its neighbours.
CONTEXT = {
    "reading": ("C1.3", "C1.4", "C1.5"),
    "comparing": ("C2.1", "C2.2", "C2.3", "C2.4"),
    "ending": ("C3.1", "C3.4"),
    "lengths": ("C4.1",),
    "conduct": ("C2.1", "C2.3", "C3.1", "C3.4"),
}
# Where chance merges or delays replies nothing else can be said of a client.
LEFT_TO_CHANCE = {"one-reply-per-recv", "drops-beginning", "gives-up-early"}


async def judge(name: str) -> list[str]:
    """What is otherwise than the client's `bug` says."""
    client = FAULTY_CLIENTS[name]
    wanted = FAILS[name] if name in LEFT_TO_CHANCE else FAILS[name] | set(CONTEXT[module_of(client)])
    results, diagnosis = await try_cases(client, () if ALL and name not in LEFT_TO_CHANCE else sorted(wanted))
    broken = {each.id for each in results if each.verdict in BROKEN}
    seen = {each.id: f"{each.verdict.value}, {each.summary}" for each in results}
    wrong = [f"{name} should have broken {each}: {seen[each]}" for each in FAILS[name] - broken]
    wrong += [
        f"{name} should have kept {each}: {seen[each]}" for each in broken - FAILS[name] - MAY_FAIL[name]
    ]
    causes = [cause.id for cause in diagnosis.causes]
    if causes[:1] != [client.bug.cause]:
        wrong.append(f"{name} should have been told {client.bug.cause}, and was told {causes}")
    return wrong


async def judge_all(names: Iterable[str]) -> list[str]:
    wrong: list[str] = []
    limiter = trio.CapacityLimiter(AT_A_TIME)

    async def judge_one(name: str) -> None:
        async with limiter:
            wrong.extend(await judge(name))

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(judge_one, name)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
async def test_every_bug_is_found_and_named(module: str) -> None:
    names = [name for name, client in FAULTY_CLIENTS.items() if module_of(client) == module]
    wrong = await judge_all(name for name in names if name not in BLOCKED)
    assert not wrong, "\n".join(wrong)


async def test_a_bug_of_every_kind_is_found_and_named() -> None:
    names = ["header-in-one-recv", "any-message", "swallows-reset", "ignores-header", "says-goodbye"]
    assert {module_of(FAULTY_CLIENTS[name]) for name in names} == set(MODULES)
    wrong = await judge_all(names)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("client", [EchoClient, PipeliningClient])
async def test_the_honest_clients_keep_every_rule(client: type[EchoClient]) -> None:
    results, diagnosis = await try_cases(client, ())
    assert {
        each.id: each.summary for each in results if each.verdict in (*BROKEN, Verdict.INCONCLUSIVE)
    } == {}
    assert diagnosis.causes == ()
    not_tried = {each.id for each in results if each.verdict is Verdict.NOT_APPLICABLE}
    never_two = {"C1.6", "C1.7", "C2.9", "C2.10"}
    assert not_tried == {"C1.10"} | (set() if client is PipeliningClient else never_two)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        slow("swaps-bytes", "these are frames of --format u32le"),
        slow("waits-for-the-end", "the client neither sent anything nor ended"),
    ],
)
async def test_a_client_of_which_nothing_else_is_seen(name: str, words: str) -> None:
    client = FAULTY_CLIENTS[name]
    result = await check_command_of_client(command_of_client(client), spawn_timeout_s=8.0)
    assert [each.id for each in result.results] == list(CLIENTS.rules)
    assert {each.id for each in result.results if each.verdict is Verdict.FAIL} == {"C1.1"}
    assert {each.verdict for each in result.results[1:]} == {Verdict.INCONCLUSIVE}
    assert words in result.results[0].summary
    assert [cause.id for cause in result.causes] == [client.bug.cause]


def test_every_rule_can_be_broken() -> None:
    broken_by = {
        rule_id: [name for name, fails in FAILS.items() if rule_id in fails] for rule_id in CLIENTS.rules
    }
    assert [rule_id for rule_id, names in broken_by.items() if not names] == []


def test_every_bug_is_described() -> None:
    assert not set(FAULTY_CLIENTS) & set(FAULTY_SERVERS)
    for name, client in FAULTY_CLIENTS.items():
        bug = client.bug
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        for text in (bug.summary, bug.works, bug.shows, bug.fix, bug.source):
            assert text, name
        assert "# BUG" in wrong_lines(client), name
        assert bug.cause in CAUSES, name


# ---- the command ----


def test_a_faulty_client_is_a_command() -> None:
    with listening(echo_frames) as (host, port):
        done = run_in_process("faulty", "no-timeout", f"{host}:{port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 messages came back right\n", "")
    with port_that_refuses() as port:
        done = run_in_process("faulty", "no-timeout", f"{LOOPBACK}:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"no server listens on {LOOPBACK}, port {port}: the connection was refused\n"
    assert done.stderr.count("\n") == 1


def test_a_faulty_client_ends_at_ctrl_c() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        words = [sys.executable, "-m", "trioecho", "faulty", "no-timeout", f"{LOOPBACK}:{port}"]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_clients_are_listed_and_explained() -> None:
    lines = run_in_process("faulty", "--list").stdout.splitlines()
    clients = [line.split()[0] for line in lines if line.split()[1:2] == ["HOST:PORT"]]
    assert clients == list(FAULTY_CLIENTS)
    explained = run_in_process("faulty", "--explain", "no-timeout").stdout
    for part in ("differs from the honest client", "# BUG", "trioecho check --client finds it by C3.6"):
        assert part in explained
