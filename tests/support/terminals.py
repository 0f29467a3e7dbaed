"""A command on a terminal, as a person sees it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence

from tests.support.guard import GUARD_S
from tests.support.processes import UTF8


def run_on_terminal(command: Sequence[str], **environment: str) -> tuple[int, str]:
    """Run a command whose output and errors are a terminal's; its exit code, and what was shown.

    One that goes on for too long is killed.
    What is shown is read while the command runs: a terminal that nobody reads takes
    some thousand bytes, and then the command waits.
    """
    ours, its = pty.openpty()
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env={**os.environ, **UTF8, **environment}
    ) as process:
        os.close(its)
        shown = bytearray()
        end = time.monotonic() + GUARD_S
        try:
            while select.select([ours], [], [], max(0, end - time.monotonic()))[0]:
                piece = os.read(ours, 4096)
                if not piece:
                    break
                shown += piece
            else:
                process.kill()
        except OSError:  # Linux's end of a terminal
            pass
        finally:
            os.close(ours)
    return process.returncode, shown.decode()
