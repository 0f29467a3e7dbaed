"""The demo: what it says of given numbers and bytes, and the whole of it in a subprocess."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from trioecho import open_frame_channel
from trioecho.demo import DemoError, analysis, clients, run_demo, servers, wire
from trioecho.demo.analysis import Load, ReportInterval
from trioecho.demo.page import Page
from trioecho.framing import encode_frame

GUARD_S = 60.0
HELLO_HI = encode_frame(b"hello") + encode_frame(b"hi")


class SilentProgress:
    def show(self, what: str, done: int, total: int) -> None:
        pass

    def clear(self) -> None:
        pass


def a_load(
    *,
    messages: int = 1000,
    think_ms: float = 0.0,
    elapsed_s: float = 0.2,
    round_trip_ms: float = 1.0,
    intervals: list[ReportInterval] | None = None,
) -> Load:
    return Load(
        5, messages, think_ms, elapsed_s, round_trip_ms, intervals or [ReportInterval(2.0, 1000, 0.05, 1.0)]
    )


def a_paced_load(*counts: int, service_ms: float = 0.05, sample_ms: float = 31.0) -> Load:
    intervals = [ReportInterval(2.0, count, service_ms, sample_ms) for count in counts or (322, 323, 322)]
    intervals.append(ReportInterval(0.2, 33, service_ms, sample_ms))
    return a_load(think_ms=30.0, elapsed_s=6.199, intervals=intervals)


# ---- the analysis ----


def test_a_short_burst_is_understated_by_its_interval() -> None:
    said = analysis.interval_sentences(a_load(elapsed_s=0.2))
    assert "1,000 messages echoed in 0.2 s: 5,000 msg/s" in said
    assert "the report says 500 msg/s, a factor of 10 less" in said
    assert "2.0 s, of which the load filled 10%" in said


def test_a_burst_that_fills_its_interval_is_not() -> None:
    said = analysis.interval_sentences(a_load(elapsed_s=1.95))
    assert "And the report says 500 msg/s: the same" in said


def test_a_burst_over_two_intervals_is_compared_with_the_fuller_one() -> None:
    intervals = [
        ReportInterval(2.0, 100, 0.1, 1.0),
        ReportInterval(2.0, 0, None, None),
        ReportInterval(2.0, 900, 0.1, 1.0),
    ]
    said = analysis.interval_sentences(a_load(elapsed_s=0.5, intervals=intervals))
    assert "It fell into 2 intervals" in said
    assert "the fullest report says 450 msg/s, a factor of 4.4 less" in said


def test_a_report_above_what_the_clients_saw_is_called_surprising() -> None:
    assert "Surprisingly the report says 500 msg/s" in analysis.interval_sentences(a_load(elapsed_s=4.0))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (
            (322, 323, 322),
            "say 161, 162, 161 msg/s; over its whole run 161 msg/s. Its intervals are full of load",
        ),
        ((200, 322, 322), "The first interval is lower, as the load began inside it"),
        ((322, 200, 322), "They differ by 61%, which a closed loop with a fixed think time does not explain"),
    ],
)
def test_the_rates_of_a_load_that_lasts_are_compared(counts: tuple[int, ...], said: str) -> None:
    assert said in analysis.steady_sentences(a_paced_load(*counts))


def test_a_load_shorter_than_an_interval_has_no_rates_to_compare() -> None:
    short = a_load(think_ms=30.0, elapsed_s=0.5, intervals=[ReportInterval(0.6, 1000, 0.1, 31.0)])
    assert analysis.steady_sentences(short) == (
        "The paced load was over before an interval was; it made 2,000 msg/s."
    )


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (
            a_paced_load(),
            "Paced: 5 / (30 ms + 1.000 ms) = 161 msg/s predicted, 161 msg/s measured (+0.0%). 97% of",
        ),
        (
            a_load(elapsed_s=0.2),
            "5,000 msg/s measured (+0.0%). The round trip is the larger part of the loop",
        ),
        (a_load(elapsed_s=0.25), "4,000 msg/s measured (-20.0%). The loop has 0.250 ms more than these two"),
        (
            a_load(think_ms=1.0, elapsed_s=0.5),
            "(-20.0%). The loop has 0.500 ms more than these two: the pauses end",
        ),
        (a_load(elapsed_s=0.1), "10,000 msg/s measured (+100.0%). That is more than the law allows"),
    ],
)
def test_the_rate_is_compared_with_the_law_of_the_closed_loop(measured: Load, said: str) -> None:
    assert said in analysis.law_sentences(measured, "Paced")


@pytest.mark.parametrize(("elapsed_s", "keeps"), [(0.1, False), (0.2, True), (0.3, True), (0.5, False)])
def test_a_rate_above_the_law_or_far_below_does_not_keep_it(elapsed_s: float, keeps: bool) -> None:
    assert a_load(elapsed_s=elapsed_s).keeps_the_law is keeps


def test_littles_law_counts_the_messages_on_their_way() -> None:
    said = analysis.little_sentences(a_load(), "Burst")
    assert said.startswith("Burst: round trip 1.000 ms, service 0.050 ms (5% of it).")
    assert "5 messages are on their way at any moment, 0.25 of them in service" in said


def test_service_longer_than_the_round_trip_is_called_surprising() -> None:
    assert "surprising" in analysis.little_sentences(a_load(round_trip_ms=0.04), "Burst")


@pytest.mark.parametrize(
    ("round_trip_ms", "said"),
    [
        (
            3.0,
            "Under the burst it is 3.0 times as long as under the paced load: 15.0 messages are on their way",
        ),
        (0.25, "Under the paced load the round trip is 4.0 times as long"),
        (1.0, "Both loads see about the same round trip"),
    ],
)
def test_round_trips_are_compared(round_trip_ms: float, said: str) -> None:
    assert said in analysis.rest_sentences(a_load(round_trip_ms=round_trip_ms), a_paced_load())


@pytest.mark.parametrize(
    ("service_ms", "said"),
    [
        (0.2, "takes longer when there is less to do"),
        (0.01, "longer under the burst"),
        (0.05, "about the same"),
    ],
)
def test_service_times_are_compared(service_ms: float, said: str) -> None:
    assert said in analysis.service_sentences(a_load(), a_paced_load(service_ms=service_ms))


def test_the_course_samples_clock_measures_the_client() -> None:
    said = analysis.course_sample_sentences(a_load(), a_paced_load())
    assert "says 31.000 ms, where the service time is 0.050 ms: 620 times as much" in said
    assert "the time of a client's whole loop (5 / 161 msg/s = 30.995 ms), 30 ms of it think time" in said
    assert "would seem 31 times as fast as the idle one. By service time it is not faster." in said


def test_a_course_sample_that_is_right_is_called_surprising() -> None:
    assert "surprisingly the same" in analysis.course_sample_sentences(a_load(), a_paced_load(sample_ms=0.05))


def test_a_course_sample_that_is_nothing_known_is_called_surprising() -> None:
    said = analysis.course_sample_sentences(a_load(), a_paced_load(sample_ms=10.0, service_ms=0.1))
    assert "not even the time of a client's loop (30.995 ms), which is surprising" in said
    assert "By service time it is 2.0 times as fast" in said


def test_means_are_weighted_and_leave_out_silent_intervals() -> None:
    intervals = [
        ReportInterval(2.0, 300, 1.0, 4.0),
        ReportInterval(2.0, 0, None, None),
        ReportInterval(2.0, 100, 3.0, 8.0),
    ]
    measured = a_load(intervals=intervals)
    assert (measured.service_ms, measured.course_sample_ms) == (1.5, 5.0)


# ---- frames on the wire ----


def test_the_table_tells_what_is_missing_after_every_byte() -> None:
    readings = list(wire.read_pieces(bytes([byte]) for byte in HELLO_HI))
    assert list(wire.wire_table(readings)) == [
        "receive  bytes      held  the decoder says",
        "      1  00          1 B  header 1 of 4",
        "      2  00          2 B  header 2 of 4",
        "      3  00          3 B  header 3 of 4",
        "      4  05          4 B  header complete, payload 0 of 5",
        "      5  68  'h'     5 B  header complete, payload 1 of 5",
        "      6  65  'e'     6 B  header complete, payload 2 of 5",
        "      7  6c  'l'     7 B  header complete, payload 3 of 5",
        "      8  6c  'l'     8 B  header complete, payload 4 of 5",
        "      9  6f  'o'     0 B  frame 1 complete: \"hello\"",
        "     10  00          1 B  header 1 of 4",
        "     11  00          2 B  header 2 of 4",
        "     12  00          3 B  header 3 of 4",
        "     13  02          4 B  header complete, payload 0 of 2",
        "     14  68  'h'     5 B  header complete, payload 1 of 2",
        "     15  69  'i'     0 B  frame 2 complete: \"hi\"",
    ]


def test_a_piece_may_end_one_frame_and_begin_the_next() -> None:
    first, second = wire.read_pieces([HELLO_HI[:3], HELLO_HI[3:14]])
    assert first.in_words(1) == "header 3 of 4"
    assert second.in_words(1) == 'frame 1 complete: "hello"; then header complete, payload 1 of 2'


def test_hex_and_meaning_lie_below_each_other() -> None:
    assert wire.hex_with_meaning([b"hello", b"hi"]) == (
        "00 00 00 05 | 68 65 6c 6c 6f | 00 00 00 02 | 68 69",
        'length 5    | "hello"        | length 2    | "hi"',
    )


def test_all_cuts_are_all_and_each_once() -> None:
    cuts = list(wire.all_cuts(b"abcd"))
    assert len(cuts) == len(set(map(tuple, cuts))) == 8
    assert [b"abcd"] in cuts
    assert [b"a", b"b", b"c", b"d"] in cuts
    assert all(b"".join(cut) == b"abcd" and all(cut) for cut in cuts)


async def test_bytes_go_over_tcp_piece_by_piece() -> None:
    pieces = [bytes([byte]) for byte in HELLO_HI]
    assert await wire.over_tcp(pieces) == pieces
    assert b"".join(await wire.over_tcp([HELLO_HI])) == HELLO_HI


# ---- the page ----


def test_one_claim_that_failed_fails_the_summary() -> None:
    lines: list[str] = []
    page = Page(lines.append, 80)
    page.claim(True, "this held, " * 10)
    assert page.summary()
    page.claim(False, "this did not")
    assert not page.summary()
    assert lines[0].startswith("  ✓ this held")
    assert lines[1].startswith("    ")
    assert lines[-1] == "  ✗ this did not"


# ---- servers and clients ----


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], tuple[str]]:
    """A function that makes a module to be run in a server's place."""

    def make(code: str) -> tuple[str]:
        (tmp_path / "stand_in.py").write_text(code)
        return ("stand_in",)

    monkeypatch.syspath_prepend(tmp_path)  # which a server started by this process gets, too
    return make


LISTENS = "import sys, time; print('listening on 127.0.0.1:1', file=sys.stderr, flush=True)\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import sys; sys.exit('no luck today')",
            "the server did not start; its last line was: no luck today",
        ),
        (LISTENS, "the server ended (exit code 0) without a final report"),
        (LISTENS + "print('[]')", "the server wrote a line that is no report: '[]'"),
    ],
)
async def test_a_server_that_fails_is_one_clear_line(
    stand_in: Callable[[str], tuple[str]], code: str, said: str
) -> None:
    with trio.fail_after(GUARD_S), pytest.raises(DemoError, match=re.escape(said)):
        async with servers.open_server(stand_in(code)) as server:
            await server.wait_stopped()


async def test_a_server_that_cannot_be_run_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    lines: list[str] = []
    with pytest.raises(DemoError, match="the server did not start"):
        await run_demo(lines.append, SilentProgress())
    assert lines


async def stop(server: servers.Server) -> None:
    server.terminate()
    await server.wait_stopped()


@pytest.mark.parametrize("patience", ["_START_TIMEOUT_S", "_STOP_TIMEOUT_S"])
async def test_a_server_that_hangs_is_given_up_and_killed(
    monkeypatch: pytest.MonkeyPatch, stand_in: Callable[[str], tuple[str]], patience: str
) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += LISTENS if patience == "_STOP_TIMEOUT_S" else "import time\n"
    monkeypatch.setattr(servers, patience, 0.5)
    monkeypatch.setattr(servers, "_KILL_AFTER_S", 0.1)
    hung = stand_in(code + "time.sleep(99)")
    with trio.fail_after(GUARD_S), pytest.raises(DemoError, match=r"after 0\.5 s|0\.5 s after"):
        async with servers.open_server(hung) as server:
            await stop(server)


@pytest.mark.parametrize("module", [servers.SERVE, servers.TIMED_SERVER])
async def test_a_server_imports_nothing_from_the_working_directory(
    module: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("random", "trio", "trioecho"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('boo')")
    monkeypatch.chdir(tmp_path)
    with trio.fail_after(GUARD_S):
        async with servers.open_server(module) as server:
            await stop(server)


async def test_a_server_is_the_demos_whatever_options_the_user_has_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIOECHO_CONFIG", "not-there.toml")
    monkeypatch.setenv("TRIOECHO_SERVE_QUIET", "1")
    monkeypatch.setenv("TRIOECHO_SERVE_MAX_FRAME_LENGTH", "1")
    with trio.fail_after(GUARD_S):
        async with servers.open_server(servers.SERVE) as server:
            async with await open_frame_channel("127.0.0.1", server.port) as channel:
                await channel.send(b"longer than one byte")
                assert await channel.receive() == b"longer than one byte"
            await stop(server)


def test_sentences_are_as_wide_as_the_page() -> None:
    lines: list[str] = []
    page = Page(lines.append, 50)
    page.line_at_margin("word " * 30)
    page.event("server", "word " * 30)
    page.paragraph("word " * 30)
    page.claim(True, "word " * 30)
    page.summary()
    assert 46 <= max(map(len, lines)) <= 50
    assert "".join(lines).count("word") == 120
    assert any(line.startswith(f"{' ' * 13}word") for line in lines)  # below what the server did


async def test_a_report_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with trio.fail_after(GUARD_S):
        async with servers.open_server(servers.SERVE) as server:
            with pytest.raises(DemoError, match=r"no report of 1 messages within 0\.1 s"):
                await server.wait_reported(1, 0.1)


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that has one answer for each of its two clients; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                peers.append(peer)
            for peer in peers:
                with peer:
                    peer.recv(1 << 16)
                    peer.sendall(answer)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(1 << 16):
                        pass

        peers: list[socket.socket] = []
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            encode_frame(bytes(clients.PAYLOAD_BYTES)),
            r"0 of 6 echoes were right: .*wrong 2; connection 0,",
        ),
        (b"", r"0 of 6 .*: connection_closed 2, missing 2, unsent 4; connection 0,"),
    ],
)
async def test_a_wrong_or_missing_echo_is_one_clear_line(answer: bytes, said: str) -> None:
    with answering(answer) as port, trio.fail_after(GUARD_S), pytest.raises(DemoError, match=said) as caught:
        await clients.put_load(port, clients=2, messages=3)
    assert "\n" not in str(caught.value)


async def test_nobody_listening_is_one_clear_line() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(DemoError, match=f"cannot connect to 127.0.0.1:{port}"):
        await clients.put_load(port, clients=2, messages=3)
    with pytest.raises(DemoError, match=f"cannot connect to 127.0.0.1:{port}"):
        await clients.open_local_channel(port)


async def test_the_timed_server_times_each_message_both_ways() -> None:
    with trio.fail_after(GUARD_S):
        async with servers.open_server(servers.TIMED_SERVER) as server:
            await clients.put_load(server.port, clients=2, messages=5, think_s=0.02)
            server.terminate()
            exit_code, final = await server.wait_stopped()
    assert (exit_code, final.messages_total) == (0, 10)
    service, sample = (report["mean"] for report in (final.service_ms, final.course_sample_ms))
    assert service is not None
    assert sample is not None
    assert service < sample > 10


def test_a_report_has_the_course_samples_timing_only_from_the_timed_server() -> None:
    line: dict[str, object] = {
        "interval_s": 2.0,
        "messages": 1,
        "messages_total": 1,
        "messages_per_s": 0.5,
        "service_ms": {"mean": 0.1},
        "final": False,
    }
    assert servers.parse_report(json.dumps(line)).course_sample_ms == {}
    line["course_sample_ms"] = {"mean": 30.0}
    assert servers.parse_report(json.dumps(line)).course_sample_ms == {"mean": 30.0}


# ---- the whole of it ----


@contextlib.contextmanager
def running_demo(stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """The demo in a process group of its own, which must be empty when it has ended."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    try:
        with demo:
            yield demo
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)


def test_the_demo_shows_it_all_and_leaves_nothing_behind() -> None:
    with running_demo(stderr=subprocess.PIPE) as demo:
        stdout, stderr = demo.communicate(timeout=GUARD_S)
    shown = stdout.decode()
    assert (demo.returncode, stderr) == (0, b""), shown
    assert "✗" not in shown
    assert shown.count("✓") == 10
    assert shown.count("100 of 100 echoes byte-identical and in order") == 2
    assert "exit code 0; final report: 100 messages echoed" in shown
    assert "16,384 of them give the same 2 frames" in " ".join(shown.split())
    assert len(re.findall(r"^  30 ms think ", shown, re.MULTILINE)) >= 3
    assert "2,000 echoes verified, 2,000 in the" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_an_interrupted_demo_leaves_nothing_behind() -> None:
    pytest.importorskip("rich")
    watching, terminal = os.openpty()
    drawn = bytearray()
    is_loading = threading.Event()

    def watch() -> None:
        with contextlib.suppress(OSError):  # of the end: nobody has the terminal open any more
            while data := os.read(watching, 4096):
                drawn.extend(data)
                if b"paced load" in drawn:  # the progress display, as a person watches
                    is_loading.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with running_demo(stderr=terminal) as demo:
            os.close(terminal)
            assert demo.stdout is not None
            assert any(b"prediction" in line for line in demo.stdout)
            assert is_loading.wait(GUARD_S)
            demo.send_signal(signal.SIGINT)
            rest = demo.stdout.read()
            assert demo.wait(timeout=GUARD_S) == 130
        watcher.join(timeout=GUARD_S)
    finally:
        os.close(watching)
    assert b"Traceback" not in drawn + rest
