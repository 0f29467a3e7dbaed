"""Reads files of TOML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ...base.describe import describe
from ...base.missing_package import missing_words


class TomlFileError(Exception):
    """A file cannot be read, or is no TOML; the message says why, in one line."""


def read_toml(path: str, option: str) -> dict[str, Any]:
    """Return the tables of a file that an option names.

    Raises:
      TomlFileError: it cannot be read, or is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            raise TomlFileError(
                f"{missing_words(option, ['tomli'], 'config')}; or take Python 3.11"
            ) from None
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TomlFileError(f"cannot read {path}: {describe(error)}") from None
    except ValueError as error:  # of TOML, of UTF-8, or of a path
        raise TomlFileError(f"{path} is no TOML: {describe(error)}") from None
