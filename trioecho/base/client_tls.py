"""How a client connects under TLS: its files and names, checked before it connects."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from .tls_files import TlsFilesError, check_alpn, load_authorities, load_key_pair


@dataclass(frozen=True)
class ClientTls:
    """What a client demands of a server, and shows to it.

    Attributes:
      cacert: certificates, as PEM, that are trusted instead of those of this system.
      certfile: the client's own certificate, as PEM; None without one.
      keyfile: its private key, as PEM; None if ``certfile`` has it, too.
      insecure: whether any certificate of the server will do.
      servername: whose certificate the server has to have; None for the host's.
      alpn: protocols that are offered, the best first (RFC 7301).
      resume: whether later connections resume the session of an earlier one.
    """

    cacert: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    insecure: bool = False
    servername: str | None = None
    alpn: tuple[str, ...] = ()
    resume: bool = False

    def __post_init__(self) -> None:
        if self.keyfile is not None and self.certfile is None:
            raise TlsFilesError("a keyfile is for a certificate: give that with certfile, too")
        if self.servername == "":
            raise TlsFilesError("servername is a name, and not empty")
        check_alpn(self.alpn)

    @property
    def in_words(self) -> str:
        """What is demanded of the server, and how sessions are, a phrase."""
        words = ["any certificate" if self.insecure else f"trusts {self.cacert or 'what this system does'}"]
        words += [f"as {self.servername}"] if self.servername else []
        words += [f"with {self.certfile}"] if self.certfile else []
        words += [f"ALPN {','.join(self.alpn)}"] if self.alpn else []
        words += ["sessions are resumed"] if self.resume else []
        return ", ".join(words)

    def context(self) -> ssl.SSLContext:
        """Read the files now, and return a context of them. ``SSLKEYLOGFILE`` is honoured, as curl does.

        Raises:
          TlsFilesError: something is wrong with them.
        """
        try:
            # With `cadata` it loads none of this system's certificates, and has the rest as usual.
            context = ssl.create_default_context(cadata=None if self.cacert is None else "")
        except OSError as error:  # a SSLKEYLOGFILE that cannot be written
            name = error.filename or "SSLKEYLOGFILE"
            raise TlsFilesError(f"cannot write {name}: {error.strerror}") from error
        if self.cacert is not None:
            load_authorities(context, self.cacert, "server's")
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certfile is not None:
            load_key_pair(context, self.certfile, self.keyfile or self.certfile)
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        return context
