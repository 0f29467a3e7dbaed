"""Connections that are just being opened when a load ends: they end in order, or before anything was sent.

A server takes a handshake that is cut for a fault of its client, or of the network, and warns of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.load.engine.test_accounting import assert_every_message_is_counted_once
from tests.load.engine.test_churn import ChurnServer, plan_of, run
from tests.support.load_world import MS, START, S, World, WorldSocket
from trioecho.load import Churn, LoadResult, Span


class HandshakeServer(ChurnServer):
    """Its attempts take that long, and their handshakes a part of it; then they may fail."""

    def __init__(self, attempt_ns: int, handshake_ns: int, error: OSError | None = None) -> None:
        super().__init__()
        self.attempt_ns, self.handshake_ns, self.error = attempt_ns, handshake_ns, error
        self.connections: list[WorldSocket] = []

    def accept(self, now: int) -> tuple[int, OSError | None]:
        return self.attempt_ns, self.error

    def on_connect(self, connection: WorldSocket) -> None:
        super().on_connect(connection)
        self.connections.append(connection)


def run_to_first_attempts(server: HandshakeServer, world: World, **changes: Any) -> LoadResult:
    """Run a load that ends at 50 ms; the first connections have ended by 30 ms, and others are dialed."""
    churn = Churn(changes.pop("reconnect", False), per_connection=Span(1, 1))
    result = run(plan_of(churn, duration_s=0.05, **changes), server, world=world)
    assert_every_message_is_counted_once(result, result.due)
    assert (result.errors, result.churn.failed_attempts, result.ended_early) == ({}, {}, None)
    assert result.messages == server.received > 0
    return result


@pytest.mark.parametrize(
    "changes", [{}, {"think_s": 0.001}, {"rate": 60.0}, {"reconnect": True}, {"pipeline": 3}]
)
def test_a_handshake_that_is_under_way_is_finished_and_its_connection_ended_in_order(
    changes: dict[str, Any],
) -> None:
    server = HandshakeServer(80 * MS, 80 * MS)
    result = run_to_first_attempts(server, World(), **changes)
    assert result.churn.renewed == server.opened > 0
    assert all(each.is_ended for each in server.connections)


def test_an_attempt_in_which_nothing_was_sent_is_given_up_at_once() -> None:
    server, world = HandshakeServer(10 * S, S), World()
    result = run_to_first_attempts(server, world)
    assert result.churn.renewed == server.opened == 0
    assert world.now < START + S


def test_a_handshake_that_the_server_does_not_go_on_with_is_given_up_soon() -> None:
    server, world = HandshakeServer(10 * S, 10 * S), World()
    result = run_to_first_attempts(server, world, timeout_s=5.0)
    assert result.churn.renewed == server.opened == 0
    assert world.now < START + 2 * S


def test_a_handshake_that_fails_then_is_no_fault_of_the_load() -> None:
    server = HandshakeServer(80 * MS, 80 * MS, ConnectionResetError(104, "Connection reset by peer"))
    assert run_to_first_attempts(server, World()).churn.renewed == 0
