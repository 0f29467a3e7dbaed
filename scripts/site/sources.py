"""Write the pages of the site to a folder: README as its front page, the guide, the API.

Run as ``sources.py FOLDER``.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import trioecho
from trioecho.guide import TOPICS, read_topic

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "trioecho" / "guide" / "pictures"

API = """# API reference

All public names; whatever is not here may change at any time.

```{eval-rst}
.. automodule:: trioecho
   :no-members:

%s
```
"""
CONTENTS = """
```{toctree}
:hidden:

%s
api
```
"""


def main() -> None:
    target = Path(sys.argv[1])
    shutil.copytree(PICTURES, target / "pictures")
    front = (ROOT / "README.md").read_text("utf-8")
    (target / "index.md").write_text(linked(front) + CONTENTS % "\n".join(TOPICS), "utf-8")
    for name in TOPICS:
        (target / f"{name}.md").write_text(linked(read_topic(name)), "utf-8")
    (target / "api.md").write_text(API % "\n".join(map(documented, sorted(trioecho.__all__))), "utf-8")


def linked(page: str) -> str:
    """Return the page with links that hold on the site; what the site lacks, such as code, is only named."""
    page = re.sub(r"\]\((?:\.\./\.\./)?README\.md", "](index.md", page)
    page = re.sub(r"\]\(trioecho/guide/", "](", page)
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https:|#|[\w-]+\.md)[^)]+\)", r"\1", page)


def documented(name: str) -> str:
    """Return the directive for a public name."""
    value = getattr(trioecho, name)
    if isinstance(value, int):
        return f".. py:data:: {name}\n   :value: {value}\n"
    kind = "data"
    if isinstance(value, type):
        kind = "exception" if issubclass(value, BaseException) else "class"
    elif callable(value) and hasattr(value, "__name__"):
        kind = "function"
    return f".. auto{kind}:: {name}\n"


main()
