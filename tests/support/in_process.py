"""The command line in this process: for tests that are not about a process of its own.

It is many times faster than that, and hands back the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from trioecho.cli import main

from .guard import GUARD_S


def run_in_process(
    *arguments: str, encoding: str = "utf-8", cwd: Path | None = None, guard_s: float = GUARD_S
) -> subprocess.CompletedProcess[str]:
    """Run ``trioecho ARGUMENTS`` in a folder, with streams of this encoding; interrupt it if it hangs."""
    # A command that ends leaves signals ignored, so that a late one does not meet a dying interpreter.
    before = {number: signal.getsignal(number) for number in signal.Signals}
    folder = Path.cwd()
    timer = threading.Timer(guard_s, os.kill, [os.getpid(), signal.SIGINT])
    with (
        tempfile.TemporaryFile("w+", encoding=encoding) as out,
        tempfile.TemporaryFile("w+", encoding=encoding) as err,
    ):
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            timer.start()
            try:
                os.chdir(cwd or folder)
                code: object = main(arguments)
            except SystemExit as ended:
                code = ended.code
            finally:
                os.chdir(folder)
                timer.cancel()
                timer.join()
                for number, handler in before.items():
                    if signal.getsignal(number) is not handler:
                        signal.signal(number, handler)
        out.seek(0)
        err.seek(0)
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())
