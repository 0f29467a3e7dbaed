"""The description of a faulty server or client, and the lines in which it is wrong."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass

from .header_format import HeaderFormat
from .honest import EchoServer
from .need import Need

# Of a server that echoes nothing only the simplest case is tried; of the others it passes none.
NOTHING_ELSE_IS_TRIED = ("1", "2", "3", "4", "5", "6", "7")


@dataclass(frozen=True)
class Bug:
    """A bug, for the classroom.

    Attributes:
      name: what ``trioecho faulty`` calls it.
      summary: what is wrong, in a line.
      works: why it seems to work on its developer's machine.
      shows: how it shows.
      fix: what to do instead.
      source: where the bug was met.
      fails: the rules of ``trioecho check`` that it breaks; a number alone is a section.
      may_fail: those that it may break, as chance has it, or that are not tried on it.
      cause: the likely cause that ``trioecho check`` names.
      needs: what headers have to be like for it to show.
    """

    name: str
    summary: str
    works: str
    shows: str
    fix: str
    source: str
    fails: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    cause: str = ""
    needs: tuple[Need, ...] = ()

    def why_not(self, format: HeaderFormat, limit: int) -> str:
        """Say why it cannot show with such headers, and this limit in payload bytes; nothing if it can."""
        unmet = [need.words for need in self.needs if not need.is_met(format, limit)]
        return f"it needs {' and '.join(unmet)}" if unmet else ""


class FaultyServer(EchoServer):
    """An echo server with one bug; `bug` says which."""

    bug: Bug


def wrong_lines(faulty: type[object]) -> str:
    """Return the source in which it differs from the honest one; ``# BUG`` marks the wrong lines."""
    source = textwrap.dedent(inspect.getsource(faulty))
    lines = source.splitlines()
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker: a class's source is one
    parts = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in definition.body
        if not isinstance(node, ast.Expr) and not _is_description(node)
    ]
    return "\n\n".join(textwrap.dedent(part) for part in parts)


def _is_description(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "bug"
