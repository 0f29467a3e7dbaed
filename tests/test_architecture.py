"""The rooms of the code: who may import whom, who may print, what is public."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from pathlib import Path

import pytest

import trioecho

PACKAGE = Path(trioecho.__file__).parent

# Each may import what stands above it.
ROOMS = [
    "errors",
    "exception_groups",
    "framing",
    "histogram",
    "limits",
    "open_files",
    "clock",
    "steps",
    "transport",
    "exchange",
    "places",
    "hub",
    "accepting",
    "replies",
    "channel",
    "metrics",
    "throttled_log",
    "server",
    "workers",
    "client",
    "load",
    "report",
    "__init__",
    "demo",
    "check",
    "proxy",
    "zoo",
    "cli",
    "__main__",
]
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The rooms of this package that a module imports from, also inside functions."""
    depth = len(path.relative_to(PACKAGE).parts)
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").startswith("trioecho")
        ):
            names = [(node.module or "").partition(".")[2] or "__init__"]
        else:
            continue
        rooms |= {name.split(".")[0] for name in names}
    return {room if room in ROOMS else "__init__" for room in rooms}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path) <= allowed


def test_every_module_has_a_room() -> None:
    assert {module.name for module in pkgutil.iter_modules([str(PACKAGE)])} | {"__init__"} == set(ROOMS)


def test_framing_knows_nothing_of_input_and_output() -> None:
    for path in (PACKAGE / "errors.py", PACKAGE / "histogram.py", *(PACKAGE / "framing").glob("*.py")):
        source = path.read_text()
        imports = {
            alias.name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert imports <= {"bisect", "functools", "struct", "math"}


# The demo starts one of its servers as a program of its own, without the command line.
PROGRAMS = {PACKAGE / "__main__.py", PACKAGE / "demo" / "timed_server.py", *(PACKAGE / "cli").iterdir()}


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path not in PROGRAMS],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_only_programs_print_read_arguments_and_handle_signals(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    called = {
        node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    of_sys = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys"
    }
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert not called & {"print", "exit", "input"}
    assert not of_sys & {"argv", "exit", "stdout", "stderr", "stdin"}
    assert "open_signal_receiver" not in named


def test_the_public_names_exist_once_and_are_documented() -> None:
    names = trioecho.__all__
    assert len(names) == len(set(names))
    for name in names:
        value = getattr(trioecho, name)
        if inspect.isfunction(value) or type(value) is type:
            assert value.__doc__, name
