"""``trioecho load`` with messages of the user's own, against a service that is no echo."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import run_command
from tests.support.slow import slow
from tests.support.wire import frame, split_frames
from trioecho.guide import read_topic
from trioecho.load import merge, result_from_json

# On a machine that is busy the generator may have too little time, and says so.
GOOD = (0, 5)


def shout(peer: socket.socket) -> None:
    """Reply to each frame with its text in capitals; to one that has none, with "?"."""
    received = b""
    with peer, contextlib.suppress(OSError):
        while data := peer.recv(1 << 16):
            frames, received = split_frames(received + data)
            peer.sendall(b"".join(frame(one[4:].upper() or b"?") for one in frames))


@pytest.fixture(scope="module")
def shouter() -> Iterator[str]:
    """The address of a service that is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=shout, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with contextlib.suppress(OSError):  # wakes the thread; closing alone does not
            listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ['{"text": "ping", "reply": "PING"}', '{"hex": "6162 63", "reply": {"text": "ABC"}}', '""']
    (tmp_path / "words.jsonl").write_text("\n".join(lines[:2]) + "\n")
    (tmp_path / "more.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "words.frames").write_bytes(frame(b"ping") + frame(b"abc"))
    (tmp_path / "judge.py").write_text(
        "def is_upper(message, reply):\n    return reply == message.upper()\n\n\n"
        "def fails(message, reply):\n    raise LookupError(message.decode())\n\n\n"
        "def talk(connection):\n    reply = yield b'user %d' % connection\n    assert reply.isupper()\n\n\n"
        "def talk_of_two(one, other):\n    yield one\n\n\n"
        "def key(payload):\n    if payload.lower() == b'abc':\n        raise LookupError(payload.decode())\n"
        "    return payload.lower()\n"
    )
    (tmp_path / "bad.jsonl").write_text('{"template": "{{time}}"}\n{"template": "{{tim}}"}\n')
    (tmp_path / "made.jsonl").write_text('{"template": "user{{connection}} {{number 3}}"}\n')
    return tmp_path


def load(shouter: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # What Python has imported of a user's file stays; a process of its own has it for itself.
    run = run_command if "judge" in " ".join(options) else run_in_process
    return run("load", shouter, *options, cwd=folder)


def test_a_file_is_sent_once_on_each_connection_unless_a_number_is_given(shouter: str, folder: Path) -> None:
    done = load(shouter, folder, "--messages", "words.jsonl", "--reply", "recorded")
    assert done.returncode in GOOD, done.stderr
    said = done.stdout.replace("\n  ", " ")
    assert "5 connections x 2 messages of 3-4 B from words.jsonl (2 messages); closed loop" in said
    assert "messages   10 sent, 10 were replied to right\n" in done.stdout
    assert "verified   every reply was compared with the one in the file" in done.stdout
    done = load(
        shouter, folder, "-q", "--messages", "words.frames", "-n", "7", "--reply", "count", "--json", "-"
    )
    assert result_from_json(done.stdout).messages == 35


def test_the_commands_of_the_guide(shouter: str, tmp_path: Path) -> None:
    page = read_topic("load").partition("## Services that are no echo")[2].partition("\n##")[0]
    (tmp_path / "words.jsonl").write_text(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    (tmp_path / "judge.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    commands = re.findall(r"^\$ trioecho load 127.0.0.1:26066 (.*)", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        options = re.sub(r"--duration \S+", "--duration 100ms", command).split()
        if "--rate" in options:
            options += ["--duration", "100ms"]
        done = load(shouter, tmp_path, *options)
        assert done.returncode in GOOD, done.stderr
        assert "\nerrors     0\n" in done.stdout


def test_every_report_says_that_replies_were_counted(shouter: str, folder: Path) -> None:
    pytest.importorskip("matplotlib", reason="--html needs it")
    files = ("--json", "a.json", "--html", "a.html")
    done = load(shouter, folder, "--messages", "words.jsonl", "-n", "20", "--reply", "count", *files)
    assert done.returncode in GOOD, done.stderr
    assert "\nmessages   100 sent, 100 were replied to\n" in done.stdout
    assert "\nverified   replies were counted, not compared\n" in done.stdout
    assert "in each direction" not in done.stdout
    page = (folder / "a.html").read_text()
    assert "<p>Replies were counted, not compared.</p>" in page
    assert "None: replies were counted, not compared." in page
    document = json.loads((folder / "a.json").read_text())
    assert document["replies_verified"] == "replies were counted, not compared"
    assert document["plan"]["reply"] == "count"
    assert document["plan"]["source"]["file"] == "words.jsonl"


def test_runs_with_other_messages_or_rules_are_told_apart(shouter: str, folder: Path) -> None:
    names = ("a", "b")
    results = [
        result_from_json(load(shouter, folder, "-q", "--json", "-", "-n", "20", *options).stdout)
        for options in (("--messages", "words.jsonl", "--reply", "recorded"), ("--reply", "count"))
    ]
    notes = "\n".join(merge(results, names).notes)
    assert "replies: recorded (a), count (b)" in notes
    assert "messages from: words.jsonl (" in notes


@pytest.mark.parametrize("workers", ["1", slow("2")])
def test_a_function_of_the_user(shouter: str, folder: Path, workers: str) -> None:
    options = ("--messages", "words.jsonl", "--workers", workers, "-n", "10", "-q", "--json", "-")
    done = load(shouter, folder, *options, "--reply", "judge:is_upper")
    assert done.returncode in GOOD, done.stderr
    assert result_from_json(done.stdout).messages == 50
    done = load(shouter, folder, *options, "--reply", "judge:fails")
    assert done.returncode == 1
    result = result_from_json(done.stdout)
    assert (result.sent, result.errors) == (50, {"unchecked": 50})
    assert "judge:fails raised LookupError: " in result.discrepancies[0].detail
    assert result.discrepancies[0].detail.endswith(" (judge.py:6)")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "verified"),
    [
        (("--reply", "judge:talk"), "every reply was given to judge:talk, which made the messages"),
        (
            (
                "--key",
                "judge.py:key",
                "--messages",
                "made.jsonl",
                "--reply",
                "same-length",
                "--pipeline",
                "4",
            ),
            "each reply belongs to the message with the same judge.py:key; replies were compared with their "
            "messages in length, not in content",
        ),
    ],
    ids=["conversation", "key"],
)
def test_conversations_and_keys_with_workers(
    shouter: str, folder: Path, options: tuple[str, ...], verified: str
) -> None:
    done = load(shouter, folder, *options, "-n", "20", "--workers", "2", "-q", "--json", "-")
    assert done.returncode in GOOD, done.stderr
    result = result_from_json(done.stdout)
    assert (result.sent, result.messages, result.errors) == (100, 100, {})
    assert json.loads(done.stdout)["replies_verified"] == verified


@pytest.mark.parametrize("reply", ["same-length", slow("recorded")])
def test_a_schedule(shouter: str, folder: Path, reply: str) -> None:
    options = ("--messages", "words.jsonl", "--rate", "2000", "-n", "50", "--reply", reply)
    done = load(shouter, folder, *options, "-q", "--json", "-")
    assert done.returncode in GOOD, done.stderr
    assert result_from_json(done.stdout).messages == 250


def test_what_is_no_echo_is_wrong_without_another_rule(shouter: str, folder: Path) -> None:
    done = load(shouter, folder, "--messages", "words.jsonl", "-q")
    assert done.returncode == 1
    assert done.stderr == "trioecho load: not all went well: wrong 10\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--messages", "more.txt"), "--messages: more.txt: the name ends neither in .jsonl nor in .frames"),
        (
            ("--messages", "more.txt", "--messages-format", "jsonl", "--reply", "recorded"),
            '--messages: more.txt, line 3: it has no "reply", and every message needs one',
        ),
        (("--messages", "none.jsonl"), "--messages: none.jsonl: No such file or directory"),
        (
            ("--messages", "judge.py", "--messages-format", "frames"),
            "--messages: judge.py: behind 0 frames: ",
        ),
        (("--messages", "words.jsonl", "--size", "5"), "--size is for messages that the load makes"),
        (("--messages", "words.frames", "--reply", "recorded"), "raw frames have no replies with them"),
        (
            ("--reply", "recorded"),
            "--reply recorded compares with the replies of a file; give --messages FILE",
        ),
        (("--messages-format", "jsonl"), "--messages-format says how a file is written"),
        (("--reply", "nothing"), "'nothing' is none of echo, count, same-length, recorded"),
        (("--reply", "no_such_module:f"), "--reply: there is no module no_such_module, neither in "),
        (("--reply", "judge:talk", "--pipeline", "2"), "one message in flight: leave out the pipeline"),
        (("--reply", "judge:talk", "--rate", "5"), "leave out the schedule"),
        (("--reply", "judge:talk", "--messages", "words.jsonl"), "leave out the file of messages"),
        (
            ("--reply", "judge:talk_of_two"),
            "--reply: judge:talk_of_two (judge.py:14) has to take the number of",
        ),
        (("--key", "judge"), "--key: 'judge' does not name a function; write MODULE:FUNCTION"),
        (("--key", "judge:nothing"), "--key: judge has no nothing"),
        (("--key", "judge:is_upper"), "--key: judge:is_upper (judge.py:1) has to take a payload: missing"),
        (
            ("--key", "judge:key", "--messages", "words.jsonl"),
            "--key: message 2 of words.jsonl has no key: judge:key raised LookupError: abc (judge.py:20)",
        ),
        (
            ("--messages", "bad.jsonl"),
            "--messages: bad.jsonl, line 2: column 15: {{tim}} is none of connection, number, time and",
        ),
        (("--messages", "0"), "argument --messages: '0' is too few; at least 1"),
        (("--messages", "-5"), "argument --messages"),
    ],
)
def test_what_cannot_be_sent_or_verified_is_refused_before_any_connection(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(folder)
    done = run_in_process("load", "127.0.0.1:1", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_sizes_are_not_for_a_conversation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talks.py").write_text("def talk():\n    yield b'a'\n")
    done = run_in_process("load", "127.0.0.1:1", "--reply", "talks.py:talk", "--size", "3")
    assert done.returncode == 2
    assert "--size: talks.py:talk makes its messages itself: leave out the sizes" in done.stderr
    assert len(done.stderr.splitlines()) == 1
