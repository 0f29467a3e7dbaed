"""The admin pages of a load, and the log that it has because of them."""

from __future__ import annotations

import logging
import sys

import trio

from ..load import LoadPlan, LoadProgress
from ..load.report.words import address_of
from .server_metrics import ServerWatch
from .shared.admin import AdminAddress
from .shared.admin_server import TELL_S, AdminServer
from .shared.log import LogSettings, NonBlockingLogHandler, open_log, open_log_writer

_FLUSH_S = 0.5


class LoadAdmin:
    """Serves what ``--admin`` of a load shows; to be made before the load begins, as `AdminServer`.

    Args:
      where: it serves.
      server_metrics: the URL of the server's own metrics; None if they are not wanted.
    """

    def __init__(self, where: AdminAddress, server_metrics: str | None) -> None:
        from ..admin.board_pages import board_pages
        from ..admin.load_board import LoadBoard
        from ..admin.load_pages import load_pages
        from ..admin.load_state import LoadState

        self._state = LoadState()
        self._board = LoadBoard()
        self._watch = None if server_metrics is None else ServerWatch(server_metrics, self._board)
        self._server = AdminServer(where, {**board_pages(self._board.feed), **load_pages(self._state)})
        self._log = open_log_writer(sys.stderr, LogSettings())
        self._handler = NonBlockingLogHandler(self._log)

    async def start(self, nursery: trio.Nursery) -> None:
        """Listen, and serve in tasks of this nursery.

        Raises:
          CommandError: the address cannot be listened on.
        """
        await self._server.listen()
        open_log(self._handler)
        nursery.start_soon(self._log.run)
        nursery.start_soon(self._server.run)
        self._server.log_where()
        if self._watch is not None:
            nursery.start_soon(self._watch.run)

    async def tell_the_end(self) -> None:
        """Wait until the live pages that are open have what came last, but not long."""
        self._board.note_end()
        with trio.move_on_after(TELL_S):
            await self._board.feed.wait_until_told()

    def end(self) -> None:
        """Write the last lines of the log, as far as they are read."""
        logging.getLogger("trioecho").removeHandler(self._handler)
        self._log.flush(_FLUSH_S)

    def begin_run(self, plan: LoadPlan) -> None:
        """Show another run."""
        self._state.begin_run(plan)
        self._board.begin_run(plan, address_of(plan))

    def note_progress(self, progress: LoadProgress) -> None:
        """Show this progress."""
        self._state.note_progress(progress)
        self._board.note_progress(progress)
