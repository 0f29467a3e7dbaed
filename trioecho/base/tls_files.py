"""The files of a server's TLS, checked, so that what is wrong with them is said before it serves."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .describe import describe

_MINIMUM_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# What OpenSSL numbers X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
# What the extension of TLS has room for (RFC 7301, section 3.1).
_MOST_ALPN_BYTES = 255
# A handshake in memory takes two rounds; more would mean that it does not end.
_MOST_ROUNDS = 8


class TlsFilesError(ValueError):
    """The files, or the options beside them, cannot be used; the message names the file and says why."""


@dataclass(frozen=True)
class TlsFiles:
    """Where a server's certificate and key are, and what it demands of its clients.

    Attributes:
      certfile: the certificate, then those between it and the root, as PEM.
      keyfile: its private key, as PEM; None if ``certfile`` has it, too.
      keyfile_password_file: whose first line is the key's password; None if the key is not encrypted.
      client_ca: certificates, as PEM, of which one has to have signed a client's. None if clients
        need no certificate.
      tls_min: the oldest version of TLS that is spoken: "1.2" or "1.3".
      ciphers: for TLS 1.2, as OpenSSL writes them; None for Python's choice. Those of TLS 1.3 are fixed.
      alpn: protocols that are spoken, the best first (RFC 7301); a client that offers none of them is
        served all the same.
    """

    certfile: str
    keyfile: str | None = None
    keyfile_password_file: str | None = None
    client_ca: str | None = None
    tls_min: str = "1.2"
    ciphers: str | None = None
    alpn: tuple[str, ...] = ()

    def load(self) -> ssl.SSLContext:
        """Read the files now, and return a context of them for a server.

        Raises:
          TlsFilesError: something is wrong with them.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.tls_min not in _MINIMUM_VERSIONS:
            raise TlsFilesError(f"tls_min is 1.2 or 1.3, not {self.tls_min!r}")
        context.minimum_version = _MINIMUM_VERSIONS[self.tls_min]
        context.options |= ssl.OP_NO_RENEGOTIATION
        certificates = load_key_pair(
            context, self.certfile, self.keyfile or self.certfile, self.keyfile_password_file
        )
        _check_dates(context, self.certfile, certificates)
        if self.client_ca is not None:
            load_authorities(context, self.client_ca, "clients'")
            context.verify_mode = ssl.CERT_REQUIRED
        if self.ciphers is not None:
            try:
                context.set_ciphers(self.ciphers)
            except (ssl.SSLError, ValueError) as error:  # ValueError: a null character
                raise TlsFilesError(
                    f"OpenSSL knows no cipher {self.ciphers!r} (openssl ciphers lists those that it knows)"
                ) from error
        if self.alpn:
            check_alpn(self.alpn)
            context.set_alpn_protocols(list(self.alpn))
        return context

    def with_absolute_paths(self) -> TlsFiles:
        """Return the same files for a process that works in another directory."""
        paths: dict[str, Any] = {
            name: str(Path(path).absolute())
            for name in ("certfile", "keyfile", "keyfile_password_file", "client_ca")
            if (path := getattr(self, name)) is not None
        }
        return replace(self, **paths)


def check_alpn(names: tuple[str, ...]) -> None:
    """Refuse names of protocols that TLS cannot carry.

    Raises:
      TlsFilesError: one cannot be.
    """
    for name in names:
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= _MOST_ALPN_BYTES):
            raise TlsFilesError(
                f"{name!r} is no protocol of ALPN: a name has 1 to {_MOST_ALPN_BYTES} ASCII characters"
            )


def load_key_pair(
    context: ssl.SSLContext, certfile: str, keyfile: str, keyfile_password_file: str | None = None
) -> bytes:
    """Load a certificate and its key into a context, of either side; return the certificates, as PEM.

    Raises:
      TlsFilesError: something is wrong with them.
    """
    certificates = _read(certfile, "the certificate")
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        raise TlsFilesError(f"{certfile} has no certificate in PEM in it")
    key = _read(keyfile, "the key")
    if b"PRIVATE KEY-----" not in key:
        hint = "; give the file that has it (keyfile)" if keyfile == certfile else ""
        raise TlsFilesError(f"{keyfile} has no private key in PEM in it{hint}")
    password = b""
    if keyfile_password_file is not None:
        lines = _read(keyfile_password_file, "the password of the key").splitlines()
        password = lines[0] if lines else b""
    try:
        # Without a password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certfile, keyfile, password=password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if getattr(error, "reason", None) in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            why = f"the key in {keyfile} does not fit the certificate in {certfile}"
        elif b"ENCRYPTED" not in key:
            why = f"OpenSSL cannot use {certfile} with the key in {keyfile} (damaged?): {describe(error)}"
        elif keyfile_password_file is None:
            how = "give a file with its password (keyfile-password-file)"
            why = f"the key in {keyfile} is encrypted; {how}"
        else:
            why = f"the password in {keyfile_password_file} does not open the key in {keyfile}"
        raise TlsFilesError(why) from error
    return certificates


def load_authorities(context: ssl.SSLContext, file: str, whose: str) -> None:
    """Load the certificates that a context is to trust.

    Raises:
      TlsFilesError: something is wrong with them.
    """
    _read(file, f"the certificates of the {whose} CA")
    try:
        context.load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError) as error:
        raise TlsFilesError(f"{file} has no certificate in PEM in it") from error


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise TlsFilesError(f"cannot read {path}, {what}: {describe(error)}") from error


_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def _check_dates(context: ssl.SSLContext, certfile: str, certificates: bytes) -> None:
    """Refuse certificates that are not valid today, which no client would trust."""
    chain = [_BEGIN + part.partition(_END)[0] + _END for part in certificates.split(_BEGIN)[1:]]
    what = f"{'the' if len(chain) == 1 else 'a'} certificate in {certfile}"
    for trusted in (chain[0], chain[-1]):
        _check_dates_up_to(context, trusted, what, certfile)


def _check_dates_up_to(context: ssl.SSLContext, trusted: bytes, what: str, certfile: str) -> None:
    """Refuse certificates that are not valid today, from the server's own up to the one that is trusted.

    Python reads the dates of a certificate only for a peer's, so this is a peer for a moment: it
    shakes hands with the server's context in memory, and trusts this very certificate.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=trusted.decode("ascii", "replace"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    peers = [
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for _ in range(_MOST_ROUNDS):
            for peer in peers:
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.do_handshake()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _HAS_EXPIRED:
            how = f"openssl x509 -enddate -noout -in {certfile} shows when"
            raise TlsFilesError(f"{what} has expired ({how})") from error
        if error.verify_code == _NOT_YET_VALID:
            raise TlsFilesError(f"{what} is not valid yet") from error
    except ssl.SSLError:
        pass  # another client may do better: these two have no key, version or cipher in common
