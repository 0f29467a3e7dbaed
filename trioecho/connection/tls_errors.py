"""Why a connection under TLS cannot be, or is lost: what OpenSSL says, in words for a log and for a user."""

from __future__ import annotations

import ssl

from ..base.describe import describe
from ..base.tls_reasons import (
    FIRST_OF_TLS,
    OF_CERTIFICATES,
    REASONS,
    REQUIRES_CERTIFICATE,
    TlsProblem,
    handshake_reason,
)
from ..framing.foreign_protocols import describe_text, recognize, shown
from .trio_errors import ConnectionLostError


class TlsHandshakeError(Exception):
    """The handshake has failed; the message says why.

    Attributes:
      problem (TlsProblem): the same for programs.
    """

    def __init__(self, reason: str, problem: TlsProblem = TlsProblem.OTHER) -> None:
        super().__init__(reason, problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.args[0])


class ClientCertificateError(ConnectionLostError):
    """The server demands a certificate, or another; with TLS 1.3 it says so after the client's handshake."""


class CertificateRequiredError(ClientCertificateError):
    """The client has none."""


class CertificateRefusedError(ClientCertificateError):
    """The server does not accept the one that the client has."""


def handshake_error(error: ssl.SSLError, first_bytes: bytes) -> TlsHandshakeError:
    """Return why a handshake has failed, given what OpenSSL says and what the peer has sent first."""
    if first_bytes and first_bytes[0] not in FIRST_OF_TLS:
        if protocol := recognize(first_bytes):
            what = f"it begins {protocol.what}; {protocol.question}"
        else:
            kind = describe_text(first_bytes) or "no TLS; does the peer send frames without TLS?"
            what = f"{shown(first_bytes)} is {kind}"
        return TlsHandshakeError(f"the peer speaks no TLS: {what}", TlsProblem.NO_TLS)
    return TlsHandshakeError(*handshake_reason(error))


def loss_of(error: ssl.SSLError) -> ConnectionLostError:
    """Return how a connection is lost, after its handshake."""
    # With TLS 1.3 a client is done with the handshake before the server has seen its certificate.
    if error.reason in OF_CERTIFICATES:
        is_missing = error.reason == REQUIRES_CERTIFICATE
        kind = CertificateRequiredError if is_missing else CertificateRefusedError
        return kind(f"connection lost: {REASONS[error.reason]}")
    return ConnectionLostError(f"connection lost: {describe(error)}")
