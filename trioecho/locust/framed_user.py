"""A Locust user that speaks frames."""

from __future__ import annotations

import ssl
from typing import Any

from locust import User, events
from locust.env import Environment
from locust.exception import StopTest

from ..base.client_tls import ClientTls
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from .client import FramedClient
from .connection import ConnectionSettings, checked_timeout
from .processes_of_locust import end_process, is_headless_and_first
from .service_address import ServiceAddress, parse_service

_ANY = ServiceAddress("localhost", 1)


class FramedUser(User):
    """A user of a framed service, with one connection of its own.

    ``host``, of the class or of Locust's ``--host``, is ``HOST:PORT``, ``tcp://HOST:PORT``,
    ``tls://HOST:PORT`` or ``unix:/path``. If the settings cannot be, one line says why, and the test ends.

    Attributes:
      client (FramedClient): sends requests. It is closed when the user stops.
      format: how headers are written: a `FrameFormat`, or what `FrameFormat.parse` reads.
      max_frame_length: payload bytes that a reply may have.
      timeout_s: how long a reply may take, in seconds.
      connect_timeout_s: how long opening a connection may take, with its handshake.
      tls: whether connections are under TLS; so they are with any of the following, or with ``tls://``.
      ssl_context: for TLS; it is used instead of what ``cacert`` and ``insecure`` say.
      cacert: the path of certificates, as PEM, that are trusted instead of those of this system.
      insecure: whether any certificate of the service will do.
      servername: whose certificate the service has to have, if not the host's.
    """

    abstract = True
    format: FrameFormat | str = FrameFormat()
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH
    timeout_s: float = 10.0
    connect_timeout_s: float = 10.0
    tls: bool = False
    ssl_context: ssl.SSLContext | None = None
    cacert: str | None = None
    insecure: bool = False
    servername: str | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        try:
            settings = self.settings(parse_service(self.host))
        except ValueError as error:  # of a host that was typed into Locust's page
            raise StopTest(f"{type(self).__name__}: {error}") from None
        self.client: FramedClient = FramedClient(
            settings, environment.events.request.fire, timeout_s=self.timeout_s, context=self.context
        )

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does; at its end the connection is closed."""
        started = super().start(group)
        # Here, since a class of a locustfile has an `on_stop` of its own, which may send something more.
        started.link(lambda ended: self.client.close())
        return started

    def on_stop(self) -> None:
        """Close the connection."""
        self.client.close()

    @classmethod
    def settings(cls, target: ServiceAddress) -> ConnectionSettings:
        """Return how connections of these users are opened.

        Raises:
          ValueError: a setting cannot be.
        """
        context = cls.ssl_context
        if context is None and (cls.tls or target.is_tls or cls.cacert or cls.insecure or cls.servername):
            context = ClientTls(cls.cacert, insecure=cls.insecure).context()
        checked_timeout("timeout_s", cls.timeout_s)
        return ConnectionSettings(
            target,
            FrameFormat.parse(cls.format) if isinstance(cls.format, str) else cls.format,
            cls.max_frame_length,
            context,
            cls.servername,
            cls.connect_timeout_s,
        )


def check_users(environment: Environment, **others: Any) -> None:
    """End a process of Locust whose users cannot be, with one line that says why.

    Without this it would wait for its workers first, or would have begun. Locust itself ends so where
    its own options are wrong.
    """
    for user in environment.user_classes:
        if not issubclass(user, FramedUser):
            continue
        host = environment.host or user.host
        # A worker is told it by its master, and Locust's page asks for it.
        is_known_later = not host and not is_headless_and_first(environment)
        try:
            user.settings(_ANY if is_known_later else parse_service(host))
        except ValueError as error:
            end_process(f"{user.__name__}: {error}")


events.init.add_listener(check_users)  # type: ignore[no-untyped-call] # Locust's has no types
