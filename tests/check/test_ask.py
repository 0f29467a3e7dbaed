"""``trioecho check --ask``: services that do not echo, the right ones and those with a bug in each."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.asked_services import (
    LIMIT,
    Service,
    drops_the_second_of_a_segment,
    frame,
    frames,
    ignores_the_limit,
    replies_once,
    replies_to_a_truncated_frame,
    right,
    right_and_says_why_it_refuses,
    swaps_two_that_come_together,
    takes_a_receive_for_a_frame,
)
from tests.support.check_servers import by_id, listening
from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.slow import slow
from trioecho.check.book.book import RULES, select
from trioecho.check.client.asked import Asked
from trioecho.check.client.finding import Deviation, Kind
from trioecho.check.client.learned import LearnedRequest
from trioecho.check.client.wire import Wire
from trioecho.check.diagnosis.diagnosis import name_causes
from trioecho.check.runner.suite import CannotCheckError, Settings, Target, check
from trioecho.check.verdict import SuiteResult, Verdict

WIRE = Wire()
PAYLOADS = (b"get alpha", b"get beta and more", b"list")
NEEDS_SPAWN = {rule.id for rule in RULES.values() if rule.needs_spawn}
NEEDS_ECHO = {"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10"}


def asked_for(*payloads: bytes, given: bytes | None = None) -> Asked:
    return Asked([LearnedRequest(payload, WIRE, given) for payload in payloads or PAYLOADS], WIRE, "a test")


async def ask(service: Service, *cases: str, asked: Asked | None = None, jobs: int = 8) -> SuiteResult:
    with listening(service) as address:
        settings = Settings(max_frame_length=LIMIT, dialogue=asked or asked_for())
        with guarded(120):
            return await check(Target("here", address), settings, rules=select(list(cases)), jobs=jobs)


# ---- right services ----


@pytest.mark.parametrize("service", [right, slow(right_and_says_why_it_refuses)])
async def test_a_right_service_breaks_no_rule(service: Service) -> None:
    result = await ask(service)
    assert [(each.id, each.actual) for each in result.broken(strict=True)] == []
    assert result.outcome(strict=True) == "conformant"
    skipped = {each.id for each in result.results if each.verdict is Verdict.NOT_APPLICABLE}
    # No request is long enough for 2.7, and a length that varies hides what is missing in 3.5.
    assert skipped == {*NEEDS_ECHO, *NEEDS_SPAWN, "2.7", "3.5"}
    assert result.notes == ()


async def test_sizes_are_tried_with_requests_that_have_them() -> None:
    result = await ask(right, "1", asked=asked_for(b"", b"x", b"y" * 255, b"z" * LIMIT))
    passed = {each.id for each in result.results if each.verdict is Verdict.PASS}
    assert passed == {"1.1", "1.2", "1.3", "1.6", "1.7", "1.11", "1.12"}
    assert by_id(result)["1.4"].summary == "no request has 256 bytes"


async def test_what_was_asked_and_what_is_left_out_is_reported() -> None:
    result = await ask(right, "1.11")
    assert result.asking is not None
    first, *_ = result.asking.requests
    assert first.payload == PAYLOADS[0]
    assert first.has_varying_length  # it counts, and a count gets longer
    [(start, _)] = first.left_out
    assert first.reply[:start] == first.reply[:4] + b"GET ALPHA #"


async def test_replies_that_look_alike_show_no_order_and_the_report_says_so() -> None:
    result = await ask(right, "3.1", asked=asked_for(b"get alpha"))
    assert by_id(result)["3.1"].verdict is Verdict.PASS
    [note] = result.notes
    assert "whether they came in order" in note


# ---- broken services ----


@pytest.mark.parametrize(
    ("service", "broken", "cause"),
    [
        slow(takes_a_receive_for_a_frame, "2.3", "segment-taken-for-frame"),
        slow(drops_the_second_of_a_segment, "2.5", "one-parse-per-recv"),
        slow(swaps_two_that_come_together, "2.5", "replies-out-of-order"),
        slow(ignores_the_limit, "4.1", "no-limit"),
        (replies_to_a_truncated_frame, "5.3", "echoes-truncated-frame"),
        slow(replies_once, "1.11", "one-reply"),
    ],
)
async def test_a_bug_is_found_and_named(service: Service, broken: str, cause: str) -> None:
    result = await ask(service, "1.11", "2.3", "2.4", "2.5", "4.1", "4.5", "5.3")
    found = by_id(result)[broken]
    assert (found.verdict, found.cause and found.cause.id) == (Verdict.FAIL, cause)
    assert cause in [each.id for each in result.causes]


async def test_a_reply_that_changes_under_a_cut_is_found() -> None:
    """What never varied for a polite client is compared to the byte, whatever it is."""

    def forgets_the_first_letter_after_a_pause(peer: socket.socket) -> None:
        while header := peer.recv(4):
            header += b"" if len(header) == 4 else receive(peer, 4 - len(header))
            payload = peer.recv(1 << 16)
            length = int.from_bytes(header, "big")
            was_cut = len(payload) < length
            payload += receive(peer, length - len(payload)) if was_cut else b""
            peer.sendall(frame(b"?" + payload[1:] if was_cut else payload))

    result = await ask(forgets_the_first_letter_after_a_pause, "1.11", "2.4")
    found = by_id(result)
    assert found["1.11"].verdict is Verdict.PASS
    assert found["2.4"].verdict is Verdict.FAIL
    assert [cause.id for cause in result.causes] == ["recv-n-taken-for-n-bytes"]


def test_other_bytes_in_a_reply_are_no_changed_echo() -> None:
    reply = Deviation(
        Kind.WRONG, "a reply", "another", expected_bytes=frame(b"abc"), received_bytes=frame(b"abd")
    )
    assert name_causes({"3.2": reply}, WIRE, is_echo=False).overall == ("other-reply",)
    assert name_causes({"3.2": reply}, WIRE).overall == ("content-changed",)


def receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := peer.recv(size - len(data))):
        data += piece
    return data


# ---- what cannot be asked ----


def silent(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass


def twice(peer: socket.socket) -> None:
    for payload in frames(peer):
        peer.sendall(2 * frame(payload))


def lines(peer: socket.socket) -> None:
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 400 Bad LearnedRequest\r\n\r\n")


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (silent, "sends no reply to request 1 of a test within 4 s"),
        (twice, "replies to request 1 of a test with more than one frame"),
        (lines, "which is no frame of u32be; this looks like an HTTP server"),
    ],
)
async def test_who_does_not_reply_as_is_needed_is_not_tried(service: Service, words: str) -> None:
    with pytest.raises(CannotCheckError, match=words):
        await ask(service)


async def test_the_reply_that_is_expected_must_come() -> None:
    with pytest.raises(CannotCheckError, match="does not reply to request of a test as is expected"):
        await ask(right, asked=asked_for(b"get alpha", given=b"GET ALPHA"))


# ---- what is known of replies ----


def learned(*replies: bytes) -> LearnedRequest:
    request = LearnedRequest(b"request", WIRE)
    for reply in replies:
        request.learn(frame(reply))
    request.widen()
    return request


@pytest.mark.parametrize(
    ("replies", "left_out"),
    [
        ([b"constant", b"constant"], ()),
        ([b"at 12:30:58 ok", b"at 12:30:59 ok"], ((7, 15),)),
        ([b"\0\0\0\7abc\0\0\0\1", b"\0\0\0\7abc\0\0\0\2"], ((11, 15),)),
        ([b"n=9 ok", b"n=10 ok"], ((6, 10),)),
    ],
)
def test_a_number_is_left_out_as_a_whole(replies: list[bytes], left_out: tuple[tuple[int, int], ...]) -> None:
    assert learned(*replies).left_out == left_out


def test_what_never_varied_is_never_left_out_later() -> None:
    request = learned(b"constant", b"constant")
    assert not request.learn_later(frame(b"constanT"))
    assert not request.learn_later(frame(b"longer than it was"))
    assert request.left_out == ()


def test_only_what_is_near_to_what_varied_may_vary_later() -> None:
    request = learned(b"constant and long, 7 a", b"constant and long, 8 a")
    assert not request.learn_later(frame(b"Constant and long, 9 a"))
    assert request.learn_later(frame(b"constant and long, 9 b"))
    assert request.learn_later(frame(b"constant and long, 10 a"))
    assert request.has_varying_length
    assert not request.is_like(frame(b"another reply"))
    assert request.is_like(frame(b"constant and long, 12345 a"))


def test_the_reader_does_not_depend_on_how_bytes_come() -> None:
    asked = asked_for(b"one", b"two")
    for request, kind in zip(asked.requests, (b"first", b"second"), strict=True):
        for number in (b"1", b"22"):
            request.learn(frame(kind + b" " + number))
        request.widen()
    sent = WIRE.frames(b"one", b"two", b"one")
    came = frame(b"first 333") + frame(b"second 4") + frame(b"first 55")
    for size in range(1, len(came) + 1):
        reader = asked.reader(sent)
        read = b"".join(reader.read(came[at : at + size]) for at in range(0, len(came), size))
        assert (read, reader.rest()) == (asked.replies(sent), b"")


# ---- the command ----

SERVER = """
import socket, sys, threading
sys.path.insert(0, sys.argv[2])
from tests.support.asked_services import right
from tests.support.check_servers import accept
accept(socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=200), right)
"""


def test_a_service_is_asked_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "requests.jsonl").write_text('"get alpha"\n{"hex": "6c697374"}\n')
    root = Path(__file__).parents[2]
    command = f"{sys.executable} {tmp_path}/server.py {{port}} {root}"
    reports = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    options = [word for kind, path in reports.items() for word in (f"--{kind}", str(path))]
    asking = ("--ask", str(tmp_path / "requests.jsonl"))
    done = run_in_process(
        "check", "--spawn", command, *asking, "2", "6.1", "--max-frame-length", "64KiB", *options
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Asked: 2 requests of {tmp_path}/requests.jsonl." in done.stdout.replace("\n", " ")
    server: Any = json.loads(reports["json"].read_text())["servers"][0]
    assert server["asking"]["requests"][1]["payload_hex"] == "6c697374"
    assert all("--ask" in each["reproduce"] for each in server["results"])
    assert "Asked: 2 requests of" in reports["html"].read_text()
    assert "Asked: 2 requests of" in reports["junit"].read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--expect", "x.jsonl"], "--expect has the replies to the requests of --ask"),
        (["--preset", "dns", "--ask", "x.jsonl"], "--preset has requests of its own"),
        (["--preset", "dns", "--format", "u16le"], "--preset and --format both say what frames are"),
        (["--ask", "/nowhere.jsonl"], "--ask /nowhere.jsonl: No such file or directory"),
        (["--preset", "ftp"], "'ftp' is no protocol; 9p, diameter, dns, kafka, "),
        (["--preset", "epmd"], "'epmd' has no polite requests: its replies are not framed: each ends with "),
        (["--preset", "bgp"], "'bgp' has no polite requests: its messages are not replied to one by one"),
        (["--preset", "stun"], "none are built in; --ask FILE --format stun takes your own"),
    ],
)
def test_options_that_contradict_each_other(options: list[str], words: str) -> None:
    done = run_in_process("check", "127.0.0.1:9", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
