"""Bugs in how replies are compared with what was sent."""

from __future__ import annotations

from ..bug import Bug
from .honest import FaultyClient, PipeliningClient, WrongReplyError

_HABIT = "classroom habit"
_RIGHT = "With a server that is right, every client is."


class ComparesNothing(FaultyClient):
    bug: Bug = Bug(
        "compares-nothing",
        summary="reads replies, and does not look at them",
        works=_RIGHT,
        shows="It reports success whatever comes back.",
        fix="Compare all bytes of every reply.",
        source=_HABIT,
        fails=("C2.1", "C2.2", "C2.3", "C2.4", "C2.5", "C2.6", "C2.7", "C2.8"),
        may_fail=("C5.3",),
        cause="replies-not-compared",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        pass  # BUG: any reply will do


class ForgetsTheLast(FaultyClient):
    bug: Bug = Bug(
        "forgets-the-last",
        summary="compares every reply but the last",
        works=_RIGHT,
        shows="A fault that shows only at the end, as of a server that drops its last bytes, is not seen.",
        fix="Count from 1 to n, and not to n - 1.",
        source="an off-by-one error, CWE-193",
        fails=("C2.2", "C2.5"),
        cause="compares-some-replies",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if number in range(1, self.messages):  # BUG: a range ends before its end
            super().compare(number, payload, reply)


class ComparesLengths(FaultyClient):
    bug: Bug = Bug(
        "compares-lengths",
        summary="compares the lengths of replies only",
        works=_RIGHT,
        shows="Replies that are mixed up, or whose bytes were changed, are not seen.",
        fix="Compare all bytes.",
        source=_HABIT,
        fails=("C2.1", "C2.2", "C2.6", "C2.8"),
        cause="compares-lengths-only",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if len(reply) != len(payload):  # BUG: the bytes count as well
            raise WrongReplyError(f"message {number} came back with {len(reply)} bytes")


class ComparesWithZip(FaultyClient):
    bug: Bug = Bug(
        "compares-with-zip",
        summary="compares only as many bytes as the shorter of both has",
        works=_RIGHT,
        shows="A reply that was cut short, or an empty one, counts as right.",
        fix="Compare with ==, which compares the lengths, too.",
        source="CWE-187: partial string comparison",
        fails=("C2.3", "C2.4", "C2.5", "C2.7"),
        cause="compares-the-beginning",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if any(one != other for one, other in zip(payload, reply)):  # noqa: B905  # BUG: ends with the shorter
            raise WrongReplyError(f"message {number} came back with other bytes")


class ComparesBeginning(FaultyClient):
    bug: Bug = Bug(
        "compares-beginning",
        summary="is content if the reply begins with what was sent",
        works=_RIGHT,
        shows="Bytes that a server adds are not seen.",
        fix="Compare with ==.",
        source="CWE-187: partial string comparison",
        fails=("C2.4", "C2.7"),
        cause="compares-the-beginning",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if not reply.startswith(payload):  # BUG: what comes behind it is wrong as well
            raise WrongReplyError(f"message {number} came back with other bytes")


class EmptyIsFine(FaultyClient):
    bug: Bug = Bug(
        "empty-is-fine",
        summary="compares a reply only if it has bytes",
        works=_RIGHT,
        shows="A server that loses payloads, and keeps their frames, counts as right.",
        fix="Compare every reply, an empty one, too.",
        source="a test of truth where one of identity is meant",
        fails=("C2.5",),
        cause="empty-reply-accepted",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if reply:  # BUG: an empty reply is wrong as well
            super().compare(number, payload, reply)


class AnyMessage(FaultyClient):
    bug: Bug = Bug(
        "any-message",
        summary="is content with the echo of any of its messages",
        works=_RIGHT,
        shows="Replies that are off by one are not seen.",
        fix="Compare each reply with the message whose turn it is.",
        source=_HABIT,
        fails=("C2.6", "C2.8"),
        cause="takes-any-message",
    )

    def compare(self, number: int, payload: bytes, reply: bytes) -> None:
        if reply not in self.payloads():  # BUG: it has to be this one
            raise WrongReplyError(f"message {number} came back as another one")


class SkipsStrangers(FaultyClient):
    bug: Bug = Bug(
        "skips-strangers",
        summary="reads on until the reply comes for which it waits",
        works=_RIGHT,
        shows="Replies that come twice are not seen.",
        fix="The next reply is that of the oldest message; any other is an error.",
        source=_HABIT,
        fails=("C2.8",),
        cause="skips-what-does-not-fit",
    )

    def read_reply(self, payload: bytes) -> bytes:
        while (reply := super().read_reply(payload)) != payload:  # BUG: it is wrong, and not too early
            pass
        return reply


class ToleratesLoss(PipeliningClient, FaultyClient):
    bug: Bug = Bug(
        "tolerates-loss",
        summary="goes on with a later message when the reply to one is missing",
        works=_RIGHT,
        shows="A server that loses a reply under load is not noticed.",
        fix="The next reply is that of the oldest message; any other is an error.",
        source=_HABIT,
        fails=("C2.9",),
        cause="tolerates-loss",
    )

    def read_replies(self, payloads: list[bytes]) -> None:
        waiting = list(payloads)
        while waiting:
            self.begin_wait()
            reply = self.read_reply(b"")
            if reply not in waiting:
                raise WrongReplyError(f"a reply is that of no message that waits: {reply[:60]!r}")
            del waiting[: waiting.index(reply) + 1]  # BUG: those before it have no reply


class AnyOrder(PipeliningClient, FaultyClient):
    bug: Bug = Bug(
        "any-order",
        summary="takes replies in any order",
        works=_RIGHT,
        shows="A server that replies from several threads is not noticed.",
        fix="Keep the messages under way in a queue; compare each reply with the first of it.",
        source=_HABIT,
        fails=("C2.10",),
        cause="order-not-compared",
    )

    def read_replies(self, payloads: list[bytes]) -> None:
        waiting = list(payloads)
        while waiting:
            self.begin_wait()
            reply = self.read_reply(b"")
            if reply not in waiting:
                raise WrongReplyError(f"a reply is that of no message that waits: {reply[:60]!r}")
            waiting.remove(reply)  # BUG: it has to be the first
