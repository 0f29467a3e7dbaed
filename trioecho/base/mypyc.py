"""What classes say to the compiler, mypyc, and to nobody else: it is not needed to run them.

This module itself is never compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**attributes):
        """Return the class as it is."""
        return lambda decorated: decorated


__all__ = ["mypyc_attr"]
