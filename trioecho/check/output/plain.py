"""Words and bytes as every report writes them."""

from __future__ import annotations

from collections.abc import Iterator

from ..verdict import FIRST_EVENTS, CaseResult, Event

_ROW_BYTES = 16


def printable(text: str) -> str:
    """The text, with escapes for what cannot be seen.

    That are control characters and those that change the direction of writing
    (XML 1.0 cannot hold all of them, and a terminal or browser may obey them), and
    the lone surrogates that stand for bytes which were no UTF-8. Line ends and tabs stay.
    """
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what errors="surrogateescape" makes of a byte
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def hex_rows(data: bytes, row_bytes: int = _ROW_BYTES) -> Iterator[tuple[str, str, str]]:
    """Rows of offset, bytes in hex, and those of them that are printable ASCII."""
    for start in range(0, len(data), row_bytes):
        row = data[start : start + row_bytes]
        yield (
            f"{start:04x}",
            row.hex(" "),
            "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row),
        )


def event_heading(event: Event) -> str:
    """An event in a line: when, on which connection, what."""
    what = (
        printable(event.text)
        if event.kind == "event"
        else f"{event.kind} {event.size_bytes:,} byte{'s' * (event.size_bytes != 1)}"
    )
    connection = f"#{event.connection} " if event.connection else ""
    return f"{event.t_s:9.4f} s  {connection}{what}"


def left_out(event: Event) -> str:
    """What is to be said about bytes that are not shown; empty if all are."""
    return f"... and {event.left_out_bytes:,} more bytes" if event.left_out_bytes > 0 else ""


def events_with_gap(result: CaseResult) -> Iterator[Event]:
    """The transcript, with an event that says so where others are left out."""
    yield from result.transcript[:FIRST_EVENTS]
    rest = result.transcript[FIRST_EVENTS:]
    if result.events_left_out:
        since_s = rest[0].t_s if rest else result.elapsed_s
        yield Event(
            since_s, 0, "event", text=f"{counted(result.events_left_out, 'event')} left out before this"
        )
    yield from rest


def transcript_lines(result: CaseResult) -> Iterator[str]:
    """What was sent and received, in lines of 80 columns."""
    for event in events_with_gap(result):
        yield event_heading(event)
        for offset, digits, text in hex_rows(event.data):
            yield f"    {offset}  {digits:<{_ROW_BYTES * 3 - 1}}  {text}"
        if note := left_out(event):
            yield f"          {note}"


def evidence_lines(result: CaseResult) -> Iterator[str]:
    """All that is known of a case that did not pass, for a reader of plain text."""
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
    """The text as the end of a sentence."""
    text = printable(text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def sentence(text: str) -> str:
    """The text as a sentence of its own."""
    text = with_full_stop(text)
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time for people, to three digits: ``85 µs``, ``1.24 s``."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def counted(number: int, thing: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
