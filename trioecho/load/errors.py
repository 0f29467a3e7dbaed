"""Errors of a load that could not begin, or lost a worker."""

from __future__ import annotations

from ..base.addresses import format_address
from ..base.open_files import OTHER_DESCRIPTORS


class CannotConnectError(Exception):
    """The server could not be reached before the load began; nothing was sent.

    Attributes:
      host (str): name or address.
      port (int): TCP port.
      reason (str): why, in words.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason: str = reason

    def __str__(self) -> str:
        return f"cannot connect to {format_address((self.host, self.port))}: {self.reason}"


class StrangeServerError(CannotConnectError):
    """The server is no service of such frames: the load ended with its first frame.

    Attributes:
      reason (str): what it is or does, as the end of a sentence that begins with the address.
    """

    def __str__(self) -> str:
        return f"{format_address((self.host, self.port))} {self.reason}"


class TooManyConnectionsError(Exception):
    """More connections were asked for than this process may open; nothing was sent.

    Attributes:
      connections (int): asked for.
      open_files (int): the hard limit of open files.
    """

    def __init__(self, connections: int, open_files: int) -> None:
        super().__init__(connections, open_files)
        self.connections = connections
        self.open_files = open_files

    def __str__(self) -> str:
        needed = self.connections + OTHER_DESCRIPTORS
        return (
            f"{self.connections} connections need {needed} open files in a process, and the limit is "
            f"{self.open_files}: raise it (as root: ulimit -Hn {needed}), use more --workers, or take "
            "fewer connections"
        )


class TooManyToWaitForError(TooManyConnectionsError):
    """More connections were asked for than this system lets a process wait for; nothing was sent.

    Attributes:
      connections (int): asked for.
      most (int): possible.
    """

    def __init__(self, connections: int, most: int) -> None:
        super().__init__(connections, most)
        self.most = most

    def __str__(self) -> str:
        return (
            f"{self.connections} connections are more than the {self.most} that a process can wait for on "
            "this system, which has neither epoll nor poll: take fewer connections"
        )


class WorkerFailedError(Exception):
    """A worker process ended before its part of the load was done; the rest is no whole load.

    Attributes:
      exit_code (int): the process's; a signal's number with a minus.
      last_words (str): the last line it wrote to its standard error.
      worker (str): which.
      reason (str): how it was lost, in words that follow the worker.
    """

    def __init__(self, exit_code: int, last_words: str, *, worker: str = "a worker process") -> None:
        super().__init__(exit_code, last_words)
        self.exit_code = exit_code
        self.last_words = last_words
        self.worker = worker
        how = f"exited with {exit_code}" if exit_code >= 0 else f"was killed by signal {-exit_code}"
        self.reason: str = f"{how}: {last_words or 'it said nothing'}"

    def __str__(self) -> str:
        return f"{self.worker} {self.reason}: it was lost before its part of the load was done"


class WorkerSilentError(WorkerFailedError):
    """A worker process hung: it sent nothing for a long time, and was killed.

    Attributes:
      silent_s (float): for how long it had sent nothing, in seconds.
    """

    def __init__(self, exit_code: int, last_words: str, *, worker: str, silent_s: float) -> None:
        super().__init__(exit_code, last_words, worker=worker)
        self.silent_s = silent_s
        self.reason: str = f"sent nothing for {silent_s:g} s and was killed"


class ClusterWorkerFailedError(WorkerFailedError):
    """A worker of a cluster was lost before its part of the load was done; the rest is no whole load.

    Attributes:
      connections (int): of the load that it had.
      of_connections (int): that the load had.
      sent (int): messages that it had sent by its last report.
    """

    def __init__(
        self,
        worker: str,
        reason: str,
        *,
        connections: int,
        of_connections: int,
        sent: int,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(-1 if exit_code is None else exit_code, reason, worker=worker)
        self.reason: str = reason
        self.connections = connections
        self.of_connections = of_connections
        self.sent = sent

    def __str__(self) -> str:
        return (
            f"{self.worker} {self.reason}; it had {self.connections:,} of {self.of_connections:,} "
            f"connections, and had sent {self.sent:,} messages by its last report: there is no whole result"
        )
