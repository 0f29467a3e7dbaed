"""Packages that a command needs, and that may not be installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType

from ...base.missing_package import missing_words
from .exit_codes import ExitCode
from .output import CommandError


def import_package(module: str, package: str, extra: str, what: str = "this") -> ModuleType:
    """Import a module.

    Args:
      module: its name.
      package: that of its package.
      extra: the one of trioecho that has it.
      what: needs it.

    Raises:
      CommandError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CommandError(ExitCode.WRONG_USAGE, missing_words(what, [package], extra)) from None


def require_packages(what: str, packages: Mapping[str, str], extra: str) -> None:
    """Find out whether packages are there, without the time that importing them takes.

    Args:
      what: needs them, as ``--admin``.
      packages: their names by those of their modules.
      extra: the one of trioecho that has them.

    Raises:
      CommandError: one is not installed.
    """
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise CommandError(ExitCode.WRONG_USAGE, missing_words(what, missing, extra))
