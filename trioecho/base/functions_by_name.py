"""A user's functions by their names: ``MODULE:FUNCTION`` and ``FILE.py:FUNCTION``.

A name is how a user gives one on the command line, and how other processes get theirs.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .describe import describe, describe_with_place

_FORM = "write MODULE:FUNCTION or FILE.py:FUNCTION, as shop:reply"


class FunctionNotFoundError(ValueError):
    """There is no function of use under that name; the message says why, and what would be right."""


@dataclass(frozen=True)
class FunctionReference:
    """Where a function is.

    Attributes:
      name: ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``; a dot in FUNCTION is for what is inside a class.
      folder: an absolute path, where modules and files are looked for; empty if there is none.
    """

    name: str
    folder: str


def find_function(reference: FunctionReference) -> Any:
    """Import what is named there, and return it; whether it is a function is left to the caller.

    The folder is put at the end of where modules are imported from, so that nothing in it takes the
    place of a module of the standard library or of an installed one. It stays there, because
    functions import when they are called, too.

    Raises:
      FunctionNotFoundError: there is no such module or function, or its import fails.
    """
    where, _, function = reference.name.rpartition(":")
    if not where or not function:
        raise FunctionNotFoundError(f"{reference.name!r} does not name a function; {_FORM}")
    if where.endswith(".py"):
        module = _load_file(where, Path(reference.folder, where))
    else:
        module = _load_module(where, reference.folder)
    return _find(module, where, function, reference.folder)


def find_plain_function(reference: FunctionReference, *arguments: object, takes: str) -> Callable[..., Any]:
    """Return what `find_function` finds, if it is a function that can be called, and not awaited.

    Args:
      reference: where it is.
      arguments: such as it will be called with.
      takes: these in words, as "a message and its reply".

    Raises:
      FunctionNotFoundError: there is none, or it is async, or takes other arguments.
    """
    function = find_function(reference)
    name = f"{reference.name}{place_of(function)}"
    if not callable(function):
        raise FunctionNotFoundError(f"{name} is no function; write one that takes {takes}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise FunctionNotFoundError(f"{name} is async, and must not be")
    if inspect.isgeneratorfunction(function):
        raise FunctionNotFoundError(f"{name} has a yield in it, and must not have one here")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise FunctionNotFoundError(f"{name} has to take {takes}: {describe(error)}") from None
    except ValueError:  # some that are built in have no signature
        pass
    found: Callable[..., Any] = function
    return found


def _load_file(where: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise FunctionNotFoundError(f"there is no file {where}")
    _append_to_path(str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - for the type checker: the name ends with .py
    assert spec.loader is not None  # noqa: S101 - likewise
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    loader = spec.loader
    _import(where, lambda: loader.exec_module(module))
    return module


def _load_module(where: str, folder: str) -> ModuleType:
    if not all(part.isidentifier() for part in where.split(".")):
        raise FunctionNotFoundError(f"{where!r} cannot be the name of a module; {_FORM}")
    _append_to_path(folder)
    try:
        _import(where, lambda: importlib.import_module(where))
    except FunctionNotFoundError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and f"{where}.".startswith(f"{missing.name}."):
            places = f"neither in {folder} nor among the installed ones" if folder else "here or installed"
            raise FunctionNotFoundError(f"there is no module {missing.name}, {places}") from error
        raise
    return sys.modules[where]


def _append_to_path(folder: str) -> None:
    if folder and folder not in sys.path:
        sys.path.append(folder)


def _import(where: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (Exception, SystemExit) as error:
        raise FunctionNotFoundError(f"{where} cannot be imported: {describe_with_place(error)}") from error


def _find(module: ModuleType, where: str, function: str, folder: str) -> Any:
    found: Any = module
    for part in function.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [name for name, value in vars(found).items() if callable(value)] if found else []
            close = difflib.get_close_matches(part, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            own = Path(folder, *where.split(".")).with_suffix(".py")
            file = getattr(module, "__file__", None) or "a module of Python's own"
            if own.is_file() and not where.endswith(".py") and file != str(own):
                hint = f": it is {file}; for the file of that name write {own.relative_to(folder)}:{function}"
            raise FunctionNotFoundError(f"{where} has no {function}{hint}") from None
    return found


def place_of(function: Any) -> str:
    """Return where a function is defined, in words; nothing if that is not known."""
    try:
        code = inspect.unwrap(function).__code__
    except (AttributeError, ValueError):
        return ""
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})"
