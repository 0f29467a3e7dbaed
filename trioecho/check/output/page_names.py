"""Names of the files in which servers have their pages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...base.printable import printable

INDEX = "index.html"
_MOST_CHARACTERS = 60


def page_names(targets: Sequence[str]) -> list[str]:
    """Return a file's name for each server: its own name, as far as any system takes it, and ``.html``.

    No two are the same, not even where upper and lower case are, and none is that of the index.
    """
    taken = {INDEX.casefold()}
    names = []
    for target in targets:
        stem = re.sub(r"[^\w.+@-]+", "-", printable(target))[:_MOST_CHARACTERS].strip("-.") or "server"
        name, number = f"{stem}.html", 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}.html"
        taken.add(name.casefold())
        names.append(name)
    return names
