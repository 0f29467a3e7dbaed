"""The ASGI application behind ``--admin``: a page for each path, and commands where there are some."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Protocol

import trio

from ..base.describe import describe_with_place

logger: logging.Logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# Streams hold their connections; those of pages must have room beside them.
MOST_STREAMS = 16
MOST_BODY_BYTES = 1 << 16
_METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class PageRequest:
    """What a page may look at.

    Attributes:
      path: as ``/metrics``.
      query: what follows the question mark, as it came.
      headers: by their names in small letters; of one that comes twice, the last.
    """

    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PageReply:
    """What a page replies.

    Attributes:
      body: the bytes, or a stream of them. A stream is iterated in a task of its own, which is cancelled when
        the client is gone, and closed then; a client that takes none of it for ten seconds is gone.
      content_type: of the body.
      status: of HTTP.
      headers: more of them, by name.
    """

    body: bytes | AsyncGenerator[bytes, None]
    content_type: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def text_reply(line: str, status: int = 200, **headers: str) -> PageReply:
    """Return a reply of one line of text; in the names of headers a _ stands for a hyphen."""
    return PageReply(
        f"{line}\n".encode(), status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


Page = Callable[[PageRequest], PageReply | Awaitable[PageReply]]


async def page_reply(page: Page, request: PageRequest) -> PageReply:
    """Return what a page replies, whether it is an async function or not."""
    reply = page(request)
    return reply if isinstance(reply, PageReply) else await reply


class Commands(Protocol):
    """Requests that may change something, on paths of their own."""

    def has(self, path: str) -> bool:
        """Return whether a path is one of theirs."""

    async def reply_to(self, method: str, request: PageRequest, body: bytes | None) -> PageReply:
        """Do what a request asks for, and reply.

        Args:
          method: of HTTP.
          request: its path and headers.
          body: None if it is longer than `MOST_BODY_BYTES`.
        """


class AdminApplication:
    """Replies to GET and HEAD with the page of a path, and to others with what commands reply.

    Args:
      pages: by their paths. A page returns at once, or is an async function; one that raises is a 500, and a
        line in the log.
      commands: likewise, but they may take a while.
    """

    def __init__(self, pages: Mapping[str, Page], commands: Commands | None = None) -> None:
        self._pages = dict(pages)
        self._commands = commands
        self._streams = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] != "http":  # a WebSocket; this refuses it
            await send({"type": "websocket.close"})
            return
        if self._commands is not None and self._commands.has(scope["path"]):
            body, has_ended = await _read_body(receive)
            if has_ended:
                return
            reply = await self._run_command(self._commands, scope, body)
        else:
            reply = await self._reply(scope)
        if scope["method"] == "HEAD" and not isinstance(reply.body, bytes):
            reply = replace(reply, body=b"")
        is_stream = not isinstance(reply.body, bytes)
        if is_stream and self._streams >= MOST_STREAMS:
            reply = text_reply(f"{MOST_STREAMS} streams are open, and that is the most; close one", 503)
            is_stream = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignore_body, receive, nursery.cancel_scope if is_stream else None)
            if is_stream:
                scope.get("state", {}).get("note_stream", lambda: None)()
                self._streams += 1
                try:
                    await _send(reply, send)
                finally:
                    self._streams -= 1
            else:
                await _send(reply, send)
            nursery.cancel_scope.cancel()

    async def _reply(self, scope: Mapping[str, Any]) -> PageReply:
        page = self._pages.get(scope["path"])
        if page is None:
            shown = sorted(path for path in self._pages if "." not in path)  # others are parts of a page
            return text_reply(f"not here; there is {', '.join(shown)}", HTTPStatus.NOT_FOUND)
        if scope["method"] not in _METHODS:
            return text_reply(
                f"only {' and '.join(_METHODS)}", HTTPStatus.METHOD_NOT_ALLOWED, allow=", ".join(_METHODS)
            )
        request = _request_of(scope)
        try:
            return await page_reply(page, request)
        except Exception as error:  # noqa: BLE001 - it must end only this request
            return _failed(request, error)

    async def _run_command(
        self, commands: Commands, scope: Mapping[str, Any], body: bytes | None
    ) -> PageReply:
        request = _request_of(scope)
        try:
            return await commands.reply_to(scope["method"], request, body)
        except Exception as error:  # noqa: BLE001 - likewise
            return _failed(request, error)


def _request_of(scope: Mapping[str, Any]) -> PageRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return PageRequest(scope["path"], scope.get("query_string", b"").decode("latin-1"), headers)


def _failed(request: PageRequest, error: Exception) -> PageReply:
    logger.error("admin: %s failed: %s", request.path, describe_with_place(error))
    return text_reply("this page failed; the log says why", HTTPStatus.INTERNAL_SERVER_ERROR)


async def _read_body(receive: Receive) -> tuple[bytes | None, bool]:
    """Return the body of a request, None if it is too long, and whether the client is gone."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None, True
        if len(body) <= MOST_BODY_BYTES:  # else what comes is only counted as too much
            body += event.get("body", b"")
        if not event.get("more_body", False):
            return (bytes(body) if len(body) <= MOST_BODY_BYTES else None), False


async def _send(reply: PageReply, send: Send) -> None:
    """Send a reply; of one to HEAD the server leaves out the body."""
    if isinstance(reply.body, bytes):
        await send(_start_of(reply, len(reply.body)))
        await send({"type": "http.response.body", "body": reply.body})
        return
    await send(_start_of(reply))
    async with contextlib.aclosing(reply.body) as parts:  # also when it is cancelled
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _start_of(reply: PageReply, length: int | None = None) -> dict[str, Any]:
    headers = {
        "content-type": reply.content_type,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **({} if length is None else {"content-length": str(length)}),
        **reply.headers,
    }
    return {
        "type": "http.response.start",
        "status": int(reply.status),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }


async def _ignore_body(receive: Receive, scope: trio.CancelScope | None) -> None:
    """Take what comes of a request behind its headers, and end the reply when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if scope is not None:
        scope.cancel()
