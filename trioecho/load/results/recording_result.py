"""What became of the recording of a load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RecordingResult:
    """A file with what a load sent.

    Attributes:
      file: its name, as the user wrote it.
      messages: how many are in it, those of the warm-up included.
      failure: why there is no such file, in words; empty if there is.
    """

    file: str
    messages: int
    failure: str = ""


def merge_recordings(parts: Sequence[RecordingResult | None]) -> RecordingResult | None:
    """Return what came of the recordings of several processes; None if there are none, or of several runs."""
    recordings = [part for part in parts if part is not None]
    if len({part.file for part in recordings}) != 1:
        return None
    failures = [part.failure for part in recordings if part.failure]
    messages = 0 if failures else sum(part.messages for part in recordings)
    return RecordingResult(recordings[0].file, messages, "".join(failures[:1]))
