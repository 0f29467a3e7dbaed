"""A real Prometheus with the sample configuration of the package, and promtool."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .balancers import sample, wait_until
from .guard import GUARD_S
from .programs import needs_program

SAMPLE_TARGET = "127.0.0.1:26068"


class Prometheus:
    """A server that scrapes."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **query: str) -> Any:
        """What its HTTP API has as the data of a reply; an error has its words."""
        words = urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{words}", timeout=GUARD_S) as reply:  # noqa: S310 - it is HTTP
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float | None:
        """Of an expression with one sample; None while it has none."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def wait_for(self, expression: str, value: float) -> None:
        wait_until(lambda: self.value(expression) == value, f"{expression} is not {value}")


@contextlib.contextmanager
def prometheus(folder: Path, targets: Sequence[str], interval: str = "1s") -> Iterator[Prometheus]:
    """The sample configuration with other targets and another interval, on any free port."""
    program = needs_program("prometheus")
    configuration = sample("prometheus.yml")
    assert f'["{SAMPLE_TARGET}"]' in configuration
    configuration = configuration.replace(f'["{SAMPLE_TARGET}"]', json.dumps(list(targets))).replace(
        "15s", interval
    )
    (folder / "prometheus.yml").write_text(configuration)
    (folder / "alerts.yml").write_text(sample("alerts.yml"))
    with subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            log = ""
            while "Server is ready to receive web requests" not in log:
                line = process.stderr.readline()
                assert line, log
                log += line
            [address] = re.findall(r'msg="Listening on" address=(\S+)', log)
            yield Prometheus(f"http://{address}")
        finally:
            process.kill()


def promtool(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """What promtool says."""
    return subprocess.run(
        [needs_program("promtool"), *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
