"""Connections that got each other's bytes: seen where it was, and nowhere else."""

from __future__ import annotations

from typing import Literal

from trioecho.check.diagnosis.foreign_bytes import cases_with_foreign_bytes
from trioecho.check.verdict import Event

ONE, OTHER = b"\0\0\0\x0caB3dE5fG7hI9", b"\0\0\0\x0czY8xW6vU4tS2"


def event(connection: int, kind: Literal["sent", "received"], data: bytes, size: int = 0) -> Event:
    return Event(0.0, connection, kind, data, size or len(data))


def sent(connection: int, data: bytes, size: int = 0) -> Event:
    return event(connection, "sent", data, size)


def received(connection: int, data: bytes) -> Event:
    return event(connection, "received", data)


def test_what_only_another_connection_sent_is_foreign() -> None:
    mixed = [sent(1, ONE), sent(2, OTHER), received(1, ONE), received(2, OTHER[:4] + ONE[4:])]
    assert cases_with_foreign_bytes({"3.2": mixed, "1.2": [sent(1, b"x"), received(1, b"x")]}) == {"3.2"}


def test_it_may_be_that_of_another_case() -> None:
    assert cases_with_foreign_bytes({"2.1": [sent(1, ONE)], "2.2": [received(1, ONE)]}) == {"2.2"}


def test_right_echoes_and_wrong_ones_of_ones_own_are_not() -> None:
    for wrong in (ONE, ONE[:8], ONE.upper(), ONE[::-1], b"\0\0\0\x08" + ONE[4:12], OTHER[:6] + ONE[6:9]):
        events = [sent(1, ONE), sent(2, OTHER), received(2, OTHER), received(1, wrong)]
        assert cases_with_foreign_bytes({"3.2": events}) == set()


def test_a_frame_that_goes_out_in_pieces_is_ones_own_beside_another_with_other_pieces() -> None:
    events = [sent(1, ONE[:9]), sent(2, ONE[:2]), sent(2, ONE[2:]), sent(1, ONE[9:]), received(1, ONE)]
    assert cases_with_foreign_bytes({"3.3": events}) == set()


def test_what_several_send_could_be_anybodys() -> None:
    events = [sent(1, ONE), sent(2, ONE), received(3, ONE)]
    assert cases_with_foreign_bytes({"5.7": events}) == set()


def test_texts_that_cases_share_tell_nothing() -> None:
    for text in (b"GET / HTTP/1.1\r\nHost: localhost", b"anybody there?", b"aaaaaaaaaaaa", bytes(20)):
        assert cases_with_foreign_bytes({"7.2": [sent(1, text), received(2, text)]}) == set()
