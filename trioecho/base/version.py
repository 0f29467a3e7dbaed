"""What runs, in words for people and results."""

from __future__ import annotations

from .build import BUILD


def version_and_build() -> str:
    """Return the version of this package, and which build it is: ``0.1.0 (plain)``."""
    from importlib import metadata  # takes as long as all of argparse, and no help text needs it

    try:
        version = metadata.version("trioecho")
    except metadata.PackageNotFoundError:  # a source tree that was not installed
        version = "unknown"
    return f"{version} ({BUILD})"
