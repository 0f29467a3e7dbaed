"""Segments that are really lost: the load counts those that were sent again as its kernel does."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lossy_link import FAR, LossyLink, lossy_link
from tests.support.processes import run_command, server_process
from tests.support.slow import slow


@pytest.fixture
def link() -> Iterator[LossyLink]:
    with lossy_link() as found:
        yield found


@pytest.mark.parametrize("workers", [1, slow(2)])
def test_every_segment_that_was_sent_again_is_in_the_result(
    link: LossyLink, workers: int, tmp_path: Path
) -> None:
    with server_process(listen=[f"{FAR}:0"], prefix=link.far) as server:
        link.lose(server.port, every=50)
        done = run_command(
            "load",
            f"{FAR}:{server.port}",
            *("-n", "60", "--workers", str(workers), "--slo", "p99<1ms", "--saturation", "warn"),
            *("--json", str(tmp_path / "load.json"), "--csv", str(tmp_path / "load.csv")),
            prefix=link.near,
        )
        server.stop()
    assert done.returncode == 99, done.stderr  # the objective is broken, and nothing else
    found = json.loads((tmp_path / "load.json").read_text())
    path = found["path"]
    # 300 messages, one in flight on each connection: each is a segment, and six or more of them were lost.
    assert path["retransmits"] == link.sent_again >= 6
    assert path["connections"] == 5
    assert path["data_segments"] >= 300 + path["retransmits"]
    assert path["least_rto_us"] >= 200_000  # the kernel's least
    assert found["latency_ms"]["p99"] >= 200
    rows = list(csv.DictReader((tmp_path / "load.csv").read_text().splitlines()))
    assert 0 < sum(int(row["retransmits"]) for row in rows) <= path["retransmits"]
    text = " ".join(done.stdout.split())
    assert f"path {path['retransmits']} of {path['data_segments']} segments sent again" in text
    assert f"{path['retransmits']} segments were sent again, and " in text
    explains = path["explains"]
    # A segment that was lost twice, or was sent again for nothing, makes no other reply slow.
    assert explains["most"] == min(explains["slow"], path["retransmits"])
    assert explains["percentile"] == "p99"
    if explains["slow"] <= explains["most"]:
        assert "that can explain the p99 (" in text
        assert f"{path['retransmits']} retransmissions can explain it" in text
    else:  # the machine was so busy that others were as slow
        assert f"that can explain {explains['most']} of them at most" in text
