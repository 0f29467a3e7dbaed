"""The function that is served, by its name: ``MODULE:HANDLER`` and ``FILE.py:HANDLER``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ..base.functions_by_name import FunctionNotFoundError, FunctionReference, find_function, place_of
from ..connection.handlers import name_of
from .service import Service


def load_service(reference: FunctionReference) -> Service:
    """Import what is named there, as `find_function` does, and return it as a service.

    Raises:
      FunctionNotFoundError: there is no such module or function, its import fails, or it cannot be served.
    """
    function = find_function(reference)
    try:
        return Service(function)
    except TypeError as error:
        raise FunctionNotFoundError(f"{reference.name}{place_of(function)}: {error}") from error


def reference_to(function: Callable[..., Any]) -> FunctionReference:
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
    return FunctionReference(f"{where}:{name}", os.getcwd())  # noqa: PTH109 - as a string
