"""Waiting for sockets, in every way that systems have."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from tests.support.checkout import ROOT
from tests.support.guard import guarded
from tests.support.processes import run_command, server_process
from tests.support.slow import slow
from tests.support.sockets import reset
from trioecho.load import LoadPlan, TooManyConnectionsError, result_from_json, run_load
from trioecho.load.engine.poller import (
    ONLY_WRITABLE,
    READABLE,
    EpollPoller,
    Poller,
    PollPoller,
    SelectPoller,
    open_poller,
)

KINDS = {"epoll": EpollPoller, "poll": PollPoller, "select": SelectPoller}
NOW = 0
LATER_NS = 10_000_000_000


@pytest.fixture
def opened(poller: str) -> Iterator[Poller]:
    with KINDS[poller]() as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_the_numbers_are_those_of_the_system() -> None:
    for name, value in (("IN", READABLE), ("OUT", ONLY_WRITABLE)):
        assert getattr(select, f"EPOLL{name}", value) == getattr(select, f"POLL{name}", value) == value


def test_a_socket_is_readable_when_something_has_come(opened: Poller, pair: Pair) -> None:
    ours, theirs = pair
    number = opened.register(ours)
    assert opened.wait(NOW) == []
    theirs.send(b"x")
    assert opened.wait(time.perf_counter_ns() + LATER_NS) == [(number, READABLE)]
    ours.recv(1)
    assert opened.wait(NOW) == []


def test_room_is_waited_for_only_if_it_is_asked_for(opened: Poller, pair: Pair) -> None:
    ours, theirs = pair
    number = opened.register(ours)
    opened.also_writable(number, True)
    assert opened.wait(NOW) == [(number, ONLY_WRITABLE)]
    theirs.send(b"x")
    assert opened.wait(NOW) == [(number, READABLE | ONLY_WRITABLE)]
    opened.also_writable(number, False)
    assert opened.wait(NOW) == [(number, READABLE)]


@pytest.mark.parametrize("how", ["end", "reset"])
def test_an_end_is_something_to_receive(opened: Poller, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours:
        opened.register(ours)
        if how == "reset":
            reset(theirs)
        theirs.close()
        [(_, events)] = opened.wait(time.perf_counter_ns() + LATER_NS)
    assert events & READABLE
    assert events != ONLY_WRITABLE


def test_what_is_no_longer_registered_is_not_waited_for(opened: Poller, pair: Pair) -> None:
    ours, theirs = pair
    number = opened.register(ours)
    opened.also_writable(number, True)
    theirs.send(b"x")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        opened.register(silent)
        opened.unregister(number)
        assert opened.wait(NOW) == []


def test_a_moment_that_is_near_is_met_and_not_overslept(opened: Poller) -> None:
    until = time.perf_counter_ns() + 1_500_000  # nearer than two grains
    waits = 0
    while time.perf_counter_ns() < until:
        assert opened.wait(until) == []
        waits += 1
    assert waits < 10  # it asks the sockets again and again, and not its caller


class FakeTime:
    """An epoll without sockets, and a clock: a look takes a microsecond, a sleep 60 us too long."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.looks = 0
        self.taken_away = 0
        self.waited_ns = 0
        self.slept_us: list[int] = []

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        self.looks += 1
        self.now_ns += 1_000 + round(seconds * 1e9)
        return []

    def select(
        self, reading: list[int], writing: object, failing: object, seconds: float
    ) -> tuple[list[int], ...]:
        assert reading == [5]
        self.slept_us.append(round(seconds * 1e6))
        self.now_ns += round(seconds * 1e9) + 60_000
        return [], [], []

    def wait(self, poller: Poller, until: int) -> None:
        while self.now_ns < until:
            assert poller.wait(until) == []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    epoll = SimpleNamespace(poll=fake.poll, fileno=lambda: 5)
    monkeypatch.setattr(
        "trioecho.load.engine.poller.select", SimpleNamespace(epoll=lambda: epoll, select=fake.select)
    )
    monkeypatch.setattr(
        "trioecho.load.engine.poller.time",
        SimpleNamespace(perf_counter_ns=lambda: fake.now_ns, thread_time_ns=lambda: fake.now_ns),
    )
    monkeypatch.setattr("trioecho.load.engine.poller.times_taken_away", lambda: fake.taken_away)
    waiting_time = SimpleNamespace(ns=lambda: fake.waited_ns)
    monkeypatch.setattr("trioecho.load.engine.poller.WaitingTime", lambda: waiting_time)
    return fake


def spin_for(fake: FakeTime, poller: Poller, ns: int) -> None:
    for until in range(fake.now_ns, fake.now_ns + ns, 1_500_000):
        fake.wait(poller, until)


def test_the_end_of_a_wait_is_spun_and_met_exactly(fake: FakeTime) -> None:
    poller, until = EpollPoller(), fake.now_ns + 1_500_000
    fake.wait(poller, until)
    assert (fake.slept_us, fake.now_ns) == ([], until)
    assert poller.spun_ns > 1_400_000


def test_it_sleeps_up_to_the_end_where_others_want_the_processor(fake: FakeTime) -> None:
    poller = EpollPoller()
    spin_for(fake, poller, 100_000_000)
    fake.taken_away += 100
    spin_for(fake, poller, 100_000_000)
    spun_ns, until = poller.spun_ns, fake.now_ns + 100_000
    fake.slept_us.clear()
    fake.wait(poller, until)
    assert fake.slept_us == [100]
    assert until < fake.now_ns < until + 100_000
    assert poller.spun_ns == spun_ns
    fake.now_ns += 20_000_000_000  # it tries again
    until = fake.now_ns + 100_000
    fake.wait(poller, until)
    assert fake.now_ns == until
    assert poller.spun_ns > spun_ns


@pytest.mark.parametrize(
    ("taken_away", "waited_ns"), [(1_000, 0), (1, 30_000_000)], ids=["often", "for long"]
)
def test_it_sleeps_on_where_they_still_want_it(fake: FakeTime, taken_away: int, waited_ns: int) -> None:
    poller = EpollPoller()
    spin_for(fake, poller, 100_000_000)
    for _ in range(3):
        fake.taken_away += taken_away
        fake.waited_ns += waited_ns
        spin_for(fake, poller, 60_000_000)
        fake.slept_us.clear()
        fake.wait(poller, fake.now_ns + 100_000)
        assert fake.slept_us == [100]
        fake.waited_ns += 10_000_000_000  # while it slept, which does not count
        fake.now_ns += 20_000_000_000  # it tries again
        spin_for(fake, poller, 60_000_000)
        fake.slept_us.clear()
        fake.wait(poller, fake.now_ns + 100_000)
        assert fake.slept_us == []


def test_it_spins_on_where_they_want_it_now_and_then(fake: FakeTime) -> None:
    poller = EpollPoller()
    for _ in range(10):
        spin_for(fake, poller, 100_000_000)
        fake.taken_away += 5
        fake.waited_ns += 10_000_000
    assert fake.slept_us == []


def test_it_sleeps_up_to_the_end_while_other_engines_start(fake: FakeTime) -> None:
    poller = EpollPoller()
    poller.begin()
    spin_for(fake, poller, 19_000_000)
    assert len(fake.slept_us) >= 12
    assert poller.spun_ns == 0
    until = fake.now_ns + 3_000_000
    fake.wait(poller, until)
    assert fake.now_ns == until
    assert poller.spun_ns > 0


def test_a_descriptor_that_select_does_not_take_is_not_given_to_it(
    fake: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioecho.load.engine.poller._SELECTABLE", 5)
    poller = EpollPoller()
    poller.begin()
    until = fake.now_ns + 1_500_000
    fake.wait(poller, until)
    assert (fake.slept_us, fake.now_ns) == ([], until)


@pytest.mark.parametrize(("kind", "unit"), [(EpollPoller, 1e-3), (PollPoller, 1), (SelectPoller, 1e-3)])
def test_a_wait_is_for_a_millisecond_at_most(
    kind: Callable[[], Poller], unit: float, monkeypatch: pytest.MonkeyPatch, pair: Pair
) -> None:
    asked: list[float] = []

    def wait(*arguments: Any) -> tuple[Any, ...]:
        asked.append(arguments[-1])
        return (), (), ()

    registered = SimpleNamespace(poll=wait, register=lambda *arguments: None, fileno=lambda: 5)
    system = SimpleNamespace(epoll=lambda: registered, poll=lambda: registered, select=wait)
    monkeypatch.setattr("trioecho.load.engine.poller.select", system)
    made = kind()
    made.register(pair[0])
    made.wait(time.perf_counter_ns() + LATER_NS)
    assert asked == [unit]


async def test_other_tasks_have_their_turn_while_it_rests(opened: Poller, pair: Pair) -> None:
    ours, theirs = pair
    number = opened.register(ours)

    async def send() -> None:
        theirs.send(b"x")

    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while not (ready := opened.wait(NOW)):
                await opened.rest(3600)
    assert ready == [(number, READABLE)]


@pytest.mark.parametrize(
    ("without", "kind"),
    [((), EpollPoller), (("epoll",), PollPoller), (("epoll", "poll"), SelectPoller)],
)
def test_the_best_that_the_system_has_is_taken(
    without: tuple[str, ...], kind: type[Poller], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is EpollPoller and not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    for name in without:
        monkeypatch.delattr(select, name, raising=False)
    with open_poller() as opened:
        assert type(opened) is kind


async def test_more_sockets_than_select_takes_are_refused_before_any_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trioecho.load.processes.local.open_poller", SelectPoller)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        plan = LoadPlan("127.0.0.1", listener.getsockname()[1], connections=501)
        with guarded(), pytest.raises(TooManyConnectionsError, match="501 connections are more than the 500"):
            await run_load(plan)
        with pytest.raises(BlockingIOError):
            listener.accept()


# Python runs a module of this name at its start, and so in every process; Trio keeps its epoll.
SITECUSTOMIZE = """
import select, types
import trioecho.load.engine.poller
trioecho.load.engine.poller.select = types.SimpleNamespace(poll=select.poll)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="workers need pipes of POSIX")
@pytest.mark.parametrize("processes", ["1", slow("2")])
@pytest.mark.parametrize("pace", [slow(()), ("--rate", "1000"), slow(("--think", "1ms"))], ids=str)
def test_the_command_needs_no_epoll(tmp_path: Path, processes: str, pace: tuple[str, ...]) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with server_process() as server:
        done = run_command(
            "load", f"127.0.0.1:{server.port}", "-n", "20", "--processes", processes, *pace,
            "--json", "-", "--quiet", env=environment,
        )  # fmt: skip
    assert done.stderr == ""
    result = result_from_json(done.stdout)
    assert (result.sent, result.messages, result.errors) == (100, 100, {})
