"""The ASGI application: a page for each path, only GET, and streams that end with their clients."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
import trio

from tests.support.guard import guarded
from trioecho.admin.application import MOST_STREAMS, AdminApplication, PageReply, PageRequest, text_reply


class Asgi:
    """One request, as a server of ASGI has it."""

    def __init__(self, path: str = "/page", method: str = "GET", **scope: Any) -> None:
        self.scope = {"type": "http", "path": path, "method": method, "headers": [], **scope}
        self.sent: list[dict[str, Any]] = []
        self.gone = trio.Event()
        self.has_started = trio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)
        self.has_started.set()

    async def run(self, application: AdminApplication) -> Asgi:
        with guarded():
            await application(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


async def test_a_page_gets_the_request_and_its_reply_is_sent() -> None:
    seen: list[PageRequest] = []

    def page(request: PageRequest) -> PageReply:
        seen.append(request)
        return PageReply(b"here", "text/x", 203, {"x-more": "1"})

    headers = [(b"Accept", b"text/x"), (b"host", b"there")]
    asgi = await Asgi(query_string=b"a=1", headers=headers).run(AdminApplication({"/page": page}))
    assert seen == [PageRequest("/page", "a=1", {"accept": "text/x", "host": "there"})]
    assert (asgi.status, asgi.body) == (203, b"here")
    assert asgi.headers["content-type"] == "text/x"
    assert asgi.headers["content-length"] == "4"
    assert asgi.headers["cache-control"] == "no-store"
    assert asgi.headers["x-more"] == "1"


async def test_another_path_is_told_what_there_is() -> None:
    application = AdminApplication({"/b": lambda _: PageReply(b""), "/a": lambda _: PageReply(b"")})
    asgi = await Asgi("/c").run(application)
    assert (asgi.status, asgi.body) == (404, b"not here; there is /a, /b\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
async def test_other_methods_are_refused(method: str) -> None:
    asgi = await Asgi(method=method).run(AdminApplication({"/page": lambda _: PageReply(b"")}))
    assert (asgi.status, asgi.headers["allow"]) == (405, "GET, HEAD")


async def test_a_page_that_fails_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    asgi = await Asgi().run(AdminApplication({"/page": lambda _: PageReply(b"%d" % (1 // 0))}))
    assert asgi.status == 500
    assert "ZeroDivisionError" not in asgi.body.decode()
    [record] = caplog.records
    assert record.getMessage().startswith("admin: /page failed: ZeroDivisionError")
    assert not record.exc_info


async def test_a_websocket_is_refused() -> None:
    asgi = await Asgi(type="websocket").run(AdminApplication({}))
    assert asgi.sent == [{"type": "websocket.close"}]


class Stream:
    """A stream of parts that the test gives."""

    def __init__(self) -> None:
        self.to_client, self.parts = trio.open_memory_channel[bytes](0)

    def page(self, request: PageRequest) -> PageReply:
        return PageReply(self._parts(), "text/event-stream")

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        async with self.parts.clone() as parts:
            async for part in parts:
                yield part


async def test_a_stream_is_sent_as_it_comes_and_ends_with_its_source() -> None:
    stream, asgi, notes = Stream(), Asgi(), []
    asgi.scope["state"] = {"note_stream": lambda: notes.append("noted")}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asgi.run, AdminApplication({"/page": stream.page}))
        await stream.to_client.send(b"one")
        await stream.to_client.send(b"two")
        await stream.to_client.aclose()
    assert asgi.body == b"onetwo"
    assert "content-length" not in asgi.headers
    assert not asgi.sent[-1].get("more_body", False)
    assert notes == ["noted"]


@contextlib.asynccontextmanager
async def many_streams(application: AdminApplication) -> AsyncIterator[list[Asgi]]:
    open_ones = [Asgi() for _ in range(MOST_STREAMS)]
    async with trio.open_nursery() as nursery:
        for each in open_ones:
            nursery.start_soon(each.run, application)
            await each.has_started.wait()
        yield open_ones
        for each in open_ones:
            each.gone.set()


async def test_streams_are_bounded_and_end_with_their_clients() -> None:
    stream = Stream()
    application = AdminApplication({"/page": stream.page, "/text": lambda _: text_reply("here")})
    async with many_streams(application):
        refused = await Asgi().run(application)
        assert refused.status == 503
        assert b"16 streams are open" in refused.body
        assert (await Asgi("/text").run(application)).body == b"here\n"
    async with many_streams(application) as again:
        assert {each.status for each in again} == {200}


async def test_the_head_of_a_stream_has_no_body() -> None:
    asgi = await Asgi(method="HEAD").run(AdminApplication({"/page": Stream().page}))
    assert (asgi.status, asgi.body) == (200, b"")
