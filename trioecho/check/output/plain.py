"""Words and bytes as every report writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...base.printable import printable
from ..verdict import (
    FIRST_EVENTS,
    AskedRequest,
    Asking,
    CaseResult,
    ClientFacts,
    Event,
    SuiteResult,
    Verdict,
)

_ROW_BYTES = 16
# What is left out of replies is said in so many sentences, and of each in so many places.
_MOST_GROUPS, _MOST_RANGES = 4, 6


def hex_rows(data: bytes, row_bytes: int = _ROW_BYTES) -> Iterator[tuple[str, str, str]]:
    """Return rows of offset, bytes in hex, and those of them that are printable ASCII."""
    for start in range(0, len(data), row_bytes):
        row = data[start : start + row_bytes]
        yield (
            f"{start:04x}",
            row.hex(" "),
            "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row),
        )


def event_heading(event: Event) -> str:
    """Write an event in a line: when, on which connection, what."""
    what = (
        printable(event.text)
        if event.kind == "event"
        else f"{event.kind} {event.size_bytes:,} byte{'s' * (event.size_bytes != 1)}"
    )
    connection = f"#{event.connection} " if event.connection else ""
    return f"{event.t_s:9.4f} s  {connection}{what}"


def verdict_counts(result: SuiteResult, order: Sequence[Verdict]) -> str:
    """Say how many cases had each verdict, in this order, without those that none had."""
    words = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.WARN: "warned"}
    counts = [(result.count(verdict), words.get(verdict, verdict.value)) for verdict in order]
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)


def client_words(client: ClientFacts, patience_s: float) -> str:
    """Say what a client does with a server that is right, and what follows from that."""
    connections = f" on {counted(client.connections, 'connection')}" if client.connections != 1 else ""
    messages = counted(client.messages, "message")
    return (
        f"With a server that is right the client sends {messages}{connections}, and "
        f"ends after {duration_of(client.run_s)}. Where a reply does not come it may take {patience_s:.3g} s "
        "to end; then it is tried again, alone, before that is believed."
    )


def asking_words(asking: Asking) -> Iterator[str]:
    """Say in sentences what was asked, and what of the replies was not compared."""
    yield (
        f"Asked: {counted(len(asking.requests), 'request')} of {printable(asking.source)}. Where a rule says "
        "echo, the reply is meant that a polite client has got before."
    )
    if asking.first_messages:
        yield f"First on every connection: {counted(asking.first_messages, 'message')}, each with its reply."
    if asking.correlate:
        yield (
            f"Each request has an identifier of its own (--correlate {asking.correlate}), by which its "
            "reply is known, in whatever order replies come."
        )
    yield from _grouped(asking.requests)


def _grouped(requests: Sequence[AskedRequest]) -> Iterator[str]:
    by_words: dict[str, list[int]] = {}
    for number, request in enumerate(requests, 1):
        if words := _not_compared(request):
            by_words.setdefault(words, []).append(number)
    if not by_words:
        yield "All bytes of the replies are compared."
    for number, (words, numbers) in enumerate(by_words.items()):
        if number == _MOST_GROUPS:
            yield f"Of {len(by_words) - number} other kinds of replies something is left out, too."
            return
        which = f"the reply to request {numbers[0]}" if len(requests) > 1 else "the reply"
        alike = f" and of {counted(len(numbers) - 1, 'other')}" if len(numbers) > 1 else ""
        yield f"Of {which}{alike} {words}"


def _not_compared(request: AskedRequest) -> str:
    if request.has_varying_length:
        return f"the length varies; bytes from {request.left_out[0][0]} on (counted from 0) are left out."
    if not request.left_out:
        return ""
    ranges = [str(start) if start + 1 == end else f"{start} to {end - 1}" for start, end in request.left_out]
    more = f" and {len(ranges) - _MOST_RANGES} other places" if len(ranges) > _MOST_RANGES else ""
    is_one = len(ranges) == 1 and ranges[0].isdigit()
    return (
        f"{'byte' if is_one else 'bytes'} {', '.join(ranges[:_MOST_RANGES])}{more} "
        "(counted from 0, with the header) "
        f"{'varies and is' if is_one else 'vary, or belong to a number that does, and are'} left out, "
        f"of {counted(len(request.reply), 'byte')}."
    )


def left_out(event: Event) -> str:
    """Say how many bytes are not shown; empty if all are."""
    return f"... and {event.left_out_bytes:,} more bytes" if event.left_out_bytes > 0 else ""


def events_with_gap(result: CaseResult) -> Iterator[Event]:
    """Return the transcript, with an event that says so where others are left out."""
    yield from result.transcript[:FIRST_EVENTS]
    rest = result.transcript[FIRST_EVENTS:]
    if result.events_left_out:
        since_s = rest[0].t_s if rest else result.elapsed_s
        yield Event(
            since_s, 0, "event", text=f"{counted(result.events_left_out, 'event')} left out before this"
        )
    yield from rest


def transcript_lines(result: CaseResult) -> Iterator[str]:
    """Write what was sent and received, in lines of 80 columns."""
    for event in events_with_gap(result):
        yield event_heading(event)
        for offset, digits, text in hex_rows(event.data):
            yield f"    {offset}  {digits:<{_ROW_BYTES * 3 - 1}}  {text}"
        if note := left_out(event):
            yield f"          {note}"


def evidence_lines(result: CaseResult) -> Iterator[str]:
    """Write all that is known of a case that did not pass, for a reader of plain text."""
    for name, words in (("expected", result.expected), ("actual", result.actual)):
        if words:
            yield f"{name + ':':<14}{printable(words)}"
    if result.cause:
        yield f"likely cause: {result.cause.words}"
        yield f"advice:       {result.cause.advice}"
    if result.reproduce:
        yield f"reproduce:    {printable(result.reproduce)}"
    rule = result.rule
    yield f"rule {rule.id}, {rule.level.value}: {rule.requirement}"
    for note in result.notes:
        yield f"note: {printable(note)}"
    if result.transcript:
        yield ""
        yield from transcript_lines(result)


def with_full_stop(text: str) -> str:
    """Make the text the end of a sentence."""
    text = printable(text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def sentence(text: str) -> str:
    """Make the text a sentence of its own."""
    text = with_full_stop(text)
    return text[:1].upper() + text[1:]


def duration_of(seconds: float) -> str:
    """Write a time for people, to three digits: ``85 µs``, ``1.24 s``."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def counted(number: int, thing: str) -> str:
    """Write a number with its noun: ``1 rule``, ``2 rules``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
