"""The certificate of the servers that are measured under TLS; nobody trusts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .builds import BUILT, NotBuiltError


def certificate_file() -> Path:
    """Return where it is, with its private key, once it was made."""
    return BUILT / "certificate.pem"


def python_with_certificate() -> Path:
    """Make the certificate, if it is not there; return this Python, which runs the servers.

    Raises:
      NotBuiltError: as of `make_certificate`.
    """
    make_certificate()
    return Path(sys.executable)


def make_certificate() -> None:
    """Make the certificate, if it is not there.

    Raises:
      NotBuiltError: the package that makes it is not installed.
    """
    file = certificate_file()
    if not file.exists():
        try:
            import trustme  # only here: nothing else needs it
        except ImportError:
            raise NotBuiltError("trustme is not installed") from None
        BUILT.mkdir(exist_ok=True)
        made = file.with_suffix(f".{os.getpid()}")
        trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(made)
        )
        made.replace(file)
