"""What a user of a command can do when a connection under TLS cannot be opened."""

from __future__ import annotations

from ..base.connect import why_not_connected
from ..connection.tls_errors import (
    CertificateRequiredError,
    ClientCertificateError,
    TlsHandshakeError,
    TlsProblem,
)

_HINTS = {
    TlsProblem.NOT_TRUSTED: "give the certificate of its CA with --cacert FILE, or trust any with --insecure",
    TlsProblem.OTHER_NAME: "give a name that it is for with --servername NAME",
    TlsProblem.NO_TLS: "without --tls, frames are sent plain",
    TlsProblem.NEEDS_CERTIFICATE: "give one with --certfile FILE, and its key with --keyfile FILE",
}


def why_not_accepted(error: ClientCertificateError) -> str:
    """Return what a server has against the certificate of this client, and what to do, in words."""
    if isinstance(error, CertificateRequiredError):
        return f"demands a certificate of its clients; {_HINTS[TlsProblem.NEEDS_CERTIFICATE]}"
    reason = str(error).partition(": ")[2].replace("the peer", "it").replace("this side", "this client")
    return f"refuses the certificate of --certfile: {reason}; give one that the server trusts"


def why_no_channel(error: OSError | UnicodeError) -> str:
    """Return why `open_frame_channel` failed, and what to do, in words."""
    cause = error.__cause__
    if not isinstance(cause, TlsHandshakeError):
        return why_not_connected(error)
    hint = _HINTS.get(cause.problem)
    return f"{cause}; {hint}" if hint else str(cause)
