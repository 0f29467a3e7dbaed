"""Proxies that come and go: each change as a whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.support.guard import guarded
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
