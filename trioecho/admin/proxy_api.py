"""The API that changes proxies while they run: JSON over HTTP, on the address of ``--admin``.

A request either does all that it asks for, or it changes nothing and its reply is a 4xx with one
sentence, ``{"error": ...}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from ..base.suggestion import quoted
from ..proxy import ConflictError, NotThereError, ProxyRequestError, ProxySet, find_fault
from .application import MOST_BODY_BYTES, PageReply, PageRequest

_JSON = "application/json"
_CHANGING = ("POST", "PATCH", "DELETE")

# Does a request on a path with these names, and with this object as its body; returns what to reply.
Action = Callable[[list[str], Any], Awaitable[object]]


class ProxyApi:
    """Does what requests on ``/proxies`` and ``/reset`` ask for.

    Args:
      proxies: what is shown and changed.
    """

    def __init__(self, proxies: ProxySet) -> None:
        self._proxies = proxies
        # By the shape of a path, in which * is a name.
        self._actions: dict[tuple[str, ...], dict[str, Action]] = {
            ("proxies",): {"GET": self._list, "POST": self._add},
            ("proxies", "*"): {"GET": self._show, "PATCH": self._change, "DELETE": self._remove},
            ("proxies", "*", "faults"): {"GET": self._list_faults, "POST": self._add_fault},
            ("proxies", "*", "faults", "*"): {
                "GET": self._show_fault,
                "PATCH": self._change_fault,
                "DELETE": self._remove_fault,
            },
            ("reset",): {"POST": self._reset},
        }

    def has(self, path: str) -> bool:
        """Return whether a path begins as one of the API does."""
        return re.match(r"/(proxies|reset)(/|$)", path) is not None

    async def reply_to(self, method: str, request: PageRequest, body: bytes | None) -> PageReply:
        """Do what a request asks for; reply with an object, or with an error in one sentence."""
        names = request.path.strip("/").split("/")
        shape = tuple("*" if place in (1, 3) else word for place, word in enumerate(names))
        actions = self._actions.get(shape)
        if actions is None:
            return _error(404, f"there is no {quoted(request.path)}; there are /proxies and /reset")
        action = actions.get("GET" if method == "HEAD" else method)
        if action is None:
            allowed = ", ".join(actions)
            return _error(
                405, f"{quoted(request.path)} has {allowed}, and no {quoted(method)}", allow=allowed
            )
        if method in _CHANGING and (refusal := _refusal_of_a_page(method, request)) is not None:
            return refusal
        if body is None:
            return _error(413, f"a request has at most {MOST_BODY_BYTES} bytes")
        try:
            written = _read(body) if method in ("POST", "PATCH") and names != ["reset"] else None
            done = await action(names[1::2], written)
        except ProxyRequestError as error:
            return _error(_status_of(error), str(error))
        return _reply(done, HTTPStatus.CREATED if method == "POST" and written is not None else HTTPStatus.OK)

    async def _list(self, names: list[str], written: object) -> object:
        return {"proxies": [proxy.as_object() for proxy in self._proxies]}

    async def _add(self, names: list[str], written: object) -> object:
        return (await self._proxies.add_as(written)).as_object()

    async def _show(self, names: list[str], written: object) -> object:
        return self._proxies[names[0]].as_object()

    async def _change(self, names: list[str], written: object) -> object:
        return (await self._proxies.change(names[0], written)).as_object()

    async def _remove(self, names: list[str], written: object) -> object:
        await self._proxies.remove(names[0])
        return {}

    async def _list_faults(self, names: list[str], written: object) -> object:
        return {"faults": [fault.as_object() for fault in self._proxies[names[0]].settings.faults]}

    async def _add_fault(self, names: list[str], written: object) -> object:
        return (await self._proxies.add_fault(names[0], written)).as_object()

    async def _show_fault(self, names: list[str], written: object) -> object:
        return find_fault(self._proxies[names[0]].settings, names[1]).as_object()

    async def _change_fault(self, names: list[str], written: object) -> object:
        return (await self._proxies.change_fault(names[0], names[1], written)).as_object()

    async def _remove_fault(self, names: list[str], written: object) -> object:
        await self._proxies.remove_fault(names[0], names[1])
        return {}

    async def _reset(self, names: list[str], written: object) -> object:
        await self._proxies.reset()
        return await self._list([], None)


def proxy_api(proxies: ProxySet) -> ProxyApi:
    """Return the API of some proxies."""
    return ProxyApi(proxies)


def _refusal_of_a_page(method: str, request: PageRequest) -> PageReply | None:
    """Return the reply to what a page of any site can make a browser send; None for what it cannot."""
    if "origin" in request.headers:
        return _error(403, "pages of a browser cannot command proxies; use a program, as curl")
    # A browser asks for leave before it sends this type, or DELETE, elsewhere; and gets none.
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if method != "DELETE" and content_type != _JSON:
        return _error(415, f"send the header content-type: {_JSON}")
    return None


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProxyRequestError(f"the body is no JSON: {error}") from None


def _status_of(error: ProxyRequestError) -> int:
    if isinstance(error, NotThereError):
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.CONFLICT if isinstance(error, ConflictError) else HTTPStatus.BAD_REQUEST


def _error(status: int, sentence: str, **headers: str) -> PageReply:
    return PageReply(f"{json.dumps({'error': sentence})}\n".encode(), _JSON, status, headers)


def _reply(done: object, status: int) -> PageReply:
    return PageReply(f"{json.dumps(done)}\n".encode(), _JSON, status)
