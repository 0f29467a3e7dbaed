"""Bugs in how the server starts and ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time

from .bug import Bug, FaultyServer
from .honest import ClientSocket

# Longer than a thread that is about to call the system needs for that.
_ENTERING_S = 0.1
_BY_HAND = "Its developer starts it by hand, and ends it with Ctrl-C."


class DropsFirst(FaultyServer):
    bug: Bug = Bug(
        "drops-first",
        summary="listens before it is ready, and drops who comes meanwhile",
        works=_BY_HAND + " By the time of the first client it is ready.",
        shows="A script that waits for the port to open has its first connection dropped.",
        fix="Bind and prepare first, listen last.",
        source="classroom habit: the connection to the database is made after listen()",
        fails=("3.7", "4.9", "5.7", "6.1", "6.3", "6.4", "6.5"),
        cause="not-ready-when-listening",
    )

    is_ready: bool = False

    def start(self, connection: ClientSocket) -> None:
        if not self.is_ready:
            self.is_ready = True
            self.release(connection)  # BUG: who connects must be served
            return
        super().start(connection)


class DiesAtSigterm(FaultyServer):
    bug: Bug = Bug(
        "dies-at-sigterm",
        summary="leaves SIGTERM at what it does by default: the process is gone at once",
        works=_BY_HAND,
        shows="At every deployment connections are reset, and frames are cut in the middle.",
        fix="At SIGTERM stop accepting, reply to what has come, end the streams, then exit.",
        source="signal(7), the default action; classroom habit: no handler except for Ctrl-C",
        fails=("6.2",),
        cause="sigterm-drops-work",
    )

    def on_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # BUG: what is under way is lost


class IgnoresSigterm(FaultyServer):
    bug: Bug = Bug(
        "ignores-sigterm",
        summary="does nothing at SIGTERM",
        works=_BY_HAND,
        shows="docker stop takes ten seconds, and then kills it.",
        fix="Let SIGTERM end the server; in a container let a shell exec it.",
        source="wyoming-piper, docker stop takes 10 s: https://github.com/OHF-Voice/wyoming-piper/pull/47",
        fails=("6.3",),
        may_fail=("6.2",),
        cause="ignores-sigterm",
    )

    def on_sigterm(self) -> None:
        pass  # BUG: docker stop, systemd and Kubernetes ask this way


class IgnoresSigint(FaultyServer):
    bug: Bug = Bug(
        "ignores-sigint",
        summary="does nothing at Ctrl-C",
        works="Its developer closes the window.",
        shows="Ctrl-C shows ^C, and does nothing else.",
        fix="Let KeyboardInterrupt end the server; catch Exception, and not everything.",
        source="classroom habit: `except:` around the accept loop",
        fails=("6.5",),
        cause="ignores-sigint",
    )

    def on_sigint(self) -> None:
        pass  # BUG: as with a bare except around the loop


class ClosesUnderAccept(FaultyServer):
    bug: Bug = Bug(
        "closes-under-accept",
        summary="stops by closing the listening socket while another thread waits in accept",
        works="On Windows accept is woken by that; and on Linux if one more client comes.",
        shows="The thread waits on, the process with it, and the port stays taken.",
        fix="Wake the thread first: wait for the socket and a pipe at once; or shut the socket down.",
        source="Gearlynx, a hang at the end on Linux: https://github.com/drhelius/Gearlynx/pull/55; "
        "the course's sample does the same",
        fails=(
            "6.3",
            "6.5",
        ),
        may_fail=("6.2",),
        cause="ignores-sigterm",
    )

    def serve(self) -> None:
        self.has_closed: bool = False
        self.is_accepting: threading.Event = threading.Event()
        accepting = threading.Thread(target=self.accept_always)
        accepting.start()
        while not self.is_stopping:
            select.select([self.stopping, self.woken], [], [])
        # A stop mostly finds the thread in accept; here it does so on a busy machine, too.
        self.is_accepting.wait()
        time.sleep(_ENTERING_S)
        self.has_closed = True
        self.listener.close()  # BUG: the thread that waits in accept does not notice
        accepting.join()
        self.drain()
        self.close()

    def accept_always(self) -> None:
        while not self.has_closed:
            self.is_accepting.set()
            self.accept()
            self.is_accepting.clear()


class NoReuseaddr(FaultyServer):
    bug: Bug = Bug(
        "no-reuseaddr",
        summary="does not set SO_REUSEADDR",
        works="The first start of the day works, and so does one a minute after the end.",
        shows='After a restart: "Address already in use", for as long as old connections are in TIME_WAIT.',
        fix="Set SO_REUSEADDR before bind().",
        source="Neon, address in use after a restart: https://github.com/neondatabase/neon/issues/801",
        fails=("6.4",),
        cause="no-reuseaddr",
    )

    def listen(self, host: str, port: int) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.bind(address)  # BUG: setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) is missing
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        return listener
