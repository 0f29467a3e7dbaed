"""Likely causes follow from the pattern of what a client has passed, and what not."""

from __future__ import annotations

import pytest

from trioecho.check.client.finding import Deviation, Kind
from trioecho.check.clients.book import CLIENTS
from trioecho.check.clients.diagnosis import name_causes_of_client


def causes_of(failed: dict[str, Kind]) -> dict[str, str]:
    deviations = {
        rule_id: Deviation(failed[rule_id], "", "", cause_id="its-own") if rule_id in failed else None
        for rule_id in CLIENTS.rules
    }
    return name_causes_of_client(deviations).by_case


@pytest.mark.parametrize(
    ("failed", "cause_id"),
    [
        (("C1.2", "C1.3", "C1.4", "C1.5"), "one-recv-per-reply"),
        (("C1.2", "C1.3", "C1.5", "C1.7"), "one-recv-per-reply"),
        (("C1.2", "C1.3"), "reply-header-taken-whole"),
        (("C1.2", "C1.5"), "reply-payload-taken-whole"),
        (("C1.6", "C1.7"), "one-reply-per-recv"),
        (("C1.7",), "its-own"),
        (("C1.8",), "its-own"),
    ],
)
def test_how_a_client_reads(failed: tuple[str, ...], cause_id: str) -> None:
    assert causes_of(dict.fromkeys(failed, Kind.END)) == dict.fromkeys(failed, cause_id)


@pytest.mark.parametrize(
    ("failed", "cause_id"),
    [
        (("C2.1", "C2.2", "C2.3", "C2.4", "C2.6"), "replies-not-compared"),
        (("C2.1", "C2.2", "C2.6"), "compares-lengths-only"),
        (("C2.2", "C2.5"), "compares-some-replies"),
        (("C2.1", "C2.6"), "compares-some-replies"),
        (("C2.3", "C2.4"), "its-own"),
        (("C2.1", "C2.2", "C2.3", "C2.4", "C3.1", "C3.4"), "exit-code-always-0"),
    ],
)
def test_what_a_client_compares(failed: tuple[str, ...], cause_id: str) -> None:
    assert causes_of(dict.fromkeys(failed, Kind.WRONG)) == dict.fromkeys(failed, cause_id)


def test_a_client_that_hangs_is_not_said_to_compare_nothing() -> None:
    hangs = dict.fromkeys(("C2.1", "C2.2", "C2.3", "C2.4"), Kind.SILENCE)
    assert set(causes_of(hangs).values()) == {"its-own"}
