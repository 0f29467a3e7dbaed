"""The API of ``trioecho proxy --admin``: proxies and faults that change while connections last."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.http import Answer, ask
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import ProxyProcess, proxy_process
from tests.support.sockets import receive_exactly
from tests.support.wire import frame

JSON = {"content-type": "application/json"}


@dataclass
class Commanded:
    """A proxy in a process, and the address where it takes commands."""

    process: ProxyProcess
    url: str

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        answer = ask(self.url, path, method, data, **JSON)
        assert answer.headers["content-type"] == "application/json"
        return answer.status, json.loads(answer.text)

    def did(self, method: str, path: str, body: object = None) -> Any:
        status, done = self.call(method, path, body)
        assert status in (200, 201), done
        return done

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """The status, and the sentence; what is wrong changes nothing."""
        before = self.did("GET", "/proxies")
        status, done = self.call(method, path, body)
        assert 400 <= status < 500
        assert [*done] == ["error"]
        assert self.did("GET", "/proxies") == before
        return status, done["error"]


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    with server_process() as server:
        yield server.port


@pytest.fixture
def proxy(server_port: int) -> Iterator[Commanded]:
    with proxy_process(server_port, "--port", "0", "--admin", "127.0.0.1:0") as process:
        yield Commanded(process, process.read_log_line().split(" admin on ")[1].strip())


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=GUARD_S)


def echo(peer: socket.socket, payload: bytes) -> bytes:
    peer.sendall(frame(payload))
    return receive_exactly(peer, len(frame(payload)))[4:]


def is_ended(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


# ---- faults ----


def test_a_fault_begins_and_ends_on_a_connection_that_lasts(proxy: Commanded) -> None:
    with contextlib.closing(proxy.process.connect()) as peer:
        assert echo(peer, b"one") == b"one"
        added = proxy.did(
            "POST", "/proxies/proxy/faults", {"fault": "corrupt", "on_frame": 2, "direction": "to-client"}
        )
        assert added == {"name": "corrupt", "fault": "corrupt", "direction": "to-client", "on_frame": 2}
        assert echo(peer, b"two") != b"two"
        assert echo(peer, b"three") == b"three"
        changed = proxy.did("PATCH", "/proxies/proxy/faults/corrupt", {"on-frame": None})
        assert changed == {"name": "corrupt", "fault": "corrupt", "direction": "to-client"}
        assert echo(peer, b"four") != b"four"
        assert proxy.did("DELETE", "/proxies/proxy/faults/corrupt") == {}
        assert echo(peer, b"five") == b"five"
        assert proxy.did("GET", "/proxies/proxy")["counters"] == {
            "connections": 1,
            "open_connections": 1,
            "unconnected": 0,
            "passed_bytes": {"to-server": 39, "to-client": 39},
            "faults": {"corrupted": 2},
            "rejected": 0,
        }


def test_what_waits_for_a_delay_comes_when_the_delay_has_gone(proxy: Commanded) -> None:
    proxy.did("POST", "/proxies/proxy/faults", {"name": "slow", "fault": "delay", "value": "1h"})
    with contextlib.closing(proxy.process.connect()) as peer:
        peer.sendall(frame(b"late"))
        assert proxy.did("GET", "/proxies/proxy/faults")["faults"] == [
            {"name": "slow", "fault": "delay", "direction": "both", "value": "1h"}
        ]
        proxy.did("POST", "/reset")
        assert receive_exactly(peer, 8) == frame(b"late")
    assert proxy.did("GET", "/proxies/proxy/faults") == {"faults": []}


def test_the_faults_of_the_command_have_names_too(server_port: int) -> None:
    words = ["--port", "0", "--admin", "127.0.0.1:0", "--delay", "1ms-2ms", "--drop", "--on-frame", "2"]
    with proxy_process(server_port, *words, "--coalesce", "4", "--coalesce-time", "1ms") as process:
        proxy = Commanded(process, process.read_log_line().split(" admin on ")[1].strip())
        shown = proxy.did("GET", "/proxies/proxy")
        assert shown["listen"] == f"127.0.0.1:{process.port}"
        assert shown["target"] == f"127.0.0.1:{server_port}"
        assert {"name": "coalesce", "fault": "coalesce", "direction": "both", "value": "4"} | {
            "coalesce_time": "1ms"
        } in shown["faults"]
        assert [each["name"] for each in shown["faults"]] == ["coalesce", "delay", "drop"]
        assert proxy.did("GET", "/proxies/proxy/faults/drop")["on_frame"] == 2


# ---- proxies ----


def test_proxies_are_added_disabled_enabled_and_removed(proxy: Commanded, server_port: int) -> None:
    target = f"127.0.0.1:{server_port}"
    added = proxy.did("POST", "/proxies", {"name": "second", "target": target})
    with contextlib.closing(connect(added["listen"])) as peer:
        assert echo(peer, b"one") == b"one"
        disabled = proxy.did("PATCH", "/proxies/second", {"enabled": False})
        assert (disabled["enabled"], disabled["listen"]) == (False, added["listen"])
        assert is_ended(peer)
    with pytest.raises(ConnectionRefusedError):
        connect(added["listen"])
    assert proxy.did("PATCH", "/proxies/second", {"enabled": True})["listen"] == added["listen"]
    with contextlib.closing(connect(added["listen"])) as peer:
        assert echo(peer, b"two") == b"two"
        assert proxy.did("DELETE", "/proxies/second") == {}
        assert is_ended(peer)
    assert proxy.call("GET", "/proxies/second")[0] == 404
    assert json.loads(ask(proxy.url, "/report").text)["connections"] == 2
    assert proxy.process.stop() == 0
    assert "second: listening on " in proxy.process.log


def test_a_new_target_is_for_new_connections(proxy: Commanded) -> None:
    with server_process() as other, contextlib.closing(proxy.process.connect()) as peer:
        assert echo(peer, b"one") == b"one"
        proxy.did("PATCH", "/proxies/proxy", {"target": f"127.0.0.1:{other.port}"})
        assert echo(peer, b"two") == b"two"
        with contextlib.closing(proxy.process.connect()) as second:
            assert echo(second, b"three") == b"three"
        assert other.stop() == 0
        assert other.reports[-1]["messages"] == 1


def test_a_reset_enables_all(proxy: Commanded) -> None:
    proxy.did("PATCH", "/proxies/proxy", {"enabled": False, "faults": [{"fault": "stall"}]})
    [shown] = proxy.did("POST", "/reset")["proxies"]
    assert (shown["enabled"], shown["faults"]) == (True, [])
    with contextlib.closing(proxy.process.connect()) as peer:
        assert echo(peer, b"one") == b"one"


def test_a_proxy_that_cannot_listen_any_more_stays_disabled(proxy: Commanded) -> None:
    proxy.did("PATCH", "/proxies/proxy", {"enabled": False})
    with socket.create_server(("127.0.0.1", proxy.process.port)):
        where = f"proxy: cannot listen on 127.0.0.1:{proxy.process.port}: "
        for method, path, body in (
            ("PATCH", "/proxies/proxy", {"enabled": True, "faults": [{"fault": "drop"}]}),
            ("POST", "/reset", None),
        ):
            status, words = proxy.refused(method, path, body)
            assert (status, words[: len(where)]) == (409, where)


# ---- what is wrong ----

FAULTS = "/proxies/proxy/faults"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", FAULTS, {}, 400, "a fault needs the key fault, one of slice, coalesce,"),
        ("POST", FAULTS, [], 400, "a fault is an object with name, fault, value,"),
        ("POST", FAULTS, {"fault": "corupt"}, 400, "there is no fault 'corupt'; did you mean corrupt?"),
        ("POST", FAULTS, {"fault": "delay"}, 400, "delay needs a value, as '5ms-20ms'"),
        ("POST", FAULTS, {"fault": "delay", "value": "5 parsecs"}, 400, "is not a duration; write 10"),
        ("POST", FAULTS, {"fault": "delay", "value": True}, 400, "value is a text or a number"),
        ("POST", FAULTS, {"fault": "drop", "value": 3}, 400, "drop has no value; leave it out"),
        ("POST", FAULTS, {"fault": "drop", "on_fram": 3}, 400, "no 'on_fram'; did you mean on_frame?"),
        ("POST", FAULTS, {"fault": "gap", "value": 1, "on_frame": 3}, 400, "gap has no on_frame; leave it"),
        ("POST", FAULTS, {"fault": "drop", "on_frame": 0}, 400, "on_frame: '0' is too few; at least 1"),
        ("POST", FAULTS, {"fault": "drop", "on_frame": 1, "on-frame": 1}, 400, "a key twice, with a hyphen"),
        ("POST", FAULTS, {"fault": "drop", "probability": 2}, 400, "write a number from 0 to 1"),
        ("POST", FAULTS, {"fault": "drop", "direction": "up"}, 400, "one of both, to-server, to-client"),
        ("POST", FAULTS, {"fault": "drop", "name": "a/b"}, 400, "write at most 64 letters, digits"),
        ("POST", "/proxies/other/faults", {"fault": "drop"}, 404, "no proxy 'other'; there are proxy"),
        ("PATCH", f"{FAULTS}/drop", {"on_frame": 3}, 404, "proxy has no fault 'drop'; there is none"),
        ("POST", "/proxies", {"name": "x"}, 400, "a proxy needs the key target"),
        ("POST", "/proxies", {"name": "x", "target": "nowhere"}, 400, "target: 'nowhere' is not an address"),
        ("POST", "/proxies", {"name": "x", "target": "127.0.0.1:0"}, 400, "is not an address to connect to"),
        ("POST", "/proxies", {"name": "proxy", "target": "127.0.0.1:1"}, 409, "a proxy proxy already"),
        ("POST", "/proxies", {"name": "x", "target": "a:1", "listen": "unix:/x"}, 400, "is not HOST:PORT"),
        ("POST", "/proxies", {"name": "x", "target": "a:1", "format": "u33"}, 400, "format: "),
        ("POST", "/proxies", {"name": "x", "target": "a:1", "seed": -1}, 400, "seed: '-1' is not a whole"),
        (
            *(
                "POST",
                "/proxies",
                {"name": "x", "target": "a:1", "faults": [{"fault": "gap", "value": 1}] * 2},
            ),
            *(400, "two faults are called gap"),
        ),
        (
            "PATCH",
            "/proxies/proxy",
            {"seed": 4},
            400,
            "seed stays; target, faults, enabled, max_connections, ",
        ),
        ("PATCH", "/proxies/proxy", {"enabled": 1}, 400, "enabled is true or false"),
        (
            *("PATCH", "/proxies/proxy", {"target": "127.0.0.1:9", "faults": [{"fault": "delay"}]}),
            *(400, "delay needs a value"),
        ),
        ("PATCH", "/proxies/proxy", {"max_connections": -1}, 400, "max_connections: '-1' is not a whole"),
        ("PATCH", "/proxies/proxy", {"when_full": "no"}, 400, "when_full is one of wait, reset"),
        ("PUT", "/proxies/proxy", {}, 405, "'/proxies/proxy' has GET, PATCH, DELETE, and no 'PUT'"),
        (
            *("POST", "/proxies", {"name": "x", "target": "127.0.0.1:9", "listen": "127.0.0.1:9"}),
            *(400, "target: 127.0.0.1:9 is where the proxy listens itself; give the server's"),
        ),
        ("PUT", "/proxies/%1b%5bm", {}, 405, r"'/proxies/\x1b[m' has GET"),
        (
            *("POST", "/proxies", {"name": "x", "target": "127.0.0.1\0.example:9"}),
            *(400, r"'127.0.0.1\x00.example:9' has no host"),
        ),
        ("POST", FAULTS, {"fault": "delay", "value": -1}, 400, "'-1' is not a duration"),
        ("POST", FAULTS, {"fault": "delay", "value": "5ms-"}, 400, "'5ms-' is not a duration"),
        ("POST", FAULTS, {"fault": "slice", "value": -1}, 400, "'-1' is not a size"),
        ("POST", FAULTS, {"fault": "delay", "value": float("nan")}, 400, "'nan' is not a duration"),
        (
            *(
                "PATCH",
                "/proxies/proxy",
                {"faults": [{"fault": "drop", "name": f"d{n}"} for n in range(101)]},
            ),
            *(400, "a proxy has at most 100 faults"),
        ),
        ("GET", "/proxies/proxy/toxics", None, 404, "there are /proxies and /reset"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_changes_nothing(
    shared_proxy: Commanded, method: str, path: str, body: object, status: int, words: str
) -> None:
    got, sentence = shared_proxy.refused(method, path, body)
    assert (got, words in sentence) == (status, True), sentence
    assert "\n" not in sentence


@pytest.fixture(scope="module")
def shared_proxy(server_port: int) -> Iterator[Commanded]:
    with proxy_process(server_port, "--port", "0", "--admin", "127.0.0.1:0") as process:
        yield Commanded(process, process.read_log_line().split(" admin on ")[1].strip())


def test_a_number_is_read_as_it_was_meant_however_json_writes_it(proxy: Commanded) -> None:
    assert proxy.did("POST", FAULTS, {"fault": "delay", "value": 0.00005})["value"] == "0.00005"
    assert proxy.did("POST", FAULTS, {"fault": "bandwidth", "value": 1e6})["value"] == "1000000"
    assert proxy.did("POST", FAULTS, {"fault": "drop", "on_frame": 3.0})["on_frame"] == 3


@pytest.mark.parametrize("line", ["OPTIONS *", "CONNECT 127.0.0.1:9", "GET proxies", "GET ?"])
def test_a_request_without_a_path_is_none_of_the_api(shared_proxy: Commanded, line: str) -> None:
    host, port = shared_proxy.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=GUARD_S) as peer:
        peer.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert peer.recv(100).startswith(b"HTTP/1.1 404 ")


def test_proxies_are_added_while_there_are_files_for_them_and_can_be_removed_then(server_port: int) -> None:
    options = ("--port", "0", "--admin", "127.0.0.1:0")
    with proxy_process(server_port, *options, limit_of_open_files=64) as process:
        proxy = Commanded(process, process.read_log_line().split(" admin on ")[1].strip())
        for number in range(64):
            status, done = proxy.call(
                "POST", "/proxies", {"name": f"p{number}", "target": f"127.0.0.1:{server_port}"}
            )
            if status != 201:
                break
        assert (status, "the limit of open files has no room for it" in done["error"]) == (409, True)
        shown = proxy.did("GET", "/proxies")["proxies"]
        assert [each["name"] for each in shown] == ["proxy", *(f"p{n}" for n in range(number))]
        with contextlib.closing(connect(shown[-1]["listen"])) as peer:
            assert echo(peer, b"one") == b"one"
        proxy.did("DELETE", "/proxies/p0")
        proxy.did("DELETE", "/proxies/p1")
        proxy.did("POST", "/proxies", {"name": "again", "target": f"127.0.0.1:{server_port}"})


def test_a_second_fault_of_one_stream_is_refused(proxy: Commanded) -> None:
    proxy.did("POST", FAULTS, {"name": "a", "fault": "delay", "value": "1ms", "direction": "to-client"})
    other = {"name": "b", "fault": "delay", "value": "2ms"}
    assert proxy.refused("POST", FAULTS, other) == (
        400,
        "a is a delay to-client already; change it, or remove it",
    )
    assert proxy.refused("POST", FAULTS, {**other, "name": "a"})[0] == 409
    proxy.did("POST", FAULTS, {**other, "direction": "to-server"})
    for changes in ({"direction": "to-client"}, {"fault": "gap"}, {"name": "c"}, {"value": "late"}):
        assert proxy.refused("PATCH", f"{FAULTS}/b", changes)[0] == 400


def raw(url: str, method: str, path: str, body: bytes | None, **headers: str) -> Answer:
    return ask(url, path, method, body, **headers)


def test_a_page_of_a_browser_cannot_command(shared_proxy: Commanded) -> None:
    url, body = shared_proxy.url, b'{"enabled": false}'
    plain = {"content-type": "text/plain"}
    assert raw(url, "POST", "/reset", None).status == 415
    assert raw(url, "PATCH", "/proxies/proxy", body, **plain).status == 415
    origin = {**JSON, "origin": "http://127.0.0.1"}
    for method, path in (("PATCH", "/proxies/proxy"), ("DELETE", "/proxies/proxy"), ("POST", "/reset")):
        assert raw(url, method, path, body, **origin).status == 403
    assert shared_proxy.did("GET", "/proxies/proxy")["enabled"]


def test_a_body_that_is_none(shared_proxy: Commanded) -> None:
    assert raw(shared_proxy.url, "POST", FAULTS, b"{", **JSON).status == 400
    assert raw(shared_proxy.url, "POST", FAULTS, b"[" * 60_000, **JSON).status == 400
    assert raw(shared_proxy.url, "POST", FAULTS, b" " * (1 << 16), **JSON).status == 400
    assert raw(shared_proxy.url, "POST", FAULTS, b" " * ((1 << 16) + 1), **JSON).status == 413
    assert shared_proxy.did("GET", FAULTS) == {"faults": []}


def test_without_commands_there_are_only_pages(server_port: int) -> None:
    with server_process("--admin", "127.0.0.1:0") as server:
        url = server.read_log_line().split(" admin on ")[1].strip()
        assert ask(url, "/proxies").status == 404
        assert ask(url, "/metrics", "POST").status == 405


# ---- a file of proxies ----

FILE = """\
[[proxy]]
name = "orders"
target = "127.0.0.1:{port}"
faults = [{{ fault = "corrupt", on-frame = 2, direction = "to-client" }}]

[[proxy]]
name = "stock"
target = "127.0.0.1:{port}"
listen = "127.0.0.1:0"
seed = 5

[[proxy]]
name = "later"
target = "127.0.0.1:{port}"
enabled = false
"""


def test_a_file_has_several_proxies(tmp_path: Path, server_port: int) -> None:
    path = tmp_path / "proxies.toml"
    path.write_text(FILE.format(port=server_port))
    with proxy_process(None, "--proxies", str(path), "--record-dir", str(tmp_path / "kept")) as process:
        lines = [process.first_line, process.read_log_line()]
        orders, stock = (line.strip().rpartition(" ")[2] for line in lines)
        assert "orders: listening on 127.0.0.1:" in lines[0]
        assert "stock: listening on 127.0.0.1:" in lines[1]
        with contextlib.closing(connect(orders)) as peer:
            assert echo(peer, b"one") == b"one"
            assert echo(peer, b"two") != b"two"
        with contextlib.closing(connect(stock)) as peer:
            assert echo(peer, b"one") == b"one"
            assert echo(peer, b"two") == b"two"
        assert process.stop() == 0
        assert "orders: connection 1, to-client: frame 2 is corrupted" in process.log
        first, second, third, total = process.output.splitlines()
        assert first.startswith("final: orders: connections: 1 ")
        assert second.startswith("final: stock: connections: 1 ")
        assert third.startswith("final: later: connections: 0 ")
        assert total.startswith("final: connections: 2 ")
    assert (tmp_path / "kept" / "stock" / "1-to-server.frames").read_bytes() == frame(b"one") + frame(b"two")


def test_proxies_can_be_added_to_none(server_port: int) -> None:
    words = [sys.executable, "-m", "trioecho", "proxy", "--admin", "127.0.0.1:0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().split(" admin on ")[1].strip()
            body = json.dumps({"name": "a", "target": f"127.0.0.1:{server_port}"}).encode()
            listen = json.loads(ask(url, "/proxies", "POST", body, **JSON).text)["listen"]
            with contextlib.closing(connect(listen)) as peer:
                assert echo(peer, b"one") == b"one"
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read "),
        ("[[proxy", "is no TOML"),
        ("", "has no proxy; write each below [[proxy]]"),
        ("[proxy]\nname = 'a'", "has no proxy; write each below [[proxy]]"),
        ("[[proxies]]\nname = 'a'", "'proxies' is not known; write tables [[proxy]]"),
        ("[[proxy]]\nname = 'a'", "proxy 1: a proxy needs the key target"),
        ("[[proxy]]\nname = 'a'\ntarget = 'b:1'\n" * 2, "two proxies are called a; rename one"),
        ("[[proxy]]\nname = 'a'\ntarget = 'b:1'\nfaults = [{fault = 'dorp'}]", "did you mean drop?"),
        ("[[proxy]]\nname = 'a'\ntarget = 'b:1'\ncorrupt = true", "a proxy has no 'corrupt'; there are name"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "proxies.toml"
    if text is not None:
        path.write_text(text)
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "where is the server? Give HOST:PORT, or --proxies FILE"),
        (("127.0.0.1:1", "--proxies", "x.toml"), "x.toml has the targets; leave out HOST:PORT"),
        (("--proxies", "x.toml", "--corrupt"), "--corrupt is for one proxy; with --proxies, write it in"),
        (("--proxies", "x.toml", "--port", "1"), "--port is for one proxy; with --proxies, write it in"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], words: str) -> None:
    done = run_in_process("proxy", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_a_file_of_which_one_proxy_cannot_listen_starts_none(tmp_path: Path, server_port: int) -> None:
    path = tmp_path / "proxies.toml"
    more = f'[[proxy]]\nname = "taken"\ntarget = "b:1"\nlisten = "127.0.0.1:{server_port}"\n'
    path.write_text(FILE.format(port=server_port) + more)
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"{path}: taken: cannot listen on 127.0.0.1:{server_port}: " in done.stderr


def test_a_connection_that_has_been_open_for_longer_is_reset_at_once(proxy: Commanded) -> None:
    with contextlib.closing(proxy.process.connect()) as peer:
        assert echo(peer, b"one") == b"one"
        proxy.did("POST", FAULTS, {"fault": "reset-after-time", "value": "1h"})
        assert echo(peer, b"two") == b"two"
        proxy.did("PATCH", f"{FAULTS}/reset-after-time", {"value": "1us"})
        assert is_ended(peer)
    assert proxy.did("GET", "/proxies/proxy")["counters"]["faults"] == {"reset": 1}


def test_limits_of_connections_are_read_and_changed_while_clients_are_connected(proxy: Commanded) -> None:
    with contextlib.closing(proxy.process.connect()) as first:
        assert echo(first, b"one") == b"one"
        changed = proxy.did("PATCH", "/proxies/proxy", {"max_connections": 1, "when-full": "reset"})
        assert (changed["max_connections"], changed["when_full"], changed["total_connections"]) == (
            1,
            "reset",
            0,
        )
        with contextlib.suppress(ConnectionResetError):  # it may still connect then
            with contextlib.closing(proxy.process.connect()) as second:
                assert is_ended(second)
        assert echo(first, b"two") == b"two"
        assert proxy.did("GET", "/proxies/proxy")["counters"]["rejected"] == 1
        proxy.did("PATCH", "/proxies/proxy", {"max_connections": 0})
        with contextlib.closing(proxy.process.connect()) as third:
            assert echo(third, b"three") == b"three"
