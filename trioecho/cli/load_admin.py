"""The admin pages of a load, and the log that it has because of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

from ..base.listen_address import ListenAddress
from ..load import LoadPlan, LoadProgress
from .shared.admin_server import AdminServer
from .shared.log import LogSettings, NonBlockingLogHandler, open_log, open_log_writer

if TYPE_CHECKING:
    from ..admin.application import Page

_FLUSH_S = 0.5


class LoadAdmin:
    """Serves what ``--admin`` of a load shows.

    Args:
      address: where.
    """

    def __init__(self, address: ListenAddress) -> None:
        from ..admin.load_state import LoadState

        self._state = LoadState()
        self._server = AdminServer(address, self._pages)
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

    def end(self) -> None:
        """Write the last lines of the log, as far as they are read."""
        logging.getLogger("trioecho").removeHandler(self._handler)
        self._log.flush(_FLUSH_S)

    def _pages(self) -> Mapping[str, Page]:
        from ..admin.load_pages import load_pages

        return load_pages(self._state)

    def begin_run(self, plan: LoadPlan) -> None:
        """Show another run."""
        self._state.begin_run(plan)

    def note_progress(self, progress: LoadProgress) -> None:
        """Show this progress."""
        self._state.note_progress(progress)
