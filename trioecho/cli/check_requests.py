"""The requests that ``trioecho check`` asks a service that does not echo: a file's, or a protocol's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from ..base.message import Message
from ..base.message_file import MessageFileError, message_format_of, read_messages
from ..base.quantities import plural
from ..base.suggestion import did_you_mean
from ..check.client.asked import Asked
from ..check.client.correlation import Correlation, how_many
from ..check.client.dialogue import ECHO, Dialogue
from ..check.client.learned import LearnedRequest, have_digits
from ..check.client.opening import FirstMessage
from ..check.client.polite import POLITE_REQUESTS, UNFRAMED_REPLIES, WHY_NOT_ASKED
from ..check.client.wire import FramedPayload, Wire
from ..errors import RemoteProtocolError
from ..framing import PRESETS, FrameFormat, encode_frame
from .check_wire import wire_of
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
        "it is what must come) or raw frames, with their headers (.frames).",
    )
    group.add_argument("--ask", metavar="FILE", help="requests, each with one reply")
    group.add_argument("--expect", metavar="FILE", help="the replies to them, in the same order, to the byte")
    group.add_argument(
        "--correlate",
        type=_correlation,
        metavar="PLACE",
        help="where requests have an identifier that comes back in the reply, which may then come in any "
        "order: OFFSET:WIDTH in bytes of the payload, as 0:2, or header+OFFSET:WIDTH; of request=reply, "
        "as 4:4=0:4, where they differ",
    )
    group.add_argument(
        "--first-message",
        metavar="FILE",
        help="what opens a session: sent first on every connection, and each with one reply",
    )
    group.add_argument(
        "--preset",
        type=_preset,
        metavar="PROTOCOL",
        help="a protocol's format, and requests of its own that change nothing: "
        + ", ".join(sorted(POLITE_REQUESTS)),
    )


def _preset(text: str) -> str:
    if text in POLITE_REQUESTS:
        return text
    if text not in PRESETS:
        raise values.refusal(
            text, f"is no protocol; {did_you_mean(text, POLITE_REQUESTS, ', '.join(sorted(POLITE_REQUESTS)))}"
        )
    why = WHY_NOT_ASKED.get(text, "none are built in")
    advice = "" if text in UNFRAMED_REPLIES else f"; --ask FILE --format {text} takes your own"
    raise values.refusal(text, f"has no polite requests: {why}{advice}")


def _correlation(text: str) -> Correlation:
    try:
        return Correlation.parse(text)
    except ValueError as error:
        raise values.refusal(text, f"is no place of an identifier: {error}") from None


class Requests:
    """What is asked, as the options have it.

    Attributes:
      wire: how frames are written.

    Raises:
      CommandError: the options contradict each other, or a file is of no use.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        _refuse_contradictions(arguments)
        self._source = ""
        self._options: tuple[str, ...] = ()
        self._asked: list[Message] = []
        self._correlation: Correlation | None = arguments.correlate
        self._first_messages: Sequence[FirstMessage] = ()
        self.wire: Wire = wire_of(arguments.format)
        if arguments.preset is not None:
            self._take_preset(arguments.preset)
        elif arguments.ask is not None:
            self._take_file(arguments)
        if self._asked:
            self.wire = self.wire.like(self.wire.frame(self._asked[0].payload))

    def _take_preset(self, name: str) -> None:
        self.wire = wire_of(values.frame_format(name))
        polite = POLITE_REQUESTS[name]
        self._source, self._options = f"--preset {name}", ("--preset", name)
        self._correlation = Correlation.parse(polite.correlate) if polite.correlate else None
        self._first_messages = polite.first_messages
        self._asked = [Message(_framed(self.wire, frame)) for frame in polite.frames]

    def _take_file(self, arguments: argparse.Namespace) -> None:
        self._source, self._options = arguments.ask, ("--ask", arguments.ask)
        asked = _messages("--ask", arguments.ask, arguments.format, self.wire, self._refuse)
        if arguments.expect is not None:
            self._options += ("--expect", arguments.expect)
            replies = _messages("--expect", arguments.expect, arguments.format, self.wire)
            asked = _with_replies(asked, replies, arguments)
        self._asked = _one_of_each(asked, arguments.ask, self.wire)
        if self._correlation is not None:
            self._options += ("--correlate", str(self._correlation))
            self._refuse_too_many(self._correlation.request.width, arguments.ask)
        if arguments.first_message is not None:
            self._options += ("--first-message", arguments.first_message)
            path = arguments.first_message
            self._first_messages = [
                FirstMessage(
                    each.payload if each.is_raw else self.wire.frame(each.payload),
                    until=each.until,
                    given=each.reply,
                )
                for each in _messages("--first-message", path, arguments.format, self.wire, opens=True)
            ]

    def _refuse(self, message: Message) -> str | None:
        if self._correlation is None:
            return None
        try:
            LearnedRequest(message.payload, self.wire, correlation=self._correlation)
        except ValueError as error:
            return f"{error}, where --correlate {self._correlation} puts an identifier"
        return None

    def _refuse_too_many(self, width: int, path: str) -> None:
        are_digits = have_digits(self._learned())
        if len(self._asked) > (most := how_many(width, are_digits=are_digits)):
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--ask {path}: {plural(len(self._asked), 'request')} need more than the {most} identifiers "
                f"that {plural(width, 'digit' if are_digits else 'byte')} can write",
            )

    def _learned(self) -> list[LearnedRequest]:
        return [
            LearnedRequest(each.payload, self.wire, each.reply, self._correlation) for each in self._asked
        ]

    def dialogue(self) -> Dialogue:
        """Return what is sent to one server, of which nothing is learned yet."""
        if not self._asked:
            return ECHO
        return Asked(
            self._learned(), self.wire, self._source, self._options, self._correlation, self._first_messages
        )


def _framed(wire: Wire, frame: bytes) -> FramedPayload:
    payload_at = wire.payload_at(frame)
    payloads, _ = wire.split(frame)
    return FramedPayload(frame[payload_at : payload_at + len(payloads[0])], frame)


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    own = [
        option
        for option in ("ask", "expect", "correlate", "first_message")
        if getattr(arguments, option) is not None
    ]
    for is_wrong, reason in (
        (
            arguments.preset is not None and bool(own),
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
        (
            arguments.correlate is not None and arguments.ask is None,
            "--correlate says where the requests of --ask have an identifier; give both",
        ),
        (
            arguments.first_message is not None and arguments.ask is None,
            "--first-message opens a session for the requests of --ask; give both",
        ),
    ):
        if is_wrong:
            raise CommandError(ExitCode.WRONG_USAGE, reason)


def _messages(
    option: str,
    path: str,
    frame_format: FrameFormat,
    wire: Wire,
    refuse: Callable[[Message], str | None] = lambda _: None,
    *,
    opens: bool = False,
) -> list[Message]:
    """Read messages; those of raw frames keep their frames."""
    from ..load.message_list import WireKeeper, header_completer  # with all of loads, which only files need

    most = min(_MOST_PAYLOAD_BYTES, frame_format.max_payload_length)
    keeper = WireKeeper(frame_format, most)
    messages: list[Message] = []

    def look_at(message: Message) -> str | None:
        if keeper.wires:
            message = message._replace(payload=FramedPayload(message.payload, keeper.wires[-1]))
        elif message.header is not None or message.reply_header is not None:
            message = _with_frames(message, frame_format)
        messages.append(message)
        return refuse(message)

    try:
        read_messages(
            path,
            message_format_of(path),
            keeper,
            errors=(RemoteProtocolError,),
            most_payload_bytes=most,
            opens=opens,
            complete_header=header_completer(frame_format),
            refuse=look_at,
        )
    except MessageFileError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"{option} {error}") from None
    return messages


def _with_frames(message: Message, frame_format: FrameFormat) -> Message:
    """Return the message, with payloads that keep the frames of the headers that are given."""
    payload, reply = message.payload, message.reply
    if message.header is not None:
        payload = FramedPayload(payload, encode_frame(payload, format=frame_format, header=message.header))
    if reply is not None and message.reply_header is not None:
        reply = FramedPayload(reply, encode_frame(reply, format=frame_format, header=message.reply_header))
    return message._replace(payload=payload, reply=reply)


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


def _one_of_each(asked: list[Message], path: str, wire: Wire) -> list[Message]:
    """Return every request once, with its reply."""
    given: dict[bytes, Message] = {}
    for message in asked:
        if given.setdefault(wire.frame(message.payload), message).reply != message.reply:
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--ask {path}: one request has two different replies, and the suite sends each many times",
            )
    if len(given) > _MOST_REQUESTS:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--ask {path}: there are {len(given):,} different requests; at most {_MOST_REQUESTS} are asked",
        )
    return list(given.values())
