"""The pages of ``--admin`` beside a load or a proxy: they end with it, and it does not end with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from ...base.describe import describe
from ...base.exception_groups import leaves
from ...base.handover import Handover
from ...base.listen_address import ListenAddress
from ...base.unix_socket import SocketFile
from .admin import AdminAddress, AdminListeners, open_admin_listeners

if TYPE_CHECKING:
    from ...admin.application import Commands, Page
    from ...admin.http_connection import HttpLimits

# What a live page that is gone without a word may delay the end of the process.
TELL_S = 0.5

logger: logging.Logger = logging.getLogger(__name__)


class AdminServer:
    """Serves pages over HTTP.

    To be made before the command's work begins: the packages that it imports take a third of a second, in
    which an event loop would do nothing else.

    Args:
      where: it serves.
      pages: by their paths.
      commands: what changes something; none by default.
      limits: what is asked of it at most, if not what strangers may ask of a service.

    Attributes:
      address: where it listens.
      listening: on what; empty before `listen`.
    """

    def __init__(
        self,
        where: AdminAddress,
        pages: Mapping[str, Page],
        *,
        commands: Commands | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        # Not at the top of this module: without --admin, nothing of this is imported.
        from ...admin.application import AdminApplication
        from ...admin.http_server import serve_http

        self.address: ListenAddress = where.address
        self._hosts = where.hosts
        self._application = AdminApplication(pages, commands)
        self._serve_http = serve_http
        self._limits = limits
        self.listening: AdminListeners = AdminListeners(())
        self._scope = trio.CancelScope()
        self._where = ""

    async def listen(self, handover: Handover | None = None) -> None:
        """Listen; on what another process has handed over, if it has.

        Raises:
          CommandError: the address cannot be listened on.
        """
        if handover is not None and handover.admin:
            taken = [trio.socket.from_stdlib_socket(handover.take(each)) for each in handover.admin]
            self.listening = AdminListeners(tuple(map(trio.SocketListener, taken)))
        else:
            self.listening = await open_admin_listeners(self.address)
        self._where = str(self.listening)

    def own_file(self, file: SocketFile | None) -> None:
        """Remove this file, too, at the end."""
        if file is not None:
            self.listening = replace(self.listening, file=file)

    def stop(self) -> None:
        """Serve no more, and leave a file to the process that does."""
        self.listening = replace(self.listening, file=None)
        self._scope.cancel()

    def log_where(self) -> None:
        """Log where the pages are, unless they have failed."""
        if self._where:
            logger.info(self._where)

    async def run(self) -> None:
        """Serve until cancelled; whatever fails is a line in the log."""
        failure: Exception | None = None
        try:
            with self._scope:
                await self._serve_http(
                    self._application, self.listening.listeners, self._limits, hosts=self._hosts
                )
        except Exception as error:  # noqa: BLE001 - the command goes on, whatever happened here
            failure = error
        finally:
            await self.listening.aclose()
        if failure is not None:
            self._where = ""
            logger.error("admin has failed, and all else goes on: %s", describe(next(leaves(failure))))
