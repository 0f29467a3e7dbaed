"""``--messages`` in formats whose headers are more than a length: what is sent, compared and recorded."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import run_in_process
from tests.support.slow import slow
from trioecho.framing import Frame, FrameDecoder, FrameFormat
from trioecho.guide import read_topic
from trioecho.load import LoadResult, result_from_json
from trioecho.load.engine.payload import Payload

# On a machine that is busy the generator may have too little time, and says so.
GOOD = (0, 5)
FORMAT = "any1,u8"


def serve(peer: socket.socket) -> None:
    """Reply in capitals to frames, with the type Z to one of Q, and with E to any other."""
    decoder = FrameDecoder(format=FrameFormat.parse(FORMAT))
    with peer, contextlib.suppress(OSError):
        while data := peer.recv(1 << 16):
            decoder.receive_data(data)
            while (frame := decoder.next_whole_frame()) is not None:
                kind = b"Z" if frame.header[:1] == b"Q" else b"E"
                peer.sendall(kind + bytes([len(frame.payload)]) + frame.payload.upper())


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a service whose replies depend on headers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with contextlib.suppress(OSError):  # wakes the thread; closing alone does not
            listener.shutdown(socket.SHUT_RDWR)


def load(service: str, folder: Path, lines: list[str], *options: str) -> tuple[int, LoadResult]:
    path, result = folder / "messages.jsonl", folder / "result.json"
    path.write_text("\n".join(lines))
    words = ("--format", FORMAT, "--messages", str(path), "-q", "--json", str(result), *options)
    done = run_in_process("load", service, *words)
    return done.returncode, result_from_json(result.read_text())


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_alone(service: str, folder: Path, *options: str) -> LoadResult:
    result = folder / "result.json"
    run_in_process("load", service, "--format", FORMAT, "-q", "--json", str(result), *options)
    return result_from_json(result.read_text())


QUERY = '{"header": "51", "text": "a", "reply": {"header": "5a 01", "text": "A"}}'
OTHER = '{"header": "00", "text": "b", "reply": {"header": "45", "text": "B"}}'
UNTOLD = '{"text": "c", "reply": "C"}'
MADE = '{"header": "51 00", "template": "q{{number}}", "reply": {"header": "5a", "template": "Q{{number}}"}}'


@pytest.mark.parametrize("workers", ["1", slow("2")])
@pytest.mark.parametrize(
    "lines", [[QUERY, OTHER, UNTOLD], [QUERY, MADE, OTHER]], ids=["as given", "template"]
)
def test_a_header_of_the_file_is_sent_and_compared(
    service: str, tmp_path: Path, lines: list[str], workers: str
) -> None:
    options = ("--reply", "recorded", "-c", "2", "-n", "30", "--pipeline", "4", "--workers", workers)
    code, result = load(service, tmp_path, lines, *options)
    assert (code in GOOD, result.messages, result.errors) == (True, 60, {})


_KEY = "def key(payload):\n    return payload.lower()\n"


@pytest.mark.parametrize("rendered", [False, True])
@pytest.mark.parametrize("key", [(), ("--key", "headers_key.py:key")])
def test_a_reply_with_another_header_is_wrong(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: tuple[str, ...], rendered: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "headers_key.py").write_text(_KEY)
    wrong = '{"header": "50", "text": "b", "reply": {"header": "5a", "text": "B"}}'
    lines = [QUERY, wrong, MADE] if rendered else [QUERY, wrong]
    _, result = load(service, tmp_path, lines, "--reply", "recorded", "-c", "1", "-n", "2", *key)
    assert (result.messages, result.errors) == (1, {"wrong": 1})
    [found] = result.discrepancies
    assert (found.number, found.detail) == (2, "its header is 45 01 instead of 5a 01")


def test_an_echo_has_the_header_too(service: str, tmp_path: Path) -> None:
    lines = ['{"header": "5a", "text": "A"}', '{"header": "45", "text": "B"}', '"C"']
    _, result = load(service, tmp_path, lines, "-c", "1", "-n", "3")
    # The types that come back are E, E and E: of the first it is another one, and of the third any will do.
    assert (result.messages, result.errors) == (2, {"wrong": 1})
    (tmp_path / "raw.frames").write_bytes(b"Z\x01AE\x01B")
    done = run_in_process(
        "load", service, "--format", FORMAT, "--messages", str(tmp_path / "raw.frames"), "-c1"
    )
    assert "its header is 45 01 instead of 5a 01" in done.stdout


TALK = """
from trioecho import Frame

def talk(connection: int):
    for kind, right in ((b"Q", b"Z"), (b"?", b"E")):
        reply = yield Frame(kind, b"a%d" % connection)
        assert (reply, reply.header) == (b"A%d" % connection, right + b"\x02"), reply.header
    reply = yield Frame(reply.header, b"longer")
    assert reply.header == b"E\x06"
    yield b"bytes alone"
"""


def test_a_conversation_sends_headers_and_gets_them(service: str, tmp_path: Path, in_folder: Path) -> None:
    (in_folder / "headers_talk.py").write_text(TALK)
    result = load_alone(service, in_folder, "--reply", "headers_talk.py:talk", "-c", "2", "-n", "8")
    assert (result.messages, result.errors) == (16, {})


def test_the_conversation_with_a_header_of_the_guide() -> None:
    snippets = re.findall(r"```python\n(.*?)```", read_topic("load"), re.DOTALL)
    names: dict[str, Any] = {"Frame": Frame}
    exec(next(snippet for snippet in snippets if "def sync" in snippet), names)  # noqa: S102 - it is the guide's
    talk = names["sync"](0)
    assert next(talk) == Frame(b"S", b"")
    with pytest.raises(StopIteration) as end:
        talk.send(Payload(b"I", b"Z\0\0\0\5"))
    assert end.value.value is True


@pytest.mark.parametrize(
    ("header", "why"),
    [("b'Q??'", "a frame that cannot be"), ("'Q'", "yielded str, and no bytes"), ("b'Q'*9", "a frame that")],
)
def test_a_header_that_is_none_ends_the_connection(
    service: str, in_folder: Path, header: str, why: str
) -> None:
    name = f"headers_wrong_{len(header)}"
    text = f"from trioecho import Frame\ndef talk():\n    yield Frame({header}, b'a')\n"
    (in_folder / f"{name}.py").write_text(text)
    result = load_alone(service, in_folder, "--reply", f"{name}.py:talk", "-c", "1", "-n", "2")
    assert result.errors["no_message"] == 1
    assert why in result.discrepancies[0].detail


JUDGE = """
def is_right(message, reply):
    assert (message.header[1:], reply.header[1:]) == (bytes([len(message)]), bytes([len(reply)]))
    return reply.header[:1] == (b"Z" if message.header[:1] == b"Q" else b"E")

def number(payload):
    return payload.lower(), len(payload.header)
"""


@pytest.mark.parametrize("lines", [[QUERY, OTHER, UNTOLD], [QUERY, MADE]], ids=["as given", "template"])
@pytest.mark.parametrize("key", [(), ("--key", "headers_judge.py:number")])
def test_functions_get_headers(service: str, in_folder: Path, lines: list[str], key: tuple[str, ...]) -> None:
    (in_folder / "headers_judge.py").write_text(JUDGE)
    words = ("-c", "2", "-n", "6", "--pipeline", "2", "--reply", "headers_judge.py:is_right")
    code, result = load(service, in_folder, lines, *words, *key)
    assert (code in GOOD, result.messages, result.errors) == (True, 12, {})


WIDE = "any2,u8"


def test_a_template_makes_headers(tmp_path: Path) -> None:
    made = '{"hex": "{{number u16be}}"}'
    template = f'{{"header": {{"template": {made}}}, "text": "a"}}'
    seen: list[bytes] = []

    def echo(peer: socket.socket) -> None:
        with peer:
            while data := peer.recv(1 << 16):
                seen.append(data)
                peer.sendall(data)

    (tmp_path / "made.jsonl").write_text(template)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: echo(listener.accept()[0]), daemon=True).start()
        words = (
            "--format",
            WIDE,
            "--messages",
            str(tmp_path / "made.jsonl"),
            "-c1",
            "-n",
            "300",
            "--json",
            "-",
        )
        done = run_in_process("load", f"127.0.0.1:{listener.getsockname()[1]}", *words)
    assert result_from_json(done.stdout).errors == {}
    assert b"".join(seen) == b"".join(number.to_bytes(2, "big") + b"\1a" for number in range(1, 301))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ('{"template": "{{number}}"}', "header: every header that it makes has to have as many bytes"),
        ('{"template": {"hex": "{{number u32be}}"}}', "header: "),
        ('{"template": {"hex": "{{numbr u16be}}"}}', "did you mean number?"),
        (
            '{"hex": "00"}',
            "header: write it in hexadecimal, or as an object with a template",
        ),
    ],
)
def test_a_template_that_makes_no_header_is_refused(tmp_path: Path, header: str, why: str) -> None:
    (tmp_path / "wrong.jsonl").write_text(f'{{"header": {header}, "text": "a"}}')
    words = ("--format", WIDE, "--messages", str(tmp_path / "wrong.jsonl"))
    done = run_in_process("load", "127.0.0.1:1", *words)
    assert done.returncode == 2
    assert why in done.stderr
    assert "wrong.jsonl, line 1: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_recorded_can_be_sent_again(service: str, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.jsonl"
    lines = ['{"header": "51", "hex": "61ff"}', '{"header": "07", "text": "b"}']
    code, result = load(service, tmp_path, lines, "-c", "1", "--reply", "count", "--record", str(recorded))
    assert (code in GOOD, result.messages) == (True, 2)
    written = recorded.read_text().splitlines()
    assert [json.loads(line) for line in written] == [
        {"header": "5102", "hex": "61ff", "reply": {"header": "5a02", "hex": "41ff"}},
        {"header": "0701", "hex": "62", "reply": {"header": "4501", "hex": "42"}},
    ]
    code, result = load(service, tmp_path, written, "-n", "20", "--reply", "recorded")
    assert (code in GOOD, result.messages, result.errors) == (True, 100, {})


def test_a_first_message_has_the_headers_of_its_file(service: str, tmp_path: Path) -> None:
    login = tmp_path / "login.jsonl"
    login.write_text(f"{QUERY}\n{OTHER}\n{MADE}\n")
    options = ("-c", "1", "-n", "1", "--reply", "count", "--first-message", str(login))
    code, result = load(service, tmp_path, [UNTOLD], *options)
    assert (code in GOOD, result.messages) == (True, 1)
    login.write_text('{"text": "b", "reply": {"header": "5a", "text": "B"}}')
    words = (
        "--messages",
        str(tmp_path / "messages.jsonl"),
        "--first-message",
        str(login),
        "--reply",
        "count",
    )
    done = run_in_process("load", service, "--format", FORMAT, *words)
    assert done.returncode == 3
    assert "its header is 45 01 instead of 5a 01" in done.stderr


def test_what_send_shows_is_a_message_again(service: str, tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text(f"{QUERY}\n{UNTOLD}\n")
    words = ("send", service, "--format", FORMAT, "--show", "json", "--messages")
    done = run_in_process(*words, str(path))
    assert done.stdout == '{"header": "5a01", "text": "A"}\n{"header": "4501", "text": "C"}\n'
    path.write_text('{"header": "5101", "text": "longer"}')
    assert run_in_process(*words, str(path)).stdout == '{"header": "5a06", "text": "LONGER"}\n'
    raw = tmp_path / "raw.frames"
    raw.write_bytes(b"Q\x01aR\x01b")
    done = run_in_process(*words, str(raw))
    assert done.stdout == '{"header": "5a01", "text": "A"}\n{"header": "4501", "text": "B"}\n'
    assert run_in_process(*words, str(raw), "--header", "51").stdout.count('"5a01"') == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"header": "5", "text": "a"}', "line 1: header: '5' is not hexadecimal"),
        ('{"header": {"hex": "51"}, "text": "a"}', "line 1: header: "),
        (
            '{"header": "51 00 00", "text": "a"}',
            "line 1: header: a header of any1,u8 does not have 3 bytes; without its length it has 1",
        ),
        (
            '{"text": "a", "reply": {"header": "", "text": "a"}}',
            "line 1: reply.header: a header of any1,u8 does",
        ),
        (
            '{"text": "a", "reply": {"headers": "", "text": "a"}}',
            "line 1: reply: 'headers' means nothing",
        ),
    ],
)
def test_a_header_that_is_none_is_one_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line)
    for command, option in (("load", "--messages"), ("check", "--ask"), ("send", "--messages")):
        done = run_in_process(command, "127.0.0.1:1", "--format", FORMAT, option, str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1


def test_check_asks_with_the_headers_of_the_file_and_expects_them(service: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    words = ("check", service, "--format", FORMAT, "--ask", str(path))
    path.write_text('{"header": "51", "text": "a", "reply": {"header": "45", "text": "A"}}')
    done = run_in_process(*words)
    assert done.returncode == 3
    assert "header included, from byte 0 expected 450141, received 5a0141" in done.stderr
    login = tmp_path / "login.jsonl"
    login.write_text(path.read_text())
    path.write_text(QUERY)
    done = run_in_process(*words, "--first-message", str(login))
    assert done.returncode == 3
    assert r"another reply came than is expected: b'Z\x01A'" in done.stderr
