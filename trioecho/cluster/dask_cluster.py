"""Dask, as the bridge sees it: which workers there are, and functions that run on them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from ..base.quantities import plural
from .dask_settings import quieten_dask
from .spec import ClusterSpec, SshHost

# How long a call may take that does not wait for anything.
_CALL_S = 30.0
_CLOSE_S = 5.0
_POLL_S = 0.1


class SchedulerGoneError(Exception):
    """The scheduler is not to be reached any more."""


class WorkerGoneError(Exception):
    """A worker is not to be reached any more; the message says how that was seen."""


class NoClusterError(Exception):
    """There is no such cluster, or none with workers; the message ends a sentence about it."""


class DaskWorkers(Protocol):
    """What the bridge needs of a cluster: its workers."""

    async def addresses(self) -> list[str]:
        """Return the addresses of the workers that are there.

        Raises:
          SchedulerGoneError: nobody knows.
        """

    async def call(
        self, address: str, function: Callable[..., Any], *arguments: object, most_s: float = _CALL_S
    ) -> Any:
        """Call a function on a worker and return what it returns.

        Args:
          address: of the worker.
          function: which is imported there.
          arguments: of the function.
          most_s: how long it may take.

        Raises:
          WorkerGoneError: the worker is not there, or does not reply.
          SchedulerGoneError: nor is the scheduler.
          Exception: what the function raised.
        """


class DaskCluster:
    """A cluster that a `distributed.Client` is connected to.

    Args:
      client: asynchronous.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def addresses(self) -> list[str]:
        if self._client.status != "running":
            raise SchedulerGoneError("the scheduler is gone")
        try:
            return sorted(await asyncio.wait_for(self._client.nthreads(), _CALL_S))
        except (OSError, asyncio.TimeoutError) as error:
            raise SchedulerGoneError("the scheduler is gone") from error

    async def call(
        self, address: str, function: Callable[..., Any], *arguments: object, most_s: float = _CALL_S
    ) -> Any:
        call = self._client.run(function, *arguments, workers=[address], on_error="return")
        try:
            results = await asyncio.wait_for(call, most_s)
        except asyncio.TimeoutError:
            raise WorkerGoneError(f"its Dask worker did not reply for {most_s:g} s") from None
        except OSError as error:
            raise SchedulerGoneError("the scheduler is gone") from error
        [result] = results.values()
        if isinstance(result, OSError) and not isinstance(result, FileNotFoundError | PermissionError):
            raise WorkerGoneError("its Dask worker is gone") from result
        if isinstance(result, Exception):
            raise result
        return result


@contextlib.asynccontextmanager
async def open_dask(spec: ClusterSpec, workers: int | None, wait_s: float) -> AsyncIterator[DaskCluster]:
    """Connect to a cluster, or start one, and wait for its workers; what was started ends with the block.

    Args:
      spec: which.
      workers: how many are needed; None for those that are there, if there is one.
      wait_s: how long to wait for the scheduler, and for workers, in seconds.

    Raises:
      NoClusterError: there is none, or it has not so many workers.
    """
    warnings.simplefilter("ignore")  # versions of other packages that differ are Dask's own affair
    for name in ("distributed", "asyncssh"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    distributed = importlib.import_module("distributed")
    async with contextlib.AsyncExitStack() as stack:
        where = await _started(distributed, spec, stack)
        try:
            client = await asyncio.wait_for(
                distributed.Client(where, asynchronous=True, set_as_default=False, timeout=wait_s), wait_s + 1
            )
        except (OSError, asyncio.TimeoutError):
            raise NoClusterError(f"no Dask scheduler replied there in {wait_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - who knows what is there
            raise NoClusterError(f"cannot be connected to: {in_a_line(error)}") from None
        stack.push_async_callback(_close, client)
        dask = DaskCluster(client)
        await _wait_for_workers(dask, workers, wait_s)
        yield dask


async def _started(distributed: Any, spec: ClusterSpec, stack: contextlib.AsyncExitStack) -> Any:
    """Return what a client connects to; a cluster that has to be started is."""
    if spec.kind == "address":
        return spec.text
    quieten_dask()
    try:
        if spec.kind == "local":
            cluster = await distributed.LocalCluster(
                n_workers=spec.count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                asynchronous=True,
            )
        else:
            hosts = [spec.hosts[0], *spec.hosts]  # the first one has the scheduler, too
            cluster = await distributed.SSHCluster(
                [each.host for each in hosts],
                connect_options=[_connect_options(each) for each in hosts],
                scheduler_options={"port": 0, "dashboard": False},
                worker_options={"nthreads": 1},
                asynchronous=True,
            )
    except Exception as error:  # noqa: BLE001 - SSH alone has dozens
        raise NoClusterError(f"could not be started: {in_a_line(error)}") from None
    stack.push_async_callback(_close, cluster)
    return cluster


def _connect_options(host: SshHost) -> dict[str, object]:
    """Return what `asyncssh.connect` gets; the rest it has from ``~/.ssh``, as the program ``ssh`` has."""
    given: dict[str, object | None] = {"username": host.user, "port": host.port}
    return {name: value for name, value in given.items() if value is not None}


async def _wait_for_workers(dask: DaskCluster, workers: int | None, wait_s: float) -> None:
    needed = workers or 1
    until = time.monotonic() + wait_s
    try:
        while (there := len(await dask.addresses())) < needed:
            if time.monotonic() >= until:
                what = f"has {plural(there, 'worker')} and not {needed}" if there else "has no workers"
                raise NoClusterError(f"{what}; waited {wait_s:g} s")
            await asyncio.sleep(_POLL_S)
    except SchedulerGoneError as error:
        raise NoClusterError(str(error)) from None


async def _close(opened: Any) -> None:
    with contextlib.suppress(Exception):  # what cannot be closed ends with this process
        await asyncio.wait_for(opened.close(), _CLOSE_S)


def in_a_line(error: BaseException) -> str:
    """Return what an error says, in a line."""
    words = " ".join(str(error).split())
    return words or type(error).__name__
