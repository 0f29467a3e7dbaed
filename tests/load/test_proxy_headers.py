"""``trioecho load --proxy-protocol``: every connection begins with a header of its own addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, run_command, server_process
from tests.support.tls import Files, write_files
from trioecho.load import LoadPlan, ServiceTraits

# It fails for a connection whose header says something else.
SERVICE = """\
from trioecho import ConnectionInfo

def serve(connection: ConnectionInfo):
    assert connection.address == connection.proxy_address
    return lambda message: message
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    (folder / "own.py").write_text(SERVICE)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with server_process(f"{folder}/own.py:serve", "--proxy-protocol", "auto") as process:
        yield process


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("options", "renewed"),
    [(["-n", "20"], 0), (["-n", "20", "--per-connection", "5"], 15), (["-n", "20", "--workers", "2"], 0)],
    ids=["closed", "renewed", "workers"],
)
def test_every_connection_begins_with_its_header(
    version: str, options: list[str], renewed: int, server: ServerProcess, folder: Path
) -> None:
    file = folder / "load.json"
    done = run_in_process(
        "load",
        f"127.0.0.1:{server.port}",
        "--proxy-protocol",
        version,
        "--saturation",
        "warn",
        "--json",
        str(file),
        *options,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"PROXY headers {version}" in " ".join(done.stdout.split())
    result = json.loads(file.read_text())
    assert (result["messages"], result["errors"], result["churn"]["renewed"]) == (100, {}, renewed)
    assert LoadPlan.from_dict(result["plan"]).service == ServiceTraits(
        proxy_headers="v1" if version == "v1" else "v2"
    )


def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    files: Files = write_files(tmp_path)
    with server_process(*files.options, "--proxy-protocol", "v2") as server:
        done = run_in_process(
            "load",
            f"localhost:{server.port}",
            "--tls",
            "--cacert",
            files.client_ca,
            "--proxy-protocol",
            "v2",
            "--per-connection",
            "10",
            "-n",
            "20",
            "--saturation",
            "warn",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert server.stop() == 0
    assert (server.reports[-1]["messages_total"], server.reports[-1]["errors"]) == (100, {})


def test_over_a_unix_socket_the_header_says_that_the_connection_is_its_own(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/s"
    with server_process("--proxy-protocol", "auto", listen=[path]) as server:
        for version in ("v1", "v2"):
            done = run_command("load", path, "--proxy-protocol", version, "-n", "10", "--saturation", "warn")
            assert (done.returncode, done.stderr) == (0, "")
        assert server.stop() == 0
    assert (server.reports[-1]["messages_total"], server.reports[-1]["errors"]) == (100, {})


def test_a_server_that_expects_no_header() -> None:
    with server_process() as server:
        done = run_command("load", f"127.0.0.1:{server.port}", "--proxy-protocol", "v2")
        assert done.returncode == 3
        assert server.stop() == 0
    assert "begin a PROXY protocol header" in server.log
