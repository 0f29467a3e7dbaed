"""`FramedClient`: what Locust is given to count, against services that are right and wrong."""

from __future__ import annotations

import contextlib
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.sockets import LOOPBACK, port_that_refuses, reset
from tests.support.tls import client_context, other_authority, server_context
from tests.support.wire import frame
from trioecho import (
    FrameFormat,
    FrameTooLargeError,
    IncompleteFrameError,
    NoReplyError,
    NotConnectedError,
    PayloadTooLargeError,
)
from trioecho.locust.connection import ConnectionSettings
from trioecho.locust.errors import CheckFailedError, ReplyTimeoutError, RequestFailedError
from trioecho.locust.service_address import ServiceAddress

from .services import client_of, echo, replying, request_of, service


def test_a_request_is_counted_under_its_name_with_its_time_and_length() -> None:
    with service(echo) as target, client_of(target) as (client, events):
        reply = client.request(b"hello", name="greet", context={"who": "me"})
        assert (reply.payload, reply.header, reply.ok, reply.error) == (b"hello", b"\0\0\0\5", True, None)
        [event] = events.fired
        assert event["request_type"] == "FRAME"
        assert event["name"] == "greet"
        assert event["response_length"] == 5
        assert event["response"] is reply
        assert event["context"] == {"who": "me"}
        assert event["exception"] is None
        assert event["response_time"] == reply.response_time_ms > 0
        assert client.connections_opened == 1
        assert client.request(b"").ok
        assert client.connections_opened == 1


@pytest.mark.parametrize("text", ["u16le", "u32be+header", "any1,varint4"])
def test_any_format_is_spoken(text: str) -> None:
    spoken = FrameFormat.parse(text)
    wire = spoken.encode_header(3) + b"abc" + spoken.trailer

    def serve(peer: socket.socket) -> None:
        assert peer.recv(len(wire), socket.MSG_WAITALL) == wire
        peer.sendall(wire)

    with service(serve) as target, client_of(target, format=spoken) as (client, _):
        assert client.request(b"abc").payload == b"abc"


def test_a_header_is_made_like_another_one() -> None:
    spoken = FrameFormat.parse("any1,varint4")

    def serve(peer: socket.socket) -> None:
        peer.sendall(peer.recv(5, socket.MSG_WAITALL))

    with service(serve) as target, client_of(target, format=spoken) as (client, _):
        reply = client.request(b"abc", header=b"\x30\x00")
        assert reply.header == b"\x30\x03"


def test_a_unix_socket_is_a_host(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    with service(echo, listener=listener) as target, client_of(target) as (client, _):
        assert target.host == f"unix:{tmp_path}/s"
        assert client.request(b"abc").payload == b"abc"


def _refuse(reply: bytes) -> bool:
    raise AssertionError("not\nthe one")


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (lambda reply: reply == b"abc", None),
        (lambda reply: reply == b"abd", "the check says no"),
        (lambda reply: None, "the check returned NoneType, and not True or False"),
        (lambda reply: reply[7], "the check has raised IndexError"),
        (_refuse, "not the one"),
    ],
)
def test_a_check_says_whether_a_reply_is_right(check: Any, reason: str | None) -> None:
    with service(echo) as target, client_of(target) as (client, events):
        reply = client.request(b"abc", check=check)
        expected = None if reason is None else f"CheckFailedError: {' '.join(reason.split())}"
        assert events.counted == [("FRAME", "request", expected)]
        assert reply.payload == b"abc"
        assert reply.ok is (reason is None)
        if reason is not None:
            assert isinstance(reply.error, RequestFailedError)
            assert isinstance(reply.error.cause, CheckFailedError)
            assert reply.error.cause.length == 3
        # What is not right is no reason for another connection.
        assert client.request(b"abc").ok
        assert client.connections_opened == 1


def test_a_block_says_what_is_a_success_and_what_a_failure() -> None:
    with service(echo) as target, client_of(target) as (client, events):
        with client.request(b"1", catch_response=True) as reply:
            assert events.fired == []
            assert reply.payload == b"1"
        with client.request(b"2", catch_response=True) as reply:
            reply.failure("too small")
        with client.request(b"3", catch_response=True) as reply:
            raise AssertionError("it is another number")  # as of an `assert` that pytest has not rewritten
        with client.request(b"4", catch_response=True, check=lambda reply: False) as reply:
            reply.success()
        with (
            contextlib.suppress(KeyError),
            client.request(b"5", catch_response=True) as reply,
        ):
            raise KeyError
        error = ValueError("mine")
        with client.request(b"6", catch_response=True) as reply:
            reply.failure(error)
        assert [failure for _, _, failure in events.counted] == [
            None,
            "CheckFailedError: too small",
            "CheckFailedError: it is another number",
            None,
            None,
            "ValueError('mine')",
        ]


def test_one_way_messages_and_several_replies() -> None:
    def serve(peer: socket.socket) -> None:
        request_of(peer)
        request_of(peer)
        peer.sendall(frame(b"one") + frame(b"two"))
        peer.recv(1)

    with service(serve) as target, client_of(target) as (client, events):
        assert client.send(b"first", name="tell").ok
        assert client.request(b"second", name="ask").payload == b"one"
        assert client.receive(name="more", check=lambda reply: reply == b"two").payload == b"two"
        assert events.counted == [("SEND", "tell", None), ("FRAME", "ask", None), ("RECEIVE", "more", None)]


WRONG = {
    "ends": (request_of, NoReplyError, "the service has ended the connection"),
    "resets": (
        lambda peer: (request_of(peer), reset(peer)),
        NoReplyError,
        "connection lost: Connection reset by peer",
    ),
    "cuts": (replying(b"\0\0\0\5ab", ends=True), IncompleteFrameError, "after N of N bytes"),
    "too large": (
        replying(b"\xff\xff\xff\xff"),
        FrameTooLargeError,
        "a frame of N bytes is over the limit of 1048576",
    ),
    "HTTP": (replying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FrameTooLargeError, "HTTP"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_service_that_is_wrong_is_a_failure_and_the_next_request_has_another_connection(kind: str) -> None:
    serve, error, words = WRONG[kind]
    with service(serve, echo) as target, client_of(target) as (client, events):
        reply = client.request(b"abc")
        assert isinstance(reply.error, RequestFailedError)
        assert isinstance(reply.error.cause, error)
        assert words in repr(reply.error)
        assert reply.payload == b""
        assert client.request(b"abc").ok
        [first, again, second] = events.counted
        assert first == ("FRAME", "request", repr(reply.error))
        assert again == ("CONNECT", str(target), None)
        assert second == ("FRAME", "request", None)
        assert client.connections_opened == 2


def test_failures_with_other_numbers_are_one_line_of_the_table() -> None:
    serve = [replying(b"\0\0\0\x09" + b"x" * length, ends=True) for length in (1, 2, 7)]
    with service(*serve) as target, client_of(target) as (client, _):
        errors = [client.request(b"a").error for _ in serve]
        assert len({repr(error) for error in errors}) == 1
        causes = [error.cause for error in errors if isinstance(error, RequestFailedError)]
        assert [cause.received for cause in causes if isinstance(cause, IncompleteFrameError)] == [5, 6, 11]
        assert len({str(error) for error in errors}) == 3
        again = pickle.loads(pickle.dumps(errors[0]))  # noqa: S301 - made here
        assert repr(again) == repr(errors[0])


def test_a_late_reply_is_not_taken_for_that_of_a_later_request() -> None:
    with service(replying(b""), echo) as target, client_of(target, timeout_s=0.05) as (client, _):
        error = client.request(b"late").error
        assert isinstance(error, RequestFailedError)
        assert isinstance(error.cause, ReplyTimeoutError)
        assert (error.cause.seconds, error.cause.received) == (0.05, 0)
        assert repr(error) == "ReplyTimeoutError: no reply within 0.05 s"
        assert client.request(b"next", timeout_s=60).payload == b"next"


def test_a_reply_that_is_not_complete_in_time_says_how_much_came() -> None:
    came = frame(b"abcdef")[:7]
    with service(replying(came)) as target, client_of(target) as (client, _):
        client.send(b"first")
        # So that it is known to have come.
        assert _peeked(client, len(came)) == came
        error = client.receive(timeout_s=0.01).error
        assert isinstance(error, RequestFailedError)
        assert str(error).startswith("no reply within 0.01 s: only 7 bytes of it came")


def _peeked(client: Any, count: int) -> bytes:
    connected: socket.socket = client._connection._socket
    connected.settimeout(60)
    return connected.recv(count, socket.MSG_PEEK | socket.MSG_WAITALL)


def test_a_service_that_is_not_there_is_a_failure_each_time() -> None:
    with port_that_refuses() as port, client_of(ServiceAddress(LOOPBACK, port)) as (client, events):
        errors = [client.request(b"abc").error, client.receive().error]
    words = "NotConnectedError: connection refused: does the server run, and on this port?"
    assert events.counted == [("FRAME", "request", words), ("RECEIVE", "receive", words)]
    causes = [error.cause for error in errors if isinstance(error, RequestFailedError)]
    assert [cause.failures for cause in causes if isinstance(cause, NotConnectedError)] == [1, 2]
    assert client.connections_opened == 0


def test_a_message_that_cannot_be_is_a_failure_or_a_mistake_of_the_caller() -> None:
    with service(echo) as target, client_of(target, format=FrameFormat(1)) as (client, events):
        with pytest.raises(TypeError):
            client.request("text")  # type: ignore[arg-type]
        with pytest.raises(PayloadTooLargeError):
            client.request(bytes(256))
        with pytest.raises(ValueError, match="timeout_s must be more than 0 seconds, and not 0"):
            client.request(b"abc", timeout_s=0)
        assert events.fired == []


def test_whoever_is_stopped_in_the_middle_leaves_no_connection() -> None:
    class Stop(BaseException):
        pass

    def serve(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(frame(b"reply"))
        peer.recv(1)

    with service(serve, echo) as target, client_of(target) as (client, events):
        client.send(b"first")
        connection = client._connection
        assert connection is not None

        def stop(timeout_s: float) -> Any:
            raise Stop

        connection.receive = stop  # type: ignore[method-assign]
        with pytest.raises(Stop):
            client.receive()
        assert events.counted == [("SEND", "send", None)]
        assert client.request(b"next").payload == b"next"


# ---- under TLS ----


def under_tls(peer: socket.socket) -> None:
    with server_context().wrap_socket(peer, server_side=True) as secured:
        echo(secured)


def test_requests_under_tls() -> None:
    with (
        service(under_tls) as target,
        client_of(target, ssl_context=client_context(), server_hostname="localhost") as (client, _),
    ):
        assert client.request(b"abc").payload == b"abc"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ssl_context": client_context(trusts=other_authority())}, "certificate is not trusted"),
        ({"ssl_context": client_context(), "server_hostname": "example.org"}, "is for another name"),
    ],
)
def test_a_certificate_that_will_not_do_is_a_failure(settings: dict[str, Any], words: str) -> None:
    settings = {"server_hostname": "localhost", **settings}
    with service(under_tls) as target, client_of(target, **settings) as (client, events):
        client.request(b"abc")
        [(_, _, failure)] = events.counted
        assert failure is not None
        assert failure.startswith("NotConnectedError: ")
        assert words in failure


@pytest.mark.parametrize(
    "wrong", [{"connect_timeout_s": 0.0}, {"max_frame_length": -1}, {"connect_timeout_s": float("nan")}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must (be more than 0|not be negative)"):
        ConnectionSettings(ServiceAddress("h", 1), **wrong)


def test_a_connection_that_takes_too_long_is_a_failure() -> None:
    # Its queue is full, and nobody accepts: the kernel drops what comes.
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        target = ServiceAddress(*listener.getsockname()[:2])
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex((target.host, target.port))
        with client_of(target, connect_timeout_s=0.05) as (client, events):
            client.request(b"abc")
        for each in waiting:
            each.close()
    assert events.counted == [("FRAME", "request", "NotConnectedError: not connected within 0.05 s")]
