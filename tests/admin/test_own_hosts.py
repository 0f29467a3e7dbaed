"""A page of another site, whose name has the address of this machine meanwhile, reads nothing."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from tests.support.http import ask
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import ProxyProcess, proxy_process
from tests.support.sockets import receive_all
from trioecho.admin.own_hosts import OwnHosts, is_loopback
from trioecho.testing import ProxyClient, ProxyCommandError

JSON = {"content-type": "application/json"}


def hosts(*names: str) -> OwnHosts:
    return OwnHosts(None, is_local=True, names=names)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:26068",
        "localhost.",
        "board.localhost:80",
        "127.0.0.1",
        "127.0.0.1:26068",
        "127.9.9.9",
        "192.168.1.7:80",
        "[::1]",
        "[::1]:26068",
        "[fe80::1%25eth0]:80",
        "",
        "echo.example",
        "ECHO.example.:443",
    ],
)
def test_a_request_is_for_an_address_localhost_or_a_name_that_was_given(host: str) -> None:
    assert hosts("Echo.example").is_own(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:26068",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
        "a.echo.example",
        "echo.example.evil",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80:80",
        "localhost, evil.example",
        "localhost evil.example",
        "[evil.example]",
        "[127.0.0.1]",
        "::1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127.0.0.1/evil",
        "local\xadhost",
        "..",
    ],
)
def test_a_request_is_not_for_another_name(host: str) -> None:
    assert not hosts("echo.example").is_own(host)


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        (("127.0.0.1", 80), True),
        (("127.9.9.9", 80), True),
        (("::1", 80, 0, 0), True),
        (("::ffff:127.0.0.1", 80, 0, 0), True),
        (("0.0.0.0", 80), False),  # noqa: S104 - nothing binds it
        (("::", 80, 0, 0), False),
        (("192.168.1.7", 80), False),
        (("fe80::1%lo", 80, 0, 1), False),
        ("/run/admin", False),
        (b"\0admin", False),
    ],
)
def test_a_listener_is_of_this_machine_alone(address: object, is_local: bool) -> None:
    assert is_loopback(address) == is_local


# ---- as a stranger meets it ----


def admin_of(process: ProxyProcess) -> str:
    return process.read_log_line().split(" admin on ")[1].strip()


def test_no_page_of_another_site_reads_or_changes_proxies() -> None:
    with proxy_process("127.0.0.1:1", "--admin", "127.0.0.1:0") as process:
        url = admin_of(process)
        body = json.dumps({"name": "one", "target": "127.0.0.1:9"}).encode()
        for method, path in (("GET", "/proxies"), ("POST", "/proxies"), ("GET", "/metrics"), ("GET", "/x")):
            refused = ask(url, path, method, body, host="evil.example", **JSON)
            assert refused.status == 421
            assert "'evil.example' is none of its names" in refused.text
            assert "--admin-host NAME" in refused.text
            assert "target" not in refused.text
        assert len(json.loads(ask(url, "/proxies").text)["proxies"]) == 1
        assert ask(url, "/proxies", host="localhost").status == 200


def test_a_host_that_is_given_is_served_and_others_are_not() -> None:
    given = ("--admin-host", "echo.example", "--admin-host", "board.example")
    with server_process("--admin", "127.0.0.1:0", *given) as server:
        url = server.read_log_line().split(" admin on ")[1].strip()
        for host, status in (("echo.example", 200), ("BOARD.example:443", 200), ("evil.example", 421)):
            assert ask(url, "/livez", host=host).status == status


def test_what_other_machines_reach_is_asked_by_any_name() -> None:
    with server_process("--admin", "0.0.0.0:0") as server:
        port = server.read_log_line().strip().rpartition(":")[2]
        assert ask(f"http://127.0.0.1:{port}", "/metrics", host="echo.example:9100").status == 200


def test_a_unix_socket_is_asked_by_any_name(tmp_path: Path) -> None:
    path = tmp_path / "admin"
    with server_process("--admin", f"unix:{path}") as server:
        server.read_log_line()
        assert ask(f"unix:{path}", "/livez", host="echo.example").status == 200


def test_a_client_of_http_1_0_needs_no_host() -> None:
    with proxy_process("127.0.0.1:1", "--admin", "127.0.0.1:0") as process:
        host, _, port = admin_of(process).removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), GUARD_S) as peer:
            peer.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert receive_all(peer).startswith(b"HTTP/1.1 200")


def test_who_commands_proxies_by_another_name_reads_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxy_process("127.0.0.1:1", "--admin", "127.0.0.1:0") as process:
        port = admin_of(process).rpartition(":")[2]
        resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: resolve("127.0.0.1", *more))
        with pytest.raises(ProxyCommandError, match="start it with --admin-host NAME") as refused:
            ProxyClient(f"echo.example:{port}").proxies()
        assert refused.value.status == 421


def test_a_host_without_an_address_is_refused() -> None:
    done = run_in_process("proxy", "127.0.0.1:1", "--admin-host", "echo.example")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--admin-host is for --admin: give that, too, or leave it out" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("options", [["--http2"], ["--request-target", "http://localhost/livez"], ["-0"]])
def test_curl_is_served(options: list[str]) -> None:
    with proxy_process("127.0.0.1:1", "--admin", "127.0.0.1:0") as process:
        command = ["curl", "-sS", "--noproxy", "*", "-w", "%{http_code} %{http_version}", *options]
        done = subprocess.run(
            [*command, f"{admin_of(process)}/livez"],
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )
    assert (done.stderr, done.stdout) == ("", "alive\n200 1.1")


async def test_a_target_in_absolute_form_decides_which_host_is_meant() -> None:
    asked: list[tuple[str, list[tuple[bytes, bytes]]]] = []

    async def application(scope: dict[str, object], receive: object, send: object) -> None:
        asked.append((str(scope["path"]), scope["headers"]))  # type: ignore[arg-type]

    async def send(event: dict[str, object]) -> None:
        asked.append((str(event.get("status", "")), []))

    async def receive() -> object:
        await trio.sleep_forever()

    with guarded():
        served = OwnHosts(application, is_local=True)
        for target in (b"http://localhost/a%20b", b"http://evil.example/a"):
            scope = {
                "type": "http",
                "scheme": "http",
                "raw_path": target,
                "path": target.decode(),
                "headers": [(b"Host", b"evil.example"), (b"accept", b"*/*")],
            }
            await served(scope, receive, send)
    assert asked == [
        ("/a b", [(b"host", b"localhost"), (b"accept", b"*/*")]),
        ("421", []),
        ("", []),
    ]


@pytest.mark.parametrize("host", ["board.example:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_host_with_a_port_is_refused_with_what_to_do(host: str) -> None:
    done = run_in_process("serve", "--admin", "127.0.0.1:0", "--admin-host", host)
    assert done.returncode == 2
    assert f"{host!r} is a host with a port; leave the port out, any is served" in done.stderr
