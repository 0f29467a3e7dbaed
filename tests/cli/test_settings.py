"""Options from a file and from the environment: which one wins, and what is wrong with one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.sockets import echoes
from tests.support.wire import frame
from trioecho.guide import read_topic

DEFAULTS = "# All else has its default, which trioecho {} --help says."


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIOECHO_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def shown(*words: str) -> list[str]:
    """The settings of a command, without its name and the remark about defaults."""
    done = run_in_process(*words, "--show-config")
    assert (done.returncode, done.stderr) == (0, "")
    first, *settings, last = done.stdout.splitlines()
    name = words[0] if words[0] != "report" else f"report {words[1]}"
    assert first == f"[{name.replace(' ', '-')}]"
    assert last == DEFAULTS.format(name)
    return settings


def refused(*words: str) -> str:
    done = run_in_process(*words)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


# ---- which one wins ----


def test_nothing_is_set_where_nothing_is_written() -> None:
    assert shown("serve") == shown("load") == shown("report", "diff") == []


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("some.toml").write_text('[serve]\nport = 1\ngrace = "1s"\nspin = "2us"\n[proxy]\nport = 9\n')
    monkeypatch.setenv("TRIOECHO_SERVE_PORT", "2")
    monkeypatch.setenv("TRIOECHO_SERVE_GRACE", "2s")
    monkeypatch.setenv("TRIOECHO_PROXY_PORT", "8")
    assert shown("serve", "--config", "some.toml", "--port=3") == [
        'port = "3"  # command line',
        'grace = "2s"  # TRIOECHO_SERVE_GRACE',
        'spin = "2us"  # some.toml: spin',
    ]


def test_the_environment_names_the_file_and_an_option_another(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("one.toml").write_text("[serve]\nport = 1\n")
    Path("two.toml").write_text("[serve]\nport = 2\n")
    monkeypatch.setenv("TRIOECHO_CONFIG", "one.toml")
    assert shown("serve") == ['port = "1"  # one.toml: port']
    assert shown("serve", "--config=two.toml") == ['port = "2"  # two.toml: port']
    monkeypatch.setenv("TRIOECHO_CONFIG", "")
    assert shown("serve") == []


def test_an_option_that_may_be_repeated_is_a_list_and_is_replaced_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("some.toml").write_text('[serve]\nhost = ["::1", "127.0.0.1"]\n')
    assert shown("serve", "--config", "some.toml") == ['host = ["::1", "127.0.0.1"]  # some.toml: host']
    given = shown("serve", "--config", "some.toml", "--host", "127.0.0.2", "--host", "127.0.0.3")
    assert given == ['host = ["127.0.0.2", "127.0.0.3"]  # command line']
    monkeypatch.setenv("TRIOECHO_SERVE_HOST", "127.0.0.4")
    assert shown("serve", "--config", "some.toml") == ['host = ["127.0.0.4"]  # TRIOECHO_SERVE_HOST']


@pytest.mark.parametrize(("text", "is_given"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_a_switch_is_true_or_false(monkeypatch: pytest.MonkeyPatch, text: str, is_given: bool) -> None:
    monkeypatch.setenv("TRIOECHO_SERVE_QUIET_WHEN_IDLE", text)
    expected = ["quiet-when-idle = true  # TRIOECHO_SERVE_QUIET_WHEN_IDLE"] if is_given else []
    assert shown("serve") == expected
    monkeypatch.delenv("TRIOECHO_SERVE_QUIET_WHEN_IDLE")
    Path("some.toml").write_text(f"[serve]\nquiet-when-idle = {str(is_given).lower()}\n")
    expected = ["quiet-when-idle = true  # some.toml: quiet-when-idle"] if is_given else []
    assert shown("serve", "--config", "some.toml") == expected


def test_a_fault_replaces_another_of_which_only_one_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some.toml").write_text("[proxy]\ncorrupt = true\n")
    assert shown("proxy", "--config", "some.toml", "--drop") == ["drop = true  # command line"]
    monkeypatch.setenv("TRIOECHO_PROXY_SWAP", "1")
    assert shown("proxy", "--config", "some.toml") == ["swap = true  # TRIOECHO_PROXY_SWAP"]


def test_a_command_within_another_has_a_table_too() -> None:
    Path("some.toml").write_text('[report-diff]\nfail-on = "worse"\n')
    assert shown("report", "diff", "--config", "some.toml") == ['fail-on = "worse"  # some.toml: fail-on']


def test_what_is_shown_is_a_file() -> None:
    Path("some.toml").write_text('[serve]\nhost = ["::1"]\nreload = true\nmetrics-interval = 0.5\n')
    settings = shown("serve", "--config", "some.toml", "--port", "7")
    Path("again.toml").write_text("\n".join(["[serve]", *settings]))
    again = shown("serve", "--config", "again.toml")
    assert [line.partition("  # ")[0] for line in again] == [line.partition("  # ")[0] for line in settings]


def test_the_page_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    file, printed = re.findall(r"^```toml\n(.*?)^```", read_topic("commands"), re.MULTILINE | re.DOTALL)
    Path("some.toml").write_text(file)
    assert len(shown("serve", "--config", "some.toml")) == 3
    monkeypatch.setenv("TRIOECHO_SERVE_GRACE", "1m")
    assert run_in_process("serve", "--port", "0", "--show-config").stdout == printed


def test_help_needs_no_settings() -> None:
    done = run_in_process("serve", "--config", "not-there.toml", "--help")
    assert (done.returncode, done.stderr) == (0, "")


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nprot = 1", "some.toml: [serve] has no option 'prot'; did you mean port?"),
        ("[serve]\nport = true", "some.toml: port is a text or a number, and not 'true'"),
        ("[serve]\nport = [1]", "some.toml: port is a text or a number, and not '[1]'"),
        ("[serve]\nhost = [[]]", "some.toml: host is a text or a number, and not '[]'"),
        ("[serve]\nreload = 1", "some.toml: reload is true or false, and not '1'"),
        ("[serve]\ngrace = 2026-01-01", "some.toml: grace is a text or a number, and not '2026-01-01'"),
        ('[serve]\ngrace = "x"', "some.toml: grace: 'x' is not a duration; write 10 for seconds"),
        ('[serve]\nconfig = "x"', "some.toml: [serve] has no option 'config'"),
        ("[sreve]\nport = 1", "some.toml: 'sreve' is no command; write options below [serve]"),
        ("serve = 1", "some.toml: serve is no table; write options below [serve]"),
        ("serve = = 1", "some.toml is no TOML: "),
        ("[serve]\nhost = '\xff'", "some.toml is no TOML: "),
    ],
)
def test_a_wrong_file_is_one_line(text: str, said: str) -> None:
    Path("some.toml").write_bytes(text.encode("latin-1"))
    line = refused("serve", "--config", "some.toml")
    assert line.startswith(f"trioecho serve: {said}")


def test_a_file_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "trioecho serve: cannot read nowhere.toml: No such file or directory"
    assert refused("serve", "--config", "nowhere.toml") == expected
    monkeypatch.setenv("TRIOECHO_CONFIG", "nowhere.toml")
    assert refused("serve") == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "TRIOECHO_SERVE_GRCE",
            "1s",
            "'TRIOECHO_SERVE_GRCE' in the environment is no option; did you",
        ),
        ("TRIOECHO_SERVE_GRACE", "1x", "TRIOECHO_SERVE_GRACE: '1x' is not a duration; write 10 for seconds"),
        ("TRIOECHO_SERVE_RELOAD", "maybe", "TRIOECHO_SERVE_RELOAD='maybe' is neither true nor false"),
    ],
)
def test_a_wrong_variable_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refused("serve").startswith(f"trioecho serve: {said}")


# ---- a service ----


def test_a_service_serves_as_a_file_and_the_environment_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some.toml").write_text("[serve]\nmax-frame-length = 5\nmetrics-interval = 0\n")
    monkeypatch.setenv("TRIOECHO_SERVE_LOG_FORMAT", "json")
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--config", "some.toml"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["message"].startswith("listening on 127.0.0.1:")
        process.terminate()
        output, _ = process.communicate()
    assert process.returncode == 0
    assert output.count("\n") == 1  # the final report alone
    monkeypatch.delenv("TRIOECHO_SERVE_LOG_FORMAT")
    with server_process("--config", "some.toml") as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"12345"))
            peer.sendall(frame(b"123456"))
            assert peer.recv(1) == b""
        assert server.stop() == 0


# ---- other names, lists, and what is near ----


def test_an_option_with_two_names_has_both(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some.toml").write_text("[serve]\nprocesses = 3\n")
    assert shown("serve", "--config", "some.toml") == ['workers = "3"  # some.toml: processes']
    monkeypatch.setenv("TRIOECHO_SERVE_PROCESSES", "2")
    assert shown("serve", "--config", "some.toml") == ['workers = "2"  # TRIOECHO_SERVE_PROCESSES']
    monkeypatch.setenv("TRIOECHO_SERVE_WORKERS", "2")
    assert "TRIOECHO_SERVE_WORKERS and TRIOECHO_SERVE_PROCESSES are the same option" in refused("serve")
    monkeypatch.delenv("TRIOECHO_SERVE_WORKERS")
    Path("some.toml").write_text("[serve]\nprocesses = 3\nworkers = 3\n")
    assert "workers and some.toml: processes are the same option" in refused("serve", "--config", "some.toml")


def test_a_list_in_a_variable_has_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOECHO_SERVE_HOST", "127.0.0.1, ::1")
    assert shown("serve") == ['host = ["127.0.0.1", "::1"]  # TRIOECHO_SERVE_HOST']
    monkeypatch.setenv("TRIOECHO_LOAD_STAGES", "0:5k/10s,5k/1m")  # one value, which has a comma
    assert shown("load") == ['stages = "0:5k/10s,5k/1m"  # TRIOECHO_LOAD_STAGES']


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TRIOECHO_SERV_PORT", "TRIOECHO_SERVE_PORT"),
        ("TRIOECHO_SERVER_PORT", "TRIOECHO_SERVE_PORT"),
        ("TRIOECHO_SEVRE_IDLE_TIMEOUT", "TRIOECHO_SERVE_IDLE_TIMEOUT"),
        ("TRIOECHO_LAOD_RATE", None),
        ("TRIOECHO_LOAD_PORT", None),
        ("TRIOECHO_SERVICE_PORT", None),  # Kubernetes sets these for a service that is called trioecho
        ("TRIOECHO_SERVICE_HOST", None),
        ("TRIOECHO_PORT_26066_TCP_ADDR", None),
        ("TRIOECHO_PORT", None),
        ("TRIOECHO_DEBUG", None),
    ],
)
def test_a_misspelt_command_in_a_variable_is_seen(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str | None
) -> None:
    monkeypatch.setenv(variable, "1")
    if meant is None:
        assert shown("serve") == []
    else:
        assert f"'{variable}' in the environment is no option; did you mean {meant}?" in refused("serve")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("serve", "--port", "many"), "--port: 'many' is"),
        (("serve", "--idle-timeout="), "--idle-timeout: "),
        (("load", "-n", "0"), "-n: "),
        (("load", "--arrival", "often"), "--arrival: 'often' is not one of uniform, poisson"),
    ],
)
def test_what_is_typed_is_looked_at_before_it_is_shown(words: tuple[str, ...], why: str) -> None:
    assert why in refused(*words, "--show-config")


def test_what_contradicts_a_file_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some.toml").write_text("[load]\npipeline = 4\n")
    monkeypatch.setenv("TRIOECHO_LOAD_THINK", "1s")
    line = refused("load", "127.0.0.1:1", "--rate", "5", "--config", "some.toml")
    assert line.endswith("; options are also from some.toml: pipeline, TRIOECHO_LOAD_THINK")
    monkeypatch.delenv("TRIOECHO_LOAD_THINK")
    assert "options are also" not in refused("load", "127.0.0.1:1", "--rate", "5", "--pipeline", "2")


def test_a_server_that_cannot_start_says_so_in_the_form_of_its_log() -> None:
    line = refused("serve", "no_such_module:handler", "--log-format", "json")
    told = json.loads(line)
    assert told["level"] == "error"
    assert told["message"].startswith("trioecho serve: ")
    assert set(told) == {"time", "level", "message"}
