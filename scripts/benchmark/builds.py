"""Builds what is compiled: servers in C, Go and Rust, the load in C, and trioecho itself.

Each is built when it is first needed, into ``.bench/`` in the checkout, under a name that
has its sources' checksum in it. So it is built again when they change, and only then.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILT = ROOT / ".bench"

# Debian's librust-*-dev packages put the sources of crates here.
_DEBIAN_CRATES = Path("/usr/share/cargo/registry")


class NotBuiltError(Exception):
    """Something could not be built; the message is one line: a tool is missing, or its last words."""


@functools.cache
def c_program(source: str) -> Path:
    """Compile one file of C; return the program.

    Raises:
      NotBuiltError: there is no C compiler, or not Linux.
    """
    if sys.platform != "linux":
        raise NotBuiltError("it needs Linux's epoll")
    file = HERE / source
    compiler = _tool("cc", "gcc", "clang")
    return _once(file.stem, [file], lambda to: _run([compiler, "-O2", "-o", str(to), str(file)]))


@functools.cache
def go_program(source: str) -> Path:
    """Compile one file of Go, which uses only the standard library; return the program.

    Raises:
      NotBuiltError: there is no Go.
    """
    file = HERE / source
    go = _tool("go")
    return _once(file.stem, [file], lambda to: _run([go, "build", "-o", str(to), str(file)]))


@functools.cache
def rust_program(crate: str) -> Path:
    """Compile a crate; return the program, which is called like its folder.

    The crates that it needs come from where cargo is set up to find them; if it
    cannot get them, from Debian's packages of them.

    Raises:
      NotBuiltError: there is no Rust, or a crate that is needed cannot be had.
    """
    folder = HERE / crate
    cargo = _tool("cargo")

    def build(to: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / folder.name  # cargo writes beside the sources
            shutil.copytree(folder, copy)
            command = [cargo, "build", "--release", "--target-dir", str(Path(scratch) / "target")]
            try:
                _run(command, copy)
            except NotBuiltError:
                if not _DEBIAN_CRATES.is_dir():
                    raise
                debian = f'source.debian.directory="{_DEBIAN_CRATES}"'
                instead = 'source.crates-io.replace-with="debian"'
                (copy / "Cargo.lock").unlink(missing_ok=True)
                _run([*command, "--offline", "--config", instead, "--config", debian], copy)
            shutil.copy(Path(scratch) / "target" / "release" / folder.name, to)

    return _once(folder.name, [folder / "Cargo.toml", *folder.rglob("*.rs")], build)


@functools.cache
def compiled_trioecho() -> Path:
    """Build this checkout's trioecho with its compiled modules; return the folder to import it from.

    Raises:
      NotBuiltError: it cannot be compiled here.
    """

    def build(to: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "--target", str(to), str(ROOT)], env={"TRIOECHO_COMPILED": "1"})
        if not any(to.rglob("*.so")):
            raise NotBuiltError("pip has compiled nothing")

    python = f"{sys.implementation.cache_tag}-trioecho"
    sources = [file for folder in ("trioecho", "scripts/build") for file in (ROOT / folder).rglob("*.py")]
    return _once(python, [ROOT / "pyproject.toml", *sources], build)


def _once(name: str, sources: Iterable[Path], build: Callable[[Path], object]) -> Path:
    """Return what ``build`` makes of the sources: what it has made before, if they are the same."""
    checksum = hashlib.sha256()
    for source in sorted(sources):
        checksum.update(source.read_bytes())
    built = BUILT / f"{name}-{checksum.hexdigest()[:12]}"
    if not built.exists():
        print(f"building {name} (once) ...", file=sys.stderr, flush=True)
        BUILT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT) as unfinished:
            made = Path(unfinished) / name
            build(made)
            for old in BUILT.glob(f"{name}-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            made.rename(built)
    return built


def _tool(*names: str) -> str:
    """Return where the first of these is that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise NotBuiltError(f"{names[0]} is not installed")
    return found


def _run(command: Sequence[str], folder: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it wrote nothing"]
        errors = [line for line in words if "error" in line.lower()]
        raise NotBuiltError(f"{Path(command[0]).name} failed: {(errors or words)[-1].strip()}")
