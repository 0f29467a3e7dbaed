"""The servers that are measured: trioecho in each of its builds, and the others."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trioecho.base.processes import Program

from . import builds

SERVERS = Path(__file__).parent / "servers"


def _python() -> Path:
    return Path(sys.executable)


@dataclass(frozen=True)
class Contender:
    """A server to be measured.

    Attributes:
      name: as in tables.
      arguments: what it is started with; ``{max_frame_length}`` stands for the limit of a frame.
      program: returns the program, and builds it if need be.
      module: what must be installed for it.
      package: returns the folder from which Python imports trioecho; None for this checkout.
      env: variables of the environment that it needs.
    """

    name: str
    arguments: tuple[str, ...]
    program: Callable[[], Path] = _python
    module: str | None = None
    package: Callable[[], Path] | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def why_missing(self) -> str | None:
        """Return why it cannot run here, in a few words; None if it can. Builds it if need be."""
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        try:
            self.start(0)
        except builds.NotBuiltError as error:
            return str(error)
        return None

    def start(self, max_frame_length: int) -> Program:
        """Return what to start.

        Raises:
          NotBuiltError: it must be built first, and cannot be.
        """
        arguments = [part.replace("{max_frame_length}", str(max_frame_length)) for part in self.arguments]
        env = {**os.environ, **self.env}
        folder = None
        if self.package is not None:
            # Python looks for modules there first, wherever it was started.
            folder = env["PYTHONPATH"] = str(self.package())
        return Program([str(self.program()), *arguments], env, folder)


# ---- trioecho ----


@dataclass(frozen=True)
class Use:
    """What trioecho does with a message.

    Attributes:
      suffix: of its name in tables.
      arguments: what it is started with.
    """

    suffix: str
    arguments: tuple[str, ...]


ECHO = Use("", ("-m", "trioecho", "serve", "--port", "0", "--max-frame-length", "{max_frame_length}"))
_REPLY = (str(SERVERS / "trioecho_reply.py"), "{max_frame_length}")
HANDLERS = (Use(", async handler", (*_REPLY, "async")), Use(", plain handler", (*_REPLY, "plain")))
USES = (ECHO, *HANDLERS)

Build = Callable[[], Path] | None
"""Returns the folder with a build of the package; None for the checkout, of which nothing is compiled."""

PLAIN, COMPILED = "plain", "compiled"
BUILDS: Mapping[str, Build] = {PLAIN: None, COMPILED: builds.compiled_trioecho}


def trioecho(build: str, use: Use = ECHO) -> Contender:
    """Return one build in one use."""
    return Contender(name_of(build) + use.suffix, use.arguments, package=BUILDS[build])


def name_of(build: str) -> str:
    """Return how a build is called in tables."""
    return "trioecho" if build == PLAIN else f"trioecho {build}"


def ours(name: str, command: Sequence[str]) -> Contender:
    """Return a server that somebody else has built, as it is started."""
    program, *arguments = command
    return Contender(name, tuple(arguments), lambda: Path(program))


# ---- the others ----


def _peer(name: str, file: str, *options: str, module: str | None = None) -> Contender:
    return Contender(name, (str(SERVERS / file), "{max_frame_length}", *options), module=module)


# One processor is what each server gets; Go would ask for their number before it is placed there.
GO_ENV = {"GOMAXPROCS": "1"}


def _native_peer(name: str, build: Callable[[str], Path], source: str) -> Contender:
    return Contender(name, ("{max_frame_length}",), lambda: build(f"servers/{source}"), env=GO_ENV)


ASYNCIO_PROTOCOL = _peer("asyncio Protocol", "asyncio_protocol.py")
UVLOOP_PROTOCOL = _peer("uvloop Protocol", "asyncio_protocol.py", "uvloop", module="uvloop")
PEERS = (
    _peer("plain Trio", "trio_plain.py"),
    _peer("threads", "threads.py"),
    _peer("asyncio streams", "asyncio_streams.py"),
    ASYNCIO_PROTOCOL,
    _peer("uvloop streams", "asyncio_streams.py", "uvloop", module="uvloop"),
    UVLOOP_PROTOCOL,
    _peer("Twisted Int32", "twisted_int32.py", module="twisted"),
    _peer("AnyIO", "anyio_buffered.py", module="anyio"),
    _peer("gevent", "gevent_stream.py", module="gevent"),
    _native_peer("Go", builds.go_program, "goroutines.go"),
    _native_peer("Rust tokio", builds.rust_program, "tokio-echo"),
    _native_peer("C epoll", builds.c_program, "epoll.c"),
)
HANDLER_PEERS = (ASYNCIO_PROTOCOL, UVLOOP_PROTOCOL)
