"""What a load's supervisor and its workers send to each other arrives as it was."""

from __future__ import annotations

import json

import pytest

from tests.support.load_results import troubled_result
from trioecho import FrameFormat
from trioecho.base.message import Message
from trioecho.load import (
    CannotConnectError,
    LoadInterval,
    LoadPlan,
    LoadProgress,
    LoadResult,
    MessageList,
    Ramp,
    Sizes,
    StrangeServerError,
    TooManyConnectionsError,
    result_as_json,
)
from trioecho.load.errors import TooManyToWaitForError
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes.message_parts import messages_from_parts, messages_in_parts
from trioecho.load.processes.messages import (
    Heartbeat,
    LoadMessage,
    LoadMessagesPart,
    LoadWorkerConfig,
    LoadWorkerReady,
    LoadWorkerStarted,
    StartCommand,
    StopCommand,
    decode_load_message,
    encode_load_message,
)


def progress() -> LoadProgress:
    interval = LoadInterval(1.5, 0.5, sent=7, messages=6, bytes=408, errors=1)
    interval.latency_ns.record(1_234_567, 6)
    made = LoadProgress(
        "measuring", 2.0, interval, 20, 19, {"late": 1}, 3, None, taken_back=4, unsent=5, failed=1
    )
    made.send_lateness_ns.record(99)
    made.from_send_ns.record(77, 2)
    return made


def arrived(message: LoadMessage) -> LoadMessage:
    return decode_load_message(json.loads(json.dumps(encode_load_message(message))))


@pytest.mark.parametrize(
    "message",
    [
        LoadWorkerConfig(LoadPlan("h", 1), 0, 5, 1.0, True, "/a folder"),
        LoadMessagesPart("[", False),
        LoadWorkerConfig(
            LoadPlan("::1", 7, FrameFormat(2, "little", True), ramp=Ramp(0, 9.5, 3), sizes=Sizes.of(1, 9)),
            3,
            2,
            0.25,
            False,
        ),
        Heartbeat(),
        LoadWorkerReady(),
        LoadWorkerStarted(1 << 40),
        LoadWorkerConfig(LoadPlan("h", 1), 0, 5, 1.0, True, most_silent_beats=3),
        StartCommand(1 << 62),
        StopCommand(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_configurations_and_commands_arrive_as_they_were(message: LoadMessage) -> None:
    assert arrived(message) == message


@pytest.mark.parametrize(
    "error",
    [
        CannotConnectError("h", 1, "nobody listens there"),
        StrangeServerError("h", 1, "is an HTTP server"),
        TooManyConnectionsError(2000, 1024),
        TooManyToWaitForError(2000, 500),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_as_they_were(error: CannotConnectError | TooManyConnectionsError) -> None:
    again = arrived(error)
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_progress_arrives_as_it_was() -> None:
    again = arrived(progress())
    assert isinstance(again, LoadProgress)
    assert encode_load_message(again) == encode_load_message(progress())
    assert again.interval.latency_ns.max == 1_234_567
    assert again.send_lateness_ns.count == 1
    assert again.from_send_ns.count == 2


def test_a_result_arrives_as_it_was() -> None:
    again = arrived(troubled_result())
    assert isinstance(again, LoadResult)
    assert result_as_json(again) == result_as_json(troubled_result())


def test_that_there_are_no_messages_arrives_too() -> None:
    [part] = messages_in_parts(GivenMessages())
    assert messages_from_parts([part]) == ((None, None), None)


@pytest.mark.parametrize("length", [1, 50, 1 << 20])
def test_messages_arrive_in_parts_as_they_were(length: int) -> None:
    messages = MessageList(
        "a.jsonl", [Message(b"\xff\0"), Message(b"", b"r"), Message(b"x", b"")], [b"1", b"2"]
    )
    given = GivenMessages(messages, MessageList("b.jsonl", [Message(b"login")]))
    parts = [arrived(part) for part in messages_in_parts(given, length=length)]
    there, _ = messages_from_parts([part for part in parts if isinstance(part, LoadMessagesPart)])
    assert there.messages is not None
    assert there.first_messages is not None
    assert there.messages.wires == messages.wires
    assert (there.messages.source, there.messages.messages) == (messages.source, messages.messages)
    assert there.first_messages.messages == [Message(b"login")]
    assert [part.is_last for part in parts if isinstance(part, LoadMessagesPart)].index(True) == len(
        parts
    ) - 1
