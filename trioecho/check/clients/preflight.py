"""Before the first case: what the client does with a server that is right.

From that follows how long it may take later, and whether the cases are worth their time at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...base.addresses import format_address
from ...base.quantities import plural
from ..client.settings import Settings
from ..client.transcript import Transcript
from ..preflight.blocker import Blocker
from ..preflight.result import CannotCheckError
from ..verdict import ClientFacts
from .client_run import ClientRun
from .frames_seen import words_of_bytes
from .probe import ClientProbe
from .served import Served
from .spawned_client import HOST, ClientStarter

_SHOWN_BY = ("C1.1",)
# How long a client that has more to send sends nothing.
_QUIET_S = 0.2
# How long a client that is right may do nothing, and how much of its own silences is added.
_PATIENCE_S, _SILENCES = 5.0, 5
# How many of its runs may pass until it has noticed that something is wrong, beside --reply-timeout.
_RUNS = 3


@dataclass(frozen=True)
class ClientPreflight:
    """What was seen before the first case.

    Attributes:
      facts: what the client does.
      blocker: why only the first case has a verdict; None if the others are tried.
      transcript: of the run that has shown it.
      lines: what the client has written last.
      reply_timeout_s: how long the client may wait for a reply.
    """

    facts: ClientFacts
    blocker: Blocker | None
    transcript: Transcript
    lines: tuple[str, ...]
    reply_timeout_s: float

    @property
    def patience_s(self) -> float:
        """How long the client may do nothing while all is right."""
        return _PATIENCE_S + _SILENCES * self.facts.silence_s

    @property
    def notice_s(self) -> float:
        """How long the client may take to end when something is wrong."""
        return self.reply_timeout_s + _RUNS * self.facts.run_s


async def look_at_client(settings: Settings, starter: ClientStarter) -> ClientPreflight:
    """Start the client against a server that is right.

    Raises:
      CannotCheckError: it does not connect.
      SpawnError: it does not start.
    """
    probe = ClientProbe(
        "preflight",
        settings,
        starter,
        ClientFacts(),
        patience_s=settings.spawn_timeout_s,
        notice_s=settings.spawn_timeout_s,
    )
    first_batch = 0

    async def serve(connection: Served) -> None:
        nonlocal first_batch
        batch = await connection.next_batch(_QUIET_S)
        first_batch = max(first_batch, len(batch))
        await connection.send_apart(map(probe.wire.frame, batch), probe.pause_s)
        await probe.serve_right(connection)

    run = await probe.run(serve)
    if not run.connections:
        raise CannotCheckError(_no_connection(probe, run))
    facts = ClientFacts(
        messages=run.frames,
        connections=len(run.connections),
        sent_bytes=sum(each.received_bytes for each in run.connections),
        run_s=run.elapsed_s,
        silence_s=run.silence_s,
        is_pipelining=first_batch > 1,
        last_line=run.lines[-1] if run.lines else "",
    )
    blocker = _blocker(probe, run)
    return ClientPreflight(facts, blocker, probe.transcript, run.lines, settings.reply_timeout_s)


def _no_connection(probe: ClientProbe, run: ClientRun) -> str:
    where = format_address((HOST, probe.port))
    saying = f"its last line was: {run.lines[-1]}" if run.lines else "it wrote nothing"
    if run.was_large:
        return f"{run.in_words} before it had connected to {where}"
    if run.exit_code is None:
        return f"the client has not connected to {where} after {run.waited_s:.3g} s; {saying}"
    return f"{run.in_words} and has not connected to {where}; {saying}"


def _blocker(probe: ClientProbe, run: ClientRun) -> Blocker | None:
    """Find why the other cases are not worth their time, if they are not."""
    rest = b"".join(each.rest for each in run.connections)
    wrote = f", and wrote: {run.lines[-1]}" if run.lines else ", and wrote nothing about it"
    if run.was_large:
        return _because("takes-all-memory", f"{run.in_words}, though every reply was right")
    if not run.frames:
        if not rest:
            return _because("client-sends-nothing", f"no byte came from the client; {run.in_words}{wrote}")
        cause_id, detail = words_of_bytes(rest, probe.wire)
        reason = f"no frame of {probe.wire} came from the client, but {plural(len(rest), 'other byte')}"
        return _because(cause_id, f"{reason}: {detail}")
    messages = plural(run.frames, "message")
    if run.exit_code is None:
        if run.waited_s >= probe.patience_s:
            reason = f"after {messages}, all of them echoed, the client neither sent anything nor ended"
            return _because("client-does-not-end", reason)
        return _because("client-goes-on", f"the client still sends, {messages} until now")
    if run.exit_code != 0:
        reason = f"{run.in_words} though each of its {messages} was echoed right{wrote}"
        return _because("fails-with-right-server", reason.replace("each of its 1 message", "its message"))
    return None


def _because(cause_id: str, reason: str) -> Blocker:
    return Blocker(cause_id, reason, shown_by=_SHOWN_BY)
