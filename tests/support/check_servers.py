"""Servers of blocking sockets for the tests of ``trioecho check``, and the suite run against them."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from trioecho.check.book.book import select
from trioecho.check.cases import CASES
from trioecho.check.client.pace import Pace
from trioecho.check.preflight.result import Preflight
from trioecho.check.runner.attempt import Attempts
from trioecho.check.runner.host import open_host
from trioecho.check.runner.outcome import CaseOutcome
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.spawned.spawned_server import parse_command
from trioecho.check.verdict import CaseResult, SuiteResult

from .guard import guarded
from .sockets import LOOPBACK, receive_exactly


def command_of(*words: str) -> str:
    return shlex.join([sys.executable, *words])


async def check_command(
    command: str, *cases: str, max_frame_length: int | None = None, **options: Any
) -> SuiteResult:
    settings = Settings(
        command=tuple(parse_command(command)), max_frame_length=max_frame_length, spawn_timeout_s=30
    )
    with guarded(120):
        return await check(Target(command), settings, rules=select(list(cases)), **options)


async def check_address(
    address: tuple[str, int], *cases: str, seed: int = 0, jobs: int = 1, **options: Any
) -> SuiteResult:
    target = Target(f"{address[0]}:{address[1]}", address)
    with guarded():
        return await check(target, Settings(seed=seed), rules=select(list(cases)), jobs=jobs, **options)


async def run_case(
    address: tuple[str, int], case_id: str, *, seed: int = 0, pace: Pace | None = None
) -> CaseOutcome:
    """Run a case without a preflight, in which a busy machine can make any server look slow."""
    settings = Settings(seed=seed)
    with guarded():
        async with open_host(Target("here", address), settings) as host:
            return await Attempts(host, settings, Preflight(pace or Pace())).run(CASES[case_id], 1)


def by_id(result: SuiteResult) -> dict[str, CaseResult]:
    return {each.id: each for each in result.results}


# ---- servers of blocking sockets ----


Handler = Callable[[socket.socket], object]


@contextmanager
def listening(handler: Handler) -> Iterator[tuple[str, int]]:
    """A server with a thread for every connection."""
    with socket.create_server((LOOPBACK, 0), backlog=200) as listener:
        threading.Thread(target=accept, args=(listener, handler), daemon=True).start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def accept(listener: socket.socket, handler: Handler) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_handle, args=(peer, handler), daemon=True).start()


def _handle(peer: socket.socket, handler: Handler) -> None:
    with peer:
        with suppress(OSError):
            handler(peer)


def echo_frames(peer: socket.socket) -> None:
    """A good server, but for limits."""
    while len(header := receive_exactly(peer, 4)) == 4:
        length = int.from_bytes(header, "big")
        if length > 1 << 20:
            return
        payload = receive_exactly(peer, length)
        if len(payload) < length:
            return
        peer.sendall(header + payload)
