"""What both sides must have in common: the version of this package, and what an engine is for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Purpose:
    """What the engines of a cluster are: one program on every worker.

    Attributes:
      program: its module, and the words that follow; ``--name NAME`` is added.
      identity: the function on whose result both sides must agree, as ``module:name``.
      schema: what that returns on this machine.
      shared: what is different if they do not, in a word of several: "plans".
    """

    program: tuple[str, ...]
    identity: str
    schema: str
    shared: str


def own_version() -> str:
    """Return the version of this package."""
    from importlib import metadata  # takes long, and only a cluster needs it

    try:
        return metadata.version("trioecho")
    except metadata.PackageNotFoundError:  # a source tree that was not installed
        return "unknown"


def schema_by(identity: str) -> str:
    """Return what the function of this name returns here."""
    module, _, name = identity.partition(":")
    return str(getattr(import_module(module), name)())


def schema_of(kinds: Iterable[Any]) -> str:
    """Return a hash of the names and types of all attributes of these dataclasses."""
    words = [f"{kind.__name__}.{field.name}: {field.type}" for kind in kinds for field in fields(kind)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
