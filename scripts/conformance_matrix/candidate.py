"""A server to grade: how it is started and asked, what it is expected to break, and why."""

from __future__ import annotations

import enum
import importlib.util
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "conformance_servers"


# A server that breaks one of these may keep it in some runs: what comes first decides.
RACES = frozenset({"4.6", "4.7", "6.2", "7.3"})


class Kind(enum.Enum):
    """What a deviation is."""

    DOCUMENTED = "documented"  # the service's own documentation says so
    FAULT = "fault"  # what the suite shows is a fault of the service


@dataclass(frozen=True)
class Deviation:
    """Rules that a server breaks, and why.

    Attributes:
      rules: their ids.
      kind: whether the documentation says so, or it is a fault.
      why: in a sentence or two, with the source, as Markdown.
    """

    rules: tuple[str, ...]
    kind: Kind
    why: str


def documented(*rules: str, why: str) -> Deviation:
    """Return a deviation that the service's documentation explains."""
    return Deviation(rules, Kind.DOCUMENTED, why)


def fault(*rules: str, why: str) -> Deviation:
    """Return a deviation that is a fault of the service."""
    return Deviation(rules, Kind.FAULT, why)


@dataclass(frozen=True)
class Need:
    """What has to be on the machine.

    Attributes:
      what: a program, the path of a file, or, with ``in_python``, a module.
      package: that brings it: Debian's, or, with ``in_python``, of PyPI.
      in_python: whether it is a module of this Python.
    """

    what: str
    package: str
    in_python: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the machine has it."""
        if self.in_python:
            return importlib.util.find_spec(self.what) is not None
        return Path(self.what).exists() or shutil.which(self.what) is not None

    @property
    def how(self) -> str:
        """What installs it."""
        return f"{'pip install' if self.in_python else 'apt-get install'} {self.package}"


def nothing(_: Path) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Ready:
    """How a server is known to be ready that listens before it is.

    Attributes:
      request: bytes that are sent on a connection of their own, again and again.
      reply: how the reply begins when the server is ready.
    """

    request: bytes
    reply: bytes


@dataclass(frozen=True, eq=False)
class Candidate:
    """A server.

    Attributes:
      name: what it is called on the command line.
      title: what it is called in the table, as Markdown.
      command: words that start it; ``{port}`` in them is a free port, ``{folder}`` a folder of its own.
      deviations: what it is expected to break, and nothing else.
      needs: what has to be on the machine.
      version: words that print its version; None where it has none of its own.
      requests: a message a line, as JSON: what it is asked. Without them it is an echo.
      check: options of `trioecho check`; with ``{requests}`` for the file of the requests.
      load: options of `trioecho load`; none if it is not loaded.
      max_frame_length: the limit that it is known to have, in bytes.
      ready: where it listens before it is ready, how that is known. Then the suite does not start
        it, and cannot try what needs that.
      note: what else is to be known of its row, in a sentence or two, as Markdown.
      prepare: is called with the folder before the server is started.
    """

    name: str
    title: str
    command: tuple[str, ...]
    deviations: tuple[Deviation, ...] = ()
    needs: tuple[Need, ...] = ()
    version: tuple[str, ...] | None = None
    requests: str = ""
    check: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    max_frame_length: int | None = None
    ready: Ready | None = None
    note: str = ""
    prepare: Callable[[Path], object] = nothing

    @property
    def missing(self) -> list[Need]:
        """What it needs and the machine has not."""
        return [need for need in self.needs if not need.is_there]

    def spawn_command(self, folder: Path) -> str:
        """Return the command for ``--spawn``, with ``{port}`` in it."""
        return shlex.join(self.words(self.command, folder)).replace("'{port}'", "{port}")

    def words(self, words: Iterable[str], folder: Path) -> list[str]:
        """Return words with the places filled in that are known."""
        places = {
            "{folder}": str(folder),
            "{requests}": str(folder / "requests.jsonl"),
            "{python}": sys.executable,
            "{sources}": str(SOURCES),
        }
        return [_filled_in(word, places) for word in words]


def _filled_in(word: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word
