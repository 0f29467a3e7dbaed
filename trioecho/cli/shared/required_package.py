"""Packages that a command needs, and that may not be installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from .exit_codes import ExitCode
from .output import CommandError


def import_package(module: str, package: str) -> ModuleType:
    """Import a module; ``package`` is its name for pip.

    Raises:
      CommandError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"this needs the package {package}, which is not installed: pip install {package}",
        ) from None
