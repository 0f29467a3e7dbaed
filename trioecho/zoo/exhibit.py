"""What is said of a server of the zoo."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass

from .honest import EchoServer

# Of a server that echoes nothing only the simplest case is tried; of the others it passes none.
NOTHING_ELSE_IS_TRIED = ("1", "2", "3", "4", "5", "6", "7")


@dataclass(frozen=True)
class Exhibit:
    """A bug, for the classroom.

    Attributes:
      name: what ``trioecho faulty`` calls it.
      bug: what is wrong, in a line.
      works: why it seems to work on its developer's machine.
      shows: how it shows.
      mend: what to do instead.
      source: where the bug was met.
      fails: the rules of ``trioecho check`` that it breaks; a number alone is a section.
      may_fail: those that it may break, as chance has it, or that are not tried on it.
      cause: the likely cause that ``trioecho check`` names.
    """

    name: str
    bug: str
    works: str
    shows: str
    mend: str
    source: str
    fails: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    cause: str = ""


class FaultyServer(EchoServer):
    """An echo server with one bug; `about` says which."""

    about: Exhibit


def wrong_lines(server: type[EchoServer]) -> str:
    """The source of what a server does otherwise than the honest one; ``# BUG`` marks the lines."""
    source = textwrap.dedent(inspect.getsource(server))
    lines = source.splitlines()
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker: a class's source is one
    parts = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in definition.body
        if not isinstance(node, ast.Expr) and not _is_about(node)
    ]
    return "\n\n".join(textwrap.dedent(part) for part in parts)


def _is_about(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "about"
