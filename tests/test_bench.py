"""scripts/bench: its arithmetic by hand-made numbers, its peers by their echoes, and a small sitting."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from scripts.benchmark import __main__ as bench
from scripts.benchmark.compare import (
    AGAIN,
    PEERS,
    TRIOECHO,
    TRIOECHO_REPLY,
    WORKLOADS,
    Contender,
    Failure,
    Run,
    compare,
    measure,
)
from scripts.benchmark.decoder import cut, decoders, report, tasks, time_all
from scripts.benchmark.processes import BenchError, Cpus, cpu_time_s, run_load, running_server
from scripts.benchmark.sitting import Sitting, UnreadableSittingError
from scripts.benchmark.table import (
    Spread,
    cpu_ratios,
    details,
    failures,
    limit,
    ratio,
    spread,
    summary,
    throughput_ratio,
)
from tests.processes import GUARD_S, frame

ROOT = Path(__file__).parents[1]
ANYWHERE = Cpus(None, None, "anywhere")


def a_run(messages: int = 1000, *, server: float = 1.0, load: float = 0.5) -> Run:
    """One second with that many messages and these shares of the processors."""
    return Run(messages, elapsed_s=1.0, server_cpu_s=server, load_share=load)


def per_cpu_s(run: Run) -> float:
    return run.messages_per_cpu_s


# ---- arithmetic ----


def test_a_spread_is_median_and_extremes() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)
    assert spread([]) is None
    assert str(Spread(1.234, 0.5, 12.34)) == "1.23 (0.50-12.3)"
    assert str(Spread(1234.5, 100.0, 99.94)) == "1,234 (100-99.9)"


def test_a_run_counts_by_processor_time_and_by_time() -> None:
    run = Run(messages=3000, elapsed_s=2.0, server_cpu_s=1.5, load_share=0.4)
    assert run.messages_per_cpu_s == 2000
    assert run.messages_per_s == 1500
    assert run.server_share == 0.75


def test_each_repetition_is_compared_with_its_own_partner() -> None:
    ours = [a_run(100), a_run(400), a_run(900)]
    theirs = [a_run(100), a_run(200), a_run(300)]
    # Of the medians it would be 2.0 as well, but least and most would be 100/300 and 900/100.
    assert ratio(ours, theirs, per_cpu_s) == Spread(2.0, 1.0, 3.0)


def test_a_failed_run_takes_its_partner_out() -> None:
    failure = Failure("it burnt down")
    assert ratio([a_run(100), a_run(400)], [failure, a_run(200)], per_cpu_s) == Spread(2.0, 2.0, 2.0)
    assert ratio([failure], [a_run()], per_cpu_s) is None


@pytest.mark.parametrize(
    ("server", "load", "who"),
    [
        (1.0, 0.5, "server"),
        (0.95, 1.0, "server"),
        (0.6, 0.99, "generator"),
        (0.5, 0.5, "neither"),
    ],
)
def test_who_was_the_limit(server: float, load: float, who: str) -> None:
    # By medians: one run that was disturbed does not decide.
    disturbed = a_run(server=0.1, load=0.1)
    assert limit([a_run(server=server, load=load), disturbed, a_run(server=server, load=load)]) == who


def test_nobody_was_the_limit_of_no_run() -> None:
    assert limit([Failure("no")]) is None


def test_rates_are_compared_where_both_servers_were_at_their_limit() -> None:
    assert throughput_ratio([a_run(300)], [a_run(200)]) == Spread(1.5, 1.5, 1.5)


def test_no_ratio_of_rates_where_the_generator_was_the_limit() -> None:
    held_back = [a_run(300, server=0.5, load=1.0)]
    at_its_limit = [a_run(200)]
    for ours, theirs in ((held_back, at_its_limit), (at_its_limit, held_back), (held_back, held_back)):
        assert throughput_ratio(ours, theirs) == "generator"
        text = details({"ours": ours, "theirs": theirs})
        assert "(generator)" in text
        assert "1.50 (1.50-1.50)" not in text
    # What the servers' processor time was spent on is compared all the same.
    assert ratio(held_back, at_its_limit, per_cpu_s) == Spread(3.0, 3.0, 3.0)


def test_no_ratio_of_rates_where_the_two_waited_for_each_other() -> None:
    assert throughput_ratio([a_run(server=0.5)], [a_run()]) == "neither"


def test_no_ratio_of_rates_without_runs() -> None:
    assert throughput_ratio([Failure("no")], [a_run()]) is None


def test_the_summary_has_a_row_for_each_server_and_the_noise_last() -> None:
    runs = {
        "trioecho": [a_run(200)],
        AGAIN: [a_run(100)],
        "plain Trio": [a_run(50)],
        "gone": [Failure("it was not there")],
    }
    handler_runs = {"trioecho, a handler": [a_run(300)], "plain Trio": [a_run(100)]}
    ratios = cpu_ratios({"one": runs, "many": runs, "many-handler": handler_runs})
    lines = summary(ratios).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["", "1 x 1, 64 B", "100 x 1, 64 B"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert rows == [
        ["plain Trio", "4.00 (4.00-4.00)", "4.00 (4.00-4.00)"],
        ["plain Trio, with a handler", "-", "3.00 (3.00-3.00)"],
        [AGAIN, "2.00 (2.00-2.00)", "2.00 (2.00-2.00)"],
    ]
    assert failures(runs) == ["gone: 1 of 1 runs failed: it was not there"]


def test_a_sitting_is_the_same_after_json() -> None:
    sitting = Sitting.begin(ANYWHERE)
    sitting.runs["one"] = {"trioecho": [a_run(), Failure("no")]}
    assert Sitting.from_json(sitting.to_json()) == sitting


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "trioecho-load/1"}'])
def test_a_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSittingError):
        Sitting.from_json(text)


# ---- processes ----


async def test_cpu_time_is_that_of_the_other_process() -> None:
    busy = "import os, time\nwhile time.process_time() < 0.2: pass\nos.write(1, b'done')\nos.read(0, 1)"
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with trio.fail_after(GUARD_S):
        assert await process.stdout.receive_some() == b"done"
        assert 0.2 <= cpu_time_s(process.pid) < 2
        await process.stdin.aclose()
        await process.wait()
    with pytest.raises(BenchError):
        cpu_time_s(process.pid)


async def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(BenchError, match="it burnt down"):
        async with running_server(["-c", "raise SystemExit('it burnt down')"]):
            pass


async def test_a_wrong_echo_fails_the_run() -> None:
    liar = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(f'listening on 127.0.0.1:{listener.getsockname()[1]}', file=sys.stderr, flush=True)\n"
        "while True:\n"
        "    peer, _ = listener.accept()\n"
        "    while data := peer.recv(65536):\n"
        "        peer.sendall(data[:-1] + b'?')\n"
    )
    async with running_server(["-c", liar]) as server:
        with pytest.raises(BenchError, match=r"the load failed: .*\d+ wrong"):
            await run_load(server.port, 1, 1, "64B", 0.1)


async def test_a_load_that_cannot_connect_says_so() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(BenchError, match="cannot connect"):
            await run_load(bound.getsockname()[1], 1, 1, "64B", 0.1)


@pytest.mark.parametrize(
    "contender", [TRIOECHO, TRIOECHO_REPLY, *PEERS], ids=lambda contender: contender.name
)
async def test_every_server_echoes_and_keeps_its_limit(contender: Contender) -> None:
    if not contender.is_installed:
        pytest.skip(f"{contender.module} is in the extra `bench`")
    command = [part.format(max_frame_length=600_000) for part in contender.command]
    first, rest = frame(b"hello"), frame(b"") + frame(os.urandom(600_000)) + frame(b"x" * 64) * 100
    with trio.fail_after(GUARD_S):
        async with (
            running_server(command) as server,
            await trio.open_tcp_stream("127.0.0.1", server.port) as stream,
        ):
            await stream.send_all(first + first[:7])  # a frame, and another that is cut
            assert await receive_exactly(stream, len(first)) == first
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, first[7:] + rest)
                assert await receive_exactly(stream, len(first + rest)) == first + rest
            await stream.send_all((600_001).to_bytes(4, "big"))
            assert await stream.receive_some() == b""


async def receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count and (piece := await stream.receive_some(count - len(received))):
        received += piece
    return bytes(received)


# ---- decoders ----


@pytest.mark.parametrize("name", list(decoders()))
@pytest.mark.parametrize("number", range(3))
async def test_every_decoder_finds_every_frame(name: str, number: int) -> None:
    task = tasks(0.001)[number]
    assert await decoders()[name](task.pieces) == task.frames > 0


def test_pieces_are_the_whole_stream() -> None:
    assert cut(b"abcdefg", 3) == [b"abc", b"def", b"g"]


async def test_a_decoder_that_loses_frames_is_not_timed() -> None:
    async def lossy(pieces: object) -> int:
        return 0

    with pytest.raises(RuntimeError, match="lossy found 0 frames"):
        await time_all({"lossy": lossy}, tasks(0.001)[0], repeats=1)


def test_a_decoder_that_took_too_long_is_compared_by_its_one_run() -> None:
    lines = report({"ours": [10.0, 20.0, 30.0], "slow": [2.0]}, "MB/s").splitlines()
    assert "20.0 (10.0-30.0)" in lines[2]
    assert "2.00 (2.00-2.00), once" in lines[3]
    assert "5.00 (5.00-5.00)" in lines[3]


# ---- the command ----


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.benchmark", *arguments],
        capture_output=True,
        text=True,
        timeout=5 * GUARD_S,  # nine processes, one after the other
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_small_sitting_from_end_to_end(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    done = run_bench(
        *("--only", "many", "--peers", "asyncio Protocol"),
        *("--repeats", "1", "--seconds", "100ms", "--json", str(file)),
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(file.read_text())["workloads"]["many"]
    assert list(runs) == ["trioecho", AGAIN, "asyncio Protocol"]
    for (run,) in runs.values():
        assert run["messages"] >= 100
        assert run["server_cpu_s"] > 0
    for title in ("100 connections, 1 in flight, 64 B", "100 x 1, 64 B", "What it cannot know"):
        assert title in done.stdout

    shown = run_bench("--show", str(file))
    assert shown.returncode == 0
    assert shown.stdout in done.stdout


async def test_turns_begin_with_another_server_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured(contender: Contender, *_: object) -> Run:
        return a_run()

    monkeypatch.setattr("scripts.benchmark.compare.measure", measured)
    turns: list[str] = []
    peers = [Contender("a", ()), Contender("b", ())]
    runs = await compare(WORKLOADS["one"], peers, seconds=1, repeats=4, cpus=ANYWHERE, on_turn=turns.append)
    names = [turn.rpartition(": ")[2] for turn in turns]
    assert [names[turn] for turn in (0, 4, 8, 12)] == ["trioecho", "a", AGAIN, "b"]
    assert all(sorted(names[turn : turn + 4]) == sorted(runs) for turn in (0, 4, 8, 12))
    assert {name: len(of_server) for name, of_server in runs.items()} == dict.fromkeys(runs, 4)


async def test_a_server_that_fails_is_a_run_that_failed() -> None:
    broken = Contender("broken", ("-c", "raise SystemExit('it burnt down')"))
    run = await measure(broken, WORKLOADS["one"], 0.05, ANYWHERE)
    assert run == Failure("the server did not start: it burnt down")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--peers", "nobody"),
        ("--only", "nothing"),
        ("--show", "no-such-file"),
        ("--json", "no/such/folder/file"),
        ("decoder", "--json", "file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        bench.main(arguments)
    assert exit_info.value.code == 2
    output, error = capsys.readouterr()
    assert not output
    assert error.startswith("scripts/bench: ")
    assert error.count("\n") == 1


def test_the_picture_can_be_read_on_any_background(tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is in the extra `bench`")
    from scripts.benchmark import picture

    file = tmp_path / "bench.svg"
    ratios = {"100 x 1, 64 B": {"plain Trio": Spread(2.0, 1.5, 16.0), AGAIN: Spread(1.0, 0.9, 1.1)}}
    picture.draw(ratios, file)
    text = file.read_text()
    for shown in ("plain Trio", AGAIN, "100 x 1", "64 B", "2.00"):
        assert f">{shown}<" in text
    # White, and the black of a dark page; 3 is WCAG's least contrast of graphics, 4.5 that of small text.
    for color, least in ((picture.INK, 4), (picture.AHEAD, 3), (picture.BEHIND, 3)):
        assert color in text or color == picture.BEHIND
        for background in ("#ffffff", "#0d1117"):
            assert contrast(color, background) >= least
    drawn = set(re.findall(r"fill: (#\w+|none)", text))
    assert drawn <= {picture.INK, picture.AHEAD, picture.BEHIND, "none"}, "a background would be a fill"


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio, from 1 to 21."""
    least, most = sorted((luminance(one), luminance(other)))
    return (most + 0.05) / (least + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
