"""A real load through a proxy that cuts and joins bytes, captured at both of its sides, and shown."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.balancers import wait_until
from tests.support.captures import ended_streams, read_streams, show
from tests.support.guard import GUARD_S
from tests.support.namespaces import HostNetwork, address_of, host_network
from tests.support.processes import run_command, server_process
from tests.support.programs import needs_program
from tests.support.tls import write_files
from trioecho.dissect import wireshark_dissector
from trioecho.framing import FrameDecoder, FrameFormat

LIMIT = 1 << 20
Frames = list[tuple[bytes, bytes, bytes]]


@pytest.fixture(scope="module")
def network() -> Iterator[HostNetwork]:
    needs_program("tshark")
    with host_network() as network:
        yield network


@contextlib.contextmanager
def capturing(network: HostNetwork, interface: str, file: Path) -> Iterator[None]:
    """Capture at one side of the host in the middle, from the beginning of the block on."""
    words = [needs_program("dumpcap"), "-q", "-P", "-i", interface, "-f", "tcp", "-w", str(file)]
    with subprocess.Popen([*network.on("balancer"), *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = []
            while not (line := process.stderr.readline()).startswith("File: "):
                lines.append(line)
                assert line, lines
            yield
        finally:
            process.terminate()
            process.communicate(timeout=GUARD_S)


@contextlib.contextmanager
def proxying(network: HostNetwork, target: str, *faults: str) -> Iterator[str]:
    """Run the proxy in the middle; its address."""
    host = address_of("balancer", "front")
    words = [sys.executable, "-m", "trioecho", "proxy", target, "--host", host, "--port", "0", *faults]
    with subprocess.Popen(
        [*network.on("balancer"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            listening = re.search(r"listening on (\S+)", line)
            assert listening, line
            yield listening[1]
        finally:
            process.terminate()
            process.communicate(timeout=GUARD_S)


def frames_of(stream: bytes, format: FrameFormat) -> Frames:
    decoder = FrameDecoder(format=format, max_frame_length=LIMIT)
    decoder.receive_data(stream)
    return [(frame.header, frame.payload, frame.trailer) for frame in iter(decoder.next_whole_frame, None)]


CUT = ["--slice", "1-9", "--gap", "100us"]
JOINED = ["--coalesce", "1500", "--coalesce-time", "5ms"]


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        pytest.param("netstring", CUT, id="netstrings, cut"),
        pytest.param("u32be", JOINED, id="u32be, joined"),
        *(pytest.param(name, CUT, id=f"{name}, cut", marks=pytest.mark.slow) for name in ("u32be", "mqtt")),
        pytest.param("mqtt", JOINED, id="mqtt, joined", marks=pytest.mark.slow),
    ],
)
def test_a_load_is_shown_frame_by_frame(
    name: str, faults: list[str], network: HostNetwork, tmp_path: Path
) -> None:
    parsed = FrameFormat.parse(name)
    files = {side: tmp_path / f"{side}.pcap" for side in ("front", "back")}
    with contextlib.ExitStack() as stack:
        host = address_of("server1", "back")
        server = stack.enter_context(
            server_process("--host", host, "--format", name, prefix=network.on("server1"))
        )
        target = stack.enter_context(proxying(network, f"{host}:{server.port}", *faults))
        for side, file in files.items():
            stack.enter_context(capturing(network, side, file))
        done = run_command(
            *("load", target, "--format", name, "-c", "3", "-n", "20", "--pipeline", "4", "--size", "0-90"),
            *("--json", "-"),
            prefix=network.on("gen1"),
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == 60

        def all_is_captured(file: Path) -> bool:
            streams = read_streams(file)
            return sum(len(frames_of(stream, parsed)) for stream in streams.values()) == 120

        for file in files.values():
            wait_until(partial(all_is_captured, file), "not all was captured")
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 60

    ports = {"front": int(target.rpartition(":")[2]), "back": server.port}
    for side, file in files.items():
        script = tmp_path / "frames.lua"
        script.write_text(
            wireshark_dissector(parsed, max_frame_length=LIMIT, name="frames", ports=[ports[side]])
        )
        shown = show(file, [script])
        assert not any(direction.problems for direction in shown.values())
        sent = [frames_of(stream, parsed) for stream in read_streams(file).values() if stream]
        assert len(sent) == 6
        assert sorted(direction.frames for direction in shown.values()) == sorted(sent)
        # What came back is what was sent.
        from_clients, from_server = (
            Counter(
                frame
                for (_, port), direction in shown.items()
                if (port == ports[side]) == is_server
                for frame in direction.frames
            )
            for is_server in (False, True)
        )
        assert from_clients == from_server


def test_frames_are_shown_inside_of_tls(network: HostNetwork, tmp_path: Path) -> None:
    keys, file, script = tmp_path / "keys", tmp_path / "back.pcap", tmp_path / "frames.lua"
    host = address_of("server1", "back")
    with contextlib.ExitStack() as stack:
        options = ("--host", host, *write_files(tmp_path).options)
        server = stack.enter_context(server_process(*options, prefix=network.on("server1")))
        stack.enter_context(capturing(network, "back", file))
        done = run_command(
            *("load", f"{host}:{server.port}", "--tls", "-k", "-c", "2", "-n", "30", "--size", "0-40k"),
            prefix=network.on("balancer"),
            env={"SSLKEYLOGFILE": str(keys)},
        )
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0

        def both_have_ended() -> bool:
            """Whether the client has ended each connection, which it does when all is there."""
            return sum(port == server.port for _, port in ended_streams(file)) == 2

        wait_until(both_have_ended, "the ends of the connections were not captured")
    script.write_text(
        wireshark_dissector(
            FrameFormat(), max_frame_length=LIMIT, name="frames", ports=[server.port], under_tls=True
        )
    )
    shown = show(file, [script], "-o", f"tls.keylog_file:{keys}")
    assert not any(direction.problems for direction in shown.values())
    assert [len(direction.frames) for direction in shown.values()] == [30] * 4
    for stream in (0, 1):
        one, other = (direction.frames for (number, _), direction in shown.items() if number == stream)
        assert one == other
