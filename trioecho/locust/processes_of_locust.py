"""What a process of Locust is for, and how it ends."""

from __future__ import annotations

import logging
from typing import NoReturn

from locust.env import Environment
from locust.runners import WorkerRunner

_WRONG_USAGE = 2  # as of all commands
_log = logging.getLogger(__name__)


def is_headless_and_first(environment: Environment) -> bool:
    """Return whether nobody else says anything to this process: it is no worker, and has no page."""
    options = environment.parsed_options
    return options is not None and options.headless and not isinstance(environment.runner, WorkerRunner)


def end_process(line: str, exit_code: int = _WRONG_USAGE) -> NoReturn:
    """End this process of Locust, before it has begun, with a line in its log.

    Locust has nothing else for that: another exception in its `init` event is logged with a traceback.
    """
    _log.error("%s", line)
    raise SystemExit(exit_code)
