"""The admin pages of a service, beside it: they end with it, and it does not end with them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from ..base.describe import describe
from ..base.exception_groups import leaves
from ..base.handover import Handover
from ..base.listen_address import ListenAddress
from ..base.unix_socket import SocketFile
from ..server.report import Report
from ..server.serving import FrameServer
from ..server.workers.supervisor import WorkerPool
from .shared.admin import AdminListeners, open_admin_listeners
from .shared.admin_server import TELL_S

if TYPE_CHECKING:
    from ..admin.service_board import ServiceBoard
    from ..admin.service_state import ServiceState

logger: logging.Logger = logging.getLogger(__name__)


class ServiceAdmin:
    """Serves what ``--admin`` of a service shows.

    Args:
      address: where.

    Attributes:
      state: what is known of the service.
      listening: on what; empty before `listen`.
    """

    def __init__(self, address: ListenAddress) -> None:
        # Only with --admin: these packages take longer to import than all else.
        from ..admin.service_board import ServiceBoard
        from ..admin.service_state import ServiceState

        self.state: ServiceState = ServiceState()
        self._board: ServiceBoard = ServiceBoard()
        self._address = address
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
            self.listening = await open_admin_listeners(self._address)
        self._where = str(self.listening)

    async def run(self) -> None:
        """Serve until cancelled; whatever fails is a line in the log."""
        from ..admin.application import AdminApplication
        from ..admin.board_pages import board_pages
        from ..admin.http_server import serve_http
        from ..admin.service_pages import service_pages

        failure: Exception | None = None
        try:
            pages = {**board_pages(self._board.feed), **service_pages(self.state)}
            with self._scope:
                await serve_http(AdminApplication(pages), self.listening.listeners)
        except Exception as error:  # noqa: BLE001 - the service goes on, whatever happened here
            failure = error
        finally:
            await self.listening.aclose()
        if failure is not None:
            self._where = ""
            logger.error("admin has failed, and the service goes on: %s", describe(next(leaves(failure))))

    def own_file(self, file: SocketFile | None) -> None:
        """Remove this file, too, at the end."""
        if file is not None:
            self.listening = replace(self.listening, file=file)

    def stop(self) -> None:
        """Serve no more, and leave a file to the process that does."""
        self.listening = replace(self.listening, file=None)
        self._scope.cancel()

    def note_ready(self, server: FrameServer | WorkerPool, listening: str, nursery: trio.Nursery) -> None:
        """Show this service from now on, which accepts connections where ``listening`` says."""
        self._board.note_listening(listening)
        if self._where:
            logger.info(self._where)
        if isinstance(server, WorkerPool):
            self.state.begin(server.totals, lambda: server.connections, lambda: server.workers)
        else:
            self.state.begin(server._count_totals, lambda: server.connections)
            nursery.start_soon(server._count_received)

    def note_drain(self) -> None:
        """Show that the first signal has come."""
        self.state.begin_drain()
        self._board.note_drain(self.state.connections())

    def note_report(self, report: Report) -> None:
        """Show a report."""
        self.state.note_report(report)
        self._board.note_report(report, self.state.workers())

    async def tell_the_end(self) -> None:
        """Wait until the live pages that are open have what came last, but not long."""
        with trio.move_on_after(TELL_S):
            await self._board.feed.wait_until_told()
