"""scripts/bench decoder: every decoder finds every frame, and what takes too long is done once."""

from __future__ import annotations

import pytest

from scripts.benchmark.decoder import cut, decoders, report, tasks, time_all


@pytest.mark.parametrize("name", list(decoders()))
@pytest.mark.parametrize("number", range(3))
async def test_every_decoder_finds_every_frame(name: str, number: int) -> None:
    task = tasks(0.001)[number]
    assert await decoders()[name](task.pieces) == task.frames > 0


def test_pieces_are_the_whole_stream() -> None:
    assert cut(b"abcdefg", 3) == [b"abc", b"def", b"g"]


async def test_a_decoder_that_loses_frames_is_not_timed() -> None:
    async def lossy(pieces: object) -> int:
        return 0

    with pytest.raises(RuntimeError, match="lossy found 0 frames"):
        await time_all({"lossy": lossy}, tasks(0.001)[0], repeats=1)


def test_a_decoder_that_took_too_long_is_compared_by_its_one_run() -> None:
    lines = report({"ours": [10.0, 20.0, 30.0], "slow": [2.0]}, "MB/s").splitlines()
    assert "20.0 (10.0-30.0)" in lines[2]
    assert "2.00 (2.00-2.00), once" in lines[3]
    assert "5.00 (5.00-5.00)" in lines[3]
