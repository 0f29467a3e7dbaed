"""A recording that is sent again, in virtual time: which bytes, on which connection, and when."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.load_world import MS, START, S, Server, WorldSocket, driven_in_world, errors_of
from tests.support.wire import frame, frames
from trioecho import FrameFormat
from trioecho.load import LoadPlan, RecordedTraffic, Replay, ReplyRule, read_recorded_traffic
from trioecho.load.engine import pacer
from trioecho.load.engine.replay_times import ReplayTimes
from trioecho.load.engine.schedule import Rest
from trioecho.load.results.result import LoadResult

FIRST = {"trioecho-recording": 1, "format": "u32be"}
LAST = {"t": 10**12, "end": "stopped"}


def piece(time_ns: int, connection: int, direction: str, data: bytes) -> dict[str, object]:
    return {"t": time_ns, "c": connection, direction: base64.b64encode(data).decode()}


def written(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in (FIRST, *records, LAST)))
    return path


def traffic(path: Path, *, with_replies: bool = True) -> RecordedTraffic:
    """Two connections; a message in two pieces, two messages in one, and a tail that is no message."""
    written(
        path,
        piece(5 * S, 3, "to-server", frame(b"three, first")),
        piece(5 * S + 10 * MS, 1, "to-server", frame(b"one, first")[:6]),
        piece(5 * S + 10 * MS, 3, "to-client", frame(b"THREE, FIRST")),
        piece(5 * S + 30 * MS, 1, "to-server", frame(b"one, first")[6:]),
        piece(5 * S + 31 * MS, 1, "to-client", frame(b"ONE")),
        piece(6 * S, 1, "to-server", frames(b"one, second", b"") + b"\0\0"),
        piece(6 * S, 1, "to-client", frames(b"two", b"three")),
        {"t": 6 * S, "c": 1, "closed": True},
    )
    return read_recorded_traffic(path, FrameFormat(), with_replies=with_replies)


class Scripted(Server):
    """Replies with what the recording has, and notes what comes, and when."""

    replies: ClassVar[Mapping[bytes, bytes]] = {
        b"three, first": b"THREE, FIRST",
        b"one, first": b"ONE",
        b"one, second": b"two",
        b"": b"three",
    }

    def __init__(self) -> None:
        self.came: dict[int, list[tuple[int, bytes]]] = defaultdict(list)

    def answer(self, connection: WorldSocket, frame_of: bytes, number: int) -> None:
        self.came[connection.number].append((connection.world.now - START, frame_of))
        connection.deliver(frame(self.replies[frame_of[4:]]), connection.world.now + 1000)


def replayed(
    recorded: RecordedTraffic,
    server: Server,
    *,
    speed: float = 1.0,
    reply: str = "recorded",
    timeout_s: float = 10.0,
    room: float = float("inf"),
) -> LoadResult:
    plan = LoadPlan(
        "host",
        1,
        connections=len(recorded.connections),
        source=recorded.source,
        reply=ReplyRule(reply),
        replay=Replay(recorded.length_s, speed),
        timeout_s=timeout_s,
    )
    return driven_in_world(plan, server, recorded=recorded, room=room).result()


@pytest.mark.parametrize(("speed", "times"), [(1.0, (0, 30 * MS, S)), (2.0, (0, 15 * MS, S // 2))])
def test_each_connection_sends_its_messages_in_their_order_at_their_times(
    tmp_path: Path, speed: float, times: tuple[int, ...]
) -> None:
    server = Scripted()
    result = replayed(traffic(tmp_path / "x.jsonl"), server, speed=speed)
    assert dict(server.came) == {
        0: [(times[0], frame(b"three, first"))],
        1: [(times[1], frame(b"one, first")), (times[2], frame(b"one, second")), (times[2], frame(b""))],
    }
    assert (result.sent, result.messages, result.errors) == (4, 4, {})
    assert result.health.send_lateness_ns.count == 4
    assert result.health.send_lateness_ns.max == 0


def test_as_fast_as_it_goes_keeps_order_and_connections(tmp_path: Path) -> None:
    server = Scripted()
    result = replayed(traffic(tmp_path / "x.jsonl"), server, speed=0.0)
    assert {number: [wire for _, wire in came] for number, came in server.came.items()} == {
        0: [frame(b"three, first")],
        1: frame_list(b"one, first", b"one, second", b""),
    }
    assert all(time_ns < MS for came in server.came.values() for time_ns, _ in came)
    assert (result.sent, result.messages, result.errors) == (4, 4, {})


def frame_list(*payloads: bytes) -> list[bytes]:
    return [frame(payload) for payload in payloads]


class Other(Scripted):
    replies: ClassVar[Mapping[bytes, bytes]] = {**Scripted.replies, b"one, second": b"tvo"}


def test_a_server_that_differs_is_a_discrepancy(tmp_path: Path) -> None:
    result = replayed(traffic(tmp_path / "x.jsonl"), Other())
    assert errors_of(result) == [("wrong", 1, 2)]
    assert result.messages == 3
    counted = replayed(traffic(tmp_path / "x.jsonl", with_replies=False), Other(), reply="count")
    assert (counted.messages, counted.errors) == (4, {})


class Resetting(Scripted):
    """Resets the connection with the first message that it gets on the second one."""

    def answer(self, connection: WorldSocket, frame_of: bytes, number: int) -> None:
        if connection.number == 1:
            connection.end(reset=True)
        else:
            super().answer(connection, frame_of, number)


def test_no_other_connection_sends_what_a_lost_one_cannot(tmp_path: Path) -> None:
    server = Resetting()
    result = replayed(traffic(tmp_path / "x.jsonl"), server)
    assert [wire for _, wire in server.came[0]] == [frame(b"three, first")]
    assert result.messages == 1
    assert result.errors["unsent"] == 2


class Deaf(Server):
    """Reads nothing."""

    def on_bytes(self, connection: WorldSocket) -> None:
        pass


def test_a_server_that_does_not_read_ends_a_replay_that_goes_as_fast_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacer, "MOST_WAITING", 16)
    path = written(tmp_path / "x", *[piece(number, 1, "to-server", frame(bytes(96))) for number in range(50)])
    recorded = read_recorded_traffic(path, FrameFormat())
    result = replayed(recorded, Deaf(), speed=0.0, reply="count", timeout_s=0.1, room=250)
    assert result.messages == 0
    assert sum(result.errors.values()) == 50


def test_what_is_left_of_a_replay_is_counted() -> None:
    times = [(0, 0), (10, 1), (20, 0), (30, 0)]
    due = ReplayTimes(times, 0.5)
    assert next(iter(due)) == (0, 0)
    assert due.take_rest(until_ns=60) == Rest(0, (2,))
    assert list(due) == []
    assert list(ReplayTimes(times, 10.0)) == [(0, 0), (1, 1), (2, 0), (3, 0)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rate": 5.0}, "a replay has its own times"),
        ({"messages": 5}, "a replay has its own times"),
        ({"warmup_s": 1.0}, "a replay has its own times"),
        ({"source": None, "reply": ReplyRule("count")}, "a replay needs the source"),
        ({"pipeline": 2}, "a pipeline belongs to a closed loop"),
    ],
)
def test_a_replay_with_what_it_has_not_is_refused(
    tmp_path: Path, wrong: dict[str, object], words: str
) -> None:
    recorded = traffic(tmp_path / "x.jsonl")
    options = {"source": recorded.source, "reply": ReplyRule("recorded"), **wrong}
    with pytest.raises(ValueError, match=words):
        LoadPlan("host", 1, connections=2, replay=Replay(1.0, 1.0), **options)  # type: ignore[arg-type]


def test_a_plan_with_a_replay_is_read_back(tmp_path: Path) -> None:
    recorded = traffic(tmp_path / "x.jsonl")
    plan = LoadPlan(
        "host", 1, connections=2, source=recorded.source, reply=ReplyRule("count"), replay=Replay(1.5, 2.0)
    )
    assert LoadPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


# ---- what is no recording ----


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([piece(0, 1, "to-server", b"\0\0\0\5hel")], "x: it has no whole message of a client"),
        ([piece(0, 1, "to-client", frame(b"hello"))], "x: it has no whole message of a client"),
        (
            [piece(0, 7, "to-server", frame(b"hello")), piece(0, 7, "to-client", frames(b"a", b"b"))],
            "x: connection 7 has 1 message and 2 replies, which cannot be compared one by one",
        ),
        (
            [piece(0, 7, "to-server", b"GET / HTTP/1.1\r\n")],
            "x: line 2: connection 7, to-server: ",
        ),
    ],
)
def test_a_recording_that_cannot_be_sent_is_one_line(
    tmp_path: Path, records: list[dict[str, object]], words: str
) -> None:
    path = written(tmp_path / "x", *records)
    with pytest.raises(ValueError, match="x: ") as refused:
        read_recorded_traffic(path, FrameFormat(), with_replies=True)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_recording_that_is_too_big_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "x", *[piece(number, 1, "to-server", frame(b"hello")) for number in range(9)])
    monkeypatch.setattr("trioecho.load.recorded_traffic.MAX_MESSAGES", 5)
    with pytest.raises(ValueError, match="x: line 7: it has more than 5 messages, all of which"):
        read_recorded_traffic(path, FrameFormat())
