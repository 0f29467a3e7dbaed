"""The admin pages of a service, beside it: they end with it, and it does not end with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

from ..base.listen_address import ListenAddress
from ..server.report import Report
from ..server.serving import FrameServer
from ..server.workers.supervisor import WorkerPool
from .shared.admin_server import TELL_S, AdminServer

if TYPE_CHECKING:
    from ..admin.application import Page


class ServiceAdmin:
    """Serves what ``--admin`` of a service shows.

    Args:
      address: where.

    Attributes:
      server: of the pages.
    """

    def __init__(self, address: ListenAddress) -> None:
        # Only with --admin: these packages take longer to import than all else.
        from ..admin.service_board import ServiceBoard
        from ..admin.service_state import ServiceState

        self.server: AdminServer = AdminServer(address, self._pages)
        self._state = ServiceState()
        self._board = ServiceBoard()

    def _pages(self) -> Mapping[str, Page]:
        from ..admin.board_pages import board_pages
        from ..admin.service_pages import service_pages

        return {**board_pages(self._board.feed), **service_pages(self._state)}

    def note_ready(self, server: FrameServer | WorkerPool, listening: str, nursery: trio.Nursery) -> None:
        """Show this service from now on, which accepts connections where ``listening`` says."""
        self._board.note_listening(listening)
        self.server.log_where()
        if isinstance(server, WorkerPool):
            self._state.begin(server.totals, lambda: server.connections, lambda: server.workers)
        else:
            self._state.begin(server._count_totals, lambda: server.connections)
            nursery.start_soon(server._count_received)

    def note_drain(self) -> None:
        """Show that the first signal has come."""
        self._state.begin_drain()
        self._board.note_drain(self._state.connections())

    def note_report(self, report: Report) -> None:
        """Show a report."""
        self._state.note_report(report)
        self._board.note_report(report, self._state.workers())

    async def tell_the_end(self) -> None:
        """Wait until the live pages that are open have what came last, but not long."""
        with trio.move_on_after(TELL_S):
            await self._board.feed.wait_until_told()
