"""What is missing from a long echo is named alike, however TCP cuts what comes."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.sockets import LOOPBACK
from tests.support.wire import frame
from trioecho.check.cases import late_reader
from trioecho.check.client.dialogue import ECHO
from trioecho.check.client.finding import Deviation, Kind, common_length, echo_deviation
from trioecho.check.client.probe import Probe
from trioecho.check.client.settings import Settings
from trioecho.check.client.wire import Wire

FRAMES = [frame(random.Random(number).randbytes(1000)) for number in range(1200)]
BLOCK = b"".join(FRAMES)
LAST = frame(b"the last one of all that were sent")


class Scripted:
    """A connection on which these pieces come, and then nothing."""

    patience_s = 1.0

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def receive(self, most: int = 1 << 20) -> bytes | Kind:
        if not self._pieces:
            return Kind.SILENCE
        piece = self._pieces.pop(0)
        if len(piece) > most:
            self._pieces.insert(0, piece[most:])
        return piece[:most]

    async def send(self, data: bytes) -> bool:
        return True


class Echoing(Scripted):
    """A connection on which comes what is sent."""

    def __init__(self) -> None:
        super().__init__([])

    async def send(self, data: bytes) -> bool:
        self._pieces.append(data)
        return True


@pytest.mark.parametrize("bytes_before_a_cut", [1, 4, 5, 20, 2000])
@pytest.mark.parametrize(
    ("kept_of_last", "cause"),
    [(0, "drops-when-full"), (500, "partial-send-ignored")],
)
async def test_the_cause_is_the_same_wherever_a_receive_ends(
    kept_of_last: int, cause: str, bytes_before_a_cut: int
) -> None:
    whole = len(FRAMES[0]) * 1100 + kept_of_last
    rest = BLOCK[len(FRAMES[0]) * 1101 :]
    same = common_length(BLOCK[whole:], rest)
    cut = same + bytes_before_a_cut
    peer: Any = Scripted([BLOCK[:whole], rest[:cut], rest[cut:]])
    probe: Any = SimpleNamespace(wire=Wire(), dialogue=ECHO)
    with pytest.raises(Deviation) as raised:
        await late_reader._read_repeated(peer, probe, BLOCK, 1, LAST)
    assert raised.value.cause_id == cause


@pytest.mark.parametrize("bytes_before_a_cut", [1, 4, 5, 20, 2000])
@pytest.mark.parametrize("kept_of_last", [0, 4, 500])
async def test_bytes_that_were_changed_are_not_missing(kept_of_last: int, bytes_before_a_cut: int) -> None:
    at = len(FRAMES[0]) * 1100 + kept_of_last
    changed = BLOCK[:at] + b"?" + BLOCK[at + 1 :]
    assert changed != BLOCK
    cut = at + bytes_before_a_cut
    peer: Any = Scripted([changed[:cut], changed[cut:]])
    probe: Any = SimpleNamespace(wire=Wire(), dialogue=ECHO)
    with pytest.raises(Deviation) as raised:
        await late_reader._read_repeated(peer, probe, BLOCK, 1, LAST)
    assert raised.value.cause_id is None


async def test_all_may_be_missing_except_the_last_frame() -> None:
    peer: Any = Scripted([BLOCK[: len(FRAMES[0]) * 900], LAST])
    probe: Any = SimpleNamespace(wire=Wire(), dialogue=ECHO)
    with pytest.raises(Deviation) as raised:
        await late_reader._read_repeated(peer, probe, BLOCK, 1, LAST)
    assert raised.value.cause_id == "drops-when-full"


@pytest.mark.parametrize(
    ("kept_of_last", "is_next_echoed", "cause"),
    [
        (0, True, "drops-when-full"),
        (500, True, "partial-send-ignored"),
        (0, False, None),
        (500, False, None),
    ],
)
async def test_when_no_more_comes_another_frame_shows_what_is_missing(
    kept_of_last: int, is_next_echoed: bool, cause: str | None
) -> None:
    peer: Any = Echoing() if is_next_echoed else Scripted([])
    probe = Probe("3.5", (LOOPBACK, 1), Settings(), patience_s=1.0)
    came = BLOCK[: len(FRAMES[0]) * 900 + kept_of_last]
    deviation = echo_deviation(probe.wire, Kind.SILENCE, BLOCK, came, waited_s=1.0)
    assert await late_reader._what_else_is_echoed(peer, probe, deviation) == cause
