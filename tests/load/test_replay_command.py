"""A recording of the proxy, sent again by the load: between real programs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import proxy_process
from trioecho.base.quantities import in_full
from trioecho.base.timed_recording import TO_SERVER, read_recording
from trioecho.framing import FrameFormat
from trioecho.load.recorded_traffic import read_recorded_traffic


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    with server_process() as server:
        yield server.port


@pytest.fixture(scope="module")
def recorded(server_port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a load of three connections sent to the server, and what came back."""
    path = tmp_path_factory.mktemp("recorded") / "traffic"
    with proxy_process(server_port, "--record", str(path)) as proxy:
        words = ["-c", "3", "-n", "20", "--rate", "400", "--size", "0-100", "--quiet"]
        assert run_in_process("load", f"127.0.0.1:{proxy.port}", *words).returncode == 0
        assert proxy.stop() == 0
    return path


def sent(path: Path) -> list[bytes]:
    """All that each connection has sent to the server, the least first."""
    found: dict[int, bytes] = defaultdict(bytes)
    for piece in read_recording(path):
        if piece.direction == TO_SERVER:
            found[piece.connection] += piece.data
    return sorted(found.values())


@pytest.mark.parametrize(
    ("speed", "workers"),
    [
        ((), ()),
        (("--replay-speed", "3x"), ()),
        (("--replay-speed", "max"), ()),
        ((), ("--workers", "2")),
        (("--replay-speed", "max"), ("--workers", "2")),
    ],
)
def test_a_replay_sends_the_same_bytes_on_each_connection(
    server_port: int, recorded: Path, tmp_path: Path, speed: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    again = tmp_path / "again"
    with proxy_process(server_port, "--record", str(again)) as proxy:
        done = run_in_process(
            *("load", f"127.0.0.1:{proxy.port}", "--replay", str(recorded), *speed, *workers),
            *("--json", "-", "--quiet"),
        )
        assert proxy.stop() == 0
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (result["messages"], result["errors"]) == (60, {})
    assert result["plan"]["replay"]["speed"] == {"3x": 3.0, "max": 0.0}.get(speed[-1] if speed else "", 1.0)
    assert sent(again) == sent(recorded)
    assert len(sent(again)) == 3


def test_the_summary_says_what_was_replayed(server_port: int, recorded: Path) -> None:
    done = run_in_process("load", f"127.0.0.1:{server_port}", "--replay", str(recorded))
    text = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert "3 connections with the messages of" in text
    length_s = in_full(round(read_recorded_traffic(recorded, FrameFormat()).length_s, 3))
    assert f"open loop, a replay at the recorded times, {length_s} s" in text
    assert "every reply was compared with the one in the file" in text


def test_a_server_that_differs_is_found(server_port: int, recorded: Path) -> None:
    words = ("--corrupt", "--on-frame", "4", "--direction", "to-client")
    with proxy_process(server_port, *words) as proxy:
        load = ("load", f"127.0.0.1:{proxy.port}", "--replay", str(recorded), "--json", "-", "--quiet")
        done = run_in_process(*load)
        assert done.returncode == 1
        result = json.loads(done.stdout)
        assert result["errors"] == {"wrong": 3}
        assert {each["number"] for each in result["discrepancies"]} == {4}
        counted = run_in_process(*load, "--reply", "count")
        assert counted.returncode == 0, counted.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-c", "3"), "--connections does not go with --replay: the file says what is sent, and when"),
        (("--rate", "5"), "--rate does not go with --replay"),
        (("-n", "5"), "-n does not go with --replay"),
        (("--workers", "4"), "4 processes cannot share 3 connections"),
        (("--cluster", "local:1", "--record", "x.frames"), "--record does not go with --replay"),
        (("--find-max", "--slo", "p99<5ms"), "--find-max does not go with --replay"),
        (("--replay-speed", "fast"), "'fast' is not a speed; write 1x, 2x, 0.5x or max"),
        (("--replay-speed", "0x"), "'0x' is not a speed"),
    ],
)
def test_what_contradicts_a_recording_is_one_line(
    recorded: Path, options: tuple[str, ...], words: str
) -> None:
    done = run_in_process("load", "127.0.0.1:1", "--replay", str(recorded), *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (slice(0, 0), "it is empty; trioecho proxy --record writes recordings"),
        (slice(0, -30), "breaks off: the recording is not whole"),
        (slice(30, None), "line 1: it is no"),
    ],
)
def test_a_file_that_is_damaged_is_one_line(recorded: Path, tmp_path: Path, keep: slice, words: str) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(recorded.read_bytes()[keep])
    done = run_in_process("load", "127.0.0.1:1", "--replay", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"--replay: {path}: " in done.stderr
    assert words in done.stderr


def test_a_speed_without_a_recording_is_one_line() -> None:
    done = run_in_process("load", "127.0.0.1:1", "--replay-speed", "max")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--replay-speed is for a recording; give --replay FILE" in done.stderr


def test_another_format_of_the_recording_is_that_of_the_load(tmp_path: Path) -> None:
    path = tmp_path / "traffic"
    with server_process("--format", "u16le") as server:
        with proxy_process(server.port, "--record", str(path), "--format", "u16le") as proxy:
            words = ["-c", "1", "-n", "5", "--format", "u16le", "--quiet"]
            assert run_in_process("load", f"127.0.0.1:{proxy.port}", *words).returncode == 0
            assert proxy.stop() == 0
        done = run_in_process("load", f"127.0.0.1:{server.port}", "--replay", str(path), "--json", "-", "-q")
        assert json.loads(done.stdout)["messages"] == 5, done.stderr
    wrong = run_in_process("load", "127.0.0.1:1", "--replay", str(path), "--format", "u64be")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert f"--replay: {path}: " in wrong.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("127.0.0.1:1", "--record", "f", "--record-dir", "d"), "--record and --record-dir both keep what"),
        (("--record", "f", "--admin", "127.0.0.1:0"), "--record is for one proxy; give HOST:PORT"),
        (("127.0.0.1:1", "--port", "0", "--record", "."), "cannot record in '.': File exists"),
    ],
)
def test_a_recording_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_in_process("proxy", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
