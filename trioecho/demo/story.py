"""The demo, in three acts; everything that it shows happens while it shows it."""

from __future__ import annotations

from collections.abc import Callable

from .act_1_messages import show_messages_and_shutdown
from .act_2_framing import show_framing
from .act_3_throughput import show_throughput
from .page import Page, ProgressDisplay


async def run_demo(out: Callable[[str], object], progress: ProgressDisplay, *, width: int = 80) -> int:
    """Show the homework at work; return 0 if everything held, else 1.

    Args:
      out: takes one line of the story at a time.
      progress: shows every wait that a person would notice.
      width: of sentences, in columns.

    Raises:
      DemoError: the demo could not go on.
    """
    page = Page(out, width)
    page.line_at_margin("trioecho: length-prefixed frames over TCP, echoed. All live, on 127.0.0.1.")
    await show_messages_and_shutdown(page, progress)
    await show_framing(page)
    await show_throughput(page, progress)
    page.heading("What was shown")
    return 0 if page.summary() else 1
