"""``trioecho dissect``: a dissector for Wireshark, of any format of frames."""

from __future__ import annotations

import argparse

from ..dissect import DEFAULT_NAME, MOST_FRAME_LENGTH, is_name, wireshark_dissector
from ..framing import DEFAULT_MAX_FRAME_LENGTH
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.options import add_format_option
from .shared.output import CommandError, print_result
from .shared.parser import Commands, Parser, add_command_parser

_EPILOG = """\
The dissector is a file in Lua. Wireshark takes it from the folder of personal Lua
plugins (Help, About, Folders), tshark from -X lua_script:FILE. It puts frames
together that TCP has cut, and takes apart what came together. What trioecho refuses
is marked, with the reason, and so is what follows it in that direction.

Of each frame it shows these fields, which filters can ask for, as NAME.payload:
  number     which frame of its direction it is, from 1 on
  header     all in front of the payload; in it before, length, flags, behind
  payload    the payload; payload_length is how many bytes it has
  trailer    what follows it
  too_large  what is wrong; or too_small, malformed, bad_trailer, after, cut

exit codes:
  0  printed
  2  wrong usage

examples:
  trioecho dissect --port 26066 >trioecho.lua
  tshark -X lua_script:trioecho.lua -i lo -f 'tcp port 26066' -Y trioecho
  trioecho dissect --format netstring --name games --port 7000 --port 7001 >games.lua
  trioecho dissect --format native-messaging --payload json --port 7002 >browser.lua
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``dissect`` and its options."""
    parser = add_command_parser(
        commands,
        "dissect",
        run,
        summary=summary,
        description="Print a dissector in Lua, with which Wireshark and tshark show frames of a format.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add_format_option(parser)
    add(
        "--port",
        dest="ports",
        type=_port,
        action="append",
        default=[],
        metavar="PORT",
        help="TCP port whose connections have such frames; may be given several times "
        "(default: none; Decode As chooses connections by hand)",
    )
    add(
        "--name",
        type=_name,
        metavar="NAME",
        default=DEFAULT_NAME,
        help="of the protocol in Wireshark, and of its fields in filters (default: %(default)s)",
    )
    add(
        "--max-frame-length",
        type=_limit,
        metavar="SIZE",
        default=DEFAULT_MAX_FRAME_LENGTH,
        help="largest payload; what announces more is no frame (default: 1MiB)",
    )
    add(
        "--payload",
        type=_dissector,
        metavar="DISSECTOR",
        help="one of Wireshark's own, which gets the payloads: json, xml (tshark -G protocols lists all)",
    )
    add(
        "--tls",
        action="store_true",
        help="the frames are inside of TLS there, whose keys Wireshark has to have",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the dissector."""
    if arguments.tls and not arguments.ports:
        raise CommandError(ExitCode.WRONG_USAGE, "--tls says what is spoken on a --port; give one")
    print_result(
        wireshark_dissector(
            arguments.format,
            max_frame_length=arguments.max_frame_length,
            name=arguments.name,
            ports=list(dict.fromkeys(arguments.ports)),
            payload=arguments.payload,
            under_tls=arguments.tls,
        )
    )
    return ExitCode.OK


def _port(text: str) -> int:
    number = values.port(text)
    if not number:
        raise values.refusal(text, "is no port that a connection can have; write a number from 1 to 65535")
    return number


def _name(text: str) -> str:
    if not is_name(text):
        raise values.refusal(
            text,
            "is no name for a protocol of Wireshark; write a small letter, then small letters, digits or _, "
            "at most 32, and no word of filters, as and",
        )
    return text


def _dissector(text: str) -> str:
    if not is_name(text, dots=True):
        raise values.refusal(text, "is no name of a dissector, such as dns; tshark -G protocols lists all")
    return text


def _limit(text: str) -> int:
    limit = values.size(text)
    if limit > MOST_FRAME_LENGTH:
        raise values.refusal(text, f"is more than Wireshark puts together; {MOST_FRAME_LENGTH} bytes at most")
    return limit
