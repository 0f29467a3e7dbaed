"""Whom a request is for, and a refusal of those that are for somebody else.

A page of any site can have a browser connect to this machine under a name of that site: the name's
address is another one by then (DNS rebinding). For the browser, what comes back belongs to that site, and
its page may read it. Only the name gives it away, which is in the request. So what listens on loopback
alone serves requests that name this machine, and no others; an address in the place of a name is
always right, since a browser that was given one has asked nobody for it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from ..base.suggestion import quoted
from .application import TEXT, Receive, Send

# A name that ends so is this machine everywhere (RFC 6761, 6.3).
_LOCALHOST = "localhost"
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(/.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\[\]@]+\]|[^:\[\]@]*)(?::\d*)?", re.ASCII)


def is_loopback(address: object) -> bool:
    """Return whether a socket's own address can be reached from this machine alone, by TCP.

    Args:
      address: as ``getsockname`` gives it.
    """
    if not isinstance(address, tuple):  # a Unix socket, to which no browser connects
        return False
    ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def in_origin_form(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scope of a request with its path, also if it was sent as ``GET http://host/path``.

    "A server MUST accept the absolute-form in requests", and "MUST ignore the received Host header field"
    then (RFC 9112, 3.2.2): the host of the result is that of the target.
    """
    match = _ABSOLUTE.fullmatch(scope["raw_path"])
    if match is None:
        return scope
    path = match[3] or b"/"
    others = [pair for pair in scope["headers"] if pair[0].lower() != b"host"]
    return {
        **scope,
        "scheme": match[1].decode().lower(),
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "headers": [(b"host", match[2]), *others],
    }


class OwnHosts:
    """Serves the requests that are for this server, and refuses the others with 421 (RFC 9110, 15.5.20).

    Args:
      application: what replies to them.
      is_local: whether it can be reached from this machine alone. Else every name is right: who can reach
        it by another machine's browser can do so himself.
      names: of hosts that are right beside addresses and ``localhost``.
    """

    def __init__(self, application: Any, *, is_local: bool, names: Iterable[str] = ()) -> None:
        self._application = application
        self._is_local = is_local
        self._names = {_as_compared(name) for name in names}

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] != "http":  # a WebSocket, which nothing here serves
            await self._application(scope, receive, send)
            return
        scope = in_origin_form(scope)
        refusal = self._refusal_of(scope)
        if refusal is None:
            await self._application(scope, receive, send)
            return
        body = f"{refusal}\n".encode()
        headers = [
            (b"content-type", TEXT.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", str(len(body)).encode()),
            # What else comes is not read, and nothing on this connection would be right.
            (b"connection", b"close"),
        ]
        status = int(HTTPStatus.MISDIRECTED_REQUEST)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal_of(self, scope: Mapping[str, Any]) -> str | None:
        if scope["scheme"] == "https":  # the target of an absolute form alone can say so
            return "TLS is not spoken here; write http://"
        given = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
        host = given.decode("latin-1")
        if not self._is_local or self.is_own(host):
            return None
        return (
            f"this server listens on loopback, and {quoted(host)} is none of its names; take its address or "
            "localhost, or start it with --admin-host NAME"
        )

    def is_own(self, authority: str) -> bool:
        """Return whether a request that has this as its ``Host`` is for this server.

        An empty one is: a client of HTTP/1.0 need not send any, and every browser does.
        """
        match = _AUTHORITY.fullmatch(authority.strip())
        if match is None:
            return False
        name = _as_compared(match[1])
        return (
            not name
            or name == _LOCALHOST
            or name.endswith(f".{_LOCALHOST}")
            or name in self._names
            or _is_address(name)
        )


def _as_compared(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    is_bracketed = name.startswith("[")
    try:
        ip = ipaddress.ip_address(name[1:-1].partition("%")[0] if is_bracketed else name)
    except ValueError:
        return False
    return (ip.version == 6) == is_bracketed
