"""Bugs in what a client does when a reply does not come."""

from __future__ import annotations

import contextlib

from ..bug import Bug
from .honest import RECV_BYTES, FaultyClient, Outcome, WrongReplyError

_RIGHT = "A server that is right replies to everything, and lets the client end first."
_HABIT = "classroom habit"


class EndIsDone(FaultyClient):
    bug: Bug = Bug(
        "end-is-done",
        summary="takes the end of the stream for the end of its work",
        works=_RIGHT,
        shows="A server that leaves in the middle is not noticed.",
        fix="Count the replies; an end before the last one is an error.",
        source=_HABIT,
        fails=("C3.1", "C3.2", "C3.5"),
        cause="end-taken-for-success",
    )

    def converse(self) -> None:
        for number, payload in enumerate(self.payloads(), 1):
            self.send(payload)
            self.begin_wait()
            try:
                header = self.read_header()
            except WrongReplyError:
                return  # BUG: replies are missing
            length = self.decode_length(header)
            self.check_length(length)
            reply = self.read_payload(length)
            self.read_trailer(header)
            self.compare(number, payload, reply)


class HalfIsEnough(FaultyClient):
    bug: Bug = Bug(
        "half-is-enough",
        summary="compares a reply as it comes, and is content with what came before the end",
        works=_RIGHT,
        shows="A reply that the end of the stream has cut off counts as right.",
        fix="When a receive gives nothing before the reply is complete, that is an error.",
        source=_HABIT,
        fails=("C3.3",),
        cause="end-in-payload-accepted",
    )

    def converse(self) -> None:
        for number, payload in enumerate(self.payloads(), 1):
            self.send(payload)
            self.begin_wait()
            header = self.read_header()
            length = self.decode_length(header)
            self.check_length(length)
            reply = bytearray()
            while len(reply) < length and payload.startswith(reply):
                piece = self.receive(length - len(reply))
                if not piece:
                    return  # BUG: nothing was wrong so far, but something is missing
                reply += piece
            self.compare(number, payload, bytes(reply))
            self.read_trailer(header)


class SwallowsReset(FaultyClient):
    bug: Bug = Bug(
        "swallows-reset",
        summary="takes a reset for the end of its work",
        works=_RIGHT,
        shows="A server that has crashed is not noticed.",
        fix="Let the error end the client, with an exit code that is not 0.",
        source="except ConnectionError: pass",
        fails=("C3.4",),
        cause="reset-swallowed",
    )

    def converse(self) -> None:
        with contextlib.suppress(ConnectionError):  # BUG: replies are missing
            super().converse()


class NoTimeout(FaultyClient):
    bug: Bug = Bug(
        "no-timeout",
        summary="waits for a reply without a timeout",
        works=_RIGHT,
        shows="A server that hangs makes the client hang.",
        fix="Set a timeout of some seconds.",
        source="socket.settimeout: None is the default",
        fails=("C3.6", "C3.7", "C3.8"),
        cause="waits-without-end",
    )

    def receive(self, most: int) -> bytes:
        self.sock.settimeout(None)  # BUG: the reply may never come
        return self.sock.recv(most)


class TimeoutOfEachRecv(FaultyClient):
    bug: Bug = Bug(
        "timeout-of-each-recv",
        summary="gives each recv a timeout, and the reply none",
        works=_RIGHT,
        shows="A byte now and then keeps it waiting without end.",
        fix="Take the time when the wait begins, and give each recv what is left.",
        source="CWE-400: uncontrolled resource consumption",
        fails=("C3.8",),
        cause="timeout-of-each-receive",
    )

    def receive(self, most: int) -> bytes:
        self.sock.settimeout(self.timeout_s)  # BUG: it begins anew with every byte
        return self.sock.recv(most)


class TimeoutIsDone(FaultyClient):
    bug: Bug = Bug(
        "timeout-is-done",
        summary="takes a timeout for the end of its work",
        works=_RIGHT,
        shows="A server that hangs is not noticed.",
        fix="A timeout is an error: end with an exit code that is not 0.",
        source="except TimeoutError: pass",
        fails=("C3.6", "C3.7", "C3.8"),
        cause="silence-taken-for-success",
    )

    def converse(self) -> None:
        with contextlib.suppress(TimeoutError):  # BUG: replies are missing
            super().converse()


class SwallowsRefusal(FaultyClient):
    bug: Bug = Bug(
        "swallows-refusal",
        summary="says that nobody listens, and ends as if all was right",
        works="When the server runs.",
        shows="A script goes on though nothing was sent.",
        fix="End with an exit code that is not 0.",
        source=_HABIT,
        fails=("C3.9",),
        cause="refusal-swallowed",
    )

    def failed(self, error: Exception) -> Outcome:
        if isinstance(error, ConnectionRefusedError):
            return Outcome(0, "nobody listens")  # BUG: nothing was sent
        return super().failed(error)


class WaitsAgain(FaultyClient):
    bug: Bug = Bug(
        "waits-again",
        summary="catches Ctrl-C, and waits on without a timeout",
        works="Nobody presses Ctrl-C as long as replies come.",
        shows="It can only be killed.",
        fix="Let KeyboardInterrupt end the process.",
        source="a bare except around a receive",
        fails=("C5.4",),
        cause="interrupt-ignored",
    )

    def receive(self, most: int) -> bytes:
        try:
            return super().receive(most)
        except KeyboardInterrupt:
            self.sock.settimeout(None)
            return self.sock.recv(min(most, RECV_BYTES))  # BUG: who has pressed it wants to end
