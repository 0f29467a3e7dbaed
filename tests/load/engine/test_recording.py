"""What is recorded of a connection is what the kernel took and gave, whatever the cuts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.support.examples import examples
from trioecho.framing import FrameFormat
from trioecho.load import LoadPlan, read_message_list
from trioecho.load.engine import recording as recording_module
from trioecho.load.engine.recording import Recording, RecordingTask
from trioecho.load.results.recording_result import RecordingResult, merge_recordings

PAYLOADS = st.lists(st.binary(max_size=40), max_size=12)
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


class CuttingSocket:
    """Takes and gives as many bytes at a time as a list says, again and again."""

    def __init__(self, cuts: list[int], replies: bytes = b"") -> None:
        self.cuts, self.turn = cuts, 0
        self.replies = replies
        self.is_closed = False

    def _cut(self) -> int:
        self.turn += 1
        return self.cuts[self.turn % len(self.cuts)]

    def send(self, data: bytes | memoryview, /) -> int:
        return min(len(data), self._cut())

    def recv(self, most: int, /) -> bytes:
        count = min(most, self._cut())
        data, self.replies = self.replies[:count], self.replies[count:]
        return data

    def recv_into(self, buffer: memoryview, /) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def shutdown(self, how: int, /) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def recording_of(path: Path) -> Recording:
    return Recording(RecordingTask(str(path), str(path)), LoadPlan("h", 1))


def send_all(watched: object, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += watched.send(memoryview(data)[at:])  # type: ignore[attr-defined]  # a socket of the engine


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAYLOADS, PAYLOADS, CUTS, st.binary(max_size=3))
def test_frames_are_recorded_as_they_were_sent_and_torn_ones_are_not(
    tmp_path: Path, ours: list[bytes], theirs: list[bytes], cuts: list[int], torn: bytes
) -> None:
    path = tmp_path / "a.frames"
    path.unlink(missing_ok=True)
    recording = recording_of(path)
    one, other = (recording.watch(CuttingSocket(cuts)) for _ in range(2))
    send_all(one, b"".join(map(frame, ours)) + torn)
    send_all(other, b"".join(map(frame, theirs)))
    result = recording.close()
    written = path.read_bytes() if path.exists() else b""
    assert written == b"".join(map(frame, ours + theirs))
    assert result == RecordingResult(str(path), len(ours) + len(theirs))


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAYLOADS, PAYLOADS, CUTS, st.booleans())
def test_lines_have_each_message_with_its_reply(
    tmp_path: Path, messages: list[bytes], replies: list[bytes], cuts: list[int], into: bool
) -> None:
    path = tmp_path / "a.jsonl"
    path.unlink(missing_ok=True)
    recording = recording_of(path)
    connected = CuttingSocket(cuts, b"".join(map(frame, replies)))
    watched = recording.watch(connected)
    send_all(watched, b"".join(map(frame, messages)))
    while connected.replies:
        if into:
            watched.recv_into(memoryview(bytearray(50)))
        else:
            watched.recv(50)
    watched.close()
    assert connected.is_closed
    assert recording.close().messages == len(messages)
    if messages:
        found = [message[:2] for message in read_message_list(path, FrameFormat()).messages]
        paired = [*replies, *[None] * len(messages)]
        assert found == list(zip(messages, paired, strict=False))


def test_what_is_no_frame_ends_the_replies_and_not_the_messages(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recording = recording_of(path)
    watched = recording.watch(CuttingSocket([100], frame(b"right") + b"\xff" * 50))
    send_all(watched, frame(b"1") + frame(b"2"))
    watched.recv(100)
    send_all(watched, frame(b"3"))
    recording.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"hex": "31", "reply": {"hex": b"right".hex()}}, {"hex": "32"}, {"hex": "33"}]


def test_messages_without_replies_do_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "_MOST_WAITING_BYTES", 5 * 100)  # 100 for each of 5 connections
    path = tmp_path / "a.jsonl"
    recording = recording_of(path)
    replies = [b"%d" % number for number in range(20)]
    connected = CuttingSocket([1000], b"".join(map(frame, replies)))
    watched = recording.watch(connected)
    send_all(watched, b"".join(frame(b"%010d" % number) for number in range(20)))
    assert recording.messages == 10  # which have no reply yet
    watched.recv(1000)
    assert recording.close().messages == 20
    messages = read_message_list(path, FrameFormat()).messages
    found = [(int(message.payload), message.reply) for message in messages]
    assert found == [*((number, None) for number in range(10)), *((n, replies[n]) for n in range(10, 20))]


def test_a_full_disk_ends_the_recording_and_not_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    def open_full(path: Path, *args: object, **options: object) -> Full:
        path.touch()
        return Full()

    path = tmp_path / "a.frames"
    recording = recording_of(path)
    watched = recording.watch(CuttingSocket([100]))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        send_all(watched, frame(b"1"))
    send_all(watched, frame(b"2"))
    assert recording.close() == RecordingResult(str(path), 0, "No space left on device")
    assert not path.exists()


def test_recordings_of_processes_are_one() -> None:
    one, other, bad = RecordingResult("a", 3), RecordingResult("a", 4), RecordingResult("a", 0, "full")
    assert merge_recordings([one, other]) == RecordingResult("a", 7)
    assert merge_recordings([one, bad, other]) == RecordingResult("a", 0, "full")
    assert merge_recordings([None, None]) is None
