"""Why a connection under TLS cannot be, or is lost: what OpenSSL says, in words for a log and for a user."""

from __future__ import annotations

import enum
import ssl

from ..base.describe import describe
from ..framing.foreign_protocols import describe_text, recognize, shown
from .trio_errors import ConnectionLostError

# The first byte of a TLS record of a handshake, and of an alert.
_FIRST_OF_TLS = (0x16, 0x15)
# What OpenSSL numbers X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = (62, 64)

# What OpenSSL's names for reasons mean to whoever reads a log.
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has sent no certificate, and needs one here",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer demands a certificate of this side",
    "UNEXPECTED_EOF_WHILE_READING": "the peer ended in the middle of it",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust the certificate of this side (unknown CA)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not trust the certificate of this side",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not accept the certificate of this side",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that the certificate of this side has expired",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer refuses it; does it demand a certificate, or another cipher?",
    "UNSUPPORTED_PROTOCOL": "the peer speaks no version of TLS that is spoken here",
    "NO_SHARED_CIPHER": "the peer offers no cipher that is used here",
}


# Those that are about the client's certificate, once the client is done with the handshake.
_OF_CERTIFICATES = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
}


class TlsProblem(enum.Enum):
    """Why a handshake has failed, as far as somebody can do something about it."""

    NOT_TRUSTED = enum.auto()
    OTHER_NAME = enum.auto()
    NO_TLS = enum.auto()
    NEEDS_CERTIFICATE = enum.auto()
    OTHER = enum.auto()


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
    if first_bytes and first_bytes[0] not in _FIRST_OF_TLS:
        if protocol := recognize(first_bytes):
            what = f"it begins {protocol.what}; {protocol.question}"
        else:
            kind = describe_text(first_bytes) or "no TLS; does the peer send frames without TLS?"
            what = f"{shown(first_bytes)} is {kind}"
        return TlsHandshakeError(f"the peer speaks no TLS: {what}", TlsProblem.NO_TLS)
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            reason = f"the peer's certificate is for another name: {error.verify_message.rstrip('.')}"
            return TlsHandshakeError(reason, TlsProblem.OTHER_NAME)
        reason = f"the peer's certificate is not trusted: {error.verify_message}"
        return TlsHandshakeError(reason, TlsProblem.NOT_TRUSTED)
    return TlsHandshakeError(_REASONS.get(error.reason or "") or describe(error))


def loss_of(error: ssl.SSLError) -> ConnectionLostError:
    """Return how a connection is lost, after its handshake."""
    # With TLS 1.3 a client is done with the handshake before the server has seen its certificate.
    if error.reason in _OF_CERTIFICATES:
        is_missing = error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        kind = CertificateRequiredError if is_missing else CertificateRefusedError
        return kind(f"connection lost: {_REASONS[error.reason]}")
    return ConnectionLostError(f"connection lost: {describe(error)}")
