"""`FramedUser` in real processes of Locust: a headless master and two workers, against real servers."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.locusts import locust_master, run_locust
from tests.support.processes import server_process
from tests.support.tls import write_files

PAGE = (ROOT / "trioecho" / "guide" / "locust.md").read_text()
[SAMPLE] = re.findall(r"^```python\n((?:(?!```).)*?FramedUser.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

# The users do so many tasks, and then nothing. When the master knows of all, the test is over: Locust itself
# does not wait for reports that are late.
BOUNDED = """
import gevent
from locust import events

class Bounded(Caller):
    tasks_done = 0

    def wait_time(self):
        self.tasks_done += 1
        return 0.001 if self.tasks_done < {tasks} else 3600

@events.init.add_listener
def watch(environment, **others):
    def look(**others):
        if environment.stats.total.{counted} >= {most}:
            gevent.spawn(environment.runner.quit)
    environment.events.worker_report.add_listener(look)
"""
USERS, TASKS = 4, 50
RUN = ("-u", str(USERS), "-r", str(USERS))


def bounded(sample: str, *, requests_per_task: int = 1) -> str:
    most = USERS * TASKS * requests_per_task
    return sample + BOUNDED.format(tasks=TASKS, counted="num_requests", most=most)


def test_the_sample_of_the_page_counts_what_the_server_counts(tmp_path: Path) -> None:
    with server_process() as server:
        sample = SAMPLE.replace("26066", str(server.port))
        with locust_master(tmp_path, bounded(sample), *RUN, users="Bounded") as locust:
            exit_code = locust.wait()
        assert server.stop() == 0
    stats = locust.stats
    counted = {name: entry["num_requests"] for (_, name), entry in stats.items()}
    assert set(stats) == {("FRAME", "hello"), ("FRAME", "count")}, locust.log
    assert sum(counted.values()) == server.reports[-1]["messages_total"] == USERS * TASKS
    assert not any(entry["num_failures"] for entry in stats.values())
    assert stats["FRAME", "hello"]["total_content_length"] == 5 * counted["hello"]
    assert (exit_code, locust.failures) == (0, {})
    assert "Traceback" not in locust.log


EVERYTHING = """
from locust import constant, task
from trioecho.locust import FramedUser

class Caller(FramedUser):
    format = "u16le"
    cacert = "ca.pem"
    servername = "localhost"

    @task
    def ask(self):
        self.client.send(b"one", name="tell")
        with self.client.request(b"two", name="ask", catch_response=True) as reply:
            assert reply.payload == b"two", "the reply of an earlier one"
        self.client.receive(name="more", check=lambda payload: payload == b"two")

    def on_stop(self):
        self.client.request(b"bye", name="bye")
"""


@pytest.mark.slow
def test_other_formats_tls_one_way_messages_and_failures(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    with server_process("--format", "u16le", *files.options) as server:
        host = ("--host", f"tls://127.0.0.1:{server.port}")
        sample = bounded(EVERYTHING, requests_per_task=3)
        with locust_master(tmp_path, sample, *RUN, *host, users="Bounded") as locust:
            assert locust.wait() == 1  # Locust's, for failures
        assert server.stop() == 0
    stats = locust.stats
    for kind, name in (("SEND", "tell"), ("FRAME", "ask"), ("RECEIVE", "more")):
        assert stats[kind, name]["num_requests"] == USERS * TASKS, locust.log
    assert stats["RECEIVE", "more"]["num_failures"] == 0
    assert locust.failures == {"FRAME ask: CheckFailedError: the reply of an earlier one": USERS * TASKS}
    # A user's own `on_stop` still has its connection.
    assert server.reports[-1]["messages_total"] == USERS * TASKS * 2 + USERS
    assert server.reports[-1]["errors"] == {}


@pytest.mark.slow
def test_a_server_that_dies_is_shown_as_failures(tmp_path: Path) -> None:
    with server_process() as server:
        sample = SAMPLE.replace("26066", str(server.port))
        sample += BOUNDED.format(tasks=1 << 30, counted="num_failures", most=20)
        with locust_master(tmp_path, sample, *RUN, users="Bounded", workers=1) as locust:
            locust.read_until("All users spawned")
            server.send_signal(signal.SIGKILL)
            assert locust.wait() == 1
    assert "Traceback" not in locust.log
    refused = "NotConnectedError: connection refused: does the server run, and on this port?"
    assert {failure for failure in locust.failures if refused in failure} == {
        f"FRAME hello: {refused}",
        f"FRAME count: {refused}",
    }, locust.log
    failed = sum(entry["num_failures"] for entry in locust.stats.values())
    assert sum(locust.failures.values()) == failed >= 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ('host = "127.0.0.1:26066"', "Caller: no service is named: give Locust --host"),
        ('format = "u17"', "Caller: 'u17'"),
        ('cacert = "none.pem"', "Caller: cannot read none.pem"),
    ],
)
def test_settings_that_cannot_be_end_the_test_with_one_line(tmp_path: Path, change: str, line: str) -> None:
    place = 'host = "127.0.0.1:26066"'
    sample = SAMPLE.replace(place, "" if change == place else f"{place}\n    {change}")
    done = run_locust(tmp_path, sample, "--headless", *RUN)
    assert done.returncode == 2
    [said] = [each for each in done.stdout.splitlines() if "ERROR" in each]
    assert line in said
    assert "Traceback" not in done.stdout
