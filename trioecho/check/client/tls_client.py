"""How the suite connects to a server under TLS."""

from __future__ import annotations

import functools
import ssl
from typing import Any

from ...base.client_tls import ClientTls


class TlsClient:
    """What the suite demands of a server under TLS, and shows to it.

    It can be sent to another process, which reads the files again.

    Attributes:
      agreed: what was agreed on in the handshake that was the last, in words; empty before the first.
      server_hostname: whose certificate the server has to have.
      options: of the command, as they reproduce it.

    Args:
      tls: the files and names.
      host: whose certificate it has to have, if no other name is given.
      options: as above.
    """

    def __init__(self, tls: ClientTls, host: str, options: tuple[str, ...] = ()) -> None:
        self.agreed: str = ""
        self.server_hostname: str = tls.servername or host
        self.options: tuple[str, ...] = options
        self._tls = tls
        self._host = host

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._tls, self._host, self.options)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return self._tls.context()

    def wrap(self, received: ssl.MemoryBIO, to_send: ssl.MemoryBIO) -> ssl.SSLObject:
        """Return the state of a connection, before its handshake.

        Raises:
          TlsFilesError: a file cannot be used any more.
          ValueError: no certificate can be for that name.
        """
        return self._context.wrap_bio(received, to_send, server_hostname=self.server_hostname)

    def note(self, connection: ssl.SSLObject) -> str:
        """Note what was agreed on, and return it in words."""
        cipher = connection.cipher()
        alpn = connection.selected_alpn_protocol()
        words = (connection.version(), cipher and cipher[0], alpn and f"ALPN {alpn}")
        self.agreed = ", ".join(word for word in words if word)
        return self.agreed
