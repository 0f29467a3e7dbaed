"""The options for what a load sends of the user's own, and for how replies are verified."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from ..base.functions_by_name import FunctionNotFoundError
from ..base.message_file import MessageFileError, MessageFormat
from ..base.printable import printable_line
from ..base.processes import working_folder
from ..framing import FrameFormat
from ..load import MessageList, ReplyRule, ServiceTraits, read_message_list
from ..load.engine.conversation import conversations_of, is_conversation
from ..load.engine.keyed_messages import KeyFunction, NoKeyError
from ..load.engine.payload import reply_of
from ..load.engine.reply_check import check_of
from ..load.message_list import GivenMessages
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

# What begins or looks like a number is one, perhaps a wrong one, and no file: that can be ./200.
_NUMBER = re.compile(r"[-+]?[\d_,.]*")


def add_message_options(group: argparse._ArgumentGroup) -> None:
    """Add what is sent, and how its replies are verified."""
    add = group.add_argument
    add(
        "--messages",
        action=_FileOrNumber,
        dest="message_file",
        metavar="FILE",
        help="send what is in it: .jsonl (a JSON value a line) or .frames (as on the wire); on "
        "each connection once, or -n messages",
    )
    add(
        "--messages-format",
        choices=[message_format.value for message_format in MessageFormat],
        help="how messages are written in FILE, if its name does not end in that",
    )
    add(
        "--first-message",
        metavar="FILE",
        help="send what is in it first on every connection, and await each reply: a login, a session "
        "request; written as --messages, with the reply beside it if that has to be a certain one, and "
        "perhaps raw, in no frame",
    )
    add(
        "--reply",
        type=_reply_rule,
        metavar="RULE",
        default=ReplyRule(),
        help="what a reply has to be: echo, count (any frame), same-length, recorded (as in FILE), or what "
        "MODULE:FUNCTION says, which gets message and reply; if it has a yield in it, it makes the messages, "
        "too (default: %(default)s; with --replay recorded)",
    )
    add(
        "--key",
        metavar="MODULE:FUNCTION",
        help="replies come in any order: this function returns, of a message and of its reply, what only "
        "these two have in common",
    )


class _FileOrNumber(argparse.Action):
    """Takes the file in which messages are, or how many are sent."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        text = str(value)
        if _NUMBER.fullmatch(text):
            try:
                namespace.messages = values.positive_count(text)
            except argparse.ArgumentTypeError as error:
                raise argparse.ArgumentError(self, str(error)) from None
        else:
            namespace.message_file = text


def _reply_rule(text: str) -> ReplyRule:
    try:
        rule = ReplyRule(text)
    except ValueError:
        raise values.refusal(
            text, "is none of echo, count, same-length, recorded, and no MODULE:FUNCTION"
        ) from None
    return rule


def messages_of(arguments: argparse.Namespace) -> GivenMessages:
    """Return the messages that the options name.

    Raises:
      CommandError: they contradict each other, or a file cannot be used.
    """
    rule: ReplyRule = arguments.reply
    path = arguments.message_file
    _refuse_contradictions(arguments)
    is_recorded = rule.word == "recorded"
    message_format = arguments.messages_format and MessageFormat(arguments.messages_format)
    return GivenMessages(
        _read("--messages", path, arguments.format, message_format, with_replies=is_recorded),
        _read("--first-message", arguments.first_message, arguments.format, opens=True),
    )


def traits_of(arguments: argparse.Namespace, given: GivenMessages) -> ServiceTraits:
    """Return what the options say of the service.

    Raises:
      CommandError: a function cannot be used.
    """
    rule: ReplyRule = arguments.reply
    folder = working_folder()
    option = "--reply"
    try:
        conversation = is_conversation(rule, folder)
        if conversation:
            conversations_of(rule, folder)
            if arguments.size is not None:
                reason = f"{rule.text} makes its messages itself: leave out the sizes"
                raise CommandError(ExitCode.WRONG_USAGE, f"--size: {reason}")
        elif not rule.is_compared:
            check_of(rule, folder)
        option = "--key"
        if arguments.key is not None:
            _refuse_keyless(KeyFunction(arguments.key, folder), given.messages, arguments.format)
    except FunctionNotFoundError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"{option}: {error}") from None
    # A number that nobody has given is no reason to break off.
    ends_whole = conversation and arguments.messages is None and arguments.duration is None
    return ServiceTraits(
        given.first_source, conversation, arguments.key, ends_whole, arguments.proxy_protocol
    )


def _refuse_keyless(key_of: KeyFunction, messages: MessageList | None, format: FrameFormat) -> None:
    """Refuse a file with a message of which the function gives no key, as far as messages are known."""
    for number, message in enumerate([] if messages is None else messages.messages, start=1):
        if message.template is None and message.header_template is None:
            header = message.header or format.encode_header(len(message.payload))
            try:
                key_of(reply_of(message.payload, header, format))
            except NoKeyError as error:
                file = printable_line("" if messages is None else messages.source.file)
                raise CommandError(
                    ExitCode.WRONG_USAGE, f"--key: message {number} of {file} has no key: {error}"
                ) from None


def _read(
    option: str,
    path: str | None,
    format: FrameFormat,
    message_format: MessageFormat | None = None,
    *,
    with_replies: bool = False,
    opens: bool = False,
) -> MessageList | None:
    if path is None:
        return None
    try:
        return read_message_list(
            path,
            format,
            message_format=message_format,
            with_replies=with_replies,
            opens=opens,
        )
    except MessageFileError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"{option}: {error}") from None


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    rule: ReplyRule = arguments.reply
    path, message_format = arguments.message_file, arguments.messages_format
    for is_wrong, reason in (
        (
            path is not None and arguments.size is not None,
            "--size is for messages that the load makes; those of --messages FILE have their own",
        ),
        (
            path is None and message_format is not None,
            "--messages-format says how a file is written; give --messages FILE, too",
        ),
        (
            path is None and arguments.replay is None and rule.word == "recorded",
            "--reply recorded compares with the replies of a file; give --messages FILE, too",
        ),
    ):
        if is_wrong:
            raise CommandError(ExitCode.WRONG_USAGE, reason)
