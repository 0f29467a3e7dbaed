"""Open a cluster: start the bridge to it, and choose its workers."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
from collections.abc import AsyncIterator

import trio

from ...base.nursery import open_background_nursery
from ...base.processes import own_program
from ...connection.json_frames import JsonChannel, open_json_pair
from ...errors import RemoteProtocolError
from ..errors import ClusterError, ClusterSupportMissingError
from .choice import choose_workers
from .cluster import Cluster
from .messages import (
    ClusterOpened,
    ClusterRefused,
    OpenCluster,
    decode_bridge_message,
    encode_bridge_message,
)
from .spec import ClusterSpec, parse_cluster

DEFAULT_WAIT_S = 10.0
# How long the bridge may take to end what it has started, when it is told to end.
_CLOSE_S = 15.0
# And when there is no time left.
_CANCELLED_CLOSE_S = 5.0
_LAST_WORDS_S = 1.0
_KEPT_WORDS_BYTES = 1 << 14
_PACKAGES = {"ssh": ("distributed", "asyncssh")}


@contextlib.asynccontextmanager
async def open_cluster(
    cluster: str | ClusterSpec, *, workers: int | None = None, wait_s: float = DEFAULT_WAIT_S
) -> AsyncIterator[Cluster]:
    """Give a Dask cluster to the loads of a block, as ``cluster=`` of `run_load`.

    Everything that was started for it is ended with the block. When cancelled, too, within 5 s.

    Args:
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
            process: trio.Process = await nursery.start(_run_bridge, theirs.fileno())
        words = _LastWords(process)
        nursery.start_soon(words.keep)
        try:
            opened = await _open(channel, spec, workers, wait_s, words)
            machines = choose_workers(spec, opened.workers, workers)
            ready = Cluster(channel, machines, len(opened.workers))
            async with open_background_nursery() as serving:
                serving.start_soon(lambda: ready.serve(last_words=words.wait))
                yield ready
        finally:
            await channel.aclose()
        with trio.move_on_after(_CLOSE_S):
            await process.wait()


def check_support(spec: ClusterSpec) -> None:
    """Refuse a cluster for which a package is missing on this machine.

    Raises:
      ClusterSupportMissingError: it is.
    """
    for package in _PACKAGES.get(spec.kind, ("distributed",)):
        if importlib.util.find_spec(package) is None:
            more = "" if package == "distributed" else f" {package}"
            raise ClusterSupportMissingError(
                str(spec), f"there is no package {package} here: pip install 'trioecho[cluster]'{more}"
            )


async def _open(
    channel: JsonChannel, spec: ClusterSpec, workers: int | None, wait_s: float, words: _LastWords
) -> ClusterOpened:
    needed = spec.count if workers is None and spec.kind == "local" else workers
    needed = len(spec.hosts) if needed is None and spec.kind == "ssh" else needed
    try:
        await channel.send(encode_bridge_message(OpenCluster(spec.text, needed, wait_s)))
        message = decode_bridge_message(await channel.receive())
    except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        said = await words.wait()
        raise ClusterError(str(spec), f"the process that talks to it ended: {said}") from None
    if isinstance(message, ClusterRefused):
        raise ClusterError(str(spec), message.reason)
    if not isinstance(message, ClusterOpened):
        raise TypeError(f"the bridge's first message says which workers there are, and not {message}")
    return message


class _LastWords:
    """What the bridge says on its standard error."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._words = b""
        self._are_complete = trio.Event()

    async def keep(self) -> None:
        stderr = self._process.stderr
        if stderr is None:
            raise TypeError("the bridge's standard error must be a pipe")
        while data := await stderr.receive_some():
            self._words = (self._words + data)[-_KEPT_WORDS_BYTES:]
        self._are_complete.set()

    async def wait(self) -> str:
        """Return the last line, when the bridge has ended."""
        with trio.move_on_after(_LAST_WORDS_S):
            await self._are_complete.wait()
        lines = self._words.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


async def _run_bridge(descriptor: int, task_status: trio.TaskStatus[trio.Process]) -> None:
    program = own_program(module="trioecho.load.cluster.bridge")
    await trio.run_process(
        program.command,
        stdin=descriptor,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        env=program.env,
        cwd=program.cwd,
        # Ctrl-C is for the load command, which then stops the engines in order.
        start_new_session=True,
        deliver_cancel=_end,
        task_status=task_status,
    )


async def _end(process: trio.Process) -> None:
    # It ends by itself when its channel is closed, and leaves nothing behind; unless it hangs.
    with trio.move_on_after(_CANCELLED_CLOSE_S):
        await process.wait()
    process.kill()
