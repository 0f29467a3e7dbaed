"""A service of one function. What the function takes decides which of these it is.

=========================================  ===================================================
``(message: bytes)``                       returns the reply; plain or async, as `reply_with` takes
``(connection: ConnectionInfo)``           makes one of these for each connection, as
                                           `reply_per_connection` takes; also a class
``async (channel: FrameChannel)``          the handler of a connection, as `serve_frames` takes
``()``, with ``@asynccontextmanager``      gives one of these; open for as long as the service is
=========================================  ===================================================
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ..base.describe import describe_with_place
from ..connection.connection_info import ConnectionInfo
from ..connection.handlers import checked_handler, name_of
from .handlers import Handler, reply_per_connection, reply_with

ReplyFunction = Callable[[bytes], "bytes | Awaitable[bytes]"]
Served = ReplyFunction | Callable[[ConnectionInfo], ReplyFunction] | Handler

_MESSAGE = re.compile(r"\b(bytes|bytearray|memoryview|Buffer)\b")
_CONNECTION = re.compile(r"\bConnectionInfo\b")
_CHANNEL = re.compile(r"\bFrameChannel\b")
_WHAT_TO_WRITE = (
    "(message: bytes) of what returns a reply, (channel: FrameChannel) of what has a whole connection"
)


class _Takes(enum.Enum):
    MESSAGE = enum.auto()
    CONNECTION = enum.auto()
    CHANNEL = enum.auto()
    NOTHING = enum.auto()


class ServiceStartError(Exception):
    """The context manager of a service has failed before it gave a function; the message says why."""


class ServiceEndError(Exception):
    """The context manager of a service has failed afterwards; the message says why."""


class Service:
    """What is served.

    Args:
      function: as above.

    Raises:
      TypeError: it is none of these, or it cannot be seen which.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        takes = _what_is_taken(function)
        self._handler = None if takes is _Takes.NOTHING else _handler_of(function, takes)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Handler]:
        """Give the handler; if there is a context manager, it is entered before and left after this.

        Cancellation is the context manager's to see.

        Raises:
          ServiceStartError, ServiceEndError: the context manager has failed.
        """
        if self._handler is not None:
            yield self._handler
            return
        is_ours = False
        try:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    given = await stack.enter_async_context(self.function())
                    handler = _handler_of(given, _what_is_taken(given, is_given=True))
                except Exception as error:
                    raise ServiceStartError(_in_words(self.function, error)) from error
                try:
                    yield handler
                except Exception:
                    is_ours = True
                    raise
        except ServiceStartError:
            raise
        except Exception as error:
            if is_ours:
                raise
            raise ServiceEndError(_in_words(self.function, error)) from error


def _in_words(function: object, error: Exception) -> str:
    return f"{name_of(function)}() failed: {describe_with_place(error)}"


def _handler_of(function: Any, takes: _Takes) -> Handler:
    if takes is _Takes.MESSAGE:
        return reply_with(function)
    if takes is _Takes.CONNECTION:
        return reply_per_connection(function)
    checked_handler(function)  # raises; what it returns, the server makes for itself
    handler: Handler = function
    return handler


def _what_is_taken(function: Any, *, is_given: bool = False) -> _Takes:
    """Return what a function is to be called with.

    Args:
      function: any object.
      is_given: whether a context manager gave it, and so it can be none.

    Raises:
      TypeError: none of these.
    """
    name = name_of(function)
    if inspect.iscoroutine(function):
        function.close()
        raise TypeError(f"give {name} itself, without calling it")
    if not callable(function):
        kind = "nothing" if function is None else f"an object of type {type(function).__name__}"
        raise TypeError(f"{kind} cannot be served; write a function {_WHAT_TO_WRITE}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some functions in C it is not known
        return _Takes.MESSAGE
    parameters = list(signature.parameters.values())
    if not any(_is_positional(parameter) for parameter in parameters):
        if is_given:
            raise TypeError(f"{name}{signature} takes nothing; write {_WHAT_TO_WRITE}")
        _check_context_manager(function, name)
        return _Takes.NOTHING
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(
            f"{name}{signature} takes more than one argument, and is called with one; write {_WHAT_TO_WRITE}"
        ) from None
    return _what_one_argument_is(function, name, parameters[0], signature.return_annotation)


def _what_one_argument_is(function: Any, name: str, parameter: inspect.Parameter, returned: object) -> _Takes:
    annotation, returns = _in_text(parameter.annotation), _in_text(returned)
    if _CHANNEL.search(annotation):
        return _Takes.CHANNEL
    if _CONNECTION.search(annotation):
        return _Takes.CONNECTION
    if _MESSAGE.search(annotation):
        return _Takes.MESSAGE
    if annotation == "str":
        raise TypeError(f"{name}() takes text, and messages are bytes; write {_WHAT_TO_WRITE}")
    if parameter.name == "connection":
        return _Takes.CONNECTION
    if _MESSAGE.search(returns) or parameter.name == "message":
        return _Takes.MESSAGE
    if returns == "None" or parameter.name == "channel":
        return _Takes.CHANNEL
    body = inspect.unwrap(function)
    if inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(getattr(body, "__call__", None)):  # noqa: B004 - its body is looked at, and not called
        raise TypeError(
            f"{name}({parameter.name}) does not say whether it takes a message or a connection; "
            f"write {_WHAT_TO_WRITE}"
        )
    return _Takes.MESSAGE  # a handler of a channel is async


def _check_context_manager(function: Any, name: str) -> None:
    body = inspect.unwrap(function)
    if hasattr(function, "__aenter__"):  # a class
        return
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"{name}() has a yield in it and takes nothing; write @asynccontextmanager above it")
    if inspect.isasyncgenfunction(body) or "ContextManager" in _in_text(
        inspect.signature(function).return_annotation
    ):
        return
    raise TypeError(
        f"{name}() takes nothing; write {_WHAT_TO_WRITE}, or @asynccontextmanager above a function that "
        "yields one of these"
    )


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind not in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)


def _in_text(annotation: object) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    if annotation is None:
        return "None"
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
