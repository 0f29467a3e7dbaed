"""A fault with a name, as a person adds it to a proxy, and what all of them do to a stream."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from ..base.suggestion import did_you_mean, quoted
from ..framing import FrameFormat
from .counts import Direction
from .fault_kinds import COALESCE_TIME, KINDS, ON_FRAME, PARAMETERS, PROBABILITY, SEED, FaultKind
from .faults import CLEAN, Faults, FrameRule

_BOTH = "both"
_DIRECTIONS = (_BOTH, *(direction.value for direction in Direction))
_FIELDS = ("name", "fault", "value", "direction")
# A name is a part of a path of HTTP, and of a line of a log.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


class ProxyRequestError(ValueError):
    """What is asked of a proxy cannot be done, and nothing was changed; the message says why."""


class NotThereError(ProxyRequestError):
    """There is no proxy, or no fault, of that name."""


class ConflictError(ProxyRequestError):
    """What is asked for does not go together with what there is: a name, or an address, is taken."""


@dataclass(frozen=True)
class NamedFault:
    """A fault of a proxy.

    Attributes:
      name: no other fault of the proxy has it.
      kind: what it does.
      direction: ``both``, ``to-server`` or ``to-client``.
      written: its value, and its parameters by their keys, as they were written.
      value: its value, as it was read; None if it has none.
      parameters: those that are given, by their keys, as they were read.
    """

    name: str
    kind: FaultKind
    direction: str = _BOTH
    written: Mapping[str, str] = field(default_factory=dict)
    value: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, str | int | float]:
        """Return it as JSON has it; `read_fault` reads that."""
        named = {"name": self.name, "fault": self.kind.word, "direction": self.direction}
        numbers = {key: value for key, value in self.parameters.items() if key != COALESCE_TIME.key}
        return {**named, **self.written, **numbers}


def check_name(what: str, name: object) -> str:
    """Return the name of a fault or a proxy.

    Raises:
      ProxyRequestError: it cannot be one.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ProxyRequestError(
            f"{quoted(str(name))} cannot be the name of {what}; write at most 64 letters, digits and . _ -"
        )
    return name


def in_keys(written: object, known: Iterable[str], what: str) -> dict[str, Any]:
    """Return an object with the spelling of JSON: a hyphen in a key is an underscore.

    Raises:
      ProxyRequestError: it is no object, or a key is none of those that are known.
    """
    if not isinstance(written, Mapping):
        raise ProxyRequestError(f"{what} is an object with {', '.join(known)}")
    keys = {str(key): str(key).replace("-", "_") for key in written}
    if len({*keys.values()}) < len(keys):
        raise ProxyRequestError(
            f"{what} has a key twice, with a hyphen and with an underscore; leave out one"
        )
    for key, spelt in keys.items():
        if spelt not in known:
            hint = did_you_mean(spelt, known, f"there are {', '.join(known)}")
            raise ProxyRequestError(f"{what} has no {quoted(key)}; {hint}")
    return {keys[str(key)]: value for key, value in written.items()}


def read_fault(written: object) -> NamedFault:
    """Return the fault that an object of JSON or a table of TOML asks for.

    Args:
      written: with ``fault``, and with ``name``, ``value``, ``direction`` and parameters where they are
        wanted. Values are texts as options have them, or numbers.

    Raises:
      ProxyRequestError: it makes no sense.
    """
    keys = (*_FIELDS, *(parameter.key for parameter in PARAMETERS))
    given = {key: value for key, value in in_keys(written, keys, "a fault").items() if value is not None}
    word = given.get("fault")
    if not isinstance(word, str) or word not in KINDS:
        if word is None:
            raise ProxyRequestError(f"a fault needs the key fault, one of {', '.join(KINDS)}")
        hint = did_you_mean(str(word), KINDS, f"there are {', '.join(KINDS)}")
        raise ProxyRequestError(f"there is no fault {quoted(str(word))}; {hint}")
    kind = KINDS[word]
    direction = given.get("direction", _BOTH)
    if direction not in _DIRECTIONS:
        raise ProxyRequestError(
            f"direction is one of {', '.join(_DIRECTIONS)}, and not {quoted(str(direction))}"
        )
    texts: dict[str, str] = {}
    value = None
    if kind.read is None:
        if given.get("value", True) is not True:
            raise ProxyRequestError(f"{word} has no value; leave it out")
    else:
        if "value" not in given:
            raise ProxyRequestError(f"{word} needs a value, as {quoted(kind.example)}")
        texts["value"] = _as_text("value", given["value"])
        value = _read(f"the value of {word}", kind.read, texts["value"])
    parameters = {}
    for parameter in PARAMETERS:
        if parameter.key not in given:
            continue
        if not parameter.of(kind):
            raise ProxyRequestError(f"{word} has no {parameter.key}; leave it out")
        text = _as_text(parameter.key, given[parameter.key])
        parameters[parameter.key] = _read(parameter.key, parameter.read, text)
        if parameter is COALESCE_TIME:
            texts[parameter.key] = text
    name = check_name("a fault", given.get("name", word))
    return NamedFault(name, kind, direction, texts, value, parameters)


def change_fault(fault: NamedFault, changes: object) -> NamedFault:
    """Return the fault with what an object changes of it: its value, direction or parameters.

    A parameter that becomes null has its default again.

    Raises:
      ProxyRequestError: it makes no sense.
    """
    given = in_keys(changes, (*_FIELDS, *(parameter.key for parameter in PARAMETERS)), "a fault")
    before = fault.as_object()
    for key in ("name", "fault"):
        if given.get(key, before[key]) != before[key]:
            raise ProxyRequestError(f"the {key} of a fault stays; remove the fault, and add another")
    return read_fault({**before, **given})


def _as_text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ProxyRequestError(f"{key} is a text or a number")
    if isinstance(value, float) and math.isfinite(value):  # 0.00005, and not 5e-05; 3, and not 3.0
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return str(value)


def _read(what: str, read: Any, text: str) -> object:
    try:
        return read(text)
    except ValueError as error:
        raise ProxyRequestError(f"{what}: {error}") from None


def combine(faults: Iterable[NamedFault], format: FrameFormat) -> dict[Direction, Faults]:
    """Return what all these faults together do in each direction.

    Raises:
      ProxyRequestError: two of them are the same fault of one stream, of which there can be only one.
    """
    faults = list(faults)
    return {direction: _combine(faults, direction, format) for direction in Direction}


def _combine(faults: Iterable[NamedFault], direction: Direction, format: FrameFormat) -> Faults:
    rules: list[FrameRule] = []
    streams: dict[str, NamedFault] = {}
    for fault in faults:
        if fault.direction not in (_BOTH, direction.value):
            continue
        if fault.kind.frame_fault is not None:
            rules.append(_rule_of(fault))
            continue
        other = streams.setdefault(fault.kind.word, fault)
        if other is not fault:
            raise ProxyRequestError(
                f"{other.name} is a {fault.kind.word} {direction.value} already; change it, or remove it"
            )
    values = {word: fault.value for word, fault in streams.items()}
    held = streams.get("coalesce")
    return Faults(
        slice_bytes=values.get("slice"),
        coalesce_bytes=values.get("coalesce", 0),
        coalesce_s=held.parameters.get(COALESCE_TIME.key, CLEAN.coalesce_s) if held else CLEAN.coalesce_s,
        delay_s=values.get("delay", CLEAN.delay_s),
        gap_s=values.get("gap", 0.0),
        bandwidth_bytes_per_s=values.get("bandwidth", 0),
        reset_after_bytes=values.get("reset-after"),
        reset_after_total_bytes=values.get("reset-after-total"),
        end_after_bytes=values.get("end-after"),
        reset_after_s=values.get("reset-after-time"),
        frame_rules=tuple(rules),
        format=format,
    )


def _rule_of(fault: NamedFault) -> FrameRule:
    assert fault.kind.frame_fault is not None  # noqa: S101 - for the type checker: who calls has looked
    given = fault.parameters
    return FrameRule(
        fault.kind.frame_fault,
        on_frame=cast("int | None", given.get(ON_FRAME.key)),
        probability=cast("float", given.get(PROBABILITY.key, 1.0)),
        seed=cast("int | None", given.get(SEED.key)),
        name=fault.name,
    )
