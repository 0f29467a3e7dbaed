"""What all cases of a run have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..spawned.memory_watch import MemoryBound
from .dialogue import ECHO, Dialogue
from .tls_client import TlsClient
from .wire import Wire


@dataclass(frozen=True)
class Settings:
    """What all cases of a run have in common.

    Attributes:
      wire: how headers are written.
      seed: what the bytes are made from.
      max_frame_length: the server's limit in payload bytes; None if it was not given.
      command: what starts a server, or the client, in words with ``{port}`` in them; None
        if the suite cannot start one.
      directory: where it is started; None for where this process is.
      memory_bound: one that has more memory is killed; None for any.
      spawn_timeout_s: how long a server may take until it listens.
      reply_timeout_s: how long a client may wait for a reply before it gives up.
      dialogue: what is sent, and what is to come for it.
      tls: how connections are under TLS; None if they are plain.
      written_address: where the server is, as its user has written it; empty if the suite starts it.
    """

    wire: Wire = field(default_factory=Wire)
    seed: int = 0
    max_frame_length: int | None = None
    command: tuple[str, ...] | None = None
    directory: str | None = None
    memory_bound: MemoryBound | None = None
    spawn_timeout_s: float = 10.0
    reply_timeout_s: float = 15.0
    dialogue: Dialogue = ECHO
    tls: TlsClient | None = None
    written_address: str = ""
