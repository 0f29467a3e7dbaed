"""``trioecho check --preset``: polite requests, to little servers, and as libraries read them."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

import trioecho
from tests.support.check_servers import by_id, listening
from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.protocol_services import SERVICES
from tests.support.slow import slow
from trioecho.check.book.book import select
from trioecho.check.client.asked import Asked
from trioecho.check.client.polite import POLITE_REQUESTS, WHY_NOT_ASKED
from trioecho.check.client.probe import Probe
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.verdict import Verdict
from trioecho.cli.check_requests import Requests
from trioecho.framing import PRESETS, FrameFormat


def requests_of(name: str) -> Requests:
    none = dict.fromkeys(("ask", "expect", "correlate", "first_message"))
    return Requests(argparse.Namespace(preset=name, format=FrameFormat(), **none))


def settings_of(name: str) -> Settings:
    requests = requests_of(name)
    return Settings(wire=requests.wire, dialogue=requests.dialogue())


def test_every_preset_has_the_format_of_its_name() -> None:
    assert set(POLITE_REQUESTS) <= set(PRESETS)
    assert set(POLITE_REQUESTS) == set(SERVICES)


@pytest.mark.parametrize("name", POLITE_REQUESTS)
async def test_each_request_has_one_reply_with_its_identifier(name: str) -> None:
    settings = settings_of(name)
    with listening(SERVICES[name]) as address, guarded():
        probe = Probe("a test", address, settings, patience_s=30)
        asked = probe.dialogue
        assert isinstance(asked, Asked)
        async with probe.connect() as peer:
            for request in asked.requests:
                sent = asked.fresh(request)
                await peer.send(sent.frame)
                received = b""
                while probe.wire.first(received) is None:
                    piece = await peer.receive()
                    assert isinstance(piece, bytes), piece
                    received += piece
                assert probe.wire.split(received)[1] == b""
                assert request.reply_id(received) == request.id_in(sent.frame, 0)


@pytest.mark.parametrize("name", ["mqtt", *(slow(name) for name in POLITE_REQUESTS if name != "mqtt")])
async def test_a_right_server_breaks_no_rule(name: str) -> None:
    with listening(SERVICES[name]) as address, guarded(120):
        # One of the little servers has been seen to be right by every rule; not every test tries all.
        cases = ["1.11", "2.1", "2.5", "3.1", "4.5", "5.1", "5.3"] if name == "mqtt" else []
        result = await check(Target("here", address), settings_of(name), rules=select(cases))
    assert [(each.id, each.actual) for each in result.broken(strict=True)] == []
    assert by_id(result)["3.1"].verdict is Verdict.PASS
    assert any("all replies look alike" in note for note in result.notes) == (name == "postgres")


def test_every_connection_is_a_diameter_peer_of_its_own() -> None:
    wire = requests_of("diameter").wire
    [first] = POLITE_REQUESTS["diameter"].first_messages
    one, other = first.of_connection(), first.of_connection()
    assert one != other
    assert len(one) == len(other) == len(first.data)
    assert wire.split(one)[1] == b""
    right = wire.frame(b"\0\0\x01\x0c\x40\0\0\x0c" + (2001).to_bytes(4, "big") + bytes(8))
    unknown_peer = wire.frame(b"\0\0\x01\x0c\x40\0\0\x0c" + (3010).to_bytes(4, "big") + bytes(8))
    assert first.look_at(right, wire) == (True, "")
    is_complete, wrong = first.look_at(unknown_peer, wire)
    assert is_complete
    assert wrong.startswith("the service refuses: ")


def test_a_protocol_without_polite_requests_says_why() -> None:
    assert set(WHY_NOT_ASKED) <= set(PRESETS) - set(POLITE_REQUESTS)
    for protocol, why, has_advice in (
        ("epmd", "its replies are not framed: each ends with the connection", False),
        ("bgp", "its messages are not replied to one by one", True),
    ):
        done = run_in_process("check", "--preset", protocol, "127.0.0.1:4369")
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert f"'{protocol}' has no polite requests: {why}" in line
        assert (f"; --ask FILE --format {protocol} takes your own" in line) is has_advice


def test_a_preset_needs_nothing_else() -> None:
    with listening(SERVICES["dns"]) as (host, port):
        done = run_in_process("check", "--preset", "dns", f"{host}:{port}", "1.11", "2.5")
    assert (done.returncode, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    assert "Asked: 3 requests of --preset dns." in said
    assert "(--correlate 0:2)" in said


def test_the_guide_has_every_preset() -> None:
    page = (Path(trioecho.__file__).parent / "guide" / "check.md").read_text()
    for name, polite in POLITE_REQUESTS.items():
        place = f"`{polite.correlate}` " if polite.correlate else ""
        assert f"| `{name}` | {polite.about} | {place}|\n" in page


# ---- what the protocol's own library reads of the requests ----


def payloads_of(name: str) -> list[bytes]:
    requests = requests_of(name).dialogue()
    assert isinstance(requests, Asked)
    return [bytes(request.payload) for request in requests.requests]


def test_dnspython_reads_the_queries() -> None:
    message = pytest.importorskip("dns.message")
    for payload in payloads_of("dns"):
        assert message.from_wire(payload).to_wire() == payload


def test_thrift_reads_the_calls() -> None:
    pytest.importorskip("thrift")
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # type: ignore[import-untyped]
    from thrift.Thrift import TMessageType, TType  # type: ignore[import-untyped]
    from thrift.transport.TTransport import TMemoryBuffer  # type: ignore[import-untyped]

    for payload in payloads_of("thrift"):
        protocol = TBinaryProtocol(TMemoryBuffer(payload), strictRead=True)
        assert protocol.readMessageBegin() == ("ping", TMessageType.CALL, 1)
        protocol.skip(TType.STRUCT)
        protocol.readMessageEnd()
        assert protocol.trans.read(1) == b""


def test_smpplib_makes_the_same_request() -> None:
    smpp = pytest.importorskip("smpplib.smpp")
    client = pytest.importorskip("smpplib.client").Client("localhost", 1, allow_unknown_opt_params=True)
    made = smpp.make_pdu("enquire_link", client=client).generate()
    [frame] = POLITE_REQUESTS["smpp"].frames
    assert made[:12] == frame[:12]  # and then a number of its own
    assert len(made) == len(frame)


def test_kafka_python_reads_the_requests() -> None:
    header = pytest.importorskip("kafka.protocol.api_header")
    for payload in payloads_of("kafka"):
        assert header.RequestHeader.decode(io.BytesIO(payload)).correlation_id == 1
