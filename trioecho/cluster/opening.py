"""Open a cluster: start the bridge to it, and choose its workers."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import AsyncIterator

import trio

from ..base.missing_package import missing_words
from ..base.nursery import open_background_nursery
from ..base.own_process import OwnProcess, run_own_process
from ..base.processes import own_program
from ..connection.json_frames import JsonChannel, open_json_pair
from ..errors import RemoteProtocolError
from .choice import choose_workers
from .cluster import Cluster
from .errors import ClusterError, ClusterSupportMissingError
from .identity import Purpose
from .messages import (
    ClusterOpened,
    ClusterRefused,
    OpenCluster,
    decode_bridge_message,
    encode_bridge_message,
)
from .spec import DEFAULT_WAIT_S, ClusterSpec, parse_cluster

# How long the bridge may take to end what it has started, when it is told to end.
_CLOSE_S = 15.0
# And when there is no time left.
_CANCELLED_CLOSE_S = 5.0
_PACKAGES = {"ssh": ("distributed", "asyncssh")}


@contextlib.asynccontextmanager
async def open_cluster_for(
    purpose: Purpose,
    cluster: str | ClusterSpec,
    *,
    workers: int | None = None,
    wait_s: float = DEFAULT_WAIT_S,
) -> AsyncIterator[Cluster]:
    """Give a Dask cluster to a block.

    Everything that was started for it is ended with the block. When cancelled, too, within 5 s.

    Args:
      purpose: of its engines.
      cluster: ``tcp://host:8786`` or ``tls://host:8786`` of a scheduler, ``local:3`` or
        ``ssh:host1,host2``; for TLS Dask's own configuration has the files.
      workers: how many of its workers to use; None for all that are there, and one at least.
      wait_s: how long to wait for the scheduler, and for its workers, in seconds.

    Raises:
      ClusterError: there is no such cluster, it has not so many workers, or one of them cannot be
        used: it has no or another trioecho.
      ClusterSupportMissingError: a package is missing on this machine; it is a `ClusterError`.
      ValueError: ``cluster`` is no cluster.
    """
    spec = parse_cluster(cluster) if isinstance(cluster, str) else cluster
    check_support(spec)
    channel, theirs = open_json_pair()
    async with open_background_nursery() as nursery, channel:
        with theirs:
            # Ctrl-C is for the command, which then stops the engines in order.
            program = own_program(module="trioecho.cluster.bridge")
            bridge: OwnProcess = await nursery.start(run_own_process, program, theirs.fileno(), _end)
        try:
            command = OpenCluster(spec.text, _needed(spec, workers), wait_s, purpose.identity)
            opened = await _open(channel, spec, command, bridge)
            machines = choose_workers(spec, opened.workers, workers, purpose)
            ready = Cluster(channel, machines, len(opened.workers), purpose)
            async with open_background_nursery() as serving:
                serving.start_soon(lambda: ready.serve(last_words=lambda: _last_words(bridge)))
                yield ready
        finally:
            await channel.aclose()
        with trio.move_on_after(_CLOSE_S):
            await bridge.process.wait()


def check_support(spec: ClusterSpec) -> None:
    """Refuse a cluster for which a package is missing on this machine.

    Raises:
      ClusterSupportMissingError: it is.
    """
    for package in _PACKAGES.get(spec.kind, ("distributed",)):
        if importlib.util.find_spec(package) is None:
            more = [] if package == "distributed" else [package]
            raise ClusterSupportMissingError(str(spec), missing_words("this", [package], "cluster", *more))


async def _open(
    channel: JsonChannel, spec: ClusterSpec, command: OpenCluster, bridge: OwnProcess
) -> ClusterOpened:
    try:
        await channel.send(encode_bridge_message(command))
        message = decode_bridge_message(await channel.receive())
    except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        said = await _last_words(bridge)
        raise ClusterError(str(spec), f"the process that talks to it ended: {said}") from None
    if isinstance(message, ClusterRefused):
        raise ClusterError(str(spec), message.reason)
    if not isinstance(message, ClusterOpened):
        raise TypeError(f"the bridge's first message says which workers there are, and not {message}")
    return message


def _needed(spec: ClusterSpec, workers: int | None) -> int | None:
    """Return how many workers there have to be; None for those that are there."""
    if workers is not None or spec.kind == "address":
        return workers
    return spec.count if spec.kind == "local" else len(spec.hosts)


async def _last_words(bridge: OwnProcess) -> str:
    return await bridge.last_words() or "it said nothing"


async def _end(process: trio.Process) -> None:
    # It ends by itself when its channel is closed, and leaves nothing behind; unless it hangs.
    with trio.move_on_after(_CANCELLED_CLOSE_S):
        await process.wait()
    process.kill()
