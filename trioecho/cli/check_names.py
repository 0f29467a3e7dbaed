"""Names for the files of a class: what differs in their paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def names_of_files(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: the first part of it in which all differ, else all that differs.

    ``hw/ada/server.py`` and ``hw/alan/server.py`` are ``ada`` and ``alan``, and so are
    ``hw/ada.py`` and ``hw/alan.py``. A path alone is its own name. Equal paths have equal
    names.
    """
    parts = [Path(os.path.normpath(path)).parts for path in paths]
    if len(set(map(tuple, parts))) < 2:
        return list(paths)
    while min(map(len, parts)) > 1 and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    while min(map(len, parts)) > 1 and len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    names = ["/".join(each) for each in parts]
    for column in range(min(map(len, parts))):
        if len({each[column] for each in parts}) == len(set(names)):
            names = [each[column] for each in parts]
            break
    return _without_common_ending(names)


def _without_common_ending(names: list[str]) -> list[str]:
    """Leave out ``.py`` where all have it."""
    endings = {os.path.splitext(name)[1] for name in names}  # noqa: PTH122 - a name, and no path
    if len(endings) != 1 or endings == {""}:
        return names
    ending = endings.pop()
    return [name.removesuffix(ending) for name in names]
