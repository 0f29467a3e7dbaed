"""``trioecho send``: messages of your own to any framed service."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence

import trio

from ..base.addresses import format_address
from ..base.describe import describe
from ..base.message_file import MessageFileError, message_format_of, read_messages
from ..base.suggestion import quoted
from ..client.asking import ask_what_it_is
from ..client.tls_hints import why_no_channel, why_not_accepted
from ..connection.channel import FrameChannel
from ..connection.connect import open_frame_channel
from ..connection.tls_errors import ClientCertificateError
from ..errors import ConnectionEndedError, LocalProtocolError, ProtocolError, RemoteProtocolError
from ..framing import DEFAULT_MAX_FRAME_LENGTH, Frame
from ..limits import or_infinite
from ..load.message_list import WireKeeper, header_completer
from ..send.conversation import Conversation, Ending, TooFewRepliesError
from ..send.notation import Notation, as_json, as_text, read_message
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.options import add_address, add_format_option, add_max_frame_length_option
from .shared.output import CommandError, print_error, print_result, write_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import run_until_signal
from .shared.tls_options import TlsConnecting, add_client_tls_options, tls_connecting_of
from .standard_input import Prompt, lines_of_stdin

_CONNECT_TIMEOUT_S = 10.0
# At a prompt: how long a reply may take before the next prompt, and after the last message.
_PROMPT_PATIENCE_S = 1.0
# How long a service may take to read what it does not reply to.
_LINGER_S = 1.0

_EPILOG = """\
Each MESSAGE is the payload of one frame. Without any, each line of stdin is one;
on a terminal there is a prompt (Ctrl-D ends it). A reply is shown as text if it
is printable UTF-8, and otherwise in hexadecimal.

The command ends when there are as many replies as messages. For a service that
does not reply once to each message, --wait TIME receives until nothing has come
for that time. After the last line of stdin the stream is ended (half-close).

exit codes:
  0  each message has a reply; or --wait or --no-reply was given, and all is sent
  1  a reply is missing, or the connection was lost
  2  wrong usage, or a message that cannot be read or sent
  3  the service cannot be reached, or does not reply with frames

examples:
  trioecho send 127.0.0.1:26066 hello 'two words'
  trioecho send 127.0.0.1:26066 --hex 'c3 a9 00'
  trioecho send 127.0.0.1:26066 --wait 1s <messages.txt
  trioecho send localhost:26066 --tls --cacert ca.pem hello
  trioecho send 127.0.0.1:1883 --format mqtt --header 'c0 00' ''
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``send`` and its options."""
    parser = add_command_parser(
        commands,
        "send",
        run,
        summary=summary,
        description="Send messages of your own to any framed service, and show the replies.",
        epilog=_EPILOG,
    )
    add_address(parser)
    parser.add_argument("message", nargs="*", metavar="MESSAGE", help="sent in a frame of its own")
    parser.anywhere = "message"
    parser.add_argument(
        "--messages",
        metavar="FILE",
        help="send the messages of a file: JSON Lines (.jsonl) or raw frames (.frames)",
    )
    written = parser.add_mutually_exclusive_group()
    for notation, text in ((Notation.HEX, "hexadecimal"), (Notation.BASE64, "Base64")):
        written.add_argument(
            f"--{notation.value}",
            dest="notation",
            action="store_const",
            const=notation,
            help=f"each MESSAGE, or line of stdin, is written in {text}",
        )
    add_format_option(parser)
    parser.add_argument(
        "--header",
        type=_header,
        metavar="HEX",
        help="header of each frame, where it has more than a length; the length in it is written anew",
    )
    add_max_frame_length_option(parser, "longest payload, in either direction (default: 1MiB)")
    parser.add_argument(
        "--show",
        type=values.one_of("text", "json", "raw"),
        metavar="AS",
        default="text",
        help="text, json (a line for each reply), or raw (the payloads, and no more) (default: text)",
    )
    until = parser.add_mutually_exclusive_group()
    until.add_argument(
        "--timeout",
        type=values.seconds,
        metavar="TIME",
        default=10.0,
        help="longest wait for a reply; 0 for no limit (default: 10s)",
    )
    until.add_argument(
        "--wait",
        type=values.seconds,
        metavar="TIME",
        help="receive until nothing has come for TIME, however many replies there are; 0 for no limit",
    )
    until.add_argument("--no-reply", action="store_true", help="end when all is sent; show no reply")
    add_client_tls_options(parser)


def _header(text: str) -> bytes:
    try:
        header = read_message(os.fsencode(text), Notation.HEX)
    except ValueError as error:
        raise values.refusal(text, str(error)) from None
    if not header:
        raise values.refusal(text, "has no bytes; write two digits for each byte, as 00 ff")
    return header


def run(arguments: argparse.Namespace) -> int:
    """Send, receive, show."""
    if arguments.message and arguments.messages:
        raise CommandError(ExitCode.WRONG_USAGE, "give either MESSAGE or --messages FILE, not both")
    given = _given_messages(arguments)
    tls = tls_connecting_of(arguments)
    try:
        if arguments.header:
            arguments.format.encode_header(0, like=arguments.header)
        run_until_signal(_send, arguments, given, tls)
    except (ValueError, LocalProtocolError) as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    return ExitCode.OK


def _given_messages(arguments: argparse.Namespace) -> list[Frame] | None:
    """Return the messages of the command line or of a file; None if they are on stdin."""
    header: bytes = arguments.header or b""
    if arguments.messages:
        keeper = WireKeeper(arguments.format, _max_frame_length(arguments))
        try:
            found = read_messages(
                arguments.messages,
                message_format_of(arguments.messages),
                keeper,
                errors=(ProtocolError,),
                complete_header=header_completer(arguments.format),
            )
        except MessageFileError as error:
            raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
        headers: Sequence[bytes | None] = keeper.headers or [message.header for message in found]
        return [
            Frame(header or own or b"", message.payload) for own, message in zip(headers, found, strict=True)
        ]
    if not arguments.message:
        return None
    try:
        return [
            Frame(header, read_message(os.fsencode(word), arguments.notation or Notation.TEXT))
            for word in arguments.message
        ]
    except ValueError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"a MESSAGE {error}") from None


def _max_frame_length(arguments: argparse.Namespace) -> int:
    limit: int | None = arguments.max_frame_length
    return DEFAULT_MAX_FRAME_LENGTH if limit is None else limit


async def _send(arguments: argparse.Namespace, given: list[Frame] | None, tls: TlsConnecting) -> None:
    is_prompt = given is None and sys.stdin.isatty()
    address = format_address(arguments.address)
    prompt = Prompt(f"{address}> " if is_prompt else "")
    show = _shower(arguments)
    channel = await _connect(arguments, tls)
    ending = _ending(arguments, is_prompt=is_prompt)
    conversation = Conversation(channel, ending, lambda reply: prompt.show_around(lambda: show(reply)))
    messages = _lines(arguments, conversation, prompt) if given is None else _each(given)
    problem = hint = ""
    try:
        try:
            await conversation.run(messages, half_close=given is None)
            if arguments.no_reply:
                await channel.finish(linger_s=_LINGER_S)
        finally:
            prompt.leave()
            with contextlib.suppress(ConnectionEndedError):
                await trio.aclose_forcefully(channel)
    except RemoteProtocolError as error:
        code = ExitCode.FAILED if conversation.received else ExitCode.UNAVAILABLE
        raise CommandError(code, f"{address}: {describe(error)}") from None
    except TooFewRepliesError as error:
        if is_prompt:
            print_error(f"{address}: {error.reason}")
            return
        problem = str(error)
        hint = f"; does it reply to frames of {arguments.format}? If not to each, give --wait or --no-reply"
    except ClientCertificateError as error:
        raise CommandError(ExitCode.UNAVAILABLE, f"{address} {why_not_accepted(error)}") from None
    except ConnectionEndedError as error:
        problem = describe(error)
    if problem and not conversation.received and tls.context is None:
        host, port = arguments.address
        found = await ask_what_it_is(host, port, arguments.format, sends_frames=False, has_tls_option=True)
        if found is not None:
            raise CommandError(ExitCode.UNAVAILABLE, f"{address} {found}")
        problem += hint
    if problem:
        raise CommandError(ExitCode.FAILED, f"{address}: {problem}")


async def _connect(arguments: argparse.Namespace, tls: TlsConnecting) -> FrameChannel:
    host, port = arguments.address
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await open_frame_channel(
                host,
                port,
                ssl_context=tls.context,
                server_hostname=tls.server_hostname,
                format=arguments.format,
                max_frame_length=_max_frame_length(arguments),
                write_timeout_s=arguments.timeout,
            )
    except trio.TooSlowError:
        reason = f"no reply within {_CONNECT_TIMEOUT_S:g} s"
    except (OSError, UnicodeError) as error:
        reason = why_no_channel(error)
    raise CommandError(ExitCode.UNAVAILABLE, f"cannot connect to {format_address((host, port))}: {reason}")


def _ending(arguments: argparse.Namespace, *, is_prompt: bool) -> Ending:
    if arguments.no_reply:
        return Ending(at_last_reply=False, silence_s=0, needs_replies=False)
    if arguments.wait is not None:
        return Ending(at_last_reply=False, silence_s=or_infinite(arguments.wait), needs_replies=False)
    if is_prompt:
        return Ending(silence_s=_PROMPT_PATIENCE_S, needs_replies=False)
    return Ending(silence_s=or_infinite(arguments.timeout))


def _shower(arguments: argparse.Namespace) -> Callable[[Frame], object]:
    """Return what shows a reply."""
    if arguments.no_reply:
        return lambda reply: None
    if arguments.show == "raw":
        return lambda reply: write_result(reply.payload)
    # A header that is a length and nothing else says nothing more.
    with_header = not arguments.format.is_plain
    if arguments.show == "json":
        return lambda reply: print_result(as_json(reply, with_header=with_header))
    return lambda reply: print_result(as_text(reply, with_header=with_header))


async def _each(messages: list[Frame]) -> AsyncGenerator[Frame, None]:
    for message in messages:
        await trio.lowlevel.checkpoint()
        yield message


async def _lines(
    arguments: argparse.Namespace, conversation: Conversation, prompt: Prompt
) -> AsyncGenerator[Frame, None]:
    """Yield the messages on stdin. At a prompt, a line that cannot be read is no end, but is explained."""
    number = 0
    prompt.show()
    # Two digits and a space for each byte are the most that a notation takes.
    most_bytes = 3 * _max_frame_length(arguments) + 2
    async with contextlib.aclosing(lines_of_stdin(most_bytes)) as lines:
        async for line in lines:
            number += 1
            prompt.is_shown = False  # the terminal has gone to the next line
            try:
                payload = read_message(line, arguments.notation or Notation.TEXT)
            except ValueError as error:
                problem = f"line {number} of stdin: {quoted(os.fsdecode(line))} {error}"
                if not prompt.text:
                    raise ValueError(problem) from None
                print_error(problem)
            else:
                yield Frame(arguments.header or b"", payload)
                if prompt.text:
                    with trio.move_on_after(_PROMPT_PATIENCE_S):
                        await conversation.wait_for_replies()
            prompt.show()
    prompt.leave()
