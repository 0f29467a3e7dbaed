"""The options for TLS of all commands that connect to a server.

They have curl's names, except that of the client's own certificate and key: ``--key`` is another
thing in ``trioecho load``, and a server's are called ``--certfile`` and ``--keyfile`` already.
"""

from __future__ import annotations

import argparse
import ssl
from typing import NamedTuple

from ...base.tls_files import TlsFilesError, load_authorities, load_key_pair
from .exit_codes import ExitCode
from .output import CommandError

# What means nothing without --tls.
_FURTHER = ("cacert", "certfile", "keyfile", "insecure", "servername")


class ClientTls(NamedTuple):
    """How a client connects: under TLS with this context, if there is one."""

    context: ssl.SSLContext | None = None
    server_hostname: str | None = None


def add_client_tls_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--tls`` and what belongs to it."""
    add = parser.add_argument
    add("--tls", action="store_true", help="connect under TLS, and verify the server's certificate")
    add("--cacert", metavar="FILE", help="trust these certificates (PEM) instead of this system's")
    add("--certfile", metavar="FILE", help="the client's own certificate (PEM), where the server demands one")
    add(
        "--keyfile",
        metavar="FILE",
        help="the private key of --certfile (PEM; default: it is in that file, too)",
    )
    add("-k", "--insecure", action="store_true", default=None, help="trust any certificate of the server")
    add("--servername", metavar="NAME", help="whose certificate the server has to have (default: HOST)")


def client_tls_of(arguments: argparse.Namespace) -> ClientTls:
    """Return what the options ask for. ``SSLKEYLOGFILE`` is honoured, as curl does.

    Raises:
      CommandError: a file cannot be used, or options do not fit.
    """
    for name in _FURTHER if not arguments.tls else ():
        if getattr(arguments, name) is not None:
            raise CommandError(ExitCode.WRONG_USAGE, f"--{name} is for TLS: give --tls, too, or leave it out")
    if not arguments.tls:
        return ClientTls()
    if arguments.keyfile is not None and arguments.certfile is None:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--keyfile is for a certificate: give that with --certfile FILE"
        )
    if arguments.servername == "":
        raise CommandError(ExitCode.WRONG_USAGE, "--servername is a name, and not empty")
    try:
        return ClientTls(_context(arguments), arguments.servername)
    except TlsFilesError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from error


def _context(arguments: argparse.Namespace) -> ssl.SSLContext:
    try:
        # With `cadata` it loads none of this system's certificates, and has the rest as usual.
        context = ssl.create_default_context(cadata="" if arguments.cacert else None)
    except OSError as error:  # a SSLKEYLOGFILE that cannot be written
        raise TlsFilesError(f"cannot write {error.filename or 'SSLKEYLOGFILE'}: {error.strerror}") from error
    if arguments.cacert:
        load_authorities(context, arguments.cacert, "server's")
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if arguments.certfile:
        load_key_pair(context, arguments.certfile, arguments.keyfile or arguments.certfile)
    return context
