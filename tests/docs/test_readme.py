"""README and the guide tell the truth: every command and every snippet in them is run here."""

from __future__ import annotations

import contextlib
import doctest
import grp
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trioecho.framing
from tests.support import check_servers
from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.load_results import RunOnAServerWithACapacity, made_result
from tests.support.processes import SERVE, server_process
from tests.support.protocol_services import SERVICES
from tests.support.slow import slow
from tests.support.tls import Files, authority, write_files
from trioecho.base.timed_recording import TO_CLIENT, TO_SERVER, first_line, last_line, piece_line
from trioecho.cli import main
from trioecho.load import result_as_json

PYTHON = shlex.quote(sys.executable)
# The page "Your protocol" is a story, whose commands need each other: `test_your_protocol` runs them.
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "trioecho" / "guide").glob("*.md")) if page.stem != "your-protocol"),
]
TEXT = "\n".join(page.read_text() for page in PAGES)


def commands_of(text: str) -> list[str]:
    """Each once, in order, although more than one page may show it."""
    return list(dict.fromkeys(re.findall(r"^\$ (.+?)(?:\s+#.*)?$", text, re.MULTILINE)))


COMMANDS = commands_of(TEXT)
COMMANDS_OF_README = commands_of(PAGES[0].read_text())
(
    SERVE_COMMANDS,
    CLIENT_COMMANDS,
    SEND_COMMANDS,
    LOAD_COMMANDS,
    REPORT_COMMANDS,
    CHECK_COMMANDS,
    FAULTY_COMMANDS,
    PROXY_COMMANDS,
    FORMATS_COMMANDS,
) = (
    [command for command in COMMANDS if command.startswith(f"trioecho {name}")]
    for name in ("serve", "client", "send", "load", "report", "check", "faulty", "proxy", "formats")
)
SNIPPETS = dict.fromkeys(re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
# Those of the library's page are run by `test_library`.
LIBRARY = (ROOT / "trioecho" / "guide" / "library.md").read_text()
# Those of the page on Locust are run by `tests.locust`.
LOCUST = (ROOT / "trioecho" / "guide" / "locust.md").read_text()
# Those of the page on the proxy are run by `tests.testing`.
PROXY = (ROOT / "trioecho" / "guide" / "proxy.md").read_text()
# The third is run by `tests.load.test_own_messages`, with the commands beside it; the next four, three
# conversations and a key, by the tests of these.
STUDENT, STUDENTS_CLIENT, _, _, _, _, _, PAYLOAD_AGAIN = (
    snippet
    for snippet in SNIPPETS
    if ">>>" not in snippet and not any(snippet in page for page in (LIBRARY, LOCUST, PROXY))
)


def quick_of_readme(commands: list[str]) -> list[Any]:
    """Those that only the guide shows are slow."""
    return [command if command in COMMANDS_OF_README else slow(command) for command in commands]


def test_the_snippets_give_what_they_show() -> None:
    of_pages = [doctest.testfile(str(page), module_relative=False) for page in PAGES]
    of_docstring = doctest.testmod(trioecho.framing)
    for attempted in (sum(results.attempted for results in of_pages), of_docstring.attempted):
        assert attempted >= 5
    assert not any(results.failed for results in (*of_pages, of_docstring))


def test_the_commands_are_those_that_are_run() -> None:
    assert {tuple(shlex.split(command)[:2]) for command in COMMANDS} == {
        ("scripts/demo",),  # by test_demo, as the command that it runs
        ("scripts/test",),  # by the reader of this
        ("trioecho", "demo"),  # by test_demo
        ("trioecho", "serve"),
        ("trioecho", "client"),
        ("trioecho", "send"),
        ("printf", "one\\ntwo\\n"),  # by test_send_commands
        ("trioecho", "load"),
        ("trioecho", "report"),
        ("trioecho", "check"),
        ("trioecho", "faulty"),
        ("trioecho", "proxy"),
        ("curl", "-H"),  # by test_proxy_page
        ("curl", "-X"),
        ("trioecho", "formats"),
        ("trioecho", "dissect"),  # by test_dissect_command, with what is behind it
        ("tshark", "-r"),
        ("trioecho", "deploy"),
        ("trioecho", "completion"),
        ("trioecho", "man"),
        ("locust", "--headless"),  # by tests.locust
        ("scripts/bench",),  # by test_bench
        ("scripts/bench", "--quick"),
        ("scripts/bench", "admin"),
        ("scripts/bench", "cluster"),
        ("scripts/bench", "decoder"),
        ("scripts/bench", "turns"),
        ("scripts/bench", "idle"),
        ("scripts/bench", "timers"),
        ("scripts/bench", "splice"),
        ("scripts/bench", "spin"),
        ("scripts/bench", "tls"),
        ("scripts/bench", "--only"),
    }
    for script in ("demo", "test", "check", "bench", "conformance", "network"):
        assert os.access(ROOT / "scripts" / script, os.X_OK)


def write_certificates(folder: Path) -> Files:
    """Write those of a server, of a client and of their authority, by the names that the pages use."""
    files = write_files(folder)
    # Here the client's key is a file of its own.
    client = authority().issue_cert("client@example.org")
    client.private_key_pem.write_to_path(str(folder / "client-key.pem"))
    client.cert_chain_pems[0].write_to_path(files.client_certfile)
    return files


@pytest.mark.parametrize("command", quick_of_readme(SERVE_COMMANDS))
def test_serve_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "--certfile" in command:
        write_certificates(tmp_path)
        monkeypatch.chdir(tmp_path)
    group = grp.getgrgid(os.getegid()).gr_name
    for shown, there in (
        (":26068", ":0"),
        (":26066", ":0"),
        ("/run/", f"{tmp_path}/"),
        ("www-data", group),
        ("--drain-delay 5s", "--drain-delay 0"),
    ):
        command = command.replace(shown, there)
    words, listen = shlex.split(command)[2:], []
    while "--listen" in words:
        at = words.index("--listen")
        _, address = words[at : at + 2]
        listen.append(address)
        del words[at : at + 2]
    with server_process(*words, *(() if listen else ("--port", "0")), listen=listen) as server:
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    "command",
    quick_of_readme(
        [command for command in CLIENT_COMMANDS if "26067" not in command and "--tls" not in command]
    ),
)
def test_client_commands(command: str) -> None:
    with server_process() as server:
        done = run_in_process(*shlex.split(command.replace("26066", str(server.port)))[1:])
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    quick_of_readme([command for command in CLIENT_COMMANDS + SEND_COMMANDS if "--tls" in command]),
)
def test_commands_under_tls(command: str, tmp_path: Path) -> None:
    with server_process(*write_certificates(tmp_path).options) as server:
        words = shlex.split(command.replace("26066", str(server.port)))[1:]
        done = run_in_process(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("trioecho send 127.0.0.1:26066 hello", "hello\n"),
        slow("trioecho send 127.0.0.1:26066 hello 'two words'", "hello\ntwo words\n"),
        ("trioecho send 127.0.0.1:26066 --hex 'c3 28 00' --show json", '{"hex": "c32800"}\n'),
        ("printf 'one\\ntwo\\n' | trioecho send 127.0.0.1:26066", "one\ntwo\n"),
    ],
)
def test_send_commands(command: str, printed: str) -> None:
    assert command in COMMANDS
    with server_process() as server:
        line = command.replace("26066", str(server.port)).replace("trioecho", f"{PYTHON} -m trioecho")
        done = subprocess.run(
            ["sh", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_these_are_all_send_commands() -> None:
    plain = [command for command in SEND_COMMANDS if "--tls" not in command]
    assert len(plain) + sum(command.startswith("printf") for command in COMMANDS) == 4


@pytest.mark.parametrize(
    "command",
    quick_of_readme(
        # Those with files of messages are run by `tests.load`.
        [each for each in LOAD_COMMANDS if not re.search("--find-max|--messages|--first-message", each)]
    ),
)
def test_load_commands(command: str, tmp_path: Path) -> None:
    # Seconds of load would show no more than tenths, and a busy machine may break any objective.
    shorter = re.sub(r"(--duration |/)\d+[sm]\b", r"\g<1>200ms", command)
    options = write_certificates(tmp_path).options if "--tls" in command else ()
    if "--proxy-protocol" in command:
        options = ("--proxy-protocol", "auto")
    if "--replay" in command:
        pieces = [
            piece_line(t, 1, direction, b"\0\0\0\2hi") for t, direction in enumerate((TO_SERVER, TO_CLIENT))
        ]
        first = first_line(began="", target="", format="u32be")
        recording = b"".join([first, *pieces, last_line(2, is_full=False)])
        (tmp_path / "traffic.jsonl").write_bytes(recording)
    with server_process(*options) as server:
        words = shlex.split(shorter.replace("26066", str(server.port)))[1:]
        done = run_in_process(*words, cwd=tmp_path)
    assert done.returncode in (0, 5, 99), done.stderr
    for word in words:
        if word.endswith((".json", ".html", ".csv", ".hgrm")):
            assert (tmp_path / word).stat().st_size


@pytest.mark.parametrize("command", [command for command in LOAD_COMMANDS if "--find-max" in command])
def test_search_commands(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.cli.load.LoadRun", RunOnAServerWithACapacity)
    monkeypatch.setattr("sys.stderr", None)  # nothing is to be seen of its steps
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("command", REPORT_COMMANDS)
def test_report_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b", "before", "after")):
        (tmp_path / f"{name}.json").write_text(result_as_json(made_result(seed=seed)))
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if shlex.split(each)[1:2] in (["deploy"], ["completion"], ["man"])]
)
def test_commands_that_print_a_file(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, _, path = command.partition(" >")
    assert path
    assert main(shlex.split(words)[1:]) == 0
    assert capsys.readouterr().out.count("\n") > 5


ASK_COMMANDS = [each for each in CHECK_COMMANDS if "--ask" in each or "--preset" in each]
CLIENT_CHECKS = [each for each in CHECK_COMMANDS if "--client" in each]


@pytest.mark.parametrize(
    "command", quick_of_readme([each for each in CHECK_COMMANDS if each not in ASK_COMMANDS + CLIENT_CHECKS])
)
def test_check_commands(command: str, tmp_path: Path) -> None:
    # All cases would take long; tests/check has them.
    words = shlex.split(command)[1:]
    if "--list" not in words and "--explain" not in words:
        words += [] if "4.6" in words else ["1.2", "2.1", "2.5"]
    students = ("ada/server.py", "alan/server.py", "submissions/ada/server.py", "submissions/alan/server.py")
    for path in ("student.py", *students):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(A_SERVER_AROUND_IT.replace("SERVE", STUDENT))
    options = write_certificates(tmp_path).options if "--tls" in words else ()
    serve = [*SERVE, *options, "--port"]
    (tmp_path / "server.py").write_text(
        f"import os, sys\nos.execv(sys.executable, [sys.executable, *{serve!r}, sys.argv[1]])\n"
    )
    words = [path for word in words for path in _expanded(word, tmp_path)]
    with server_process(*options) as server:
        words = [
            word.replace("26066", str(server.port))
            .replace("trioecho faulty", f"{PYTHON} -m trioecho faulty")
            .replace("python ada", f"{PYTHON} ada")
            .replace("python alan", f"{PYTHON} alan")
            .replace("python server", f"{PYTHON} server")
            .replace("python student", f"{PYTHON} student")
            .replace("python {file}", f"{PYTHON} {{file}}")
            for word in words
        ]
        done = run_in_process(*words, cwd=tmp_path)
    has_fault = ("--spawn" in words or "--class" in words) and "--tls" not in words
    assert done.returncode == has_fault, done.stdout + done.stderr
    if "student.py" in command:
        assert "Two frames in one segment (MUST)" in done.stdout


def _expanded(word: str, folder: Path) -> list[str]:
    """A word of a command, as a shell hands it over that runs in the folder."""
    if "*" not in word:
        return [word]
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word))


# The service that the guide's requests are for.
SERVICE = """
def serve(connection):
    with connection, connection.makefile("rb") as stream:
        while len(header := stream.read(4)) == 4:
            payload = stream.read(int.from_bytes(header, "big"))
            reply = payload.upper().split()[-1]
            connection.sendall(len(reply).to_bytes(4, "big") + reply)
"""


@pytest.mark.parametrize("command", [*ASK_COMMANDS[:1], *map(slow, ASK_COMMANDS[1:])])
def test_commands_that_ask(command: str, tmp_path: Path) -> None:
    page = (ROOT / "trioecho" / "guide" / "check.md").read_text()
    (tmp_path / "requests.jsonl").write_text(page.partition("```json\n")[2].partition("```")[0])
    (tmp_path / "r.jsonl").write_text('"0001a"\n"0002b"\n')
    (tmp_path / "login.jsonl").write_text('"login ada"\n')
    (tmp_path / "service.py").write_text(A_SERVER_AROUND_IT.replace("SERVE", SERVICE))
    here: dict[str, Any] = {}
    exec(SERVICE, here)  # noqa: S102 - it is written above
    with (
        check_servers.listening(here["serve"]) as (_, port),
        check_servers.listening(SERVICES["dns"]) as (_, dns_port),
    ):
        words = [
            word.replace("26066", str(port)).replace("5353", str(dns_port)).replace("python ", f"{PYTHON} ")
            for word in [*shlex.split(command)[1:], "1.11", "2.1", "2.5"]
        ]
        done = run_in_process(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


A_CLIENT_AROUND_IT = """
import socket, struct, sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as sock:
    for number in range(3):
        message = f"message {number}".encode()
"""


@pytest.mark.parametrize("command", [slow(each) for each in CLIENT_CHECKS])
def test_commands_that_check_a_client(command: str, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(A_CLIENT_AROUND_IT + textwrap.indent(STUDENTS_CLIENT, " " * 8))
    words = shlex.split(command.replace(" C2 ", " C2.1 "))[1:]
    if "C2.1" not in words:
        words += ["C1.1", "C1.4"]
    words = [
        word.replace("trioecho faulty", f"{PYTHON} -m trioecho faulty").replace(
            "python client", f"{PYTHON} client"
        )
        for word in words
    ]
    done = run_in_process(*words, cwd=tmp_path)
    is_broken = "C1.4" in words and "client.py" in command
    assert done.returncode == is_broken, done.stdout + done.stderr
    if is_broken:
        assert "One recv is not one frame" in done.stdout
        assert "the client wrote: message 0: b'\\x00\\x00\\x00\\t'" in done.stdout


# The student's server of README, at work.
A_SERVER_AROUND_IT = """
import socket, sys, threading

SERVE
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.mark.parametrize("command", FAULTY_COMMANDS)
def test_faulty_commands(command: str) -> None:
    words = shlex.split(command)[1:]
    if "--port" not in words:
        with server_process() as server:
            words = [word.replace(":26066", f":{server.port}") for word in words]
            assert run_in_process(*words).returncode == 0
        return
    words[words.index("--port") + 1] = "0"
    with listening(words) as (process, _):
        process.send_signal(signal.SIGINT)
        process.wait(GUARD_S)


@pytest.mark.parametrize("command", FORMATS_COMMANDS)
def test_formats_commands(command: str) -> None:
    assert run_in_process(*shlex.split(command)[1:]).returncode == 0


def test_the_guide_shows_what_explain_prints() -> None:
    page = (ROOT / "trioecho" / "guide" / "faulty.md").read_text()
    assert f"```text\n{run_in_process('faulty', '--explain', 'short-payload').stdout}```\n" in page


@pytest.mark.parametrize("command", quick_of_readme(PROXY_COMMANDS))
def test_proxy_commands(command: str, tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    with server_process(*(files.options if "--target-tls" in command else ())) as server:
        words = shlex.split(
            command.replace("26067", "0").replace("26080", "0").replace("26066", str(server.port))
        )[1:]
        with listening(words, tmp_path) as (process, port):
            tls = ("--tls", "--cacert", "ca.pem") if "--certfile" in words else ()
            done = run_in_process("client", f"localhost:{port}", *tls, cwd=tmp_path)
            assert done.returncode == ("--corrupt" in words)
            if "--seed" in words:
                assert done.stderr in TEXT  # the same seed, the same fault
            process.send_signal(signal.SIGINT)
            assert process.wait(GUARD_S) == 0


@contextlib.contextmanager
def listening(words: list[str], folder: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that says where it listens, and that port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        while "listening on" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def test_a_message_of_a_run_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(result_as_json(made_result(seed=1)))
    exec(PAYLOAD_AGAIN, {})  # noqa: S102 - it is README's
