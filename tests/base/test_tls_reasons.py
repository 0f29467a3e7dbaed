"""What is said of a handshake that has failed."""

from __future__ import annotations

import ssl

import pytest

from trioecho.base.tls_reasons import handshake_reason, with_hint


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (10, "certificate has expired", "the server needs a certificate of now"),
        (9, "certificate is not yet valid", "the server needs a certificate of now"),
        (20, "unable to get local issuer certificate", "give the certificate of its CA with --cacert FILE"),
    ],
)
def test_the_hint_is_for_what_is_wrong_with_the_certificate(code: int, message: str, hint: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    said = with_hint(*handshake_reason(error))
    assert said.startswith(f"the peer's certificate is not trusted: {message}; {hint}")
