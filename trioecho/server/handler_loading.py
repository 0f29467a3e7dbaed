"""Functions to serve by their names: ``MODULE:HANDLER`` and ``FILE.py:HANDLER``.

A name is how a user gives one on the command line, and how the workers of a service get theirs.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.describe import describe_with_place
from ..connection.handlers import name_of
from .service import Service

_FORM = "write MODULE:HANDLER or FILE.py:HANDLER, as shop:reply"


class HandlerNotFoundError(Exception):
    """There is no function to serve under that name; the message says why, and what would be right."""


@dataclass(frozen=True)
class HandlerReference:
    """Where a function is.

    Attributes:
      name: ``MODULE:HANDLER`` or ``FILE.py:HANDLER``; a dot in HANDLER is for what is inside a class.
      folder: an absolute path, where modules and files are looked for.
    """

    name: str
    folder: str


def load_service(reference: HandlerReference) -> Service:
    """Import what is named there, and return it as a service.

    The folder is put at the end of where modules are imported from, so that nothing in it takes the
    place of a module of the standard library or of an installed one. It stays there, because
    functions import when they are called, too.

    Raises:
      HandlerNotFoundError: there is no such module or function, its import fails, or it cannot be served.
    """
    where, _, handler = reference.name.rpartition(":")
    if not where or not handler:
        raise HandlerNotFoundError(f"{reference.name!r} does not name a function; {_FORM}")
    if where.endswith(".py"):
        module = _load_file(where, Path(reference.folder, where))
    else:
        module = _load_module(where, reference.folder)
    function = _find(module, where, handler, reference.folder)
    try:
        return Service(function)
    except TypeError as error:
        raise HandlerNotFoundError(f"{reference.name}{_place_of(function)}: {error}") from error


def _load_file(where: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise HandlerNotFoundError(f"there is no file {where}")
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
        raise HandlerNotFoundError(f"{where!r} cannot be the name of a module; {_FORM}")
    _append_to_path(folder)
    try:
        _import(where, lambda: importlib.import_module(where))
    except HandlerNotFoundError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and f"{where}.".startswith(f"{missing.name}."):
            raise HandlerNotFoundError(
                f"there is no module {missing.name}, neither in {folder} nor among the installed ones"
            ) from error
        raise
    return sys.modules[where]


def _append_to_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)


def _import(where: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (Exception, SystemExit) as error:
        raise HandlerNotFoundError(f"{where} cannot be imported: {describe_with_place(error)}") from error


def _find(module: ModuleType, where: str, handler: str, folder: str) -> Any:
    found: Any = module
    for part in handler.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [name for name, value in vars(found).items() if callable(value)] if found else []
            close = difflib.get_close_matches(part, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            own = Path(folder, *where.split(".")).with_suffix(".py")
            file = getattr(module, "__file__", None) or "a module of Python's own"
            if own.is_file() and not where.endswith(".py") and file != str(own):
                hint = f": it is {file}; for the file of that name write {own.relative_to(folder)}:{handler}"
            raise HandlerNotFoundError(f"{where} has no {handler}{hint}") from None
    return found


def _place_of(function: Any) -> str:
    """Return where a function is defined, in words; nothing if that is not known."""
    try:
        code = inspect.unwrap(function).__code__
    except (AttributeError, ValueError):
        return ""
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})"


def reference_to(function: Callable[..., Any]) -> HandlerReference:
    """Return where other processes find a function of this one.

    Raises:
      ValueError: it is not at the top of a module, or of the file that this program runs.
    """
    name = name_of(function)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    where: str | None = None
    if module is not None and found is function:
        spec = getattr(module, "__spec__", None)
        where = getattr(module, "__file__", None) if spec is None else spec.name
    if where is None:
        raise ValueError(
            f"workers import {name} by its name, and find none; define it at the top of a module or a file"
        )
    return HandlerReference(f"{where}:{name}", os.getcwd())  # noqa: PTH109 - as a string
