"""``trioecho check --correlate``: services whose replies say which request they are for."""

from __future__ import annotations

import itertools
import pickle
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asked_services import LIMIT, Service, frame
from tests.support.check_servers import by_id, listening
from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.numbered_services import (
    GivesToOthers,
    NotReadyYet,
    after_a_login,
    forgets_the_identifier,
    in_any_order,
    in_order,
    loses_one_of_many,
    mixes_bodies_up,
    replies_twice_to_one_of_many,
    reply_to,
)
from tests.support.slow import slow
from tests.support.sockets import receive_exactly
from trioecho.check.book.book import RULES, select
from trioecho.check.client.asked import Asked
from trioecho.check.client.correlation import Correlation, Identifiers, Place, how_many
from trioecho.check.client.laid_out_wire import LaidOutWire
from trioecho.check.client.learned import LearnedRequest
from trioecho.check.client.opening import FirstMessage
from trioecho.check.client.probe import Probe
from trioecho.check.client.wire import FramedPayload, Wire
from trioecho.check.preflight.learning import wait_until_ready
from trioecho.check.runner.suite import CannotCheckError, Settings, Target, check
from trioecho.check.verdict import SuiteResult, Verdict
from trioecho.cli.check_wire import wire_of
from trioecho.framing import FrameFormat

WIRE = Wire()
FIRST_FOUR = Correlation.parse("0:4")
REQUESTS = (b"\0\0\0\0get alpha", b"\0\0\0\0get beta and more")


def numbered(*payloads: bytes, first: tuple[FirstMessage, ...] = ()) -> Asked:
    requests = [LearnedRequest(payload, WIRE, correlation=FIRST_FOUR) for payload in payloads or REQUESTS]
    return Asked(requests, WIRE, "a test", correlation=FIRST_FOUR, first_messages=first)


async def ask(service: Service, *cases: str, asked: Asked | None = None) -> SuiteResult:
    with listening(service) as address:
        settings = Settings(max_frame_length=LIMIT, dialogue=asked or numbered())
        with guarded(120):
            return await check(Target("here", address), settings, rules=select(list(cases)))


def said_of_order(result: SuiteResult) -> bool:
    # A busy machine makes a server look slow, and of that there is a note, too.
    return any("came in another order" in note or "came in order" in note for note in result.notes)


# ---- services ----


@pytest.mark.parametrize("cases", [("2.5", "3.1"), slow(())])
async def test_replies_may_come_in_any_order(cases: tuple[str, ...]) -> None:
    result = await ask(in_any_order, *cases)
    assert [(each.id, each.actual) for each in result.broken(strict=True)] == []
    assert by_id(result)["3.1"].verdict is Verdict.PASS
    assert said_of_order(result)


async def test_that_replies_came_in_another_order_is_said_only_if_they_did() -> None:
    result = await ask(in_order, "2.5")
    assert not said_of_order(result)
    assert result.asking is not None
    assert result.asking.correlate == "0:4"


@slow
@pytest.mark.parametrize("payloads", [REQUESTS, REQUESTS[:1]], ids=["two requests", "one request"])
async def test_with_identifiers_one_request_is_enough(payloads: tuple[bytes, ...]) -> None:
    result = await ask(in_order, asked=numbered(*payloads))
    assert [(each.id, each.actual) for each in result.broken(strict=True)] == []
    skipped = {each.id for each in result.results if each.verdict is Verdict.NOT_APPLICABLE}
    spawned = {rule.id for rule in RULES.values() if rule.needs_spawn}
    assert {each for each in skipped if each[0] in "23"} == {"2.7"} | {
        each for each in spawned if each[0] in "23"
    }
    assert not said_of_order(result)


@pytest.mark.parametrize(
    ("service", "broken", "cause"),
    [
        (loses_one_of_many, "2.5", "one-parse-per-recv"),
        slow(replies_twice_to_one_of_many, "2.5", "reply-twice"),
        (mixes_bodies_up, "2.5", "other-reply"),
        slow(GivesToOthers(), "3.2", "shared-state"),
    ],
)
async def test_a_bug_is_found_and_named(service: Service, broken: str, cause: str) -> None:
    result = await ask(service, broken)
    found = by_id(result)[broken]
    assert (found.verdict, found.cause and found.cause.id) == (Verdict.FAIL, cause)


async def test_a_service_without_identifiers_is_not_tried() -> None:
    words = "without its identifier: .* was in bytes 0 to 3 of the payload, .* where 00 00 00 00 came"
    with pytest.raises(CannotCheckError, match=words):
        await ask(forgets_the_identifier)


LOGIN = FirstMessage(frame(b"login"))


async def test_a_session_is_opened_on_every_connection() -> None:
    result = await ask(after_a_login, "1.11", "2.5", "3.2", asked=numbered(first=(LOGIN,)))
    assert [(each.id, each.actual) for each in result.broken(strict=True)] == []
    assert result.asking is not None
    assert result.asking.first_messages == 1


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (FirstMessage(frame(b"login"), given=b"hello"), "another reply came than is expected: b'welcome'"),
        (FirstMessage(frame(b"logout"), unless=(frame(b"who"[:0])[:3],)), "the service refuses: "),
        (FirstMessage(frame(b"login"), until=b"\xff"), "nothing came in time"),
    ],
)
async def test_a_session_that_is_not_opened_is_said(first: FirstMessage, words: str) -> None:
    with pytest.raises(CannotCheckError, match="does not take the first message of a connection: .*" + words):
        await ask(after_a_login, "1.11", asked=numbered(first=(first,)))


async def test_a_service_that_was_just_started_is_waited_for() -> None:
    service, asked = NotReadyYet(), numbered()
    with listening(service) as address, guarded():
        probe = Probe("a test", address, Settings(dialogue=asked), patience_s=30)
        await wait_until_ready(probe, asked)
    assert service.connections == 4


# ---- readers ----


def learned() -> Asked:
    asked = numbered().of_case(random.Random(0))
    for request in asked.requests:
        request.learn(frame(reply_to(request.payload)))
    return asked


@given(st.data())
def test_the_order_and_the_cuts_of_replies_make_no_difference(data: st.DataObject) -> None:
    asked = learned()
    sent = [asked.fresh(data.draw(st.sampled_from(asked.requests))) for _ in range(8)]
    came = b"".join(frame(reply_to(each)) for each in data.draw(st.permutations(sent)))
    reader = asked.reader(WIRE.frames(*sent))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(came) - 1))))
    read = b"".join(reader.read(came[start:end]) for start, end in itertools.pairwise([0, *cuts, len(came)]))
    assert (read, reader.rest()) == (asked.replies(WIRE.frames(*sent)), b"")


@given(st.permutations(range(4)), st.sampled_from(range(4)))
def test_a_reply_that_comes_twice_or_not_at_all_is_seen(order: list[int], which: int) -> None:
    asked = learned()
    sent = [asked.fresh(asked.requests[0]) for _ in order]
    stream = WIRE.frames(*sent)
    twice = asked.reader(stream)
    read = twice.read(b"".join(frame(reply_to(sent[each])) for each in (which, *order)))
    assert read + twice.rest() == asked.replies(stream) + asked.replies(WIRE.frame(sent[which]))
    missing = asked.reader(stream)
    read = missing.read(b"".join(frame(reply_to(sent[each])) for each in order if each != which))
    assert read == asked.replies(WIRE.frames(*sent[:which]))
    assert missing.rest() == asked.replies(WIRE.frames(*sent[which + 1 :]))


def test_a_stream_that_is_sent_again_has_its_replies_again() -> None:
    asked = learned()
    sent = [asked.fresh(asked.requests[0]) for _ in range(3)]
    last = asked.fresh(asked.requests[1])
    reader = asked.reader(WIRE.frames(*sent), behind=WIRE.frame(last))
    replies = [frame(reply_to(each)) for each in sent]
    later = frame(reply_to(last))
    came = (replies[2], replies[0], replies[1], replies[1], later, replies[2], replies[0])
    assert b"".join(map(reader.read, came)) == 2 * b"".join(replies)
    assert reader.rest() == later


def test_a_reply_to_nothing_that_was_sent_stays_where_it_came() -> None:
    asked = learned()
    sent = asked.fresh(asked.requests[0])
    foreign = frame(b"\xff\xff\xff\xffANYTHING")
    reader = asked.reader(WIRE.frame(sent))
    assert reader.read(foreign + frame(reply_to(sent))) == foreign + asked.replies(WIRE.frame(sent))


# ---- places ----

PLACES = st.builds(Place, st.integers(0, 10**9 - 1), st.integers(1, 16), st.booleans())


@given(PLACES, PLACES)
def test_a_correlation_is_read_as_it_is_written(request: Place, reply: Place) -> None:
    correlation = Correlation(request, Place(reply.offset, request.width, reply.in_header))
    assert Correlation.parse(str(correlation)) == correlation


@given(st.integers(1, 8), st.integers(1, 9), st.booleans(), st.integers())
def test_no_identifier_comes_again_soon(width: int, kinds: int, are_digits: bool, seed: int) -> None:
    identifiers = Identifiers(width, random.Random(seed), kinds=kinds, are_digits=are_digits)
    each = min(20, how_many(width, are_digits=are_digits) // kinds)
    fresh = [identifiers.fresh(kind) for kind in range(kinds) for _ in range(each)]
    assert len(set(fresh)) == len(fresh)
    for identifier in fresh:
        assert len(identifier) == width
        assert max(identifier) < 0x80
        assert identifier.isdigit() or not are_digits
        assert identifier[0] not in (b"0" if are_digits else b"\0")


def test_an_identifier_may_stand_in_a_header() -> None:
    wire = wire_of(FrameFormat.parse("modbus"))
    given_frame = bytes.fromhex("0001 0000 0006 11 03006b0003")
    request = FramedPayload(given_frame[7:], given_frame)
    asked = LearnedRequest(request, wire, correlation=Correlation.parse("header+0:2"))
    assert asked.with_id(b"\x12\x34").frame == bytes.fromhex("1234 0000 0006 11 03006b0003")
    assert asked.with_id(b"\x12\x34") == request
    assert asked.reply_id(bytes.fromhex("1234 0000 0003 11 8302")) == b"\x12\x34"


def test_what_is_asked_goes_to_another_process() -> None:
    asked = numbered().of_case(random.Random(0))
    payload = asked.fresh(asked.requests[0])
    copied_payload, copied = pickle.loads(pickle.dumps((payload, asked)))  # noqa: S301 - our own bytes
    assert (copied_payload, copied_payload.frame) == (payload, payload.frame)
    assert copied.fresh(copied.requests[0]) == asked.fresh(asked.requests[0])


@pytest.mark.parametrize("place", ["header+4:2", "header+3:2", "header+2:1"])
def test_an_identifier_may_not_stand_where_frames_have_something_of_their_own(place: str) -> None:
    wire = wire_of(FrameFormat.parse("modbus"))
    with pytest.raises(ValueError, match="of the header say how long it is, or that it is a frame"):
        LearnedRequest(b"\x03abcd", wire, correlation=Correlation.parse(place))


def test_frames_are_made_like_a_request() -> None:
    wire = wire_of(FrameFormat.parse("memcached")).like(bytes.fromhex("800a" + "00" * 22))
    assert isinstance(wire, LaidOutWire)
    assert wire.header(258) == bytes.fromhex("800a 000000000000 00000102" + "00" * 12)
    assert WIRE.like(b"\0\0\0\1a") is WIRE


# ---- the command ----


def check_nobody(*options: str) -> Any:
    done = run_in_process("check", "127.0.0.1:9", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 or "usage:" in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("here", "write OFFSET:WIDTH in bytes of the payload"),
        ("0:4=0:2", "as wide in the reply as in the request"),
        ("0:17", "an identifier has 1 to 16 bytes"),
        ("0:0", "an identifier has 1 to 16 bytes"),
        ("-1:2", "write OFFSET:WIDTH"),
        ("0:2=", "write OFFSET:WIDTH"),
    ],
)
def test_a_place_that_is_none_is_refused(place: str, words: str) -> None:
    assert words in check_nobody("--ask", "x.jsonl", f"--correlate={place}")


def test_a_request_that_is_too_short_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('"long enough"\n\n"abc"\n')
    words = f"--ask {path}, line 3: it does not have bytes 0 to 3 of the payload, where --correlate 0:4 puts"
    assert words in check_nobody("--ask", str(path), "--correlate", "0:4")
    raw = tmp_path / "requests.frames"
    raw.write_bytes(frame(b"long enough") + frame(b"abc"))
    assert f"--ask {raw}: frame 2: it does not have" in check_nobody("--ask", str(raw), "--correlate", "0:4")


def test_more_requests_than_identifiers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(f'"{digit}: {digit}"\n' for digit in range(10)))
    assert "10 requests need more than the 9 identifiers that 1 digit can write" in check_nobody(
        "--ask", str(path), "--correlate", "0:1"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--correlate", "0:4"], "--correlate says where the requests of --ask have an identifier"),
        (["--first-message", "x.jsonl"], "--first-message opens a session for the requests of --ask"),
        (["--preset", "dns", "--correlate", "0:4"], "--preset has requests of its own"),
        (["--preset", "dns", "--first-message", "x.jsonl"], "--preset has requests of its own"),
    ],
)
def test_options_that_contradict_each_other(options: list[str], words: str) -> None:
    assert words in check_nobody(*options)


def test_all_of_it_by_the_command(tmp_path: Path) -> None:
    requests, login = tmp_path / "requests.jsonl", tmp_path / "login.jsonl"
    requests.write_text('"0000get alpha"\n{"text": "0000get beta", "reply": "0000GET BETA"}\n')
    login.write_text('{"text": "login", "reply": "welcome"}\n')
    asking = ("--ask", str(requests), "--correlate", "0:4", "--first-message", str(login))
    with listening(after_a_login) as (host, port):
        done = run_in_process("check", *asking, f"{host}:{port}", "2.5")
    assert (done.returncode, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    assert "First on every connection: 1 message, each with its reply." in said
    assert "Each request has an identifier of its own (--correlate 0:4)" in said
    assert "All bytes of the replies are compared." in said


def after_a_greeting_in_no_frame(peer: socket.socket) -> None:
    """Two replies to a greeting, of which the second has to be awaited, and then `in_order`."""
    if receive_exactly(peer, 6) == b"HELLO\n":
        peer.sendall(frame(b"version 1") + frame(b"ready"))
        in_order(peer)


def test_a_session_that_opens_with_bytes_in_no_frame_and_has_several_replies(tmp_path: Path) -> None:
    requests, hello = tmp_path / "requests.jsonl", tmp_path / "hello.jsonl"
    requests.write_text('"0000get alpha"\n')
    hello.write_text('{"text": "HELLO\\n", "raw": true, "until": "00000005 7265616479", "reply": "ready"}\n')
    asking = ("--ask", str(requests), "--correlate", "0:4", "--first-message", str(hello))
    with listening(after_a_greeting_in_no_frame) as (host, port):
        done = run_in_process("check", *asking, f"{host}:{port}", "2.5")
    assert (done.returncode, done.stderr) == (0, "")
