"""The service that a locustfile names, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import trioecho.locust
from trioecho.locust.service_address import ServiceAddress, parse_service


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:26066", ServiceAddress("127.0.0.1", 26066)),
        ("tcp://example.org:7", ServiceAddress("example.org", 7)),
        ("tcp://example.org:7/", ServiceAddress("example.org", 7)),
        ("tls://[::1]:7", ServiceAddress("::1", 7, is_tls=True)),
        ("unix:/run/echo.sock", ServiceAddress("unix:/run/echo.sock", 0)),
    ],
)
def test_a_service_is_read(text: str, target: ServiceAddress) -> None:
    assert parse_service(text) == target


@pytest.mark.parametrize(
    "text", ["http://example.org:7", "example.org", "::1:7", "h:0", "h:70000", ":7", "tcp://", "h:7/path"]
)
def test_what_is_no_service_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is no service of frames: write HOST:PORT"):
        parse_service(text)


@pytest.mark.parametrize("text", [None, ""])
def test_no_service_is_refused(text: str | None) -> None:
    with pytest.raises(ValueError, match="no service is named: give Locust --host"):
        parse_service(text)


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="unix:"):
        parse_service("unix:")


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", trioecho.locust.__all__)
def test_nothing_here_imports_trio(name: str) -> None:
    done = run_python(f"from trioecho.locust import {name}; import sys; print('trio' in sys.modules)")
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


def test_without_locust_one_line_says_what_to_install() -> None:
    done = run_python("import sys; sys.modules['locust'] = None\nfrom trioecho.locust import FramedUser")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: trioecho.locust needs locust, which is not installed: pip install 'trioecho[locust]'"
    )


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'FramedUsr'"):
        trioecho.locust.FramedUsr  # type: ignore[attr-defined]  # noqa: B018 - that is the test
    assert set(trioecho.locust.__all__) <= set(dir(trioecho.locust))
