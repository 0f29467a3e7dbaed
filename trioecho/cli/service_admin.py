"""The admin pages of a service, beside it: they end with it, and it does not end with them."""

from __future__ import annotations

import os

import trio

from ..base.handover import Handover
from ..base.service_manager import are_passed
from ..server.report import Report
from ..server.serving import FrameServer
from ..server.workers.supervisor import WorkerPool
from .service_listeners import WhereToListen
from .shared.admin import AdminAddress
from .shared.admin_apart import refuse_same_address
from .shared.admin_server import TELL_S, AdminServer


class ServiceAdmin:
    """Serves what ``--admin`` of a service shows; to be made before Trio runs, as `AdminServer`.

    Args:
      where: it serves.
      report_interval_s: seconds between reports; 0 for only the final one.

    Attributes:
      server: of the pages.
    """

    def __init__(self, where: AdminAddress, report_interval_s: float) -> None:
        # Only with --admin: these packages take longer to import than all else.
        from ..admin.board_pages import board_pages
        from ..admin.service_board import ServiceBoard
        from ..admin.service_pages import service_pages
        from ..admin.service_state import ServiceState

        self._state = ServiceState()
        self._board = ServiceBoard()
        pages = {**board_pages(self._board.feed), **service_pages(self._state, report_interval_s)}
        self.server: AdminServer = AdminServer(where, pages)

    async def listen(self, where: WhereToListen, handover: Handover | None) -> None:
        """Listen; on what another process has handed over, if it has.

        Args:
          where: where the service is to listen.
          handover: what the other process has handed over.

        Raises:
          CommandError: the address is the service's own, or cannot be listened on.
        """
        # Else the service does not listen where the user says, but on what was passed to it.
        if handover is None and not are_passed(os.environ):
            own = self.server.address
            await refuse_same_address(own, where.addresses, "the service", is_ipv6_only=where.is_ipv6_only)
        await self.server.listen(handover)

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
