"""The files of a server's TLS: each that cannot be used is an error of one line that names it."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tests.support.tls import authority, days_ago, write_files
from trioecho.base.tls_files import TlsFiles, TlsFilesError


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    written = write_files(tmp_path)
    return TlsFiles(written.certfile, written.keyfile, client_ca=written.client_ca)


def why_not(files: TlsFiles) -> str:
    with pytest.raises(TlsFilesError) as caught:
        files.load()
    words = str(caught.value)
    assert words
    assert "\n" not in words
    return words


def changes(name: str, value: str) -> dict[str, Any]:
    return {name: value}


def encrypt(keyfile: str, form: PrivateFormat) -> None:
    path = Path(keyfile)
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))


def test_what_is_right_makes_a_context_that_demands_what_was_said(files: TlsFiles) -> None:
    context = files.load()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert ssl.OP_NO_RENEGOTIATION in context.options
    context = replace(files, client_ca=None, tls_min="1.3", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256").load()
    assert context.verify_mode is ssl.CERT_NONE
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in {cipher["name"] for cipher in context.get_ciphers()}
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" not in {cipher["name"] for cipher in context.get_ciphers()}


def test_the_key_may_be_in_the_file_of_the_certificate(files: TlsFiles) -> None:
    assert files.keyfile is not None
    Path(files.certfile).write_bytes(Path(files.keyfile).read_bytes() + Path(files.certfile).read_bytes())
    replace(files, keyfile=None).load()


@pytest.mark.parametrize("name", ["certfile", "keyfile", "keyfile_password_file", "client_ca"])
@pytest.mark.parametrize("what", ["missing", "folder", "null"])
def test_a_file_that_cannot_be_read(name: str, what: str, files: TlsFiles, tmp_path: Path) -> None:
    path = {"missing": str(tmp_path / "missing.pem"), "folder": str(tmp_path), "null": "a\0b"}[what]
    words = why_not(replace(files, **changes(name, path)))
    assert words.startswith(f"cannot read {path}, the ")


def test_files_with_nothing_of_use_in_them(files: TlsFiles, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for name in ("certfile", "client_ca"):
        assert (
            why_not(replace(files, **changes(name, str(empty)))) == f"{empty} has no certificate in PEM in it"
        )
    assert why_not(replace(files, keyfile=str(empty))) == f"{empty} has no private key in PEM in it"
    words = why_not(replace(files, keyfile=None))
    assert words == f"{files.certfile} has no private key in PEM in it; give the file that has it (keyfile)"


def test_a_key_that_does_not_fit(files: TlsFiles) -> None:
    assert files.keyfile is not None
    authority().issue_cert("localhost").private_key_pem.write_to_path(files.keyfile)
    assert why_not(files) == f"the key in {files.keyfile} does not fit the certificate in {files.certfile}"


def test_a_key_or_certificate_that_is_damaged(files: TlsFiles, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN PRIVATE KEY-----\nMIIx\n-----END PRIVATE KEY-----\n")
    assert f"with the key in {damaged} (damaged?)" in why_not(replace(files, keyfile=str(damaged)))
    damaged.write_text("-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n")
    assert f"cannot use {damaged} with" in why_not(replace(files, certfile=str(damaged)))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_needs_its_password(form: PrivateFormat, files: TlsFiles, tmp_path: Path) -> None:
    assert files.keyfile is not None
    encrypt(files.keyfile, form)
    assert why_not(files) == (
        f"the key in {files.keyfile} is encrypted; give a file with its password (keyfile-password-file)"
    )
    password = tmp_path / "password"
    files = replace(files, keyfile_password_file=str(password))
    for wrong in ("", "wrong\n", "wrong\nsecret\n", "x" * 2000):
        password.write_text(wrong)
        assert why_not(files) == f"the password in {password} does not open the key in {files.keyfile}"
    for right in ("secret", "secret\n", "secret\r\nof the echo\n"):
        password.write_text(right)
        files.load()


def test_a_certificate_that_is_not_valid_today(tmp_path: Path) -> None:
    old = write_files(tmp_path, authority().issue_cert("localhost", not_after=days_ago(1)))
    files = TlsFiles(old.certfile, old.keyfile)
    assert why_not(files) == (
        f"the certificate in {old.certfile} has expired "
        f"(openssl x509 -enddate -noout -in {old.certfile} shows when)"
    )
    old.write(authority().issue_cert("localhost", not_before=days_ago(-1)))
    assert why_not(files) == f"the certificate in {old.certfile} is not valid yet"


def test_a_certificate_above_the_servers_that_is_not_valid_today(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "above")])

    def signed(subject: x509.Name, *, is_ca: bool, until: datetime.datetime) -> bytes:
        builder = x509.CertificateBuilder(name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(days_ago(9)).not_valid_after(until)
        basic = x509.BasicConstraints(ca=is_ca, path_length=None)
        return builder.add_extension(basic, critical=True).sign(key, SHA256()).public_bytes(Encoding.PEM)

    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    leaf = signed(server, is_ca=False, until=days_ago(-9))
    file = tmp_path / "all.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + leaf + signed(name, is_ca=True, until=days_ago(-1)))
    TlsFiles(str(file)).load()
    file.write_bytes(private + leaf + signed(name, is_ca=True, until=days_ago(1)))
    words = why_not(TlsFiles(str(file)))
    assert words.startswith(f"a certificate in {file} has expired (")


def test_protocols_are_names_that_tls_can_carry(files: TlsFiles) -> None:
    replace(files, alpn=("echo/2", "echo/1")).load()
    for name in ("", "x" * 256, "\N{SNOWMAN}"):
        assert "is no protocol of ALPN" in why_not(replace(files, alpn=(name,)))


def test_options_that_cannot_be(files: TlsFiles) -> None:
    assert why_not(replace(files, tls_min="1.1")) == "tls_min is 1.2 or 1.3, not '1.1'"
    for ciphers in ("NONE", "a\0b", "\udcff"):
        assert why_not(replace(files, ciphers=ciphers)).startswith(f"OpenSSL knows no cipher {ciphers!r}")


def test_absolute_paths_are_of_this_directory(
    files: TlsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = TlsFiles("cert.pem", "key.pem", client_ca="ca.pem")
    assert relative.with_absolute_paths() == files
    relative.load()
