"""Write a dissector: constants of a format, what reads its number, and the part that all formats share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from .. import __version__
from ..framing import FrameFormat, parse_layout
from ..framing.layout import Filler, Number, NumberKind

DEFAULT_NAME = "trioecho"
# What Wireshark puts together in memory; and its preferences have no numbers of more than 32 bits.
MOST_FRAME_LENGTH = 1 << 30
# As Wireshark has it for what stands in front of a dot in a filter.
NAME_PATTERN = "[a-z][a-z0-9_]{0,31}"
# Words of filters: Wireshark ends at a protocol that is called so.
_RESERVED_PATTERN = "(all|any)(_eq|_ne)?|eq|ne|[gl][te]|bitwise_and|contains|matches|not|and|x?or|in"

_READERS = {
    NumberKind.UNSIGNED: "unsigned",
    NumberKind.SIGNED: "signed",
    NumberKind.VARINT: "varint",
    NumberKind.BER: "ber",
    NumberKind.DECIMAL: "digits",
    NumberKind.HEXADECIMAL: "digits",
}
_LINE_BYTES = 8


def wireshark_dissector(
    format: FrameFormat,
    *,
    max_frame_length: int,
    name: str = DEFAULT_NAME,
    ports: Sequence[int] = (),
    payload: str | None = None,
    under_tls: bool = False,
) -> str:
    """Return a dissector in Lua, for Wireshark and tshark, of the frames of a format.

    Args:
      format: of the frames.
      max_frame_length: payload bytes that a frame has at most; the dissector refuses a longer one.
      name: of the protocol, and in front of the names of its fields.
      ports: TCP ports whose connections have such frames.
      payload: the name of the dissector, of Wireshark's own, that payloads are given to.
      under_tls: whether they are inside of TLS there.

    Raises:
      ValueError: a name that Wireshark does not take, or a limit that is more than it can put together.
    """
    for word in (name, payload):
        if word is not None and not is_name(word, dots=word == payload):
            raise ValueError(f"{word!r} is no name for Wireshark")
    if not 0 <= max_frame_length <= MOST_FRAME_LENGTH:
        raise ValueError(f"max_frame_length must be from 0 to {MOST_FRAME_LENGTH}, not {max_frame_length}")
    layout = parse_layout(str(format))
    command = f"trioecho dissect --format {format} --name {name}"
    command += "".join(f" --port {port}" for port in ports)
    command += f" --max-frame-length {max_frame_length}"
    command += "" if payload is None else f" --payload {payload}"
    command += " --tls" if under_tls else ""
    head = f"""\
-- Shows frames of the format {format} in Wireshark and tshark.
--
-- Made by trioecho {__version__}, with:
--   {command}
-- To use it, put it into the folder of personal Lua plugins, which Wireshark names under Help, About,
-- Folders; or give it to one run:
--   tshark -X lua_script:FILE -r CAPTURE -Y {name}
-- Connections on other ports: Analyze, Decode As, TCP port, {name.upper()}; tshark -d tcp.port==PORT,{name}

local NAME = "{name}"
local DESCRIPTION = "{name.upper()}, frames of {format}"
local PORTS = {{{_joined(ports)}}}
local UNDER_TLS = {str(under_tls).lower()}
-- Bytes of payload that a frame has at most. Wireshark shows it as a preference of the protocol.
local MAX_FRAME_LENGTH = {max_frame_length}
local payload_dissector = {_dissector_of(payload)}

-- ---- the format: {format} ----

-- In front of the length, behind it, and behind the payload: how many bytes, and which have to be there.
local BEFORE_BYTES, BEFORE = {_filler(layout.before)}
local BEHIND_BYTES, BEHIND = {_filler(layout.behind)}
local TRAILER_BYTES, TRAILER = {_filler(layout.trailer)}
-- Where the byte is that says how much padding follows the payload: from the header's begin, or, if
-- it is negative, from its end. There may be none.
local PADDING_AT = {"nil" if layout.padding_at is None else layout.padding_at}
-- A header has at least so many bytes.
local LEAST_HEADER_BYTES = {layout.least_header_bytes}
-- Bytes that the length counts beside the payload.
local COUNTED = {layout.counted}
{_number(layout.number)}
"""
    return "\n".join((head, _lua(_READERS[layout.number.kind]), _lua("frames"))).rstrip("\n")


def is_name(text: str, *, dots: bool = False) -> bool:
    """Return whether Wireshark takes this as the name of a protocol; with dots, as that of a dissector."""
    if not dots and re.fullmatch(_RESERVED_PATTERN, text):
        return False
    pattern = r"[A-Za-z0-9_.-]{1,64}" if dots else NAME_PATTERN
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _dissector_of(payload: str | None) -> str:
    if payload is None:
        return "nil"
    return f'assert(Dissector.get("{payload}"), "Wireshark has no dissector {payload}")'


def _joined(ports: Sequence[int]) -> str:
    return f" {', '.join(map(str, ports))} " if ports else ""


def _filler(filler: Filler) -> str:
    """Return how many bytes a part has, and a table of those that are not free, by where they are."""
    checks, at = [], 0
    for part in filler:
        if isinstance(part, bytes):
            checks.append(f"{{ at = {at}, bytes = {_bytes(part)} }}")
        at += part if isinstance(part, int) else len(part)
    return f"{at}, {{ {', '.join(checks)} }}" if checks else f"{at}, {{}}"


def _bytes(part: bytes) -> str:
    lines = [
        ", ".join(f"0x{byte:02x}" for byte in part[start : start + _LINE_BYTES])
        for start in range(0, len(part), _LINE_BYTES)
    ]
    if len(lines) == 1:
        return f"{{ {lines[0]} }}"
    return "".join(("{\n", *(f"    {line},\n" for line in lines), "}"))


def _number(number: Number) -> str:
    """Return the constants of a number."""
    lines, looks_ahead = [], 0
    flag_bits = -number.most % 8 if number.is_binary else 0
    if number.is_binary:
        lines += [
            f"local NUMBER_BYTES = {number.least_bytes}",
            f"local LITTLE_ENDIAN = {str(number.byte_order == 'little').lower()}",
        ]
        if number.kind is NumberKind.UNSIGNED:
            mask = number.largest
            lines.append(f"local LENGTH_MASK = UInt64(0x{mask & 0xFFFFFFFF:x}, 0x{mask >> 32:x})")
    elif number.kind is NumberKind.VARINT:
        lines.append(f"local MOST_NUMBER_BYTES = {number.most}")
    elif number.kind is NumberKind.BER:
        lines.append(f"local MOST_LENGTH_BYTES = {number.most}")
    else:
        looks_ahead = int(number.least != number.most)
        is_hexadecimal = number.kind is NumberKind.HEXADECIMAL
        lines += [
            f"local LEAST_DIGITS, MOST_DIGITS = {number.least}, {number.most}",
            f"local HEXADECIMAL = {str(is_hexadecimal).lower()}",
            f'local DIGITS = "^{"%x" if is_hexadecimal else "%d"}*"',
            f'local DIGIT = "{"hexadecimal" if is_hexadecimal else "decimal"} digit"',
        ]
    lines.append("-- Bits of flags above the length, in its first or last byte.")
    lines.append(f"local FLAG_BITS = {flag_bits}")
    lines.append("-- How many bytes behind a length of digits show where it ends.")
    lines.append(f"local LOOKS_AHEAD = {looks_ahead}")
    return "\n".join(lines)


def _lua(name: str) -> str:
    return resources.files(__package__).joinpath("lua").joinpath(f"{name}.lua").read_text("utf-8")
