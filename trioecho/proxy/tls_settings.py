"""TLS of one proxy, as a configuration file or a request says it, with the words of the options."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from ..base.client_tls import ClientTls
from ..base.suggestion import quoted
from ..base.tls_files import TlsFiles, TlsFilesError
from .named_fault import ProxyRequestError
from .tls_side import ProxyTls

_TARGET = "target_"
_LISTENING = ("certfile", "keyfile", "keyfile_password_file", "client_ca", "tls_min", "ciphers", "alpn")
_CONNECTING = ("cacert", "certfile", "keyfile", "insecure", "servername", "alpn")
TLS_KEYS = (*_LISTENING, f"{_TARGET}tls", *(f"{_TARGET}{key}" for key in _CONNECTING))


def read_tls(given: Mapping[str, Any], default: ProxyTls) -> ProxyTls:
    """Return where the proxy of an object ends TLS, and where it begins it; read the files now.

    Args:
      given: the object; what it does not say of clients, or of the server, is as in the default.
      default: what the options say.

    Raises:
      ProxyRequestError: it makes no sense, or a file cannot be used.
    """
    written = {key: _checked(key, given[key]) for key in TLS_KEYS if key in given}
    try:
        listening = _listening(written, default.listening)
        if not any(key.startswith(_TARGET) for key in written):
            return ProxyTls(listening, default.target, default.target_hostname)
        if not written.get(f"{_TARGET}tls"):
            for key in written:
                if key.startswith(_TARGET) and key != f"{_TARGET}tls":
                    raise ProxyRequestError(f"{key} is for TLS: give target_tls = true, too, or leave it out")
            return ProxyTls(listening, None)
        own: dict[str, Any] = {key: written[_TARGET + key] for key in _CONNECTING if _TARGET + key in written}
        tls = ClientTls(**own)
        return ProxyTls(listening, _connecting(tls), tls.servername)
    except TlsFilesError as error:
        raise ProxyRequestError(str(error)) from None


def tls_as_object(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an object says of TLS, as JSON has it."""
    return {key: given[key] for key in TLS_KEYS if key in given}


def _listening(written: Mapping[str, Any], default: ssl.SSLContext | None) -> ssl.SSLContext | None:
    own = {key: written[key] for key in _LISTENING if key in written}
    if not own:
        return default
    if "certfile" not in own:
        raise ProxyRequestError(f"{next(iter(own))} is for TLS: give certfile, too, or leave it out")
    return TlsFiles(**own).load()


def _connecting(tls: ClientTls) -> ssl.SSLContext:
    context = tls.context()
    if tls.servername is not None:
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=tls.servername)
        except (ValueError, ssl.SSLError):
            raise ProxyRequestError(
                f"target_servername: {quoted(tls.servername)} is not the name of a host"
            ) from None
    return context


def _checked(key: str, value: object) -> object:
    if key in ("target_tls", "target_insecure"):
        if not isinstance(value, bool):
            raise ProxyRequestError(f"{key} is true or false")
        return value
    if key.endswith("alpn"):
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProxyRequestError(f"{key} is a list of protocols, as 'echo/2,echo/1'")
        return tuple(names)
    if not isinstance(value, str) or not value:
        raise ProxyRequestError(f"{key} is a text, and not empty")
    return value
