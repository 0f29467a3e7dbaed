"""``trioecho formats``: the formats of frames, by name; and which one some bytes may have."""

from __future__ import annotations

import argparse
import contextlib
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from ..base.connect import open_stream
from ..base.describe import describe
from ..base.endpoint import why_not_connected
from ..base.quantities import plural, wrapped
from ..base.suggestion import quoted
from ..framing import PRESETS, encode_frame, recognize
from ..framing.format_guess import LOOKED_AT_BYTES, Guess, guess_formats
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.parser import Commands, Parser, add_command_parser
from .shared.report_files import ReportFiles
from .shared.signals import run_until_signal
from .shared.terminal import terminal_width, text_width

_EPILOG = """\
The format of a frame is written as its parts, in their order on the wire:

  u32be          the length: 32 bits, most significant byte first; le: least.
                 u24be, u8; u31be has a flag above it, u31be:1 sets that
  i32be          a length with a sign, which must be positive
  varint         7 bits a byte, least first; varint4: of at most 4 bytes
  dec4, hex4     4 digits, decimal or hexadecimal; dec1-9: from 1 to 9 of them
  ber            a length of BER or DER
  any3, x30      3 bytes that may be anything; exactly these, in hexadecimal
  payload        where the payload is, if something follows it

A length counts the payload. What else it counts stands behind it: +header (all
in front of the payload), +itself, +rest (what is between it and the payload),
+trailer (what follows the payload), +4 (4 bytes).

--of reads the beginning of FILE, or what a server at HOST:PORT sends by itself
within 2 s. Only whole frames say something: two or more that end where the
bytes do are a good sign, one is a weak one.

exit codes:
  0  listed, explained, or a format was found
  1  --of cannot tell
  2  wrong usage, or FILE cannot be read
  3  FILE is empty, or the server cannot be reached or sends nothing by itself

examples:
  trioecho formats
  trioecho formats mqtt
  trioecho serve --format any1,varint4
  trioecho formats --of capture.bin
"""
_LISTEN_S = 2.0
_CONNECT_S = 10.0
_EXAMPLE = b"hello"
_SHOWN_GUESSES, _SHOWN_LENGTHS = 5, 6


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``formats`` and its options."""
    parser = add_command_parser(
        commands,
        "formats",
        run,
        summary=summary,
        description="List the formats of protocols, explain one, or guess that of some bytes.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="a protocol, or a format as any1,varint4: explain it")
    add(
        "--of", metavar="FILE|HOST:PORT", help="guess the format of these bytes, or of what this server sends"
    )
    add("--json", metavar="FILE", help="the same for programs; - for stdout")


def run(arguments: argparse.Namespace) -> int:
    """List, explain or guess."""
    if arguments.of is not None and arguments.name is not None:
        raise CommandError(ExitCode.WRONG_USAGE, "give NAME or --of, not both")
    wanted = {"json": arguments.json} if arguments.json is not None else {}
    files = ReportFiles(wanted, arguments.prog, [arguments.of])
    code = ExitCode.OK
    if arguments.of is not None:
        data = _read(arguments.of)
        guesses = guess_formats(data)
        document: object = _guesses_document(data, guesses)
        lines = _guesses_in_words(data, guesses)
        code = ExitCode.OK if guesses and guesses[0].is_likely else ExitCode.FAILED
    elif arguments.name is None:
        document, lines = [_document(name) for name in PRESETS], _list_of_all()
    else:
        document = one = _document(arguments.name)
        lines = _explanation(one)
    for line in lines:
        files.print_text(line)
    went_well = files.write({"json": f"{json.dumps(document, indent=2)}\n".encode})
    return code if went_well else code or ExitCode.FAILED


# ---- list and explain ----


def _list_of_all() -> Iterator[str]:
    width = terminal_width()
    name_width = max(map(len, PRESETS))
    indent = " " * (name_width + 2)
    for name, preset in PRESETS.items():
        line = f"{name:{name_width}}  {preset.format:22}  {preset.about}"
        if width is None:  # nobody sees it now, so nothing is left out
            yield from wrapped(line, text_width(), subsequent_indent=indent)
        else:
            yield line if len(line) <= width else f"{line[: width - 3].rstrip()}..."


def _document(text: str) -> dict[str, Any]:
    """Return what is known of a protocol, or of a format, as JSON has it."""
    try:
        frame_format = values.frame_format(text)
    except argparse.ArgumentTypeError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    name = text.strip().lower()
    preset = PRESETS.get(name)
    return {
        "name": name if preset else None,
        "format": str(frame_format),
        "about": preset.about if preset else None,
        "source": preset.source if preset else None,
        "limit": preset.limit if preset else None,
        "max_payload_length": frame_format.max_payload_length,
        "least_header_bytes": frame_format.header_bytes,
        "example": encode_frame(_EXAMPLE, format=frame_format).hex(" ")
        if len(_EXAMPLE) <= frame_format.max_payload_length
        else None,
    }


def _explanation(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that explain a format."""
    if document["name"]:
        yield from _wrapped(f"{document['name']}: {document['about']}")
        yield f"format:   {document['format']}"
        yield from _wrapped(f"source:   {document['source']}")
    else:
        yield f"format:   {document['format']}"
        same = [name for name, preset in PRESETS.items() if preset.format == document["format"]]
        if same:
            yield from _wrapped(f"used by:  {', '.join(same)}")
    if document["limit"] is not None:
        yield f"limit:    {document['limit']:,} bytes of payload, as is usual"
    yield f"at most:  {document['max_payload_length']:,} bytes of payload, which the length can express"
    if document["example"]:
        yield f"example:  {document['example']}"
        yield f"          is the frame of the payload {_EXAMPLE.decode()}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, text_width(), subsequent_indent=" " * 10, break_on_hyphens=False)


# ---- guess ----


def _guesses_document(data: bytes, guesses: list[Guess]) -> dict[str, Any]:
    """Return what was guessed as JSON has it."""
    return {
        "bytes": len(data),
        "known_as": _known_as(data),
        "guesses": [
            {
                "format": str(guess.format),
                "protocols": list(guess.protocols),
                "is_likely": guess.is_likely,
                "bits": round(guess.bits, 1),
                "frames": len(guess.payload_lengths),
                "left_bytes": guess.left_bytes,
                "reason": _reason(guess),
            }
            for guess in guesses
        ],
    }


def _known_as(data: bytes) -> str | None:
    service = recognize(data)
    return None if service is None else service.what


def _guesses_in_words(data: bytes, guesses: list[Guess]) -> Iterator[str]:
    if (known := _known_as(data)) is not None:
        yield f"the bytes begin {known}"
    for guess in guesses[:_SHOWN_GUESSES]:
        cuts_alike = guesses[0].is_likely and guess.ends == guesses[0].ends
        word = "likely" if guess.is_likely else "or" if cuts_alike else "possible"
        yield f"{word:8}  {guess.format}"
        for line in textwrap.wrap(_reason(guess), text_width() - 10, break_on_hyphens=False):
            yield f"          {line}"
    if not guesses:
        yield f"cannot tell: {plural(len(data), 'byte')} are whole frames of no known format"
    elif not guesses[0].is_likely:
        yield "cannot tell which: more bytes, of more frames, would"


def _reason(guess: Guess) -> str:
    shown = ", ".join(f"{length:,}" for length in guess.payload_lengths[:_SHOWN_LENGTHS])
    more = " ..." if len(guess.payload_lengths) > _SHOWN_LENGTHS else ""
    frames = f"{plural(len(guess.payload_lengths), 'whole frame')}, with payloads of {shown}{more} bytes"
    if not guess.left_bytes:
        end = "and no byte is left"
    elif guess.missing_bytes is None:
        end = f"and {plural(guess.left_bytes, 'byte')} of a header"
    else:
        end = f"and one that lacks {plural(guess.missing_bytes, 'byte')}"
    used = f"; used by {', '.join(guess.protocols)}" if guess.protocols else ""
    return f"{frames}, {end}: by chance once in 2^{guess.bits:.0f}{used}"


def _read(what: str) -> bytes:
    path = Path(what)
    try:
        with path.open("rb") as file:
            data = file.read(LOOKED_AT_BYTES)
    except (OSError, ValueError) as error:
        try:
            where = values.address(what)
        except argparse.ArgumentTypeError:
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"{quoted(what)} cannot be read ({describe(error)}), and is no HOST:PORT",
            ) from None
        data = _listen(where)
        what = f"{where} sends nothing by itself within {_LISTEN_S:g} s; record what it sends in a FILE"
    else:
        what = f"{quoted(what)} is empty"
    if not data:
        raise CommandError(ExitCode.UNAVAILABLE, what)
    return data


def _listen(where: values.Address) -> bytes:
    async def receive() -> bytes:
        received = b""
        with trio.fail_after(_CONNECT_S):
            stream = await open_stream(where.host, where.port)
        async with stream:
            with trio.move_on_after(_LISTEN_S), contextlib.suppress(trio.BrokenResourceError):
                while len(received) < LOOKED_AT_BYTES and (data := await stream.receive_some()):
                    received += data
        return received

    try:
        return run_until_signal(receive)
    except trio.TooSlowError:
        reason = f"no reply within {_CONNECT_S:g} s"
    except (OSError, UnicodeError) as error:
        reason = why_not_connected(error)
    raise CommandError(ExitCode.UNAVAILABLE, f"cannot connect to {where}: {reason}")
