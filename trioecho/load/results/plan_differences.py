"""Find what the plans of several runs differ in, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...base.addresses import format_address
from ..message_list import MessageSource
from ..plan import LoadPlan
from ..recorded_traffic import Replay
from ..stages import stage_in_words

_MOST_NAMES = 3


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:g} s"


def _file(source: MessageSource | None) -> str:
    return "none" if source is None else f"{source.file} ({source.sha256[:8]})"


def _replay(replay: Replay | None) -> str:
    if replay is None:
        return "none"
    return f"{replay.speed:g} times as fast" if replay.speed else "as fast as it goes"


# What two plans can differ in, without the number of connections and of processes, and the seed,
# which are no reason for other results.
_ATTRIBUTES: Mapping[str, Callable[[LoadPlan], str]] = {
    "server": lambda plan: format_address((plan.host, plan.port)),
    "format": lambda plan: str(plan.format),
    "sizes": lambda plan: f"{plan.sizes} B",
    "messages per connection": lambda plan: f"{plan.messages:,}" if plan.messages else "none",
    "duration": lambda plan: _seconds(plan.duration_s),
    "warm-up": lambda plan: _seconds(plan.warmup_s),
    "timeout": lambda plan: _seconds(plan.timeout_s),
    "pipeline": lambda plan: f"{plan.pipeline:,}",
    "rate": lambda plan: f"{plan.rate:,.12g} messages/s" if plan.rate else "none",
    "ramp": lambda plan: f"{plan.ramp.from_rate:g} to {plan.ramp.to_rate:g}/s" if plan.ramp else "none",
    "stages": lambda plan: ", ".join(map(stage_in_words, plan.stages)) or "none",
    "arrivals": lambda plan: plan.arrival,
    "replay": lambda plan: _replay(plan.replay),
    "messages from": lambda plan: _file(plan.source),
    "first messages": lambda plan: _file(plan.service.first_messages),
    "PROXY headers": lambda plan: plan.service.proxy_headers or "none",
    "replies": lambda plan: str(plan.reply),
    "keys": lambda plan: plan.service.key or "none",
    "TLS": lambda plan: "none" if plan.tls is None else plan.tls.in_words,
    "sockets": lambda plan: plan.sockets.in_words or "as the system has them",
    "connections": lambda plan: plan.churn.in_words or "open to the end",
}


def differences(plans: Sequence[LoadPlan], names: Sequence[str]) -> list[str]:
    """Return a phrase for each attribute that differs, as ``sizes: 64 B (a), 1000 B (b)``.

    Args:
      plans: at least one.
      names: of what they are the plans.
    """
    found = []
    for attribute, in_words in _ATTRIBUTES.items():
        owners: dict[str, list[str]] = {}
        for plan, name in zip(plans, names, strict=True):
            owners.setdefault(in_words(plan), []).append(name)
        if len(owners) > 1:
            values = (f"{value} ({_listed(whose)})" for value, whose in owners.items())
            found.append(f"{attribute}: {', '.join(values)}")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
