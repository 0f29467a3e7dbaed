"""The service at work, live: what ``trioecho demo`` shows.

Nothing here prints, reads arguments or handles signals: lines go to a callable,
and the command line decides where they end up (`timed_server` apart, which is a
program of its own that the demo starts).
"""

from __future__ import annotations

from .page import DemoError, Progress
from .story import run_demo

__all__ = ["DemoError", "Progress", "run_demo"]
