from __future__ import annotations

import inspect
import math
import re
from dataclasses import FrozenInstanceError, fields

import pytest

from trioecho.framing import DEFAULT_MAX_FRAME_LENGTH
from trioecho.limits import Limits, or_infinite

each_limit = pytest.mark.parametrize("name", [limit.name for limit in fields(Limits)])


def test_the_defaults_are_those_of_the_precedents() -> None:
    assert Limits() == Limits(
        max_frame_length=1024 * 1024,
        max_connections=10_000,
        idle_timeout_s=300,
        frame_timeout_s=60,
        write_timeout_s=60,
        grace_s=10,
        linger_s=5,
        spin_s=0.00005,
    )
    assert Limits().max_frame_length == DEFAULT_MAX_FRAME_LENGTH


def test_every_limit_is_documented_in_order() -> None:
    documented = re.findall(r"^  (\w+): ", inspect.cleandoc(Limits.__doc__ or ""), re.MULTILINE)
    assert documented == [*(limit.name for limit in fields(Limits)), "ValueError"]


@each_limit
@pytest.mark.parametrize("value", [-1, -0.001, -math.inf, math.nan])
def test_a_limit_is_not_negative_and_is_a_number(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be 0 or more, not {value!r}$"):
        Limits(**{name: value})  # type: ignore[arg-type]


@each_limit
@pytest.mark.parametrize("value", [0, 1, 10**9])
def test_a_limit_may_be_zero_or_more(name: str, value: int) -> None:
    assert getattr(Limits(**{name: value}), name) == value


@pytest.mark.parametrize("name", [limit.name for limit in fields(Limits) if limit.name.endswith("_s")])
def test_a_time_may_be_endless_or_a_fraction(name: str) -> None:
    for seconds in (math.inf, 0.25):
        assert getattr(Limits(**{name: seconds}), name) == seconds  # type: ignore[arg-type]


def test_limits_are_values() -> None:
    assert Limits(grace_s=1) == Limits(grace_s=1) != Limits()
    with pytest.raises(FrozenInstanceError):
        Limits().grace_s = 1  # type: ignore[misc]


def test_a_setting_that_is_off_is_infinite() -> None:
    assert or_infinite(0) == math.inf
    assert or_infinite(0.0) == math.inf


@pytest.mark.parametrize("setting", [0.001, 1, 300.0, math.inf])
def test_a_setting_that_is_on_stays_as_it_is(setting: float) -> None:
    assert or_infinite(setting) == setting
