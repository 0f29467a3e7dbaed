"""The rooms of the code: who may import whom, who may print, what is public."""

from __future__ import annotations

import ast
import graphlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trioecho
from trioecho.base.build import BUILD

PACKAGE = Path(trioecho.__file__).parent

# Each may import what stands above it. What a command's folder may import of the
# service stands above all commands; `trioecho --help` is the map of the rest.
ROOMS = [
    "base",
    "errors",
    "framing",
    "limits",
    "connection",
    "server",
    "client",
    "send",
    "cluster",  # processes on the machines of a Dask cluster
    "load",
    "__init__",
    "demo",
    "check",
    "proxy",
    "testing",
    "admin",  # shows what those above it do while they run
    "locust",  # users of Locust; imports no Trio
    "guide",
    "deploy",
    "faulty",
    "dissect",
    "cli",
    "__main__",
]
# The order inside a room; each may import what stands before it.
INNER_ROOMS = {
    "load": [
        "message_list",
        "reply_rule",
        "service_traits",
        "recorded_traffic",
        "sizes",
        "stages",
        "churn",
        "socket_options",
        "plan",
        "errors",
        "goals",  # objectives, and the search for the highest rate
        "results",
        "engine",
        "processes",
        "cluster",  # the same, on other machines
        "run",
        "__init__",
        "report",
    ],
    "check": [
        "__init__",
        "book",
        "verdict",
        "spawned",
        "client",
        "diagnosis",
        "preflight",
        "cases",
        "runner",
        "clients",
        "output",
    ],
}
# What is at the front of the package has public names of any room, each imported when it is first asked for.
FRONT = PACKAGE / "__init__.py"
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


def name_of(path: Path) -> str:
    """The name of a module: ``trioecho.load.plan``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path, *, is_module: Callable[[str], bool]) -> set[str]:
    """The modules of this package that a module imports, also inside functions.

    What only type checkers import makes no circle, and does not count.
    """
    here = name_of(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    modules = set()
    for node in nodes_that_run(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                modules.add(inner if is_module(inner) else source)
    return {module for module in modules if is_module(module)} - {name_of(path)}


def nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield child
            yield from nodes_that_run(child)


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {name_of(path): path for path in MODULES}
    graph = {name: imported_modules(path, is_module=names.__contains__) for name, path in names.items()}
    assert graph["trioecho.load.run"] >= {"trioecho.load.plan", "trioecho.load.processes.local"}
    graphlib.TopologicalSorter(graph).prepare()  # raises, and names the circle


@pytest.mark.parametrize("room", INNER_ROOMS)
def test_imports_inside_a_room_go_down_only(room: str) -> None:
    order = INNER_ROOMS[room]
    inside = {name_of(path): path for path in MODULES if room_of(path) == room}

    def inner_room_of(module: str) -> str:
        return ".".join(module.split(".")[2:3]) or "__init__"

    assert {inner_room_of(module) for module in inside} == set(order)
    for module, path in inside.items():
        allowed = set(order[: order.index(inner_room_of(module)) + 1])
        imported = map(inner_room_of, imported_modules(path, is_module=inside.__contains__))
        assert set(imported) <= allowed, module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path) <= allowed or path == FRONT


def test_the_front_of_the_package_imports_nothing_by_itself() -> None:
    names = {name_of(path) for path in MODULES}
    assert imported_modules(FRONT, is_module=names.__contains__) == set()


def test_every_module_has_a_room() -> None:
    modules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
    if BUILD == "compiled":
        modules.remove("compiled__mypyc")  # what is compiled of the others
    assert modules | {"__init__"} == set(ROOMS)


def test_framing_knows_nothing_of_input_and_output() -> None:
    modules = (PACKAGE / "errors.py", PACKAGE / "base" / "histogram.py", *(PACKAGE / "framing").glob("*.py"))
    for path in modules:
        source = path.read_text()
        imports = {
            alias.name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert imports <= {"bisect", "functools", "re", "struct", "math"}


# The demo starts one of its servers as a program of its own, without the command line.
PROGRAMS = {PACKAGE / "__main__.py", PACKAGE / "demo" / "timed_server.py", *(PACKAGE / "cli").rglob("*.py")}


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


def is_compiled(value: object) -> bool:
    module = inspect.getmodule(value)
    return isinstance(value, type) and module is not None and not str(module.__file__).endswith(".py")


def test_the_public_names_exist_once_and_are_documented() -> None:
    names = trioecho.__all__
    assert len(names) == len(set(names))
    for name in names:
        value = getattr(trioecho, name)
        if inspect.isfunction(value) or type(value) is type:
            # The compiler leaves out the docstrings of classes.
            assert value.__doc__ or is_compiled(value), name
