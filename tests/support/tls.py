"""Certificates for tests: an authority, a server's and a client's, in files and contexts."""

from __future__ import annotations

import datetime
import functools
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def other_authority() -> trustme.CA:
    """Whom nobody trusts."""
    return trustme.CA()


def days_ago(days: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)


def client_context(*, trusts: trustme.CA | None = None, with_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    (trusts or authority()).configure_trust(context)
    if with_certificate:
        authority().issue_cert("client@example.org").configure_cert(context)
    return context


@functools.cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    return context


@dataclass(frozen=True)
class Files:
    """Files in a folder."""

    folder: Path

    @property
    def certfile(self) -> str:
        return str(self.folder / "cert.pem")

    @property
    def keyfile(self) -> str:
        return str(self.folder / "key.pem")

    @property
    def client_ca(self) -> str:
        return str(self.folder / "ca.pem")

    @property
    def client_certfile(self) -> str:
        """A client's certificate and its key."""
        return str(self.folder / "client.pem")

    @property
    def options(self) -> tuple[str, ...]:
        """Of ``trioecho serve``."""
        return "--certfile", self.certfile, "--keyfile", self.keyfile

    def write(self, certificate: trustme.LeafCert) -> None:
        """Write a certificate with its chain, and its key."""
        Path(self.certfile).write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(self.keyfile)


def write_files(folder: Path, certificate: trustme.LeafCert | None = None) -> Files:
    """Write those of a server for localhost, of a client, and of the authority."""
    files = Files(folder)
    files.write(certificate or authority().issue_cert("localhost", "127.0.0.1"))
    client = authority().issue_cert("client@example.org")
    client.private_key_and_cert_chain_pem.write_to_path(files.client_certfile)
    authority().cert_pem.write_to_path(files.client_ca)
    return files
