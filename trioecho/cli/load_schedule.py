"""A schedule of several stages: the option for it, and how people write one."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..base.suggestion import did_you_mean, quoted
from ..load import Stage
from ..load.goals.objectives import Objective
from ..load.stages import MAX_NAME_LENGTH, check_stages, stage_text
from . import load_values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.values import refusal, seconds

_RIGHT = "write RATE/TIME or FROM:TO/TIME, as 5k/1m or 0:5k/10s"


def add_schedule_option(group: argparse._ArgumentGroup) -> None:
    """Add ``--stages``."""
    group.add_argument(
        "--stages",
        type=stages,
        default=None,
        metavar="STAGE,STAGE,...",
        help="open loop: rates one after the other, each constant (5k/1m) or in a straight line (0:5k/10s), "
        "with a name if you like (peak=20k/5s); a last 0 is the end: 0:5k/9s,5k/1m,9k/5s,0",
    )


def contradictions(arguments: argparse.Namespace) -> Iterator[tuple[bool, str]]:
    """Yield what does not go together with stages: whether it is there, and why it is wrong."""
    for option, is_given in (
        ("--rate", arguments.rate is not None),
        ("--ramp", arguments.ramp is not None),
        ("--find-max", arguments.find_max),
    ):
        yield is_given, f"{option} and --stages both say how fast; give one of them"
    yield arguments.duration is not None, "the --stages say how long the load is; leave out --duration"
    yield arguments.messages is not None, "the --stages say how many messages are sent; leave out -n"
    is_still = bool(arguments.stages) and not arguments.stages[0].from_rate
    yield (
        is_still and bool(arguments.warmup),
        "--warmup has the rate with which the first stage begins, and that is 0; leave it out",
    )


def refuse_unknown_stages(objectives: Sequence[Objective], known: Sequence[Stage]) -> None:
    """Refuse objectives of stages that the schedule does not have.

    Raises:
      CommandError: one is.
    """
    names = [stage.name for stage in known]
    for objective in objectives:
        if objective.stage and objective.stage not in names:
            there = f"its stages are {', '.join(names)}" if names else "that is for a schedule of --stages"
            hint = did_you_mean(objective.stage, names, there)
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--slo {objective.text}: there is no stage {quoted(objective.stage)}; {hint}",
            )


def stages(text: str) -> tuple[Stage, ...]:
    """Read stages: ``0:5k/10s,5k/1m,peak=20k/5s,0``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and re.fullmatch(r"0+", parts[-1], re.ASCII):
        parts.pop()
    if parts == [""]:
        raise refusal(text, f"has no stage; {_RIGHT}")
    read = [_stage(text, place, part) for place, part in enumerate(parts, 1)]
    names = Counter[str]()
    for place, stage in enumerate(read):
        names[stage.name] += 1
        # What has no name of its own is told from another of the same text by its number.
        if names[stage.name] > 1 and "=" not in parts[place]:
            read[place] = stage._replace(name=f"{stage.name}#{names[stage.name]}")
    try:
        check_stages(read)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: {error}") from None
    return tuple(read)


def _stage(text: str, place: int, part: str) -> Stage:
    shown = f"{quoted(text)}: stage {place}, {quoted(part)},"
    if not part:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: stage {place} is empty; {_RIGHT}")
    name, equals, words = part.rpartition("=")
    rates, slash, length = words.partition("/")
    begin, colon, end = rates.partition(":")
    if not slash:
        reason = "has no time"
        if re.fullmatch(r"0+", words.strip(), re.ASCII):
            reason += "; only a last 0 stands alone, as the end"
        raise argparse.ArgumentTypeError(f"{shown} {reason}; {_RIGHT}")
    if equals and not name.strip():
        raise argparse.ArgumentTypeError(f"{shown} has an empty name; write NAME=RATE/TIME, as peak=20k/5s")
    try:
        from_rate = load_values.rate(begin)
        to_rate = load_values.rate(end) if colon else from_rate
        length_s = seconds(length)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: stage {place}: {error}") from None
    if not length_s:
        raise argparse.ArgumentTypeError(f"{shown} takes no time; {_RIGHT}")
    own = "".join(words.split())
    if len(own) > MAX_NAME_LENGTH:
        own = stage_text(from_rate, to_rate, length_s)[:MAX_NAME_LENGTH]
    return Stage(name.strip() if equals else own, from_rate, to_rate, length_s)
