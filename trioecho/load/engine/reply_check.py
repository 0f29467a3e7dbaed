"""Judge one reply by less than its whole content: by its length, or by a function of the user."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ...base.describe import describe, describe_with_place
from ...base.printable import printable_line
from ...base.quantities import plural
from ..reply_rule import ReplyRule

_SHOWN_BYTES = 24


class ReplyVerdict(NamedTuple):
    """What a reply is.

    Attributes:
      kind: "right", or a kind of error: "wrong", "unchecked".
      detail: why, in words.
    """

    kind: str
    detail: str = ""


ReplyCheck = Callable[[bytes, bytes], ReplyVerdict]

RIGHT = ReplyVerdict("right")


class CheckNotFoundError(ValueError):
    """The function that is to check replies cannot be used; the message is one line that says why."""


def check_of(rule: ReplyRule, folder: str) -> ReplyCheck | None:
    """Return what judges a message and its reply; None if frames are only counted.

    Args:
      rule: how replies are verified; not one that is compared.
      folder: where a module may be that is not installed.

    Raises:
      CheckNotFoundError: there is no such function, or its module cannot be imported.
    """
    if rule.word == "count":
        return None
    if rule.word == "same-length":
        return _same_length
    return _UserCheck(rule.text, _function(rule.text, folder))


def _same_length(message: bytes, reply: bytes) -> ReplyVerdict:
    if len(message) == len(reply):
        return RIGHT
    return ReplyVerdict("wrong", f"{plural(len(reply), 'byte')} instead of {len(message):,}")


class _UserCheck:
    """Gives message and reply to a function of the user.

    True and None are right, and False is wrong. What the function raises, or any other value, is
    counted (unchecked), and ends nothing.
    """

    def __init__(self, name: str, function: Callable[[bytes, bytes], object]) -> None:
        self._name = name
        self._function = function

    def __call__(self, message: bytes, reply: bytes) -> ReplyVerdict:
        try:
            verdict = self._function(message, reply)
        except Exception as error:  # noqa: BLE001 - a function of the user may raise anything, and ends nothing
            return ReplyVerdict(
                "unchecked", f"{self._name} raised {printable_line(describe_with_place(error))}"
            )
        if verdict is True or verdict is None:
            return RIGHT
        if verdict is False:
            return ReplyVerdict("wrong", f"{self._name} returned False for {_shown(reply)}")
        found = printable_line(f"{type(verdict).__name__}")
        return ReplyVerdict(
            "unchecked", f"{self._name} returned neither True nor False nor None, but {found}"
        )


def _shown(data: bytes) -> str:
    more = f"... ({len(data):,} bytes)" if len(data) > _SHOWN_BYTES else ""
    return f"{data[:_SHOWN_BYTES]!r}{more}"


def _function(name: str, folder: str) -> Callable[[bytes, bytes], object]:
    module_name, _, function_name = name.partition(":")
    try:
        module = _module(module_name, folder)
    except Exception as error:  # noqa: BLE001 - to import a module of the user is to run it
        has_place = not isinstance(
            error, ImportError
        )  # which names the module; its place is in Python itself
        reason = printable_line(describe_with_place(error) if has_place else describe(error))
        raise CheckNotFoundError(f"{module_name} cannot be imported: {reason}") from None
    function = getattr(module, function_name, None)
    if function is None:
        raise CheckNotFoundError(f"{module_name} has no {function_name}")
    if not callable(function) or inspect.iscoroutinefunction(function):
        what = "async, and must not be" if callable(function) else "no function"
        raise CheckNotFoundError(f"{name} is {what}; it takes a message and its reply")
    try:
        inspect.signature(function).bind(b"message", b"reply")
    except TypeError as error:
        raise CheckNotFoundError(f"{name} has to take a message and its reply: {describe(error)}") from None
    except ValueError:  # some that are built in have none
        pass
    checked: Callable[[bytes, bytes], object] = function
    return checked


def _module(name: str, folder: str) -> ModuleType:
    """Import a module; one that is in ``folder`` is looked for by its own name alone.

    So no other file in that folder takes the place of a module that something else imports.
    """
    path = Path(folder) / f"{name}.py"
    if "." in name or not path.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
