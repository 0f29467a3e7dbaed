"""The options of a load that sends a recording again, and the plan that they ask for."""

from __future__ import annotations

import argparse
import re

from ..base.suggestion import quoted
from ..base.timed_recording import TimedRecordingError, read_recorded_format
from ..framing import FormatSyntaxError, FrameFormat
from ..load import RecordedTraffic, Replay, ReplyRule, read_recorded_traffic
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError

_MOST_SPEED = 1_000_000.0
# What a recording says itself, and what has no meaning beside its times.
_CONTRADICTIONS = (
    *("connections", "n", "duration", "size", "seed", "messages", "messages-format", "key"),
    *("pipeline", "think", "rate", "arrival", "ramp", "warmup", "stages", "find-max"),
    *("reconnect", "per-connection", "lifetime", "connect-rate"),
    "record",
)


def add_replay_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--replay`` and its speed."""
    add = group.add_argument
    add(
        "--replay",
        metavar="FILE",
        help="send what trioecho proxy --record has kept: each connection's messages, in their order, at "
        "their times; the replies have to be those of the recording",
    )
    add(
        "--replay-speed",
        type=_speed,
        metavar="{1x,2x,max}",
        help="how fast: 2x in half of the time, max as fast as it goes (default: 1x)",
    )


def replay_of(arguments: argparse.Namespace) -> tuple[RecordedTraffic, Replay] | None:
    """Return what is to be sent again, and how; None if nothing is.

    The format and the rule for replies are set where the command line has none.

    Raises:
      CommandError: the file cannot be used, or options contradict it.
    """
    path: str | None = arguments.replay
    if path is None:
        if arguments.replay_speed is not None:
            raise CommandError(ExitCode.WRONG_USAGE, "--replay-speed is for a recording; give --replay FILE")
        return None
    for name in _CONTRADICTIONS:
        if name in arguments.given:
            option = f"-{name}" if len(name) == 1 else f"--{name}"
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"{option} does not go with --replay: the file says what is sent, and when",
            )
    if "reply" not in arguments.given:
        arguments.reply = ReplyRule("recorded")
    try:
        if "format" not in arguments.given:
            arguments.format = _format_of(path)
        is_recorded = arguments.reply.word == "recorded"
        traffic = read_recorded_traffic(path, arguments.format, with_replies=is_recorded)
    except TimedRecordingError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"--replay: {error}") from None
    speed = 1.0 if arguments.replay_speed is None else arguments.replay_speed
    return traffic, Replay(traffic.length_s, speed)


def _format_of(path: str) -> FrameFormat:
    text = read_recorded_format(path)
    try:
        return FrameFormat.parse(text)
    except FormatSyntaxError:
        raise TimedRecordingError(path, 1, f"its format {quoted(text)} is not known") from None


def _speed(text: str) -> float:
    """Return how many times as fast; 0 for as fast as it goes."""
    if text == "max":
        return 0.0
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,9})?)x?", text, re.ASCII)
    speed = 0.0 if match is None else float(match[1])
    if not 0 < speed <= _MOST_SPEED:
        raise values.refusal(text, "is not a speed; write 1x, 2x, 0.5x or max")
    return speed
