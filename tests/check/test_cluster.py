"""A class on a cluster, with processes in this one in the place of Dask's workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import trio

from tests.support.check_results import good_suite
from tests.support.clusters import FakeBridge, fake_cluster
from tests.support.guard import guarded
from trioecho.base.heartbeats import HEARTBEAT
from trioecho.check.output import Tested, Untested
from trioecho.check.runner.suite import Settings, Target
from trioecho.check.verdict import CheckMachine, SuiteResult, Verdict
from trioecho.cli import check_cluster
from trioecho.cli.check_cluster import ClusterCheck, check_purpose
from trioecho.cli.check_messages import (
    INTERRUPT,
    CaseBegan,
    CaseEnded,
    Job,
    decode_check_message,
    encode_check_message,
)
from trioecho.cluster.cluster import Cluster
from trioecho.cluster.identity import schema_by
from trioecho.cluster.messages import EngineEnded
from trioecho.connection.json_frames import JsonChannel


class Suite:
    """In the place of the suite: passes every case, when it may."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.running: list[str] = []
        self.most_running = 0
        self.before: Callable[[Job, JsonChannel], Awaitable[object]] = self.nothing

    async def nothing(self, job: Job, channel: JsonChannel) -> None:
        await trio.lowlevel.checkpoint()

    async def __call__(self, channel: JsonChannel) -> None:
        await channel.send(HEARTBEAT)
        job = decode_check_message(await channel.receive())
        assert isinstance(job, Job)
        self.jobs.append(job)
        self.running.append(job.target.name)
        self.most_running = max(self.most_running, len(self.running))
        await channel.send(encode_check_message(CaseBegan("1.2")))
        try:
            await self.before(job, channel)
        finally:
            self.running.remove(job.target.name)
        await channel.send(encode_check_message(CaseEnded("1.2", Verdict.PASS, 1, 1)))
        await channel.send(encode_check_message(replace(good_suite(), target=job.target.name)))


def jobs_for(names: Sequence[str]) -> list[Job]:
    settings = Settings(command=("x", "{port}"), directory="/there")
    return [Job(Target(name), settings, ("1.2",), 1, 60.0, {"A": "B"}) for name in names]


class Checking:
    """A class that is checked on a cluster, and what came of each."""

    def __init__(self, cluster: Cluster, names: str, side_by_side: int | None = None) -> None:
        self.interrupt = trio.Event()
        self.outcomes: dict[int, Tested] = {}
        self.check = ClusterCheck(
            cluster,
            jobs_for(names),
            [(f"/there/{name}",) for name in names],
            self.outcomes.__setitem__,
            side_by_side=side_by_side,
            time_limit_s=lambda at_a_time, processors: 10.0 * at_a_time + processors,
            interrupt=self.interrupt,
            prog="check",
        )

    async def run(self) -> list[Tested]:
        with guarded():
            await self.check.run()
        return [self.outcomes[number] for number in sorted(self.outcomes)]


async def test_each_worker_checks_one_at_a_time_and_verdicts_name_it() -> None:
    suite = Suite()
    async with fake_cluster(3, engine=suite, processors=2) as (cluster, bridge):
        outcomes = await Checking(cluster, "abcdefg").run()
        await bridge.until_ended(7)
    assert [outcome.target for outcome in outcomes] == list("abcdefg")
    assert {outcome.machine for outcome in outcomes} <= {
        *(CheckMachine("w0", "host0"), CheckMachine("w1", "host0"), CheckMachine("w2", "host1"))
    }
    assert suite.most_running <= 3
    assert {start.name for start in bridge.started} == set("abcdefg")
    first = next(job for job in suite.jobs if job.target.name == "a")
    assert first.environment is None
    assert first.elsewhere is not None
    assert first.elsewhere.files == ("/there/a",)
    assert (first.settings.directory, first.settings.memory_bound) == ("/there", None)
    assert {job.time_limit_s for job in suite.jobs} <= {
        22.0,
        12.0,
    }  # two at a time on one host, one on the other


@pytest.mark.parametrize(("side_by_side", "processors"), [(None, 1), (1, 8)])
async def test_a_machine_checks_no_more_at_a_time_than_on_its_own(
    side_by_side: int | None, processors: int
) -> None:
    suite = Suite()
    async with fake_cluster(2, engine=suite, processors=processors) as (cluster, _):
        outcomes = await Checking(cluster, "abcd", side_by_side).run()
    assert len(outcomes) == 4
    assert suite.most_running == 1


async def losing(
    lose: Callable[[FakeBridge, int, int], Awaitable[object]], workers: int, names: str
) -> list[Tested]:
    """Let each check of the server ``x`` end so."""
    suite = Suite()
    async with fake_cluster(workers, engine=suite, processors=8) as (cluster, bridge):

        async def before(job: Job, channel: JsonChannel) -> None:
            if job.target.name == "x":
                start = [each for each in bridge.started if each.name == "x"][-1]
                await lose(bridge, start.run, start.worker)
                await trio.sleep_forever()

        suite.before = before
        return await Checking(cluster, names).run()


async def gone(bridge: FakeBridge, run: int, worker: int) -> None:
    await bridge.say(EngineEnded(run, worker, "is gone: its Dask worker is gone"))


async def killed(bridge: FakeBridge, run: int, worker: int) -> None:
    bridge.engines[run, worker][1].cancel()


async def test_what_a_worker_that_is_gone_had_is_checked_by_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    suite = Suite()
    lost: list[str] = []
    async with fake_cluster(2, engine=suite, processors=8) as (cluster, bridge):

        async def before(job: Job, channel: JsonChannel) -> None:
            if job.target.name == "x" and not lost:
                start = bridge.started[-1]
                lost.append(f"w{start.worker}")
                await gone(bridge, start.run, start.worker)
                await trio.sleep_forever()

        suite.before = before
        [outcome] = await Checking(cluster, "x").run()
        await bridge.until_ended(2)
    assert isinstance(outcome, SuiteResult)
    other = {"w0": "w1", "w1": "w0"}[lost[0]]
    assert outcome.machine == CheckMachine(other, "host0")
    assert outcome.notes[-1] == (
        f"it was begun before by another worker, which was lost: worker {lost[0]} on host0 is gone: its Dask "
        "worker is gone"
    )
    assert capsys.readouterr().err.splitlines() == [
        f"check: worker {lost[0]} on host0 is gone: its Dask worker is gone; x is checked again by another "
        "worker",
        "check: 1 of 2 workers lost; 1 server checked again",
    ]


async def test_a_server_whose_check_is_killed_twice_is_not_tested_and_workers_go_on() -> None:
    outcomes = await losing(killed, 3, "xyz")
    assert [type(outcome) for outcome in outcomes] == [Untested, SuiteResult, SuiteResult]
    first = outcomes[0]
    assert isinstance(first, Untested)
    assert first.reason.count("failed: its engine ended") == 2
    assert first.machine is not None


async def test_when_the_last_worker_is_gone_the_others_are_not_tested(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcomes = await losing(gone, 1, "xyz")
    assert all(isinstance(outcome, Untested) for outcome in outcomes)
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Untested)] == [
        "worker w0 on host0 is gone: its Dask worker is gone",
        *["no worker is left: worker w0 on host0 is gone: its Dask worker is gone"] * 2,
    ]
    assert "check: 1 of 1 worker lost; 0 servers checked again" in capsys.readouterr().err


async def test_a_worker_that_hangs_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_cluster, "_SILENT_BEATS", 2)

    async def hang(bridge: FakeBridge, run: int, worker: int) -> None:
        await trio.lowlevel.checkpoint()

    [outcome] = await losing(hang, 1, "x")
    assert isinstance(outcome, Untested)
    assert outcome.reason == "worker w0 on host0 sent nothing for 2 s"


async def test_a_bridge_that_is_gone_leaves_all_of_them_not_tested() -> None:
    async def close(bridge: FakeBridge, run: int, worker: int) -> None:
        await bridge.channel.aclose()

    outcomes = await losing(close, 2, "xyz")
    assert isinstance(outcomes[0], Untested)
    assert "the process that talks to the cluster ended" in outcomes[0].reason
    assert all(isinstance(outcome, Untested) for outcome in outcomes if outcome.target != "y")


async def test_an_interrupt_is_handed_on_and_nothing_more_is_begun() -> None:
    suite = Suite()
    async with fake_cluster(1, engine=suite) as (cluster, bridge):
        checking = Checking(cluster, "xyz")

        async def before(job: Job, channel: JsonChannel) -> None:
            checking.interrupt.set()
            assert await channel.receive() == INTERRUPT

        suite.before = before
        first, *others = await checking.run()
    assert isinstance(first, SuiteResult)
    assert [other.reason for other in others if isinstance(other, Untested)] == [
        "the run was interrupted before it was its turn"
    ] * 2
    assert len(bridge.started) == 1


def test_the_code_of_the_suite_decides_on_verdicts() -> None:
    purpose = check_purpose()
    assert schema_by(purpose.identity) == purpose.schema
    assert len(purpose.schema) == 16


def test_messages_are_json_and_come_back() -> None:
    messages: list[Any] = [jobs_for("a")[0].target, CaseBegan("1.2"), good_suite()]
    assert [decode_check_message(encode_check_message(message)) for message in messages] == messages
    assert decode_check_message(HEARTBEAT) is None
