"""Read JSON that may be damaged: every part knows where it stands, and says there what is wrong.

What is read follows from types: `Part.read` takes ``int``, ``float``, ``str``, ``bool``, ``bytes``
(as hexadecimal), ``X | None``, ``Literal``, lists, tuples, named tuples and dataclasses. Numbers
are bounded, so that what works on them does so in bounded memory.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .printable import printable_line

# Above every count, and every time in nanoseconds, that a machine can come to.
MAX_COUNT = (1 << 64) - 1
MAX_NUMBER = 1e30
_SHOWN_CHARACTERS = 40

Readers = Mapping[Any, Callable[["Part"], Any]]


class DamagedError(ValueError):
    """A part is not what it should be; the message is one line: where, and what."""


class Part:
    """A value of a JSON document, and its place there.

    Args:
      value: what `json.loads` made of it.
      place: how one comes to it, as ``intervals[3].messages``; empty for the whole document.
    """

    __slots__ = ("place", "value")

    def __init__(self, value: object, place: str = "") -> None:
        self.value: object = value
        self.place: str = place

    def wrong(self, reason: str) -> DamagedError:
        """Return the error that refuses this part."""
        return DamagedError(f"{self.place}: {reason}" if self.place else reason)

    def __str__(self) -> str:
        """Return the value in a few words, as messages show it."""
        value = self.value
        if isinstance(value, dict | list):
            return "an object" if isinstance(value, dict) else "a list"
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        return _cut(printable_line(repr(value)))

    def fields(self) -> dict[str, object]:
        """Return what an object holds, by name."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"{self} is not an object")
        return self.value

    def __contains__(self, name: str) -> bool:
        return name in self.fields()

    def __getitem__(self, name: str) -> Part:
        place = _joined(self.place, _cut(printable_line(name)))
        try:
            return Part(self.fields()[name], place)
        except KeyError:
            raise DamagedError(f"{place} is missing") from None

    def __iter__(self) -> Iterator[Part]:
        """Iterate over the items of a list."""
        if not isinstance(self.value, list):
            raise self.wrong(f"{self} is not a list")
        return (Part(item, f"{self.place}[{number}]") for number, item in enumerate(self.value))

    def count(self) -> int:
        """Return a whole number, from 0 to `MAX_COUNT`."""
        value = self.value
        if type(value) is not int or not 0 <= value <= MAX_COUNT:
            raise self.wrong(f"{self} is not a count")
        return value

    def number(self) -> float:
        """Return a number from 0 to `MAX_NUMBER`."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMBER:
            raise self.wrong(f"{self} is not a number from 0 to {MAX_NUMBER:g}")
        return float(value)

    def text(self) -> str:
        """Return a text; what is in it is not to be trusted."""
        if not isinstance(self.value, str):
            raise self.wrong(f"{self} is not a text")
        return self.value

    def read(self, kind: Any, *, readers: Readers = types.MappingProxyType({})) -> Any:
        """Return the value as one of a type, which also says how its parts are read.

        Args:
          kind: the type.
          readers: for types of which JSON is not what their attributes are.

        Raises:
          DamagedError: it is none.
        """
        if kind in readers:
            return readers[kind](self)
        if kind in _SIMPLE:
            return _SIMPLE[kind](self)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            if self.value is None and type(None) in arguments:
                return None
            [kind] = (argument for argument in arguments if argument is not type(None))
            return self.read(kind, readers=readers)
        if origin is Literal:
            return self._one_of(arguments)
        if origin in (list, tuple):
            return origin(item.read(arguments[0], readers=readers) for item in self)
        return self.record(kind, readers=readers)

    def record(
        self,
        kind: Any,
        *,
        readers: Readers = types.MappingProxyType({}),
        may_be_missing: Collection[str] = (),
    ) -> Any:
        """Return an object as a dataclass or a named tuple; what these do not know is left out.

        Args:
          kind: the class.
          readers: as of `read`.
          may_be_missing: attributes that younger writers added; older files mean their defaults.

        Raises:
          DamagedError: it is none, or the class refuses it.
        """
        values = {
            name: self[name].read(hint, readers=readers)
            for name, hint in _attributes(kind).items()
            if name in self or name not in may_be_missing
        }
        try:
            return kind(**values)
        except ValueError as error:
            raise self.wrong(str(error)) from None

    def _one_of(self, words: Sequence[object]) -> object:
        for word in words:
            if type(self.value) is type(word) and self.value == word:
                return word
        raise self.wrong(f"{self} is none of {', '.join(map(str, words))}")

    def flag(self) -> bool:
        """Return the boolean that it is.

        Raises:
          DamagedError: it is none.
        """
        if not isinstance(self.value, bool):
            raise self.wrong(f"{self} is neither true nor false")
        return self.value

    def _bytes(self) -> bytes:
        try:
            return bytes.fromhex(self.text())
        except ValueError:
            raise self.wrong(f"{self} is not hexadecimal") from None


_SIMPLE: Mapping[Any, Callable[[Part], object]] = {
    int: Part.count,
    float: Part.number,
    str: Part.text,
    bool: Part.flag,
    bytes: Part._bytes,
}


@cache
def _attributes(kind: Any) -> Mapping[str, Any]:
    """Return the types of what a class is made of, by name."""
    hints = get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
    return {name: hints[name] for name in kind._fields}


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
