"""The options for TLS of all commands that connect to a server.

They have curl's names, except for that of the client's own key: ``--key`` is another thing in ``trioecho
load``. It is ``--keyfile``, as a server's is, and ``--cert`` is a second name of ``--certfile``.
"""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...base.client_tls import ClientTls
from ...base.suggestion import quoted
from ...base.tls_files import TlsFilesError, check_alpn
from . import values
from .exit_codes import ExitCode
from .output import CommandError

# What means nothing without --tls.
_FURTHER = ("cacert", "certfile", "keyfile", "insecure", "servername", "alpn")


class TlsConnecting(NamedTuple):
    """How a client connects: under TLS with this context, if there is one."""

    context: ssl.SSLContext | None = None
    server_hostname: str | None = None


def add_client_tls_options(parser: argparse._ActionsContainer, prefix: str = "") -> None:
    """Add ``--tls`` and what belongs to it, with a prefix such as ``target-`` where there is another TLS."""
    add = parser.add_argument
    begin = f"--{prefix}"
    add(f"{begin}tls", action="store_true", help="connect under TLS, and verify the server's certificate")
    add(f"{begin}cacert", metavar="FILE", help="trust these certificates (PEM) instead of this system's")
    add(
        f"{begin}certfile",
        f"{begin}cert",
        metavar="FILE",
        help="the client's own certificate (PEM), where the server demands one",
    )
    add(
        f"{begin}keyfile",
        metavar="FILE",
        help=f"the private key of {begin}certfile (PEM; default: it is in that file, too)",
    )
    names = [f"{begin}insecure"] if prefix else ["-k", "--insecure"]
    add(*names, action="store_true", default=None, help="trust any certificate of the server")
    add(f"{begin}servername", metavar="NAME", help="whose certificate the server has to have (default: HOST)")
    add_alpn_option(parser, "offer these protocols to the server, the best first (ALPN)", prefix)


def add_alpn_option(parser: argparse._ActionsContainer, text: str, prefix: str = "") -> None:
    """Add ``--alpn`` with this help."""
    parser.add_argument(f"--{prefix}alpn", type=_alpn, metavar="NAME[,NAME]", help=text)


def _alpn(text: str) -> tuple[str, ...]:
    """Read names of protocols: ``echo/1``, ``h2,http/1.1``."""
    names = tuple(text.split(","))
    try:
        check_alpn(names)
    except TlsFilesError:
        raise values.refusal(text, "is no list of protocols; write it as echo/2,echo/1") from None
    return names


def client_tls_of(
    arguments: argparse.Namespace, further: tuple[str, ...] = (), prefix: str = ""
) -> ClientTls | None:
    """Return what the options ask for; None without TLS.

    Args:
      arguments: of the command.
      further: names of options of the command that mean nothing without ``--tls``, too.
      prefix: as of `add_client_tls_options`.

    Raises:
      CommandError: options do not fit.
    """

    def given(name: str) -> Any:
        return getattr(arguments, f"{prefix.replace('-', '_')}{name}")

    begin = f"--{prefix}"
    for name in (*_FURTHER, *further) if not given("tls") else ():
        if given(name) is not None:
            option = begin + name.replace("_", "-")
            raise _wrong(f"{option} is for TLS: give {begin}tls, too, or leave it out")
    if not given("tls"):
        return None
    for name in ("cacert", "certfile", "keyfile"):
        if given(name) == "":
            raise _wrong(f"{begin}{name} is a file, and not empty")
    if given("keyfile") is not None and given("certfile") is None:
        raise _wrong(f"{begin}keyfile is for a certificate: give that with {begin}certfile FILE")
    if given("servername") == "":
        raise _wrong(f"{begin}servername is a name, and not empty")
    return ClientTls(
        cacert=given("cacert"),
        certfile=given("certfile"),
        keyfile=given("keyfile"),
        insecure=bool(given("insecure")),
        servername=given("servername"),
        alpn=given("alpn") or (),
        resume="tls_resume" in further and bool(given("tls_resume")),
    )


def _wrong(reason: str) -> CommandError:
    return CommandError(ExitCode.WRONG_USAGE, reason)


def client_tls_words(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the options again, as a command line has them."""
    yield "--tls"
    for name in ("cacert", "certfile", "keyfile", "servername"):
        if (value := getattr(arguments, name)) is not None:
            yield from (f"--{name}", value)
    if arguments.insecure:
        yield "--insecure"
    if arguments.alpn:
        yield from ("--alpn", ",".join(arguments.alpn))


def context_of(tls: ClientTls) -> ssl.SSLContext:
    """Read the files of TLS now.

    Raises:
      CommandError: one of them cannot be used, or no certificate can be for the name.
    """
    try:
        context = tls.context()
    except TlsFilesError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from error
    if tls.servername is not None:
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=tls.servername)
        except (ValueError, ssl.SSLError):
            reason = f"--servername {quoted(tls.servername)} is not the name of a host"
            raise CommandError(ExitCode.WRONG_USAGE, reason) from None
    return context


def tls_connecting_of(arguments: argparse.Namespace) -> TlsConnecting:
    """Return how to connect as the options ask.

    Raises:
      CommandError: a file cannot be used, or options do not fit.
    """
    tls = client_tls_of(arguments)
    return TlsConnecting() if tls is None else TlsConnecting(context_of(tls), tls.servername)
