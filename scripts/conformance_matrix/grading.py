"""Check a server, load it, and compare what was seen with what was expected."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from trioecho.base.addresses import format_address
from trioecho.check.spawned.spawned_server import SpawnError, spawn_server

from .candidate import RACES, Candidate, Ready

# A virtual machine needs seconds to start on a busy computer.
_START_S = 60.0
# Between two looks at whether one is ready that listens already.
_TRY_S = 2.0
BROKEN = ("fail", "warn", "inconclusive")


class GradingError(Exception):
    """A server could not be graded; the message says why."""


@dataclass(frozen=True)
class Grade:
    """What was seen of a server.

    Attributes:
      version: what it says that it is; empty where it has none.
      verdicts: by the ids of the rules, in the book's order: "pass", "warn", "fail", "n/a", "inconclusive".
      summaries: what was seen, by the same ids.
      loaded: messages that a load sent and got right replies to; None if it was not loaded.
    """

    version: str
    verdicts: dict[str, str]
    summaries: dict[str, str]
    loaded: int | None

    @property
    def broken(self) -> set[str]:
        """The rules that did not hold, or could not be decided."""
        return {rule for rule, verdict in self.verdicts.items() if verdict in BROKEN}


def grade(candidate: Candidate, folder: Path, page: Path | None = None) -> Grade:
    """Check and load a server.

    Args:
      candidate: the server.
      folder: an empty folder.
      page: where the suite's page with the evidence is written; None for none.

    Raises:
      GradingError: it does not start, or a reply under load was not right.
    """
    candidate.prepare(folder)
    if candidate.requests:
        (folder / "requests.jsonl").write_text(candidate.requests)
    results = trio.run(_checked, candidate, folder, page)
    loaded = trio.run(_loaded, candidate, folder) if candidate.load else None
    return Grade(
        _version(candidate, folder),
        {each["id"]: each["verdict"] for each in results},
        {each["id"]: each["summary"] for each in results},
        loaded,
    )


async def _checked(candidate: Candidate, folder: Path, page: Path | None) -> list[dict[str, Any]]:
    report = folder / "check.json"
    limit = candidate.max_frame_length
    options = [
        *("--json", str(report), "--time-limit", "5m"),
        *([] if page is None else ["--html", str(page)]),
        *([] if limit is None else ["--max-frame-length", str(limit)]),
        *candidate.words(candidate.check, folder),
    ]
    if candidate.ready is None:
        spawn = ("--spawn", candidate.spawn_command(folder), "--spawn-timeout", f"{_START_S:g}s")
        done = await _trioecho("check", *spawn, *options)
    else:
        async with _running(candidate, folder) as address:
            done = await _trioecho("check", address, *options)
    if not report.exists():
        raise GradingError(f"trioecho check ended with {done.returncode}: {_last_words(done)}")
    [server] = json.loads(report.read_text())["servers"]
    if server["error"]:
        raise GradingError(server["error"])
    results: list[dict[str, Any]] = server["results"]
    return results


async def _loaded(candidate: Candidate, folder: Path) -> int:
    """Load a server that is started for it; return how many messages got a right reply."""
    async with _running(candidate, folder) as address:
        done = await _trioecho("load", address, "--json", "-", *candidate.words(candidate.load, folder))
    # Whether the generator could have sent more (exit code 5) is no matter here.
    if done.returncode not in (0, 5):
        raise GradingError(f"trioecho load ended with {done.returncode}: {_last_words(done)}")
    replies: int = json.loads(done.stdout)["messages"]
    return replies


@contextlib.asynccontextmanager
async def _running(candidate: Candidate, folder: Path) -> AsyncIterator[str]:
    """Start a server, and return its address when it is ready; end it when the block is left."""
    words = candidate.words(candidate.command, folder)
    try:
        async with spawn_server(words, timeout_s=_START_S) as (server, first_connection):
            first_connection.close()
            if candidate.ready is not None:
                await _wait_ready(server.address, candidate.ready)
            yield format_address(server.address)
    except SpawnError as error:
        raise GradingError(str(error)) from None


async def _wait_ready(address: tuple[str, int], ready: Ready) -> None:
    with trio.move_on_after(_START_S):
        while True:
            with contextlib.suppress(OSError, trio.BrokenResourceError), trio.move_on_after(_TRY_S):
                async with await trio.open_tcp_stream(*address) as stream:
                    await stream.send_all(ready.request)
                    if (await stream.receive_some()).startswith(ready.reply):
                        return
            await trio.sleep(_TRY_S / 10)
    raise GradingError(f"it is not ready after {_START_S:g} s")


async def _trioecho(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trioecho", *words]
    return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr or done.stdout).decode(errors="replace").strip()


def _version(candidate: Candidate, folder: Path) -> str:
    if candidate.version is None:
        return ""
    done = subprocess.run(
        candidate.words(candidate.version, folder), capture_output=True, text=True, check=False
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group() if found else ""


def unexplained(candidate: Candidate, seen: Grade) -> list[str]:
    """Say what was not expected: rules broken without a reason, and reasons without a broken rule."""
    known = {rule for deviation in candidate.deviations for rule in deviation.rules}
    return [
        *(
            f"{candidate.name}, {rule}, is not explained: {seen.summaries[rule]}"
            for rule in seen.verdicts
            if rule in seen.broken - known
        ),
        *(
            f"{candidate.name}, {rule}, is explained and not broken"
            for rule in sorted(known - seen.broken - RACES)
        ),
    ]
