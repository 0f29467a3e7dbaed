"""The service that a locustfile, or Locust's ``--host``, names."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..base.addresses import format_address
from ..base.endpoint import checked_port, is_unix
from ..base.listen_address import is_host

_RIGHT = "write HOST:PORT, [::1]:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:/path"


class ServiceAddress(NamedTuple):
    """A service.

    Attributes:
      host: a name or an address, or a Unix socket, ``unix:/path``.
      port: its TCP port; 0 for a Unix socket.
      is_tls: whether it was written as ``tls://``.
    """

    host: str
    port: int
    is_tls: bool = False

    def __str__(self) -> str:
        return format_address((self.host, self.port))


def parse_service(text: str | None) -> ServiceAddress:
    """Read ``HOST:PORT``, ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix:/path``.

    Raises:
      ValueError: it is something else, or there is none; the message says what to write.
    """
    if not text:
        raise ValueError(f"no service is named: give Locust --host, or the class a host; {_RIGHT}")
    if is_unix(text):
        return ServiceAddress(text, checked_port(text, None))
    scheme, _, rest = text.partition("://") if "://" in text else ("tcp", "", text)
    host, _, number = rest.rstrip("/").rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if is_bracketed else host
    is_right = scheme in ("tcp", "tls") and (is_bracketed or ":" not in host) and is_host(name)
    if not is_right or not re.fullmatch(r"\d{1,5}", number, re.ASCII) or not 1 <= int(number) <= 0xFFFF:
        raise ValueError(f"the host {text!r} is no service of frames: {_RIGHT}")
    return ServiceAddress(name, int(number), scheme == "tls")
