"""``trioecho formats``, and formats of other protocols with every command that takes one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.docs.test_readme import listening
from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.slow import slow
from trioecho import FrameFormat, encode_frame
from trioecho.framing import PRESETS


def wire_of(text: str, *payloads: bytes) -> bytes:
    return b"".join(encode_frame(payload, format=FrameFormat.parse(text)) for payload in payloads)


def test_all_are_listed_with_their_formats() -> None:
    listed = run_in_process("formats").stdout.splitlines()
    assert max(map(len, listed)) <= 80
    assert [line.split()[:2] for line in listed if not line.startswith(" ")] == [
        [name, preset.format] for name, preset in PRESETS.items()
    ]
    documents = json.loads(run_in_process("formats", "--json", "-").stdout)
    assert [document["name"] for document in documents] == list(PRESETS)


def test_one_is_explained() -> None:
    text = run_in_process("formats", "MySQL").stdout
    for part in ("u24le,any1", "MySQL Packets", "16,777,215", "05 00 00 00 68 65 6c 6c 6f"):
        assert part in text
    document = json.loads(run_in_process("formats", "u16be", "--json", "-").stdout)
    assert (document["name"], document["max_payload_length"]) == (None, 65_535)
    assert "used by:  bittorrent, erlang-packet-4" in run_in_process("formats", "u32be").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["mqt"], 2, "did you mean mqtt?"),
        (["u8,u8"], 2, "'u8,u8': part 2, 'u8', is a second length; a frame has one"),
        (["dns", "--of", "x"], 2, "not both"),
        (
            ["--of", "no-such-file"],
            2,
            "'no-such-file' cannot be read (No such file or directory), and is no HOST:PORT",
        ),
        (["--of", "/dev/null"], 3, "is empty"),
        (["--of", "127.0.0.1:1"], 3, "cannot connect to 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: list[str], code: int, said: str) -> None:
    done = run_in_process("formats", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_format_of_a_file_is_guessed(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded"
    recorded.write_bytes(wire_of("u32le+header", b"hello", bytes(300), b"world!"))
    done = run_in_process("formats", "--of", str(recorded))
    assert done.returncode == 0
    assert done.stdout.startswith("likely    u32le+header\n")
    assert "3 whole frames, with payloads of 5, 300, 6 bytes, and no byte is" in done.stdout
    [first, *_] = json.loads(run_in_process("formats", "--json", "-", "--of", str(recorded)).stdout)[
        "guesses"
    ]
    assert (first["format"], first["is_likely"], first["frames"]) == ("u32le+header", True, 3)

    recorded.write_bytes(wire_of("dns", b"hello"))
    done = run_in_process("formats", "--of", str(recorded))
    assert done.returncode == 1
    assert "possible  u16be\n" in done.stdout
    assert done.stdout.endswith("cannot tell which: more bytes, of more frames, would\n")

    recorded.write_text("The quick brown fox jumps over the lazy dog.\n" * 9)
    done = run_in_process("formats", "--of", str(recorded))
    assert (done.returncode, done.stdout) == (
        1,
        "cannot tell: 405 bytes are whole frames of no known format\n",
    )


def test_another_format_that_cuts_the_bytes_at_the_same_places_is_as_good(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded"
    recorded.write_bytes(wire_of("modbus", b"\x03\0\0\0\2", b"\x03\0\4\0\4", b"\x01\0\0\0\7\1"))
    done = run_in_process("formats", "--of", str(recorded))
    assert done.returncode == 0
    words = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line[0] != " "}
    assert words["any2,u32be"] == "likely"
    assert words["any2,x0000,u16be+rest,any1"] == "or"


def test_a_server_that_sends_nothing_has_no_format_to_guess() -> None:
    with server_process() as server:
        done = run_in_process("formats", "--of", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "sends nothing by itself within 2 s" in done.stderr


# One with each kind of number, with bytes on every side of it, and with a trailer.
@pytest.mark.parametrize(
    "name", ["mqtt", slow("amqp"), "netstring", slow("ldap"), "u24le,any1", slow("dec4")]
)
def test_every_command_takes_it(name: str) -> None:
    take_it = ("--format", name)
    with server_process(*take_it, "--workers", "2" if name == "mqtt" else "1") as server:
        address = f"127.0.0.1:{server.port}"
        for words in (
            ["client", address, "--size", "0-3000"],
            ["load", address, "-n", "200", "--size", "0-300", "--connections", "3", "--saturation", "warn"],
            ["check", address, "1.1", "1.3", "1.9", "1.12", "2.2", "2.3", "4.6", "5.3"],
        ):
            done = run_in_process(*words, *take_it)
            assert done.returncode == 0, done.stdout + done.stderr
        for fault, code in (("--drop", 1), ("--duplicate", 1), ("--slice=1", 0)):
            of_frame = [] if "=" in fault else ["--on-frame", "3"]
            timeout = "500ms" if fault == "--drop" else "60s"
            with listening(["proxy", address, "--listen", "0", fault, *of_frame, *take_it]) as (proxy, port):
                through = run_in_process(
                    "client", f"127.0.0.1:{port}", "-n", "5", "--timeout", timeout, *take_it
                )
                assert through.returncode == code, through.stdout + through.stderr
                proxy.send_signal(signal.SIGINT)
                proxy.wait(GUARD_S)
        assert server.stop(signal.SIGTERM) == 0


def test_the_guide_has_every_protocol() -> None:
    page = (ROOT / "trioecho" / "guide" / "formats.md").read_text()
    for name, preset in PRESETS.items():
        limit = "" if preset.limit is None else f"{preset.limit:,}"
        assert f"| {name} | `{preset.format}` | {preset.about} | {limit} | {preset.source} |\n" in page
