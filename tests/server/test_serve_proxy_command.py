"""``trioecho serve --proxy-protocol``, as an operator meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.support.processes import (
    in_one_process_and_slowly_in_two,
    in_one_process_or_two,
    run_command,
    server_process,
)
from tests.support.sockets import receive_all, receive_exactly
from tests.support.wire import frame, frames
from trioecho.base.proxy_header import encode_proxy_header

CLIENT, SERVICE = ("203.0.113.7", 4242), ("192.0.2.1", 26066)
NAMES_PEER = """\
from trioecho import ConnectionInfo


def serve(connection: ConnectionInfo):
    return lambda message: repr((connection.address, connection.proxy_address)).encode()
"""


@in_one_process_or_two
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_handler_learns_of_the_client(
    command: tuple[str], version: Literal["v1", "v2"], tmp_path: Path
) -> None:
    (tmp_path / "names.py").write_text(NAMES_PEER)
    served = f"{tmp_path}/names.py:serve"
    with server_process(served, "--proxy-protocol", "auto", command=command) as server:
        with server.connect() as balancer:
            balancer.sendall(encode_proxy_header(version, CLIENT, SERVICE) + frame(b"who am I?"))
            wire = frame(repr((CLIENT, balancer.getsockname())).encode())
            assert receive_exactly(balancer, len(wire)) == wire
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 1
    assert server.reports[-1]["errors"] == {}


@in_one_process_and_slowly_in_two
def test_each_kind_of_error_is_counted_and_has_a_line(command: tuple[str]) -> None:
    with server_process("--proxy-protocol", "v2", command=command) as server:
        with server.connect() as client:
            client.sendall(frame(b"directly"))
            assert receive_all(client) == b""
        with server.connect() as balancer:
            header = encode_proxy_header("v2", CLIENT, SERVICE)
            balancer.sendall(header + frames(b"one", b"two"))
            assert receive_exactly(balancer, 14) == frames(b"one", b"two")
            balancer.sendall(b"\xff\xff\xff\xff")
            assert receive_all(balancer) == b""
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"proxy_header_invalid": 1, "frame_too_large": 1}
    assert (
        r"the connection begins with b'\x00\x00\x00\x08directly', and not with a PROXY header" in server.log
    )
    assert "203.0.113.7:4242: a frame of 4294967295 bytes is over the limit" in server.log


@in_one_process_and_slowly_in_two
def test_so_is_a_header_that_does_not_come_in_time(command: tuple[str]) -> None:
    options = ("--proxy-protocol", "v2", "--proxy-header-timeout", "0.1s")
    with server_process(*options, command=command) as server:
        with server.connect() as silent:
            assert receive_all(silent) == b""
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"proxy_header_timeout": 1}
    assert "the PROXY header did not come within 0.1 s" in server.log


def test_a_crowd_that_may_not_connect_is_closed_and_takes_some_lines() -> None:
    with server_process("--proxy-protocol", "auto", "--proxy-allow-from", "192.0.2.0/24,::1") as server:
        for _ in range(200):
            with server.connect() as stranger:
                assert receive_all(stranger) == b""
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"proxy_not_allowed": 200}
    assert "127.0.0.1:" in server.log
    assert "more lines like these within the same second" in server.log


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_that_nobody_asked_for_is_diagnosed(version: Literal["v1", "v2"]) -> None:
    with server_process() as server:
        with server.connect() as balancer:
            balancer.sendall(encode_proxy_header(version, CLIENT, SERVICE))
            assert receive_all(balancer) == b""
        assert server.stop() == 0
    words = "does a load balancer in front send it? Then serve with --proxy-protocol, or switch it off there"
    assert words in server.log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--proxy-protocol", "v3"], "'v3' is not one of off, v1, v2, auto"),
        (
            ["--proxy-protocol", "auto", "--proxy-allow-from", "10.0.0.1,lb.example"],
            "'lb.example' is no IP address",
        ),
        (["--proxy-protocol", "auto", "--proxy-allow-from", ""], "'' is no IP address and no network"),
        (
            ["--proxy-allow-from", "10.0.0.1"],
            "--proxy-allow-from is for a balancer: give --proxy-protocol auto",
        ),
        (["--proxy-header-timeout", "3s"], "--proxy-header-timeout is for a balancer"),
    ],
)
def test_wrong_use_is_one_line(options: list[str], words: str) -> None:
    done = run_command("serve", "--port", "0", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "listening" not in done.stderr
