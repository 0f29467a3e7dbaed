"""The cases of the book of clients, tried on clients whose facts are known, so without a preflight."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from trioecho.check.client.settings import Settings
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire
from trioecho.check.clients.book import CLIENTS
from trioecho.check.clients.preflight import ClientPreflight
from trioecho.check.clients.run import ClientRuns
from trioecho.check.clients.spawned_client import ClientStarter
from trioecho.check.clients.suite import check_client
from trioecho.check.diagnosis.diagnosis import Diagnosis
from trioecho.check.runner.host import Target
from trioecho.check.runner.run import Unobserved
from trioecho.check.spawned.guard import open_guard
from trioecho.check.verdict import CaseResult, ClientFacts, SuiteResult
from trioecho.faulty.clients import EchoClient, PipeliningClient

from .guard import guarded

# Longer than the clients of this project's zoo wait for a reply.
REPLY_TIMEOUT_S = 10.0
# Starts a client of a class, without the command line, which takes longer.
_PROGRAM = """
import importlib, sys
module, name, host, port = sys.argv[1:]
outcome = getattr(importlib.import_module(module), name)(host, int(port)).run()
print(outcome.words, file=sys.stderr if outcome.exit_code else sys.stdout)
sys.exit(outcome.exit_code)
"""


def command_of_client(client: type[EchoClient]) -> str:
    words = [sys.executable, "-c", _PROGRAM, client.__module__, client.__name__, "{host}", "{port}"]
    return shlex.join(words)


def settings_for(
    command: str, wire: Wire | None = None, *, reply_timeout_s: float, spawn_timeout_s: float = 60.0
) -> Settings:
    words = tuple(shlex.split(command))
    return Settings(
        wire=wire or Wire(),
        command=words,
        spawn_timeout_s=spawn_timeout_s,
        reply_timeout_s=reply_timeout_s,
    )


async def try_cases(
    client: type[EchoClient], names: Sequence[str], *, jobs: int = 4
) -> tuple[list[CaseResult], Diagnosis]:
    """Try cases on a client of the zoo, of which is known what it does with a server that is right."""
    facts = ClientFacts(
        messages=client.messages,
        connections=1,
        sent_bytes=client.messages * client.size,
        run_s=1.0,
        silence_s=1.0,
        is_pipelining=issubclass(client, PipeliningClient),
        last_line=f"{client.messages} messages came back right",
    )
    settings = settings_for(command_of_client(client), reply_timeout_s=REPLY_TIMEOUT_S)
    preflight = ClientPreflight(facts, None, Transcript(), (), REPLY_TIMEOUT_S)
    assert settings.command is not None
    with guarded(300):
        async with open_guard() as guard:
            starter = ClientStarter(settings.command, guard)
            runs = ClientRuns(settings, starter, preflight, jobs, Unobserved())
            await runs.all(CLIENTS.select(names))
    diagnosis = runs.diagnosis()
    return runs.results(diagnosis, lambda case_id: case_id), diagnosis


async def check_command_of_client(
    command: str,
    *names: str,
    wire: Wire | None = None,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    spawn_timeout_s: float = 60.0,
) -> SuiteResult:
    """Check a client as the command does."""
    settings = settings_for(command, wire, reply_timeout_s=reply_timeout_s, spawn_timeout_s=spawn_timeout_s)
    with guarded(300):
        return await check_client(
            Target(command), settings, rules=CLIENTS.select(names), jobs=4, time_limit_s=300
        )
