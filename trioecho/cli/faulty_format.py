"""Headers, as the command line has them, in the words of the faulty servers and clients."""

from __future__ import annotations

from ..faulty.header_format import HeaderFormat
from ..framing import FrameFormat, parse_layout
from .shared.exit_codes import ExitCode
from .shared.output import CommandError


def header_format_of(format: FrameFormat) -> HeaderFormat:
    """Describe headers for the faulty servers and clients, which have their own idea of them.

    Raises:
      CommandError: the frames have more than a header and a payload.
    """
    layout = parse_layout(str(format))
    if layout.trailer:
        reason = f"--format {format}: these servers and clients know nothing of bytes behind a payload"
        raise CommandError(ExitCode.WRONG_USAGE, reason)
    number = layout.number
    return HeaderFormat(
        kind=number.kind.value,
        least=number.least,
        most=number.most,
        byte_order=number.byte_order,
        flags=number.flags,
        counted=layout.counted,
        before=layout.before,
        behind=layout.behind,
    )
