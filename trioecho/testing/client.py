"""Commands for proxies in another process, over the HTTP of ``trioecho proxy --admin``."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from .words import (
    DirectionWord,
    FaultWord,
    ProxyCounters,
    WhenFullWord,
    address_pair,
    address_text,
    counters_of,
    fault_object,
    limits_object,
    proxy_object,
)

_HEADERS = {"content-type": "application/json"}


class ProxyCommandError(Exception):
    """A proxy refuses a command, and has changed nothing. The message says what would be right.

    Attributes:
      status: of HTTP: 400 for what makes no sense, 404 for a name that is not there, 409 for a name or an
        address that is taken, 421 for a name that the process is not asked by (``--admin-host``).
    """

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status: int = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ProxyClient:
    """Commands the proxies of a process that runs ``trioecho proxy --admin``.

    Its methods block until the proxy has done what they ask for. Each has a connection of its own, so any
    threads can call them. They raise `OSError` if the process cannot be reached or does not reply in time,
    and `ProxyCommandError` if it refuses.

    Args:
      admin: where: ``HOST:PORT``, ``http://HOST:PORT`` or ``unix:/path``.
      timeout_s: seconds that a reply may take.

    Attributes:
      admin: the same.
    """

    def __init__(self, admin: str, *, timeout_s: float = 10.0) -> None:
        self.admin: str = admin
        self._timeout_s = timeout_s

    def proxies(self) -> list[RemoteProxy]:
        """Return all proxies, in the order in which they were added."""
        return [RemoteProxy(self, shown["name"]) for shown in self.request("GET", "/proxies")["proxies"]]

    def proxy(self, name: str = "proxy") -> RemoteProxy:
        """Return the proxy of this name; by default the one of the command line.

        Raises:
          ProxyCommandError: there is none.
        """
        self.request("GET", f"/proxies/{name}")
        return RemoteProxy(self, name)

    def add_proxy(
        self,
        name: str,
        target: tuple[str, int] | str,
        *,
        listen: tuple[str, int] | str = ("127.0.0.1", 0),
        format: str = "u32be",
        seed: int = 0,
        faults: Sequence[dict[str, object]] = (),
        max_connections: int | None = None,
        when_full: WhenFullWord | None = None,
        total_connections: int | None = None,
        tls: Mapping[str, object] | None = None,
    ) -> RemoteProxy:
        """Add a proxy, and return it when clients can connect.

        Args:
          name: letters, digits and ``. _ -``; no other proxy has it.
          target: where the server is, as host and port, or as ``unix:/path``.
          listen: where clients connect; port 0 for any that is free.
          format: of frames, as ``--format`` has it.
          seed: of random choices.
          faults: with the keys of the guide's page about the proxy.
          max_connections: clients at a time; 0 for any number. By default that of the process.
          when_full: whether one more client waits, or is reset.
          total_connections: clients in all; later ones are reset. 0 for any number.
          tls: where TLS ends and begins, with the keys of that page, as ``{"certfile": "cert.pem"}``.
        """
        written = proxy_object(
            name,
            target,
            listen,
            faults,
            format=format,
            seed=seed,
            **limits_object(max_connections, when_full, total_connections),
            **(tls or {}),
        )
        self.request("POST", "/proxies", written)
        return RemoteProxy(self, name)

    def reset(self) -> None:
        """Remove all faults of all proxies, and enable all proxies."""
        self.request("POST", "/reset")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request of the API, and return the object of its reply.

        Args:
          method: as ``"POST"``.
          path: as ``"/proxies"``.
          body: what is sent as JSON; None for nothing.
        """
        connection = self._connection()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), _HEADERS)
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self.admin} does not speak HTTP as trioecho proxy does") from error
        finally:
            connection.close()
        if response.status == HTTPStatus.MISDIRECTED_REQUEST:  # it speaks of no proxy, but of the host
            raise ProxyCommandError(text.decode().strip(), response.status)
        try:
            done = json.loads(text)
            if response.status < 400:
                return done
            raise ProxyCommandError(done["error"], response.status)
        except (ValueError, TypeError, KeyError):
            raise ConnectionError(f"{self.admin} is no trioecho proxy with --admin") from None

    def _connection(self) -> http.client.HTTPConnection:
        if self.admin.startswith("unix:"):
            return _UnixConnection(self.admin.removeprefix("unix:"), self._timeout_s)
        return http.client.HTTPConnection(self.admin.removeprefix("http://"), timeout=self._timeout_s)


class RemoteProxy:
    """One proxy of another process. Its methods block, and raise, as those of `ProxyClient`.

    Attributes:
      name: its name.
    """

    def __init__(self, client: ProxyClient, name: str) -> None:
        self._client = client
        self.name: str = name

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect: host and port."""
        return address_pair(self._shown()["listen"])

    def add_fault(
        self,
        fault: FaultWord,
        value: str | float | None = None,
        *,
        name: str | None = None,
        direction: DirectionWord = "both",
        on_frame: int | None = None,
        probability: float | None = None,
        seed: int | None = None,
        coalesce_time: str | float | None = None,
    ) -> None:
        """Add a fault, for connections that there are and for new ones.

        Args:
          fault: what happens, as the command's option is called.
          value: of the option: ``"5ms-20ms"``, ``"64KiB"``, or seconds or bytes as a number. Faults of
            frames have none.
          name: no other fault of the proxy has it; by default the same as ``fault``.
          direction: which way.
          on_frame: only to this frame of a connection, counted from 1 in each direction.
          probability: only to this share of frames, from 0 to 1.
          seed: of its random choices; by default the proxy's.
          coalesce_time: the longest time that bytes are held back.
        """
        written = fault_object(
            fault,
            value,
            name=name,
            direction=direction,
            on_frame=on_frame,
            probability=probability,
            seed=seed,
            coalesce_time=coalesce_time,
        )
        self._client.request("POST", f"/proxies/{self.name}/faults", written)

    def change_fault(self, name: str, **changes: str | float | None) -> None:
        """Change a fault: ``value``, ``direction`` or a parameter; None is the default again."""
        self._client.request("PATCH", f"/proxies/{self.name}/faults/{name}", changes)

    def remove_fault(self, name: str) -> None:
        """Remove a fault."""
        self._client.request("DELETE", f"/proxies/{self.name}/faults/{name}")

    def clear_faults(self) -> None:
        """Remove all faults of this proxy."""
        self._change(faults=[])

    def faults(self) -> list[dict[str, Any]]:
        """Return all faults, each with ``name``, ``fault``, ``direction`` and what else was given."""
        shown: list[dict[str, Any]] = self._shown()["faults"]
        return shown

    def counters(self) -> ProxyCounters:
        """Return what the proxy has done since it was added."""
        return counters_of(self._shown()["counters"])

    def disable(self) -> None:
        """Reset all connections; nobody can connect until `enable`."""
        self._change(enabled=False)

    def enable(self) -> None:
        """Listen again, where it did before."""
        self._change(enabled=True)

    def set_target(self, target: tuple[str, int] | str) -> None:
        """Connect new clients to another server."""
        self._change(target=address_text(target))

    def set_limits(
        self,
        *,
        max_connections: int | None = None,
        when_full: WhenFullWord | None = None,
        total_connections: int | None = None,
    ) -> None:
        """Take so many clients from now on, as of `ProxyClient.add_proxy`; None is as before.

        Those that are connected stay.
        """
        self._change(**limits_object(max_connections, when_full, total_connections))

    def remove(self) -> None:
        """Remove the proxy, and reset its connections."""
        self._client.request("DELETE", f"/proxies/{self.name}")

    def _change(self, **changes: object) -> None:
        self._client.request("PATCH", f"/proxies/{self.name}", changes)

    def _shown(self) -> Any:
        return self._client.request("GET", f"/proxies/{self.name}")
