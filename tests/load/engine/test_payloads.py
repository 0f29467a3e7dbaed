"""The payloads of a load: no two alike, and the same ones for the same seed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from trioecho.framing import FrameFormat
from trioecho.load import (
    LoadPlan,
    SizeRange,
    Sizes,
)
from trioecho.load.engine.payloads import PayloadRings, rebuild_payload

THOROUGH = examples(100)


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


@THOROUGH
@given(
    sizes=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    connections=st.integers(1, 20),
    seed=st.integers(0, (1 << 64) - 1),
    format=st.sampled_from([FrameFormat(), FrameFormat(1), FrameFormat(2, "little", True)]),
)
def test_a_round_is_its_frames(sizes: list[int], connections: int, seed: int, format: FrameFormat) -> None:
    ranges = tuple(SizeRange(size, size) for size in sizes)
    plan = plan_of(connections=connections, sizes=Sizes(ranges), seed=seed, format=format)
    ring = PayloadRings(plan).ring(connections - 1)
    for number in (0, 1, 77):
        first = number * ring.frames
        payloads = [ring.payload(first + i) for i in range(ring.frames)]
        wire = b"".join(format.encode_header(len(payload)) + payload for payload in payloads)
        assert ring.round(number) == wire
        assert rebuild_payload(plan, connections - 1, first + 1) == payloads[0]


def test_no_two_payloads_are_alike() -> None:
    plan = plan_of(connections=7, sizes=Sizes.of(8, 40))
    rings = [PayloadRings(plan).ring(connection) for connection in range(7)]
    payloads = {ring.payload(number) for ring in rings for number in range(2000)}
    assert len(payloads) == 7 * 2000


def test_payloads_follow_from_the_seed() -> None:
    assert rebuild_payload(plan_of(seed=1), 3, 50) == rebuild_payload(plan_of(seed=1), 3, 50)
    assert rebuild_payload(plan_of(seed=1), 3, 50) != rebuild_payload(plan_of(seed=2), 3, 50)
    assert rebuild_payload(plan_of(), 3, 50) != rebuild_payload(plan_of(), 4, 50)


@pytest.mark.parametrize(("connection", "number"), [(5, 1), (-1, 1), (0, 0)])
def test_a_message_that_is_not_of_the_plan(connection: int, number: int) -> None:
    with pytest.raises(ValueError, match="no message"):
        rebuild_payload(plan_of(), connection, number)
