"""Puts what mypyc compiles into the wheel, where there is a compiler for it.

The environment variable TRIOECHO_COMPILED decides: 1 compiles, or fails and says why; 0 never
compiles; without it, what cannot be compiled is left plain. An editable install always is:
who changes the source wants to see the change.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent
# As in the extra `check`: another version of the compiler may do another thing.
REQUIREMENTS = ["mypy ~=2.4.1", "setuptools >=77"]
# Those for which scripts/wheels builds; a newer one gets the plain package.
PYTHONS = [(3, 10), (3, 11), (3, 12), (3, 13)]


class CompileHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling gives its own configuration
    """What hatchling calls when it builds a wheel."""

    def dependencies(self) -> list[str]:
        wish = os.environ.get("TRIOECHO_COMPILED", "")
        if wish not in ("", "0", "1"):
            self.app.abort(f"TRIOECHO_COMPILED is 1, 0 or not set, and not {wish!r}")
        if wish == "0":
            return []
        if hindrance := next(hindrances(), ""):
            if wish:
                self.app.abort(f"TRIOECHO_COMPILED=1, but nothing can be compiled here: {hindrance}")
            return []
        return REQUIREMENTS

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not self.dependencies():
            return
        self._folder = tempfile.TemporaryDirectory(prefix="trioecho-")  # is needed until the wheel is written
        copy = Path(self._folder.name)
        shutil.copytree(Path(self.root, "trioecho"), copy / "trioecho", ignore=_caches)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, HERE / "compile.py"],
            cwd=copy,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        extensions = sorted((copy / "built").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
        if done.returncode or not extensions:
            message = f"compiling failed:\n{done.stdout}"
            if os.environ.get("TRIOECHO_COMPILED"):
                self._folder.cleanup()
                self.app.abort(message)
            self.app.display_warning(f"{message}\nThe wheel is plain.")
            return
        for extension in extensions:
            build_data["force_include"][str(extension)] = extension.relative_to(copy / "built").as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def hindrances() -> Iterator[str]:
    """Yield why nothing can be compiled here, if so."""
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        yield "mypyc compiles for CPython with its global lock"
    if sys.version_info[:2] not in PYTHONS:
        yield f"it is meant for Python {', '.join('{}.{}'.format(*each) for each in PYTHONS)} only"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        yield "the headers of Python are not here; on Debian and Ubuntu: apt install python3-dev"
    if sys.platform == "win32":
        yield "on Windows it was never tried"
        return
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(shlex.split(command)[0]) is None:
        yield f"there is no C compiler ({command}); on Debian and Ubuntu: apt install gcc"


def _caches(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]
