"""What a user of a command can do when a connection under TLS cannot be opened."""

from __future__ import annotations

from ..base.endpoint import why_not_connected
from ..base.tls_reasons import certificate_refusal, with_hint
from ..connection.tls_errors import CertificateRequiredError, ClientCertificateError, TlsHandshakeError


def why_not_accepted(error: ClientCertificateError) -> str:
    """Return what a server has against the certificate of this client, and what to do, in words."""
    reason = str(error).partition(": ")[2]
    return certificate_refusal(reason, is_missing=isinstance(error, CertificateRequiredError))


def why_no_channel(error: OSError | UnicodeError) -> str:
    """Return why `open_frame_channel` failed, and what to do, in words."""
    cause = error.__cause__
    if not isinstance(cause, TlsHandshakeError):
        return why_not_connected(error)
    return with_hint(str(cause), cause.problem)
