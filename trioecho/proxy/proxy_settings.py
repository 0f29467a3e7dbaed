"""What a proxy is to be, as a configuration file or a request says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..base.addresses import format_address
from ..base.listen_address import EVERY_HOST, ListenAddress, TcpAddress, UnixAddress, parse_listen_address
from ..base.suggestion import did_you_mean, quoted
from ..base.written_values import read_count
from ..framing import FormatSyntaxError, FrameFormat
from .circles import Hop, circle_through
from .connection_limits import LIMIT_KEYS, UNLIMITED, ConnectionLimits, read_limits
from .counts import Direction
from .faults import Faults
from .named_fault import (
    NamedFault,
    NotThereError,
    ProxyRequestError,
    check_name,
    combine,
    in_keys,
    read_fault,
)
from .tls_settings import TLS_KEYS, read_tls, tls_as_object
from .tls_side import NO_TLS, ProxyTls

_KEYS = ("name", "target", "listen", "format", "seed", "faults", "enabled", *LIMIT_KEYS, *TLS_KEYS)
_CHANGEABLE = ("target", "faults", "enabled", *LIMIT_KEYS)
DEFAULT_FORMAT = "u32be"
# Each frame has to be given to each of them.
MOST_FAULTS = 100


@dataclass(frozen=True)
class ProxySettings:
    """What a proxy is to be.

    Attributes:
      name: no other proxy of the process has it.
      target: host and port of the server; ``unix:/path`` and 0 of a Unix socket.
      listen: where clients connect; port 0 for any that is free.
      format: how headers are written.
      format_text: the same, as it was written.
      seed: of the random numbers.
      faults: each with a name of its own.
      enabled: whether it listens.
      limits: how many clients it takes.
      tls: where TLS ends and begins.
      tls_written: what it says of that itself, by the keys of JSON.
    """

    name: str
    target: tuple[str, int]
    listen: TcpAddress = field(default_factory=lambda: TcpAddress(("127.0.0.1",), 0))
    format: FrameFormat = field(default_factory=FrameFormat)
    format_text: str = DEFAULT_FORMAT
    seed: int = 0
    faults: tuple[NamedFault, ...] = ()
    enabled: bool = True
    limits: ConnectionLimits = UNLIMITED
    tls: ProxyTls = NO_TLS
    tls_written: Mapping[str, Any] = field(default_factory=dict)

    def combined(self) -> Mapping[Direction, Faults]:
        """Return what its faults do in each direction.

        Raises:
          ProxyRequestError: they do not go together.
        """
        if len(self.faults) > MOST_FAULTS:
            raise ProxyRequestError(f"a proxy has at most {MOST_FAULTS} faults; remove some")
        for name, count in Counter(fault.name for fault in self.faults).items():
            if count > 1:
                raise ProxyRequestError(f"two faults are called {name}; give one of them another name")
        return combine(self.faults, self.format)

    def as_hop(self, addresses: Sequence[tuple[Any, ...]] = ()) -> Hop:
        """Return what it leads from and to.

        Args:
          addresses: of its sockets, as ``getsockname`` gives them; none before it listens.
        """
        bound = [(str(each[0]), int(each[1])) for each in addresses]
        return Hop(self.name, bound or [(host, self.listen.port) for host in self.listen.hosts], self.target)

    def fault(self, name: str) -> NamedFault | None:
        """Return the fault of this name; None if there is none."""
        return next((fault for fault in self.faults if fault.name == name), None)


def read_proxy(
    written: object,
    defaults: Mapping[str, Any] | None = None,
    *,
    limits: ConnectionLimits = UNLIMITED,
    tls: ProxyTls = NO_TLS,
) -> ProxySettings:
    """Return the proxy that an object of JSON or a table of TOML asks for.

    Args:
      written: with ``name`` and ``target``, and others of the keys where they are wanted.
      defaults: for keys that it does not have.
      limits: likewise, for those of connections.
      tls: likewise, for clients or for the server, if it says nothing of TLS there.

    Raises:
      ProxyRequestError: it makes no sense.
    """
    given = {**(defaults or {}), **in_keys(written, _KEYS, "a proxy")}
    given = {key: value for key, value in given.items() if value is not None}
    for key in ("name", "target"):
        if key not in given:
            raise ProxyRequestError(f"a proxy needs the key {key}, a text")
    settings = ProxySettings(
        check_name("a proxy", given["name"]),
        read_target(given["target"]),
        tls=read_tls(given, tls),
        tls_written=tls_as_object(given),
        **_read_shared(given, limits),
    )
    listen = given.get("listen")
    if listen is not None:
        settings = replace(settings, listen=_read_listen(listen))
    if "format" in given:
        text = str(given["format"])
        try:
            settings = replace(settings, format=FrameFormat.parse(text), format_text=text)
        except FormatSyntaxError as error:
            raise ProxyRequestError(f"format: {error}; trioecho formats lists all") from None
    if "seed" in given:
        try:
            settings = replace(settings, seed=read_count(str(given["seed"])))
        except ValueError as error:
            raise ProxyRequestError(f"seed: {error}") from None
    _check_target(settings)
    settings.combined()
    return settings


def change_proxy(settings: ProxySettings, changes: object) -> ProxySettings:
    """Return the settings with what an object changes of them: target, faults, enabled, limits.

    Raises:
      ProxyRequestError: it makes no sense, or changes what stays.
    """
    given = {key: value for key, value in in_keys(changes, _KEYS, "a proxy").items() if value is not None}
    for key in given:
        if key not in _CHANGEABLE:
            raise ProxyRequestError(
                f"{key} stays; {', '.join(_CHANGEABLE)} can change: remove the proxy, and add another"
            )
    if "target" in given:
        settings = replace(settings, target=read_target(given["target"]))
    settings = replace(settings, **_read_shared(given, settings.limits))
    _check_target(settings)
    settings.combined()
    return settings


def find_fault(settings: ProxySettings, name: str) -> NamedFault:
    """Return the fault of this name.

    Raises:
      NotThereError: the proxy has none.
    """
    fault = settings.fault(name)
    if fault is None:
        names = [each.name for each in settings.faults]
        hint = did_you_mean(name, names, those(names))
        raise NotThereError(f"{settings.name} has no fault {quoted(name)}; {hint}")
    return fault


def those(names: Iterable[str]) -> str:
    """Return which names there are, in words."""
    listed = ", ".join(names)
    return f"there are {listed}" if listed else "there is none"


def read_target(text: object) -> tuple[str, int]:
    """Return host and port of a server.

    Raises:
      ProxyRequestError: that is none.
    """
    address = _parsed("target", text)
    if isinstance(address, UnixAddress):
        return str(address), 0
    if not isinstance(address, TcpAddress) or not address.port or address.hosts == EVERY_HOST:
        raise ProxyRequestError(
            f"target: {quoted(str(text))} is not an address to connect to; write HOST:PORT or unix:/path"
        )
    return address.hosts[0], address.port


def _check_target(settings: ProxySettings) -> None:
    """Refuse a proxy before itself: one client would become as many connections as there can be."""
    if circle_through(settings.as_hop(), ()):
        raise ProxyRequestError(
            f"target: {format_target(settings.target)} is where the proxy listens itself; give the server's"
        )


def format_target(target: tuple[str, int]) -> str:
    """Return the address of a server as `read_target` reads it."""
    return format_address(target)


def _read_listen(text: object) -> TcpAddress:
    address = _parsed("listen", text)
    if not isinstance(address, TcpAddress):
        raise ProxyRequestError(f"listen: {quoted(str(text))} is not HOST:PORT; port 0 is any that is free")
    return address


def _parsed(key: str, text: object) -> ListenAddress:
    if not isinstance(text, str):
        raise ProxyRequestError(f"{key} is a text, as '127.0.0.1:26066'")
    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise ProxyRequestError(f"{key}: {quoted(text)} {error}") from None


def _read_shared(given: Mapping[str, Any], limits: ConnectionLimits) -> dict[str, Any]:
    """Read what is the same of a new proxy and of changes."""
    read: dict[str, Any] = {"limits": read_limits(given, limits)}
    if "enabled" in given:
        if not isinstance(given["enabled"], bool):
            raise ProxyRequestError("enabled is true or false")
        read["enabled"] = given["enabled"]
    if "faults" in given:
        if not isinstance(given["faults"], list | tuple):
            raise ProxyRequestError("faults is a list of faults")
        read["faults"] = tuple(
            each if isinstance(each, NamedFault) else read_fault(each) for each in given["faults"]
        )
    return read
