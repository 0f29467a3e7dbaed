"""``trioecho load --tls``: exact counts in every mode, handshakes in every report, failures in one line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, server_process
from tests.support.tls import Files, write_files
from trioecho.load.results.result_json import result_as_json
from trioecho.load.results.result_reader import result_from_json

NO_TRUST = "give the certificate of its CA with --cacert FILE, or trust any with --insecure"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def server(files: Files) -> Iterator[ServerProcess]:
    with server_process(*files.options) as process:
        yield process


def load(server: ServerProcess, files: Files, *options: str) -> dict[str, Any]:
    """Run a load that has to succeed; its JSON."""
    file = files.folder / "load.json"
    file.unlink(missing_ok=True)
    done = run_in_process(
        "load",
        f"localhost:{server.port}",
        "--tls",
        "--cacert",
        files.client_ca,
        "--saturation",
        "warn",
        "--json",
        str(file),
        *options,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(file.read_text())
    return result


@pytest.mark.parametrize(
    ("options", "messages", "handshakes"),
    [
        (["-n", "20"], 100, 5),
        (["-n", "40", "--pipeline", "7", "--size", "0-100KiB"], 200, 5),
        (["-n", "20", "--rate", "1000"], 100, 5),
        (["-n", "20", "--per-connection", "5"], 100, 20),
        (["-n", "20", "--workers", "2"], 100, 5),
        (["-n", "20", "--think", "1ms", "--reconnect"], 100, 5),
    ],
    ids=["closed", "large", "open", "renewed", "workers", "think"],
)
def test_all_messages_come_back_right_in_every_mode(
    options: list[str], messages: int, handshakes: int, server: ServerProcess, files: Files
) -> None:
    result = load(server, files, *options)
    assert (result["messages_sent"], result["messages"], result["errors"]) == (messages, messages, {})
    tls = result["tls"]
    assert (tls["handshakes"], tls["resumed"]) == (handshakes, 0)
    assert [each["version"] for each in tls["agreements"]] == ["TLSv1.3"]
    assert tls["handshake_ms"]["max"] > 0


def test_sessions_are_resumed_and_their_share_is_in_every_report(server: ServerProcess, files: Files) -> None:
    reports = [files.folder / f"load.{kind}" for kind in ("csv", "html")]
    options = [word for file in reports for word in (f"--{file.suffix[1:]}", str(file))]
    result = load(server, files, "-c", "1", "-n", "20", "--per-connection", "5", "--tls-resume", *options)
    assert (result["tls"]["handshakes"], result["tls"]["resumed"]) == (4, 3)
    assert result["plan"]["tls"]["resume"] is True
    row = next(csv.DictReader(io.StringIO(reports[0].read_text())))
    assert (row["handshakes"], row["handshakes_resumed"]) == ("4", "3")
    assert float(row["handshake_p50_ms"]) > 0
    assert "3 of 4 resumed (75 %); TLSv1.3, " in reports[1].read_text()
    shown = run_in_process("report", "merge", str(files.folder / "load.json"))
    assert "tls        4 handshakes, ms: p50 " in shown.stdout


def test_a_load_that_ends_in_time_cuts_no_handshake(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    # On a busy machine those under way take longer than a second.
    monkeypatch.setattr("trioecho.load.engine.renewals._LEAVE_NS", round(GUARD_S * 1e9))
    with server_process(*files.options) as server:
        options = ("--per-connection", "1", "--tls-resume", "-c", "30", "--duration", "0.3s")
        result = load(server, files, *options)
        assert result["errors"] == {}
        assert server.stop() == 0
    assert "warning" not in server.log


def test_a_result_is_read_back_as_it_was(server: ServerProcess, files: Files) -> None:
    load(server, files, "-n", "5", "--alpn", "echo/1")
    text = (files.folder / "load.json").read_text()
    result = result_from_json(text)
    assert result.plan.tls is not None
    assert result.plan.tls.alpn == ("echo/1",)
    assert json.loads(result_as_json(result)) == json.loads(text)
    document = json.loads(text)
    document["tls"]["resumed"] = 6
    with pytest.raises(ValueError, match=r"tls.*not those of the handshakes"):
        result_from_json(json.dumps(document))


def test_a_first_message_goes_before_all_others(server: ServerProcess, files: Files, tmp_path: Path) -> None:
    login = tmp_path / "login.jsonl"
    login.write_text('{"text": "hello", "reply": "hello"}\n')
    options = ["--first-message", str(login), "--per-connection", "4"]
    result = load(server, files, "-c", "2", "-n", "8", *options)
    assert (result["messages"], result["errors"]) == (16, {})


def test_what_is_not_trusted_is_one_line(server: ServerProcess, files: Files) -> None:
    address = f"localhost:{server.port}"
    done = run_in_process("load", address, "--tls")
    assert done.returncode == 3
    begin = f"trioecho load: cannot connect to {address}: the peer's certificate is "
    assert done.stderr.startswith(f"{begin}not trusted: ")
    assert done.stderr.endswith(f"; {NO_TRUST}\n")
    assert done.stderr.count("\n") == 1
    done = run_in_process(
        "load", address, "--tls", "--cacert", files.client_ca, "--servername", "example.org"
    )
    assert done.stderr.startswith(f"{begin}for another name: ")
    done = run_in_process("load", address)
    assert done.returncode == 3
    assert done.stderr == f"trioecho load: {address} is a TLS server: give --tls\n"


def test_a_server_without_tls_is_named(files: Files) -> None:
    with server_process() as plain:
        done = run_in_process("load", f"127.0.0.1:{plain.port}", "--tls", "-k")
    assert done.returncode == 3
    assert done.stderr.startswith(f"trioecho load: cannot connect to 127.0.0.1:{plain.port}: ")
    assert done.stderr.endswith("; without --tls, frames are sent plain\n")


def test_a_server_that_demands_a_certificate_says_so(files: Files) -> None:
    with server_process(*files.options, "--client-ca", files.client_ca) as strict:
        address = f"localhost:{strict.port}"
        command = ["load", address, "--tls", "--cacert", files.client_ca, "-n", "5"]
        done = run_in_process(*command)
        assert done.returncode == 3
        assert done.stderr == (
            f"trioecho load: {address} demands a certificate of its clients; give one with --certfile FILE, "
            "and its key with --keyfile FILE\n"
        )
        own = ["--certfile", files.client_certfile, "--saturation", "warn", "-q"]
        assert run_in_process(*command, *own).returncode == 0


def test_options_that_cannot_be_used_are_one_line(files: Files) -> None:
    for options, words in (
        (["--tls-resume"], "--tls-resume is for TLS: give --tls, too, or leave it out"),
        (["--tls", "--cacert", ""], "--cacert is a file, and not empty"),
        (["--tls", "--servername", ".x"], "--servername '.x' is not the name of a host"),
        (
            ["--tls", "--cacert", "missing.pem"],
            "cannot read missing.pem, the certificates of the server's CA: No such file or directory",
        ),
    ):
        done = run_in_process("load", "localhost:1", *options)
        assert done.returncode == 2
        assert done.stderr == f"trioecho load: {words}\n"
