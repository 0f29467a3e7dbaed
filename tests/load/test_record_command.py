"""``trioecho load --record``, from outside."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, run_command, server_process
from tests.support.slow import slow
from trioecho.cli import main
from trioecho.framing import FrameFormat
from trioecho.load import LoadPlan, read_message_list, rebuild_payload, result_from_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")

# On a machine that is busy the generator may have too little time, and says so.
GOOD = (0, 5)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with server_process() as process:
        yield process


def load(server: ServerProcess, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    run = run_command if options else run_in_process
    return run("load", f"127.0.0.1:{server.port}", *arguments, **options)


def sent_by(connections: int, messages: int) -> Counter[bytes]:
    plan = LoadPlan("h", 1, connections=connections, messages=messages)
    return Counter(
        rebuild_payload(plan, connection, number)
        for connection in range(connections)
        for number in range(1, messages + 1)
    )


@pytest.mark.parametrize("workers", [slow("1"), "2"])
def test_what_was_sent_is_recorded_and_can_be_sent_again(
    server: ServerProcess, tmp_path: Path, workers: str
) -> None:
    path = tmp_path / "sent.frames"
    done = load(server, "-c", "3", "-n", "70", "--workers", workers, "--record", str(path))
    assert done.returncode in GOOD, done.stderr
    assert f" recorded 210 messages in {path} " in " ".join(done.stdout.split())
    recorded = read_message_list(path, FrameFormat())
    assert Counter(message.payload for message in recorded.messages) == sent_by(3, 70)
    again = load(server, "-c", "1", "--messages", str(path), "--json", str(tmp_path / "load.json"))
    assert again.returncode in GOOD, again.stderr
    assert result_from_json((tmp_path / "load.json").read_text()).messages == 210
    assert sorted(file.name for file in tmp_path.iterdir()) == ["load.json", "sent.frames"]


@pytest.mark.parametrize("reply", ["echo", slow("count")])
def test_with_replies_it_is_what_they_are_compared_with(
    server: ServerProcess, tmp_path: Path, reply: str
) -> None:
    path = tmp_path / "sent.jsonl"
    done = load(server, "-c", "2", "-n", "40", "--reply", reply, "--record", str(path))
    assert done.returncode in GOOD, done.stderr
    recorded = read_message_list(path, FrameFormat(), with_replies=True)
    assert all(message.payload == message.reply for message in recorded.messages)
    assert Counter(message.payload for message in recorded.messages) == sent_by(2, 40)
    again = load(server, "-c", "1", "--messages", str(path), "--reply", "recorded", "-q")
    assert (again.returncode in GOOD, again.stdout) == (True, "")


@pytest.mark.parametrize("workers", ["1", slow("2")])
def test_a_file_that_finds_no_room_is_one_line(server: ServerProcess, tmp_path: Path, workers: str) -> None:
    path = tmp_path / "sent.frames"
    path.write_bytes(b"precious")
    done = load(
        server,
        *("-c", "2", "-n", "400", "--size", "8KiB", "--workers", workers),
        *("--record", str(path), "--json", "-"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"trioecho load: cannot write {path}: File too large"
    result = result_from_json(done.stdout)
    assert (result.messages, result.errors) == (800, {})
    assert result.recording is not None
    assert (result.recording.messages, result.recording.failure) == (0, "File too large")
    assert f" recorded nothing: {path} could not be written: " in " ".join(done.stderr.split())
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["sent.frames"]


def test_a_load_that_cannot_begin_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "sent.frames"
    path.write_bytes(b"precious")
    assert run_in_process("load", "127.0.0.1:1", "--record", str(path)).returncode == 3
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["sent.frames"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--record", "x.jsonl", "--key", "a:b"), "with --key replies come in any order"),
        (("--record", "x.bin"), "--record: x.bin ends neither in .frames nor in .jsonl"),
        (("--record", ""), "--record: '' ends neither"),
        (("--record", "/nowhere/x.frames"), "cannot write /nowhere/x.frames: No such file"),
        (("--record", "x.frames", "--find-max", "--slo", "p99<5ms"), "--record is for one run"),
        (("--record", "x.frames", "--json", "./x.frames"), "--record and --json cannot share x.frames"),
        (("--record", "folder.frames"), "cannot write folder.frames: Is a directory"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(
    options: tuple[str, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.frames").mkdir()
    try:
        code: object = main(("load", "127.0.0.1:1", *options))
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert (code, captured.out) == (2, "")
    assert reason in line
    assert [file.name for file in tmp_path.iterdir()] == ["folder.frames"]


def test_a_recording_survives_json(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "sent.frames"
    done = load(server, "-n", "3", "--record", str(path), "--json", "-")
    assert json.loads(done.stdout)["recording"] == {"file": str(path), "messages": 15, "failure": ""}
