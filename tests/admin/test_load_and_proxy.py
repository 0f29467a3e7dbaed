"""``load --admin`` and ``proxy --admin``: what they have done so far, while they run."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import httpx
import pytest
import trio
import trio.testing

from tests.support.balancers import wait_until
from tests.support.guard import GUARD_S
from tests.support.http import ask, samples_of
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.prometheus import promtool
from tests.support.slow import slow
from tests.support.sockets import receive_exactly
from tests.support.wire import frame
from trioecho.admin.application import PageRequest, page_reply
from trioecho.admin.load_board import LoadBoard
from trioecho.admin.load_pages import load_pages
from trioecho.admin.load_state import LoadState
from trioecho.admin.server_metrics import ServerMetricsError
from trioecho.cli.server_metrics import ServerWatch
from trioecho.load import LoadPlan, LoadProgress
from trioecho.load.results.time_series import LoadInterval


@contextlib.contextmanager
def command_with_admin(
    *words: str, program: Sequence[str] = ("-m", "trioecho")
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command, its log up to where the pages are, and their address."""
    with subprocess.Popen(
        [sys.executable, *program, *words, "--admin", "127.0.0.1:0"],
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


@pytest.mark.parametrize("workers", ["1", slow("2")])
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


async def test_counts_of_several_runs_add_up() -> None:
    state = LoadState()
    page = load_pages(state)["/metrics"]

    async def shown() -> dict[str, float]:
        body = (await page_reply(page, PageRequest("/metrics"))).body
        assert isinstance(body, bytes)
        return samples_of(body.decode())

    assert (await page_reply(load_pages(state)["/report"], PageRequest("/report"))).status == 503
    assert (await shown())["trioecho_load_sent_total"] == 0
    for run in (1, 2, 3):
        state.begin_run(LoadPlan("127.0.0.1", 1))
        state.note_progress(progress(10, 7, lost=2))
        now = await shown()
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
                assert shown["trioecho_proxy_rejected_total"] == 0
                assert promtool("check", "metrics", stdin=ask(url, "/metrics").text).stderr == ""
                assert json.loads(ask(url, "/report").text) == {
                    "connections": 1,
                    "open_connections": 1,
                    "unconnected": 0,
                    "passed_bytes": {"to-server": 9, "to-client": 9},
                    "faults": {"corrupted": 1},
                    "rejected": 0,
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
    assert f"--admin: cannot listen on 127.0.0.1:{server.port}: another program holds the" in result.stderr


def test_the_address_of_the_proxy_is_one_line() -> None:
    result = run_in_process("proxy", "127.0.0.1:1", "--port", "26067", "--admin", "0.0.0.0:26067")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--admin and the proxy have the same address (0.0.0.0:26067 and 127.0.0.1:26067)" in result.stderr


def test_metrics_of_a_server_that_cannot_be_read_are_one_line() -> None:
    with server_process("--admin", "127.0.0.1:0") as server:
        pages = server.read_log_line().split(" admin on ")[1].strip()
        words = ["load", f"127.0.0.1:{server.port}", "--duration", "1h", "--rate", "100", "-q"]
        with command_with_admin(*words, "--server-metrics", f"{pages}/nothing") as (process, _, _url):
            assert process.stderr is not None
            line = process.stderr.readline()
            assert f"warning: --server-metrics {pages}/nothing: the server's metrics cannot be" in line
            assert "404" in line
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=GUARD_S)
            assert "--server-metrics" not in rest


async def test_each_kind_of_trouble_with_metrics_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    troubles: list[Exception | str] = [
        httpx.ConnectError("refused"),
        ServerMetricsError("line 1 is wrong"),
        ServerMetricsError("line 2 is wrong"),
        httpx.ConnectError("refused again"),
        "trioecho_service_seconds_count 0\ntrioecho_service_seconds_sum 0\n",
        httpx.ConnectError("refused once more"),
    ]

    async def read(client: object, url: str) -> str:
        await trio.lowlevel.checkpoint()
        if not troubles:
            nursery.cancel_scope.cancel()
            return ""
        trouble = troubles.pop(0)
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    monkeypatch.setattr("trioecho.cli.server_metrics._read", read)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ServerWatch("http://x/", LoadBoard()).run)
    lines = [record.getMessage() for record in caplog.records if "--server-metrics" in record.getMessage()]
    assert lines == [
        "--server-metrics http://x/: the server's metrics cannot be read: refused",
        "--server-metrics http://x/: the server's metrics cannot be read: line 1 is wrong",
    ]


_RUN_AND_COMPARE = """
import sys, trio, trioecho.cli
run, before = trio.run, set()
def run_and_look(*arguments, **options):
    before.update(sys.modules)
    return run(*arguments, **options)
trio.run = run_and_look
code = trioecho.cli.main(sys.argv[1:])
packages = ("hypercorn", "h11", "wsproto", "h2", "prometheus_client", "httpx", "httpcore", "trioecho.admin")
late = [name for name in set(sys.modules) - before if name.split(".")[0] in packages or "admin" in name]
sys.exit(f"imported late: {sorted(late)}" if late or "hypercorn" not in before else code)
"""


@pytest.mark.parametrize(
    "command", [slow("load"), "load of a server with metrics", slow("proxy"), slow("serve")]
)
def test_all_that_the_pages_need_is_imported_before_the_work_begins(command: str) -> None:
    with server_process("--admin", "127.0.0.1:0") as server:
        pages = server.read_log_line().split(" admin on ")[1].strip()
        words = {
            "load": ["load", f"127.0.0.1:{server.port}", "-q", "--duration", "1h"],
            "proxy": ["proxy", f"127.0.0.1:{server.port}", "--port", "0"],
            "serve": ["serve", "--port", "0"],
        }[command.split()[0]]
        more = ["--server-metrics", f"{pages}/metrics"] if "metrics" in command else []
        program = ("-c", _RUN_AND_COMPARE)
        with command_with_admin(*words, *more, program=program) as (process, _, url):
            paths = ["/metrics", "/livez", "/report", *(["/"] if words[0] != "proxy" else [])]
            for path in paths:
                assert ask(url, path).status in (200, 503)
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=GUARD_S)
            assert process.returncode == (130 if words[0] == "load" else 0), log


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
