"""Checks the functions that a service is made of when they are given, not at the first message."""

from __future__ import annotations

import enum
import functools
import inspect
import re
import types
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from ..errors import PayloadTooLargeError


class _Role(NamedTuple):
    name: str
    example: str
    argument: str
    # How the argument of the other role is annotated, and what to do with such a function.
    others: re.Pattern[str]
    advice: str


_HANDLER = _Role(
    "handler",
    "async def handler(channel)",
    "the channel",
    re.compile(r"(builtins\.)?(bytes|str|bytearray|memoryview)"),
    "it takes a message: give serve_frames reply_with({})",
)
_REPLY = _Role(
    "reply function",
    "def reply(message) or async def reply(message)",
    "the message",
    re.compile(r".*\bFrameChannel"),
    "it takes a channel: give {} to serve_frames itself",
)
_AWAITABLE = re.compile(r"\b(Awaitable|Coroutine|Any)\b")


class _Kind(enum.Enum):
    """What calling a function gives, as far as that can be seen."""

    AWAITABLE = enum.auto()
    RESULT = enum.auto()
    UNKNOWN = enum.auto()  # of a lambda, or a function in C, or from its annotation


class AsyncReply(NamedTuple):
    """A function that replies, if what it returns is to be awaited."""

    function: Callable[[bytes], Awaitable[bytes]]


class PlainReply(NamedTuple):
    """A function that replies, if what it returns is the reply."""

    function: Callable[[bytes], bytes]


def checked_handler(handler: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Return a handler that is good, or one that says what is wrong as soon as it is called.

    Raises:
      TypeError: it cannot be a handler.
    """
    kind = _checked(handler, _HANDLER)
    if kind is _Kind.AWAITABLE:
        return handler
    name = name_of(handler)
    if kind is _Kind.RESULT:
        raise TypeError(
            f"{name}() is not async: write {_HANDLER.example}; if it returns an awaitable, annotate it so "
            f"(-> Awaitable); if it is from message to message, give serve_frames reply_with({name})"
        )

    @functools.wraps(handler)
    async def checked(channel: Any) -> Any:
        made: object = handler(channel)
        if not inspect.isawaitable(made):
            raise TypeError(f"{name}() returned {_type_of(made)} and is not async: write {_HANDLER.example}")
        return await made

    return checked


def checked_reply(reply: Callable[[bytes], bytes | Awaitable[bytes]]) -> AsyncReply | PlainReply:
    """Return a function that replies as what it is, async or not.

    Of a lambda, or a function in C, only a reply shows whether it is to be awaited. So it is
    taken as async, and need not be.

    Raises:
      TypeError: it cannot be a reply function.
    """
    kind = _checked(reply, _REPLY)
    if kind is _Kind.RESULT:
        return PlainReply(cast("Callable[[bytes], bytes]", reply))
    if kind is _Kind.AWAITABLE:
        return AsyncReply(cast("Callable[[bytes], Awaitable[bytes]]", reply))

    @functools.wraps(reply)
    async def awaited(message: bytes) -> bytes:
        made = reply(message)
        return await made if inspect.isawaitable(made) else made

    return AsyncReply(awaited)


def check_maker(make_reply: Callable[..., object]) -> None:
    """Look at a function that makes reply functions.

    Raises:
      TypeError: it cannot be one.
    """
    if not callable(make_reply):
        raise TypeError(f"what makes a reply is a function, make(connection), and not {_type_of(make_reply)}")
    name = name_of(make_reply)
    if inspect.iscoroutinefunction(inspect.unwrap(make_reply)):
        raise TypeError(f"{name}() is async, and it has to return the reply function at once: write def")
    try:
        inspect.signature(make_reply).bind(None)
    except ValueError:  # of some functions in C it is not known
        pass
    except TypeError:
        raise TypeError(f"{name}() is called with the connection, and nothing else") from None


def check_result(handler: Callable[..., object], result: object) -> None:
    """Look at what a handler has returned, which is nothing to anybody.

    Raises:
      TypeError: it is a message, or the channel that was given: it was meant to be sent.
    """
    if isinstance(result, bytes | bytearray | memoryview | str) or type(result).__name__ == "FrameChannel":
        raise TypeError(
            f"{name_of(handler)}() returned {_type_of(result)}, and nobody sends what a handler returns: "
            "a function from message to message goes into reply_with()"
        )


def checked_payload(reply: Callable[..., object], payload: object, max_frame_length: int) -> bytes:
    """Return a reply of any type as bytes: it may be a buffer that the next one is made in.

    Raises:
      PayloadTooLargeError: it is too large.
      TypeError: it is not bytes-like.
    """
    try:
        payload = memoryview(cast("bytes", payload)).tobytes()
    except TypeError:
        hint = ""
        if inspect.isawaitable(payload):
            hint = "; write async def, or annotate that it returns an awaitable (-> Awaitable[bytes])"
        if inspect.iscoroutine(payload):
            payload.close()  # nobody awaits it
        raise TypeError(
            f"{name_of(reply)}() returned {_type_of(payload)}, and a reply is bytes{hint}"
        ) from None
    if len(payload) > max_frame_length:
        raise PayloadTooLargeError(len(payload), max_frame_length)
    return payload


def name_of(function: object) -> str:
    """Return what a person calls a function."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _checked(function: Any, role: _Role) -> _Kind:
    name = name_of(function)
    if inspect.iscoroutine(function):
        function.close()
        raise TypeError(f"a {role.name} is a function; give {name} itself, without calling it")
    if not callable(function):
        raise TypeError(f"a {role.name} is a function, {role.example}, and not {_type_of(function)}")
    returns = _check_signature(function, name, role)
    body = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    if not isinstance(body, types.FunctionType | types.MethodType | types.BuiltinFunctionType | type):
        body = type(body).__call__  # an object that can be called
    if inspect.iscoroutinefunction(body):
        return _Kind.AWAITABLE
    if _AWAITABLE.search(returns):  # perhaps only one of what it may return
        return _Kind.UNKNOWN
    if inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
        raise TypeError(f"{name}() has a yield in it, which makes it no {role.name}: {role.example} is one")
    if isinstance(body, types.FunctionType | types.MethodType) and body.__name__ != "<lambda>":
        return _Kind.RESULT
    return _Kind.UNKNOWN


def _check_signature(function: Callable[..., object], name: str, role: _Role) -> str:
    """Return what it is annotated to return, in words; nothing if it is not."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some functions in C it is not known
        return ""
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(
            f"{name}{signature} cannot be a {role.name}: it is called with {role.argument}, and nothing else"
        ) from None
    if role.others.fullmatch(_annotation(next(iter(signature.parameters.values())).annotation)):
        raise TypeError(f"{name}() is no {role.name}, {role.advice.format(name)}")
    return _annotation(signature.return_annotation)


def _annotation(annotation: object) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _type_of(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
