"""``trioecho dissect``: what it prints, and what Wireshark makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.captures import run_tshark, write_capture
from tests.support.in_process import run_in_process
from tests.support.programs import needs_program
from trioecho import __version__
from trioecho.dissect import wireshark_dissector
from trioecho.framing import FrameFormat, encode_frame
from trioecho.guide import read_topic


def printed(*words: str) -> str:
    done = run_in_process("dissect", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_it_prints_the_dissector_and_what_made_it() -> None:
    text = printed("--format", "MQTT", "--port", "1883", "--port", "1884", "--max-frame-length", "64k")
    assert (
        text
        == wireshark_dissector(FrameFormat.parse("mqtt"), max_frame_length=65536, ports=[1883, 1884]) + "\n"
    )
    assert text.startswith("-- Shows frames of the format any1,varint4 in Wireshark")
    [line] = [line for line in text.splitlines() if line.startswith("--   trioecho ")]
    assert f"-- Made by trioecho {__version__}, with:\n{line}\n" in text
    # That makes the same again.
    assert printed(*line.split()[3:]) == text


def test_all_of_it_is_in_lines_that_can_be_read() -> None:
    for name in ("bgp", "http-chunk", "u60le:5", "ber", "i16le", "varint"):
        for line in printed("--format", name).splitlines():
            assert len(line) <= 110 or line.startswith("--   trioecho dissect")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--port 0", "argument --port: '0' is no port that a connection can have"),
        ("--port 70000", "argument --port: '70000' is not a port"),
        ("--name 1st", "argument --name: '1st' is no name for a protocol of Wireshark"),
        ("--name and", "argument --name: 'and' is no name for a protocol of Wireshark"),
        ('--name a"b', "argument --name: 'a\"b' is no name for a protocol of Wireshark"),
        ('--payload "', "argument --payload: '\"' is no name of a dissector"),
        (
            "--max-frame-length 2GiB",
            "argument --max-frame-length: '2GiB' is more than Wireshark puts together",
        ),
        ("--format u33", "argument --format: 'u33': part 1, 'u33', needs its byte order"),
        ("--tls", "--tls says what is spoken on a --port; give one"),
        ("here", "unexpected 'here'"),
    ],
)
def test_wrong_use_is_one_line(words: str, reason: str) -> None:
    done = run_in_process("dissect", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"trioecho dissect: {reason}")


@pytest.mark.parametrize("words", [{"name": "Big"}, {"payload": "a b"}, {"max_frame_length": 1 << 31}])
def test_the_library_refuses_what_wireshark_does_not_take(words: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Wireshark|max_frame_length"):
        wireshark_dissector(FrameFormat(), **{"max_frame_length": 1, **words})  # type: ignore[arg-type]


def test_payloads_go_to_a_dissector_of_wiresharks_own(tmp_path: Path) -> None:
    needs_program("tshark")
    frames = encode_frame(b'{"one": 1}') + encode_frame(b'{"two": [2, "zwei"]}')
    script, capture = tmp_path / "framed.lua", tmp_path / "capture.pcap"
    script.write_text(printed("--name", "framed", "--port", "7000", "--payload", "json"))
    write_capture(capture, [(7000, [(True, frames[:5]), (True, frames[5:])])])
    shown = run_tshark(
        *("-n", "-r", str(capture), "-Y", "json", "-T", "fields"),
        *("-e", "framed.number", "-e", "json.key", "-e", "json.value.string"),
        scripts=[script],
    )
    assert shown == "1,2\tone,two\tzwei\n"


def test_the_commands_of_the_guide_show_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_program("tshark")
    text = read_topic("formats").partition("## In Wireshark\n")[2]
    dissect, tshark = re.findall(r"^\$ (.*)", text, re.MULTILINE)[:2]
    monkeypatch.chdir(tmp_path)
    words, _, file = dissect.partition(" >")
    Path(file).write_text(printed(*words.split()[2:]))
    wires = [b"5:hello,12:hello, world,", b"1:a."]
    write_capture(Path("capture.pcap"), [(7000, [(True, wire) for wire in wires])])
    shown = run_tshark(*tshark.split()[1:]).splitlines()
    described = re.findall(r"TRIOECHO \d+ (.*)", text)
    assert [line.partition("TRIOECHO ")[2].split(" ", 1)[1] for line in shown] == described


def test_on_other_ports_it_is_chosen_by_hand_and_its_limit_is_a_preference(tmp_path: Path) -> None:
    needs_program("tshark")
    script, capture = tmp_path / "frames.lua", tmp_path / "capture.pcap"
    script.write_text(printed())
    wire = encode_frame(b"hello") + encode_frame(b"hello, world")
    write_capture(capture, [(7001, [(True, wire)])])

    def lines(*options: str) -> list[str]:
        return run_tshark("-n", "-r", str(capture), "-Y", "trioecho", *options, scripts=[script]).splitlines()

    assert lines() == []
    [line] = lines("-d", "tcp.port==7001,trioecho")
    assert line.endswith(" TRIOECHO 65 frame 1: 5 bytes, frame 2: 12 bytes")
    [line] = lines("-d", "tcp.port==7001,trioecho", "-o", "trioecho.max_frame_length:5")
    assert line.endswith("frame 1: 5 bytes, frame 2: no frame: a payload of 12 bytes is over the limit of 5")
