"""The options for TLS of commands that clients connect to, and the files that they name."""

from __future__ import annotations

import argparse

from ...base.tls_files import TlsFiles
from . import values
from .exit_codes import ExitCode
from .output import CommandError
from .tls_options import add_alpn_option

# What means nothing without a certificate.
_FURTHER = ("keyfile", "keyfile_password_file", "client_ca", "tls_min", "ciphers", "alpn")
_FILES = ("certfile", "keyfile", "keyfile_password_file", "client_ca")


def add_tls_options(parser: argparse._ActionsContainer) -> None:
    """Add them, with the names that hypercorn, gunicorn and uvicorn have for them where they agree."""
    add = parser.add_argument
    add("--certfile", metavar="FILE", help="serve TLS with this certificate and those above it (PEM)")
    add(
        "--keyfile",
        metavar="FILE",
        help="the private key of --certfile (PEM; default: it is in that file, too)",
    )
    add(
        "--keyfile-password-file",
        metavar="FILE",
        help="has the password of an encrypted key in its first line",
    )
    add(
        "--client-ca",
        metavar="FILE",
        help="demand of clients a certificate that one of these has signed (PEM)",
    )
    add(
        "--tls-min",
        type=values.one_of("1.2", "1.3"),
        metavar="{1.2,1.3}",
        help="the oldest version of TLS that is spoken (default: 1.2)",
    )
    add(
        "--ciphers",
        metavar="LIST",
        help="the ciphers of TLS 1.2, as openssl ciphers writes them (default: Python's choice)",
    )
    add_alpn_option(parser, "the protocols that are spoken, the best first (ALPN)")


def tls_of(arguments: argparse.Namespace) -> TlsFiles | None:
    """Return the files of TLS; None if connections are plain.

    Raises:
      CommandError: there is no certificate, and there are options for one.
    """
    if arguments.certfile is None:
        for name in _FURTHER:
            if getattr(arguments, name) is not None:
                option = "--" + name.replace("_", "-")
                raise CommandError(
                    ExitCode.WRONG_USAGE, f"{option} is for TLS: give --certfile, too, or leave it out"
                )
        return None
    for name in _FILES:
        if getattr(arguments, name) == "":
            raise CommandError(ExitCode.WRONG_USAGE, f"--{name.replace('_', '-')} is a file, and not empty")
    return TlsFiles(
        certfile=arguments.certfile,
        keyfile=arguments.keyfile,
        keyfile_password_file=arguments.keyfile_password_file,
        client_ca=arguments.client_ca,
        tls_min=arguments.tls_min or "1.2",
        ciphers=arguments.ciphers,
        alpn=arguments.alpn or (),
    )
