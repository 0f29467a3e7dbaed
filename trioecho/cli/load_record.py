"""The recording of a load: the option for it, and what it cannot be."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..base.message_file import MessageFileError, MessageFormat, message_format_of
from ..base.printable import printable_line
from ..load import LoadResult
from .shared.exit_codes import ExitCode
from .shared.output import CommandError, print_error
from .shared.report_files import ReportFiles


def add_record_option(group: argparse._ArgumentGroup) -> None:
    """Add ``--record``."""
    group.add_argument(
        "--record",
        metavar="FILE",
        help="keep what is sent, for --messages: .frames (as on the wire) or .jsonl (each message with its "
        "reply, for --reply recorded)",
    )


def check_record(arguments: argparse.Namespace) -> None:
    """Refuse a recording that cannot be made.

    Raises:
      CommandError: why.
    """
    file: str | None = arguments.record
    if file is None:
        return
    shown = printable_line(file)
    try:
        message_format = message_format_of(file)
    except MessageFileError:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"--record: {shown or repr('')} ends neither in .frames nor in .jsonl, which says what to write",
        ) from None
    if arguments.find_max:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--record is for one run, and --find-max makes many; leave one of them out"
        )
    if message_format is MessageFormat.JSON_LINES and arguments.key is not None:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "--record: JSON Lines have each message with the reply in its place, and with --key replies come "
            "in any order; write a file that ends in .frames",
        )
    ReportFiles({"record": file}, arguments.prog, (arguments.message_file, arguments.first_message))
    path = Path(file)
    if path.exists() and not path.is_file():
        raise CommandError(ExitCode.WRONG_USAGE, f"--record: {shown} is not a file")
    for kind in ("json", "csv", "hgrm", "html"):
        other: str | None = getattr(arguments, kind)
        if other is not None and path.resolve() == Path(other).resolve():
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"--record and --{kind} cannot share {shown}; give each a file of its own",
            )


def has_recorded(result: LoadResult, prog: str) -> bool:
    """Return whether there is all that was to be recorded; else a line on stderr says why not."""
    recording = result.recording
    if recording is None or not recording.failure:
        return True
    print_error(f"{prog}: cannot write {printable_line(recording.file)}: {recording.failure}")
    return False
