"""How to start this program again, in another process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

_PACKAGE_PARENT = str(Path(__file__).parents[2])
# The environment of our processes has the PYTHONPATH of whoever started the first of them here.
_OUTER_PYTHONPATH = "_TRIOECHO_PYTHONPATH"  # not as options begin


class Program(NamedTuple):
    """What to start a process with; None is as in `subprocess.Popen`."""

    command: list[str]
    env: dict[str, str] | None = None
    cwd: str | None = None


def working_folder() -> str:
    """Return the working directory; an empty text if it has been removed."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def own_program(*arguments: str, module: str = "trioecho") -> Program:
    """Return how to start ``python -m MODULE ARGUMENTS``, importing what this process imports.

    Everything is imported from where this process has it from, in the same order,
    but never from the working directory: a file there that is called like a module
    must not run. Where the package itself is in the working directory, that comes last.
    """
    here = working_folder()
    # In a working directory that has been removed, what is relative to it is nowhere.
    found = [folder for folder in sys.path if folder and (here or Path(folder).is_absolute())]
    folders = [os.path.abspath(folder) for folder in found]  # noqa: PTH100 - links stay
    folders = [folder for folder in folders if os.path.realpath(folder) != here]
    if _PACKAGE_PARENT not in folders:
        folders.append(_PACKAGE_PARENT)
    # Since Python 3.11, -P keeps `-m` from putting the working directory first.
    # Before, the working directory must be one in which only the system's owner writes.
    cache = {"PYTHONDONTWRITEBYTECODE": "1"} if sys.dont_write_bytecode else {}
    has_safe_path = sys.version_info >= (3, 11)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), **cache}
    environment.setdefault(_OUTER_PYTHONPATH, os.environ.get("PYTHONPATH", ""))
    return Program(
        [sys.executable, *(["-P"] if has_safe_path else []), "-m", module, *arguments],
        environment,
        None if has_safe_path else os.path.abspath(os.sep),  # noqa: PTH100 - of the drive, on Windows
    )


def outer_environment() -> dict[str, str]:
    """Return this process's environment without what `own_program` has added, for programs of others."""
    environment = dict(os.environ)
    if (outer := environment.pop(_OUTER_PYTHONPATH, None)) is not None:
        environment.pop("PYTHONPATH", None)
        environment.update({"PYTHONPATH": outer} if outer else {})
    return environment
