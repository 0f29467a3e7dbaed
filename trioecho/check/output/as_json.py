"""Results for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ...base.printable import printable
from ..verdict import (
    Asking,
    CaseResult,
    Cause,
    CheckMachine,
    ClientFacts,
    Event,
    SuiteResult,
    Verdict,
    counts_against,
)
from .tested import Tested, outcome_of, outcome_of_all

_SCHEMA = "trioecho-check"
VERSION = 1


def results_as_json(servers: Sequence[Tested], *, strict: bool = False) -> str:
    """Write all results as one JSON object.

    Fields may be added in time; if one is taken away or changes its meaning,
    ``version`` goes up. Times are in seconds, and a number that is not known is null.

    The whole::

        schema        "trioecho-check"
        version       1
        strict        whether broken SHOULDs count
        outcome       "conformant", "not conformant", "inconclusive" or "not tested":
                      the worst of the servers', or clients', in the order 2, 4, 3, 1
        servers       [server], in the order of the command line
        clients       [client] likewise, of --client; one of both lists is empty

    A server::

        target        its name if it was given one, or is one of a class; else
                      "HOST:PORT", or the command that starts it
        outcome       of this server; the same words
        machine       {worker, host} of the cluster where it was checked; null if on this one, or on none
        error         why it could not be tested; null if it was, and if not, then
                      the fields from here on are missing
        address       where it listened, "HOST:PORT"
        command       what started it; null if it was running
        seed          what the bytes were made from
        format        its headers, as --format has them
        max_frame_length   its limit in payload bytes; null if not given
        round_trip_s       median round trip of a small frame; 0 if no echo came
        patience_s         how long it could be silent at first
        confirm_patience_s how long it could when a case was tried again
        jobs          how many cases ran side by side
        started_at    ISO 8601, UTC
        elapsed_s     how long the run took
        versions      {name: version} of trioecho, python, trio and the platform
        cut_short     why the run ended before all cases were decided; null if it did not
        asking        what was asked of a service that does not echo; null if echoes were
        notes         [text] about the whole run
        counts        {verdict: cases}, all five verdicts
        causes        [cause], the likeliest first
        results       [result], in the book's order

    A client has the fields of a server, of which address is empty, and asking and max_frame_length
    are null, and::

        client        what it does with a server that is right: {messages, connections, sent_bytes,
                      run_s, silence_s, is_pipelining}

    What was asked::

        source        where the requests are from
        correlate     where each has an identifier that comes back, as --correlate has it, or null
        first_messages  how many messages were sent first on every connection
        requests      [{payload_hex, reply_hex, left_out, has_varying_length}], where left_out has a
                      [start, end] for each range of bytes of the reply that vary and are not compared;
                      if the length varies, all from there on

    A result::

        id            the rule's, "2.3"; of a client "C2.3"
        section       its section's number, 2; of a client 2, too
        title, level, heading    the rule's; level is MUST or SHOULD
        verdict       "pass", "fail", "warn", "not applicable" or "inconclusive"
        counts_against     whether it makes the server, or client, not conformant
        summary       the verdict's reason in a line
        expected, actual   what was asked for and what was seen; empty if it passed
        cause         cause or null
        reproduce     the command that runs this case alone, with the same bytes
        notes         [text]
        elapsed_s     how long it took
        attempts      how often it ran until the verdict was certain
        transcript    [event], in order
        events_left_out    how many are missing in it, after the first 40

    A cause::

        id            stable, as "one-parse-per-recv"
        words         what the server probably does
        advice        what to do instead

    An event::

        t_s           since the case began
        connection    which of the case's connections, from 1; 0 for none
        kind          "sent", "received" or "event"
        size_bytes    how many bytes, if it was bytes
        data_hex      these bytes from the first on; long ones are cut
        text          what happened, if it was another event
    """
    return json.dumps(
        {
            "schema": _SCHEMA,
            "version": VERSION,
            "strict": strict,
            "outcome": outcome_of_all(servers, strict=strict),
            "servers": [_server(each, strict) for each in servers if each.book.noun == "server"],
            "clients": [_server(each, strict) for each in servers if each.book.noun == "client"],
        },
        indent=1,
        allow_nan=False,
    )


def _server(server: Tested, strict: bool) -> dict[str, Any]:
    head = {
        "target": printable(server.target),
        "outcome": outcome_of(server, strict=strict),
        "machine": None if server.machine is None else _machine(server.machine),
    }
    if not isinstance(server, SuiteResult):
        return {**head, "error": printable(server.reason)}
    return {
        **head,
        "error": None,
        "address": server.address,
        "command": None if server.command is None else printable(server.command),
        "seed": server.seed,
        "format": server.format,
        "max_frame_length": server.max_frame_length,
        "round_trip_s": _seconds(server.round_trip_s),
        "patience_s": _seconds(server.patience_s),
        "confirm_patience_s": _seconds(server.confirm_patience_s),
        "jobs": server.jobs,
        "started_at": server.started_at,
        "elapsed_s": _seconds(server.elapsed_s),
        "versions": dict(server.versions),
        "cut_short": server.cut_short or None,
        "asking": None if server.asking is None else _asking(server.asking),
        "notes": [printable(note) for note in server.notes],
        "counts": {verdict.value: server.count(verdict) for verdict in Verdict},
        "causes": [_cause(cause) for cause in server.causes],
        "results": [_result(result, strict) for result in server.results],
        **({} if server.client is None else {"client": _client(server.client)}),
    }


def _machine(machine: CheckMachine) -> dict[str, str]:
    return {"worker": printable(machine.worker), "host": printable(machine.host)}


def _client(client: ClientFacts) -> dict[str, Any]:
    return {
        "messages": client.messages,
        "connections": client.connections,
        "sent_bytes": client.sent_bytes,
        "run_s": _seconds(client.run_s),
        "silence_s": _seconds(client.silence_s),
        "is_pipelining": client.is_pipelining,
    }


def _asking(asking: Asking) -> dict[str, Any]:
    return {
        "source": printable(asking.source),
        "correlate": asking.correlate or None,
        "first_messages": asking.first_messages,
        "requests": [
            {
                "payload_hex": each.payload.hex(),
                "reply_hex": each.reply.hex(),
                "left_out": [list(places) for places in each.left_out],
                "has_varying_length": each.has_varying_length,
            }
            for each in asking.requests
        ],
    }


def _result(result: CaseResult, strict: bool) -> dict[str, Any]:
    rule = result.rule
    return {
        "id": result.id,
        "section": rule.section,
        "title": rule.title,
        "level": rule.level.value,
        "heading": rule.heading.value,
        "verdict": result.verdict.value,
        "counts_against": counts_against(result, strict=strict),
        "summary": printable(result.summary),
        "expected": printable(result.expected),
        "actual": printable(result.actual),
        "cause": result.cause and _cause(result.cause),
        "reproduce": printable(result.reproduce),
        "notes": [printable(note) for note in result.notes],
        "elapsed_s": _seconds(result.elapsed_s),
        "attempts": result.attempts,
        "transcript": [_event(event) for event in result.transcript],
        "events_left_out": result.events_left_out,
    }


def _cause(cause: Cause) -> dict[str, str]:
    return {"id": cause.id, "words": cause.words, "advice": cause.advice}


def _event(event: Event) -> dict[str, Any]:
    return {
        "t_s": _seconds(event.t_s),
        "connection": event.connection,
        "kind": event.kind,
        "size_bytes": event.size_bytes,
        "data_hex": event.data.hex(),
        "text": printable(event.text),
    }


def _seconds(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
