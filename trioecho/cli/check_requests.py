"""The requests that ``trioecho check`` asks a service that does not echo: a file's, or a protocol's own."""

from __future__ import annotations

import argparse

from ..base.message_file import Message, MessageFileError, message_format_of, read_messages
from ..base.quantities import plural
from ..check.client.asked import Asked, LearnedRequest
from ..check.client.dialogue import ECHO, Dialogue
from ..check.client.polite import POLITE_REQUESTS
from ..check.client.wire import Wire
from ..errors import RemoteProtocolError
from ..framing import FrameDecoder, FrameFormat
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.parser import Parser

# Each is asked several times before the first case.
_MOST_REQUESTS = 100
# No case sends more in a frame.
_MOST_PAYLOAD_BYTES = 64 << 20


def add_request_options(parser: Parser) -> None:
    """Add the options that say what is asked."""
    group = parser.add_argument_group(
        "services that do not echo",
        "The replies to these requests are learned first, twice, so that bytes which vary\n"
        "are left out; then every rule that needs no echo is tried with them. A FILE has a\n"
        'message a line (.jsonl: "text", {"hex": "..."}, {"base64": "..."}; "reply" beside\n'
        "it is what must come) or raw frames (.frames).",
    )
    group.add_argument("--ask", metavar="FILE", help="requests, each with one reply")
    group.add_argument("--expect", metavar="FILE", help="the replies to them, in the same order, to the byte")
    group.add_argument(
        "--preset",
        choices=sorted(POLITE_REQUESTS),
        help="a protocol's format, and requests of its own that change nothing",
    )


class Requests:
    """What is asked, as the options have it.

    Attributes:
      format: of the frames.

    Raises:
      CommandError: the options contradict each other, or a file is of no use.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        _refuse_contradictions(arguments)
        self.format: FrameFormat = arguments.format
        self._source = ""
        self._options: tuple[str, ...] = ()
        self._given: dict[bytes, bytes | None] = {}
        if arguments.preset is not None:
            self.format = values.frame_format(arguments.preset)
            self._source, self._options = f"--preset {arguments.preset}", ("--preset", arguments.preset)
            self._given = dict.fromkeys(POLITE_REQUESTS[arguments.preset])
        elif arguments.ask is not None:
            self._source, self._options = arguments.ask, ("--ask", arguments.ask)
            asked = _messages(arguments.ask, "--ask", self.format)
            if arguments.expect is not None:
                self._options += ("--expect", arguments.expect)
                asked = _with_replies(asked, _messages(arguments.expect, "--expect", self.format), arguments)
            self._given = _one_of_each(asked, arguments.ask)

    def dialogue(self, wire: Wire) -> Dialogue:
        """Return what is sent to one server, of which nothing is learned yet."""
        if not self._given:
            return ECHO
        requests = [LearnedRequest(payload, wire, given) for payload, given in self._given.items()]
        return Asked(requests, wire, self._source, self._options)


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    for is_wrong, reason in (
        (
            arguments.preset is not None and (arguments.ask is not None or arguments.expect is not None),
            "--preset has requests of its own; give it or --ask, which takes the name as --format",
        ),
        (
            arguments.preset is not None and str(arguments.format) != "u32be",
            "--preset and --format both say what frames are; give one of them",
        ),
        (
            arguments.expect is not None and arguments.ask is None,
            "--expect has the replies to the requests of --ask; give both",
        ),
    ):
        if is_wrong:
            raise CommandError(ExitCode.WRONG_USAGE, reason)


def _messages(path: str, option: str, frame_format: FrameFormat) -> list[Message]:
    most = min(_MOST_PAYLOAD_BYTES, frame_format.max_payload_length)
    decoder = FrameDecoder(format=frame_format, max_frame_length=most)
    try:
        messages = read_messages(path, message_format_of(path), decoder, errors=(RemoteProtocolError,))
    except MessageFileError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"{option} {error}") from None
    longest = max(len(each) for message in messages for each in (message.payload, message.reply or b""))
    if longest > most:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"{option} {path}: a frame of {frame_format} has no room for {plural(longest, 'byte')}, "
            f"at most for {most:,}",
        )
    return messages


def _with_replies(
    asked: list[Message], replies: list[Message], arguments: argparse.Namespace
) -> list[Message]:
    if len(replies) != len(asked):
        counts = f"{len(replies):,} replies, and {plural(len(asked), 'request')} in --ask"
        raise CommandError(ExitCode.WRONG_USAGE, f"--expect {arguments.expect}: there are {counts}")
    if any(message.reply is not None for message in asked):
        raise CommandError(
            ExitCode.WRONG_USAGE, f"--ask {arguments.ask} has replies already; leave --expect out"
        )
    return [Message(message.payload, reply.payload) for message, reply in zip(asked, replies, strict=True)]


def _one_of_each(asked: list[Message], path: str) -> dict[bytes, bytes | None]:
    """Return every request once, with its reply."""
    given: dict[bytes, bytes | None] = {}
    for message in asked:
        if given.setdefault(message.payload, message.reply) != message.reply:
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--ask {path}: one request has two different replies, and the suite sends each many times",
            )
    if len(given) > _MOST_REQUESTS:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--ask {path}: there are {len(given):,} different requests; at most {_MOST_REQUESTS} are asked",
        )
    return given
