"""What Dask does not do on clusters that are started for a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("distributed")

GUARD_S = 120.0

# Starts a cluster as the bridge does, and says what its scheduler's process and its worker do all the time.
PROGRAM = """
import asyncio, json
from trioecho.cluster.dask_cluster import open_dask
from trioecho.cluster.spec import parse_cluster

def describe(dask_worker):
    from dask import config
    callbacks = {name: each.callback_time for name, each in dask_worker.periodic_callbacks.items()}
    return callbacks, config.get("distributed.admin.tick.interval")

async def main():
    async with open_dask(parse_cluster("local:1"), None, 60) as dask:
        [address] = await dask.addresses()
        print(json.dumps(await dask.call(address, describe)))

asyncio.run(main())
"""


def described(**environment: str) -> tuple[dict[str, float], Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    callbacks, tick = json.loads(done.stdout)
    return callbacks, tick


def test_a_worker_that_was_started_for_a_command_does_not_profile_itself_and_seldom_looks_at_itself() -> None:
    callbacks, tick = described()
    assert "profile" not in callbacks
    assert tick == "1s"
    assert callbacks["tick"] == 1000
    assert callbacks["monitor"] == 10_000
    # The most frequent one is the heartbeat to the scheduler.
    assert min(callbacks.values()) >= 500, callbacks


def test_what_the_user_has_set_stays() -> None:
    callbacks, tick = described(DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL="300ms")
    assert (tick, callbacks["tick"]) == ("300ms", 300)
    assert "profile" not in callbacks


def test_dask_knows_all_of_it() -> None:
    program = (
        "import json, distributed\n"
        "from dask import config\n"
        "from trioecho.cluster.dask_settings import _QUIET\n"
        "def names(part, before=''):\n"
        "    for name, value in part.items():\n"
        "        if isinstance(value, dict): yield from names(value, before + name + '.')\n"
        "        else: yield before + name\n"
        "print(json.dumps({name: config.get(name, None) for name in names(_QUIET)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=True
    )
    defaults = json.loads(done.stdout)
    assert len(defaults) == 5
    assert None not in defaults.values(), defaults
