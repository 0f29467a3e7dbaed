"""What both sides of a load on a cluster must have in common."""

from __future__ import annotations

from trioecho.base.heartbeats import HEARTBEAT
from trioecho.cluster.identity import schema_by
from trioecho.load.cluster.opening import load_purpose
from trioecho.load.processes.messages import Heartbeat, encode_load_message


def test_schemas_are_the_same_in_every_process() -> None:
    purpose = load_purpose()
    assert schema_by(purpose.identity) == purpose.schema
    assert len(purpose.schema) == 16


def test_an_engine_of_a_load_knows_a_heartbeat_of_its_dask_worker() -> None:
    assert encode_load_message(Heartbeat()) == HEARTBEAT
