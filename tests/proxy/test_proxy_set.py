"""Proxies that come and go: each change as a whole, or not at all."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.guard import GUARD_S, guarded
from trioecho.proxy import ConflictError, ProxySet, relay

TARGET = "127.0.0.1:9"


@asynccontextmanager
async def running_set() -> AsyncIterator[ProxySet]:
    proxies = ProxySet()
    with guarded():
        async with trio.open_nursery() as nursery:
            await nursery.start(proxies.run)
            yield proxies
            nursery.cancel_scope.cancel()


def out_of_files() -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_proxy_that_cannot_begin_is_not_there_and_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with running_set() as proxies:
            other = await proxies.add_as({"name": "other", "target": TARGET})
            with monkeypatch.context() as short:
                short.setattr(relay, "open_leave_watch", out_of_files)
                with pytest.raises(ConflictError, match="one: cannot listen: Too many open files"):
                    await proxies.add_as({"name": "one", "target": TARGET})
            assert [proxy.name for proxy in proxies] == ["other"]
            assert other.relay is not None
            await proxies.add_as({"name": "one", "target": TARGET})

    trio.run(main)


def test_a_proxy_that_cannot_begin_again_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with running_set() as proxies:
            fault = {"fault": "delay", "value": "1s"}
            for name in ("one", "two"):
                await proxies.add_as({"name": name, "target": TARGET, "faults": [fault]})
                await proxies.change(name, {"enabled": False})
            before = [proxy.as_object() for proxy in proxies]
            began = iter([None])

            def for_one_more() -> None:
                if next(began, "") is not None:
                    out_of_files()

            with monkeypatch.context() as short:
                short.setattr(relay, "open_leave_watch", for_one_more)
                with pytest.raises(ConflictError, match="two: cannot listen"):
                    await proxies.reset()
                with pytest.raises(ConflictError, match="one: cannot listen"):
                    await proxies.change("one", {"enabled": True, "faults": []})
            assert [proxy.as_object() for proxy in proxies] == before
            await proxies.reset()
            assert [(proxy.settings.enabled, proxy.settings.faults) for proxy in proxies] == [(True, ())] * 2

    trio.run(main)


def test_what_was_counted_stays_when_who_removes_a_proxy_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with running_set() as proxies:
            proxy = await proxies.add_as({"name": "one", "target": TARGET})
            proxy.counts.connections, proxy.counts.open_connections = 3, 1
            with trio.CancelScope() as scope:

                async def stop_and_be_cancelled() -> None:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()

                monkeypatch.setattr(proxy, "stop", stop_and_be_cancelled)
                await proxies.remove("one")
            assert scope.cancelled_caught
            assert (proxies.total().connections, proxies.total().open_connections) == (3, 0)

    trio.run(main)


class SlowResolver(trio.abc.HostnameResolver):
    """A name server that does not reply before it may, and then knows names as 127.0.0.1."""

    def __init__(self) -> None:
        self.may_reply = trio.Event()
        self.asked = 0

    async def getaddrinfo(self, host: bytes | str | None, port: Any, *more: Any) -> Any:
        self.asked += 1
        await self.may_reply.wait()
        if host == b"nowhere.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def getnameinfo(self, *arguments: Any) -> Any:
        raise NotImplementedError


async def nobody_waits(proxies: ProxySet) -> None:
    """What others ask of proxies is done."""
    with trio.fail_after(GUARD_S):
        await proxies.add_as({"name": "other", "target": TARGET})
        await proxies.add_fault("other", {"fault": "drop"})
        await proxies.remove("other")


def test_who_waits_for_a_name_server_keeps_nobody_waiting() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            resolver = SlowResolver()
            trio.socket.set_custom_hostname_resolver(resolver)
            slow = {"name": "slow", "target": TARGET, "listen": "echo.example:0"}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(proxies.add_as, slow)
                nursery.start_soon(proxies.add_as, {**slow, "name": "off", "enabled": False})
                await trio.testing.wait_all_tasks_blocked()
                await nobody_waits(proxies)
                assert [proxy.name for proxy in proxies] == ["off"]  # which needs no address yet
                nursery.start_soon(proxies.change, "off", {"enabled": True})
                nursery.start_soon(proxies.reset)
                await trio.testing.wait_all_tasks_blocked()
                assert resolver.asked == 3
                await nobody_waits(proxies)
                resolver.may_reply.set()
            assert all(proxy.relay for proxy in proxies)
            assert [proxy.as_object()["enabled"] for proxy in proxies] == [True, True]

    trio.run(main)


def test_a_name_that_is_taken_meanwhile_is_refused_and_nothing_stays_open() -> None:
    async def main() -> None:
        async with running_set() as proxies, trio.open_nursery() as nursery:
            resolver = SlowResolver()
            trio.socket.set_custom_hostname_resolver(resolver)
            refused = trio.Event()

            async def add_slowly() -> None:
                with pytest.raises(ConflictError, match="there is a proxy one already"):
                    await proxies.add_as({"name": "one", "target": TARGET, "listen": "echo.example:0"})
                refused.set()

            nursery.start_soon(add_slowly)
            await trio.testing.wait_all_tasks_blocked()
            await proxies.add_as({"name": "one", "target": TARGET})
            resolver.may_reply.set()
            await refused.wait()
            assert len(proxies) == 1

    trio.run(main)


def test_a_name_without_an_address_is_a_conflict() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            resolver = SlowResolver()
            resolver.may_reply.set()
            trio.socket.set_custom_hostname_resolver(resolver)
            with pytest.raises(ConflictError, match=r"one: cannot listen on nowhere.example:0: "):
                await proxies.add_as({"name": "one", "target": TARGET, "listen": "nowhere.example:0"})
            await proxies.add_as(
                {"name": "one", "target": TARGET, "listen": "nowhere.example:0", "enabled": False}
            )
            with pytest.raises(ConflictError, match=r"one: cannot listen on nowhere.example:0: "):
                await proxies.change("one", {"enabled": True})
            await proxies.change("one", {"target": "127.0.0.1:8"})  # which needs no address

    trio.run(main)
