"""Why a connection under TLS cannot be, or is lost: what OpenSSL's words mean, and what a user can do."""

from __future__ import annotations

import enum
import ssl

from .describe import describe

# What OpenSSL numbers X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = (62, 64)
# ... and X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_OTHER_TIME = (9, 10)

# What OpenSSL's names for reasons mean to whoever reads a log.
REASONS = {
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
REQUIRES_CERTIFICATE = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
# Those that are about the client's certificate, once the client is done with the handshake.
OF_CERTIFICATES = {
    REQUIRES_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
}

# The first byte of a TLS record of a handshake, and of an alert.
FIRST_OF_TLS = (0x16, 0x15)
SAYS_NOTHING = "the service has closed the connection without a word, so it may speak no TLS"


class TlsProblem(enum.Enum):
    """Why a handshake has failed, as far as somebody can do something about it."""

    NOT_TRUSTED = enum.auto()
    OTHER_NAME = enum.auto()
    OTHER_TIME = enum.auto()
    NO_TLS = enum.auto()
    NEEDS_CERTIFICATE = enum.auto()
    OTHER = enum.auto()


HINTS = {
    TlsProblem.NOT_TRUSTED: "give the certificate of its CA with --cacert FILE, or trust any with --insecure",
    TlsProblem.OTHER_NAME: "give a name that it is for with --servername NAME",
    TlsProblem.OTHER_TIME: "the server needs a certificate of now, or this machine's clock is wrong",
    TlsProblem.NO_TLS: "without --tls, frames are sent plain",
    TlsProblem.NEEDS_CERTIFICATE: "give one with --certfile FILE, and its key with --keyfile FILE",
}


def handshake_reason(error: ssl.SSLError) -> tuple[str, TlsProblem]:
    """Return why a handshake has failed, where the peer speaks TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            reason = f"the peer's certificate is for another name: {error.verify_message.rstrip('.')}"
            return reason, TlsProblem.OTHER_NAME
        is_of_now = error.verify_code not in _OTHER_TIME
        problem = TlsProblem.NOT_TRUSTED if is_of_now else TlsProblem.OTHER_TIME
        return f"the peer's certificate is not trusted: {error.verify_message}", problem
    return REASONS.get(error.reason or "") or describe(error), TlsProblem.OTHER


def with_hint(reason: str, problem: TlsProblem) -> str:
    """Return a reason, and what a user of a command can do."""
    hint = HINTS.get(problem)
    return f"{reason}; {hint}" if hint else reason


def certificate_refusal(reason: str, *, is_missing: bool) -> str:
    """Return what a server has against the certificate of this client, the end of a sentence, and what to do.

    Args:
      reason: in the words of `REASONS`.
      is_missing: whether the client has none.
    """
    if is_missing:
        return f"demands a certificate of its clients; {HINTS[TlsProblem.NEEDS_CERTIFICATE]}"
    reason = reason.replace("the peer", "it").replace("this side", "this client")
    return f"refuses the certificate of --certfile: {reason}; give one that the server trusts"
