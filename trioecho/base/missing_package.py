"""What is said where a package of an extra is not installed."""

from __future__ import annotations

from collections.abc import Sequence


def missing_words(what: str, packages: Sequence[str], extra: str, *more: str) -> str:
    """Return one line that says what is missing and how to get it.

    Args:
      what: needs it, as ``--admin``.
      packages: that are not installed.
      extra: the one of trioecho that has them.
      more: packages that no extra has.
    """
    verb = "is" if len(packages) == 1 else "are"
    wanted = " ".join([f"'trioecho[{extra}]'", *more])
    return f"{what} needs {' and '.join(packages)}, which {verb} not installed: pip install {wanted}"
