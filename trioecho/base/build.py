"""Which build of this package runs: compiled, or plain.

They differ in speed alone. What is compiled is listed in ``scripts/build_hook.py``, and this
module is a part of it: it says which one it is by the file that it was loaded from.
"""

from __future__ import annotations

from typing import Final

IS_COMPILED: Final[bool] = not __file__.endswith((".py", ".pyc"))
BUILD: Final[str] = "compiled" if IS_COMPILED else "plain"
