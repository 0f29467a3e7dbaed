"""Lay the checkout beside what is compiled of it, in `.compiled`, where `scripts/test --compiled` runs.

What was compiled is kept until the source of the package changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / ".compiled"
FOLDERS = ["trioecho", "tests", "scripts", ".ci", ".github"]
FILES = ["pyproject.toml", "README.md", "LICENSE", ".gitignore"]


def main() -> None:
    checkout = SCRATCH / "checkout"
    wheels = SCRATCH / f"wheel-{checksum()}"
    if not list(wheels.glob("*.whl")):
        for old in SCRATCH.glob("wheel-*"):
            shutil.rmtree(old)
        print("compiling (once for this source) ...", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run(  # noqa: S603 - builds this project
            [*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT],
            env={**os.environ, "TRIOECHO_COMPILED": "1"},
            check=True,
        )
    for folder in FOLDERS:
        shutil.rmtree(checkout / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy2(ROOT / file, checkout / file)
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(checkout, [name for name in archive.namelist() if name.endswith((".so", ".pyd"))])
    print(checkout)


def checksum() -> str:
    """Return a number for all that what is compiled depends on."""
    found = hashlib.sha256(sys.version.encode())
    for folder in ("trioecho", "scripts/build"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
