"""``load --admin`` and ``proxy --admin``: what they have done so far, while they run."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.balancers import wait_until
from tests.support.guard import GUARD_S
from tests.support.http import ask, samples_of
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.prometheus import promtool
from tests.support.sockets import receive_exactly
from tests.support.wire import frame
from trioecho.admin.application import PageRequest
from trioecho.admin.load_pages import load_pages
from trioecho.admin.load_state import LoadState
from trioecho.load import LoadPlan, LoadProgress
from trioecho.load.results.time_series import LoadInterval


@contextlib.contextmanager
def command_with_admin(*words: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command, its log up to where the pages are, and their address."""
    with subprocess.Popen(
        [sys.executable, "-m", "trioecho", *words, "--admin", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            log = ""
            assert process.stderr is not None
            while not (found := re.search(r" admin on (http://\S+)\n", log)):
                line = process.stderr.readline()
                assert line, log
                log += line
            yield process, log, found[1]
        finally:
            process.kill()


def samples(url: str) -> dict[str, float]:
    return samples_of(ask(url, "/metrics").text)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_load_shows_its_progress(workers: str) -> None:
    with server_process() as server:
        words = ["load", f"127.0.0.1:{server.port}", "--duration", "1h", "--rate", "500", "--json", "-"]
        with command_with_admin(*words, "-q", "--workers", workers) as (process, _, url):
            assert ask(url, "/livez").status == 200
            wait_until(lambda: samples(url)["trioecho_load_messages_total"] > 0, "no message")
            wait_until(lambda: samples(url)["trioecho_load_latency_seconds_count"] > 0, "no latency")
            shown = samples(url)
            assert shown["trioecho_load_sent_total"] >= shown["trioecho_load_messages_total"]
            assert shown['trioecho_load_phase{phase="measuring"}'] == 1
            assert shown["trioecho_load_connections"] == 5
            assert promtool("check", "metrics", stdin=ask(url, "/metrics").text).stderr == ""
            report = json.loads(ask(url, "/report").text)
            assert report["messages"] >= shown["trioecho_load_messages_total"]
            assert report["latency_ms"]["p99"] > 0
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=GUARD_S)
            assert process.returncode == 130
    assert json.loads(output)["messages"] >= report["messages"]


def progress(sent: int, messages: int, **errors: int) -> LoadProgress:
    step = LoadInterval(0, 1.0, sent=sent, messages=messages, bytes=10 * messages)
    step.latency_ns.record(1_000_000, messages)
    return LoadProgress("measuring", 1.0, step, sent, messages, errors, 2, 100)


def test_counts_of_several_runs_add_up() -> None:
    state = LoadState()
    page = load_pages(state)["/metrics"]

    def shown() -> dict[str, float]:
        body = page(PageRequest("/metrics")).body
        assert isinstance(body, bytes)
        return samples_of(body.decode())

    assert load_pages(state)["/report"](PageRequest("/report")).status == 503
    assert shown()["trioecho_load_sent_total"] == 0
    for run in (1, 2, 3):
        state.begin_run(LoadPlan("127.0.0.1", 1))
        state.note_progress(progress(10, 7, lost=2))
        now = shown()
        assert now["trioecho_load_runs"] == run
        assert now["trioecho_load_sent_total"] == 10 * run
        assert now["trioecho_load_messages_total"] == 7 * run
        assert now["trioecho_load_received_bytes_total"] == 70 * run
        assert now["trioecho_load_latency_seconds_count"] == 7 * run
        assert now['trioecho_load_errors_total{kind="lost"}'] == 2 * run
        assert now["trioecho_load_in_flight"] == 3
        assert now["trioecho_load_planned_messages"] == 100


def test_a_proxy_shows_what_has_passed() -> None:
    with server_process() as server:
        words = ["proxy", f"127.0.0.1:{server.port}", "--port", "0", "--corrupt", "--direction", "to-client"]
        with command_with_admin(*words) as (process, log, url):
            port = int(re.findall(r"listening on \S+:(\d+)", log)[0])
            with socket.create_connection(("127.0.0.1", port), GUARD_S) as peer:
                peer.sendall(frame(b"hello"))
                receive_exactly(peer, 9)
                # The client may have its bytes a moment before the proxy has counted them.
                passed = 'trioecho_proxy_passed_bytes_total{direction="to-client"}'
                wait_until(lambda: samples(url)[passed] == 9, "nothing has passed")
                shown = samples(url)
                assert shown["trioecho_proxy_connections"] == 1
                assert shown["trioecho_proxy_connections_accepted_total"] == 1
                assert shown['trioecho_proxy_passed_bytes_total{direction="to-server"}'] == 9
                assert shown['trioecho_proxy_faults_total{kind="corrupted"}'] == 1
                assert promtool("check", "metrics", stdin=ask(url, "/metrics").text).stderr == ""
                assert json.loads(ask(url, "/report").text) == {
                    "connections": 1,
                    "open_connections": 1,
                    "unconnected": 0,
                    "passed_bytes": {"to-server": 9, "to-client": 9},
                    "faults": {"corrupted": 1},
                }
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=GUARD_S)
            assert process.returncode == 0


@pytest.mark.parametrize("command", ["load", "proxy"])
def test_a_missing_package_is_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run_in_process(command, "127.0.0.1:1", "--admin", "127.0.0.1:0")
    assert result.returncode == 2
    assert "--admin needs hypercorn and prometheus-client" in result.stderr


@pytest.mark.parametrize("command", ["load", "proxy"])
def test_a_port_in_use_is_one_line(command: str) -> None:
    with server_process() as server:
        words = [command, f"127.0.0.1:{server.port}", "--admin", f"127.0.0.1:{server.port}"]
        result = run_in_process(*words, *(["--port", "0"] if command == "proxy" else []))
    assert result.returncode == 3
    assert f"cannot listen on 127.0.0.1:{server.port}: another program holds the port" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--server-metrics", "http://127.0.0.1:1/metrics"),
            "is shown on the page of --admin: give that, too",
        ),
        (
            ("--server-metrics", "127.0.0.1:26068", "--admin", "127.0.0.1:0"),
            "write http://127.0.0.1:26068/metrics",
        ),
        (
            ("--server-metrics", "http://x:y/", "--admin", "127.0.0.1:0"),
            "write http://127.0.0.1:26068/metrics",
        ),
    ],
)
def test_metrics_of_a_server_that_cannot_be_shown(options: tuple[str, ...], said: str) -> None:
    done = run_in_process("load", "127.0.0.1:1", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
