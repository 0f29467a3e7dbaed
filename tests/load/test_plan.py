"""The plan of a load."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest

from trioecho.framing import FrameFormat
from trioecho.load import (
    LoadPlan,
    MessageSource,
    Ramp,
    ReplyRule,
    SizeRange,
    Sizes,
    Stage,
    rebuild_payload,
)


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 0}, "a rate of 0 messages/s is impossible"),
        ({"rate": -5}, "a rate of -5"),
        ({"rate": math.nan}, "a rate of nan"),
        ({"connections": 0}, "connections must be from 1"),
        ({"messages": 0}, "messages must be from 1"),
        ({"pipeline": 0}, "pipeline must be from 1"),
        ({"messages": 5, "duration_s": 1.0}, "not both"),
        ({"duration_s": 0}, "a duration of 0 s measures nothing"),
        ({"duration_s": math.inf}, "duration_s must be 0 or more"),
        ({"timeout_s": 0}, "makes every reply late"),
        ({"warmup_s": -1}, "warmup_s must be 0 or more"),
        ({"rate": 5, "pipeline": 2}, "a pipeline belongs to a closed loop"),
        ({"rate": 5, "think_s": 0.1}, "a think time belongs to a closed loop"),
        ({"ramp": Ramp(0, 5, 1), "think_s": 0.1}, "a think time belongs to a closed loop"),
        ({"think_s": -1}, "think_s must be 0 or more"),
        ({"think_s": math.inf}, "think_s must be 0 or more"),
        ({"rate": 5, "ramp": Ramp(0, 5, 1)}, "give a rate, a ramp or stages"),
        ({"ramp": Ramp(0, 0, 1)}, "a ramp from 0 to 0"),
        ({"ramp": Ramp(0, 5, 0)}, "a ramp must take more than 0 s"),
        ({"ramp": Ramp(5, 0, 1), "messages": 5}, "may never send all messages"),
        ({"stages": (Stage("a", 1, 1, 1),), "rate": 5.0}, "give a rate, a ramp or stages"),
        ({"stages": (Stage("a", 1, 1, 1),), "messages": 5}, "stages say how long the load is"),
        ({"stages": (Stage("a", 1, 1, 1),), "duration_s": 2.0}, "stages say how long the load is"),
        ({"stages": (Stage("a", 0, 1, 1),), "warmup_s": 2.0}, "a warm-up has the rate"),
        ({"stages": (Stage("a", 1, 1, 1),), "pipeline": 2}, "a pipeline belongs to a closed loop"),
        ({"stages": (Stage("a", -1, 1, 1),)}, "stage 1, from -1 to 1 messages/s, is impossible"),
        ({"stages": (Stage("a", 1, math.nan, 1),)}, "stage 1, from 1 to nan"),
        ({"stages": (Stage("a", 1, 1, 0),)}, "stage 1 must take more than 0 s"),
        ({"stages": (Stage("a", 1, 1, math.inf),)}, "stage 1 must take more than inf"),
        ({"stages": (Stage("a", 0, 0, 1),)}, "in none of the stages"),
        ({"stages": (Stage("", 1, 1, 1),)}, "the name of stage 1"),
        ({"stages": (Stage("a", 1, 1, 1), Stage("a", 1, 1, 1))}, "2 stages have the name a"),
        ({"processes": 6}, "6 processes cannot share 5 connections"),
        ({"seed": -1}, "seed must be"),
        ({"arrival": "never"}, "arrival must be"),
        ({"sizes": Sizes.of(256), "format": FrameFormat(header_bytes=1)}, "can express, 255"),
        ({"sizes": Sizes.of(255), "format": FrameFormat(1, "big", True)}, "can express, 254"),
    ],
)
def test_an_impossible_plan_says_why(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan_of(**changes)


def test_the_default_is_the_homework_load() -> None:
    plan = plan_of()
    assert (plan.connections, plan.messages, plan.duration_s, plan.is_open) == (5, 200, None, False)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"think_s": 0.25, "pipeline": 3},
        {"stages": (Stage("a", 0, 10.5, 0.1), Stage("b", 3, 3, 60.2)), "warmup_s": 0.0},
        {"rate": 100.5, "arrival": "poisson", "duration_s": 3.5},
        {"ramp": Ramp(1, 2, 3), "format": FrameFormat(2, "little", True), "sizes": Sizes.of(1, 9)},
    ],
)
def test_a_plan_survives_json(changes: dict[str, Any]) -> None:
    plan = plan_of(**changes)
    assert LoadPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("text", ["mqtt", "dec4", "any3,u32be,payload,xce", "u24le+header,any2"])
def test_a_plan_with_any_format_survives_json(text: str) -> None:
    plan = plan_of(format=FrameFormat.parse(text))
    document = json.loads(json.dumps(plan.to_dict()))
    assert document["format"] == str(plan.format)
    assert LoadPlan.from_dict(document) == plan
    for wrong in ("u33", 5, None, {"header_bytes": 3, "byte_order": "big", "length_includes_header": False}):
        with pytest.raises(ValueError, match="format"):
            LoadPlan.from_dict({**document, "format": wrong})


def test_a_plan_from_before_formats_were_texts_is_read() -> None:
    plan = plan_of(format=FrameFormat(2, "little", True)).to_dict()
    plan["format"] = {"header_bytes": 2, "byte_order": "little", "length_includes_header": True}
    assert LoadPlan.from_dict(plan) == plan_of(format=FrameFormat(2, "little", True))


def test_a_plan_from_before_think_times_has_none() -> None:
    plan = plan_of().to_dict()
    del plan["think_s"]
    assert LoadPlan.from_dict(plan) == plan_of()


SOURCE = MessageSource("a.jsonl", "0" * 64, 3, 5, 9, 20, most_reply_bytes=7)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": SOURCE},
        {"source": SOURCE, "reply": ReplyRule("recorded"), "duration_s": 2.0},
        {"reply": ReplyRule("package.module:function")},
    ],
)
def test_a_plan_with_messages_of_the_users_own_survives_json(changes: dict[str, Any]) -> None:
    plan = plan_of(**changes)
    assert LoadPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_from_before_such_messages_is_of_an_echo() -> None:
    plan = plan_of().to_dict()
    del plan["source"], plan["reply"]
    assert LoadPlan.from_dict(plan) == plan_of()


def test_messages_of_a_file_decide_number_and_sizes() -> None:
    plan = plan_of(source=SOURCE)
    assert (plan.messages, plan.sizes) == (3, Sizes.of(5, 9))
    assert plan_of(source=SOURCE, messages=7).messages == 7
    assert plan_of(source=SOURCE, reply=ReplyRule("recorded")).largest_reply == 16 << 20
    assert plan_of(source=SOURCE).largest_reply == 9
    with pytest.raises(ValueError, match="if there are messages with them"):
        plan_of(reply=ReplyRule("recorded"))
    with pytest.raises(ValueError, match="they came from a"):
        rebuild_payload(plan, 0, 1)


@pytest.mark.parametrize("text", ["", "ECHO", "counted", "a:", ":a", "a:1b", "a:b c"])
def test_what_is_no_rule_for_replies(text: str) -> None:
    with pytest.raises(ValueError, match="is none of echo, count, same-length, recorded"):
        ReplyRule(text)


def test_sizes_are_as_weighted() -> None:
    sizes = Sizes((SizeRange(64, 64, 9), SizeRange(1000, 1999, 1)))
    drawn = Counter(sizes.at((i + 0.5) / 10_000) for i in range(10_000))
    assert drawn[64] == 9000
    assert {drawn[size] for size in range(1000, 2000)} == {1}
    assert sizes.mean == pytest.approx(0.9 * 64 + 0.1 * 1499.5)
