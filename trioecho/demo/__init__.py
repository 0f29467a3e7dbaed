"""The service at work, live: what ``trioecho demo`` shows.

Nothing here prints, reads arguments or handles signals: lines go to a callable, and the
command line decides where they are printed. Only `timed_server` is a program, which the
demo starts.
"""

from __future__ import annotations

from .page import DemoError, ProgressDisplay
from .story import run_demo

__all__ = ["DemoError", "ProgressDisplay", "run_demo"]
