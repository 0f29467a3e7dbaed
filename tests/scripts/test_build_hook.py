"""When a wheel is compiled, when it is left plain, and when that is an error."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

HOOK = Path(__file__).parents[2] / "scripts/build/hook.py"
INTERFACE = "hatchling.builders.hooks.plugin.interface"


class App:
    """What hatchling gives a hook to say something."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def abort(self, message: str) -> None:
        raise SystemExit(message)

    def display_warning(self, message: str) -> None:
        self.warnings.append(message)


class BuildHookInterface:
    """As hatchling's, which is not here: it is fetched for a build only."""

    def __init__(self, root: str, app: App) -> None:
        self.root = root
        self.app = app


@pytest.fixture
def hook_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    interface = types.ModuleType(INTERFACE)
    interface.BuildHookInterface = BuildHookInterface  # type: ignore[attr-defined]
    parts = INTERFACE.split(".")
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, INTERFACE, interface)
    spec = importlib.util.spec_from_file_location("build_hook", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv("TRIOECHO_COMPILED", raising=False)
    return module


@pytest.fixture
def hook(hook_module: Any, tmp_path: Path) -> Any:
    """A hook in a checkout whose package is empty, so that compiling it fails."""
    (tmp_path / "trioecho").mkdir()
    return hook_module.CompileHook(str(tmp_path), App())


def without_hindrances(hook_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_module, "hindrances", lambda: iter(()))


def test_the_compiler_is_fetched_where_it_can_be_used(
    hook_module: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_hindrances(hook_module, monkeypatch)
    assert hook.dependencies() == hook_module.REQUIREMENTS
    monkeypatch.setenv("TRIOECHO_COMPILED", "0")
    assert hook.dependencies() == []


def test_without_a_c_compiler_a_wheel_is_plain_and_nothing_is_said(
    hook_module: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    build_data: dict[str, Any] = {"force_include": {}}
    assert hook.dependencies() == []
    hook.initialize("standard", build_data)
    assert hook.app.warnings == []
    assert build_data == {"force_include": {}}


def test_without_a_c_compiler_a_compiled_wheel_is_refused(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOECHO_COMPILED", "1")
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(SystemExit, match="TRIOECHO_COMPILED=1, but nothing can be compiled here: "):
        hook.dependencies()


def test_another_wish_is_refused(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIOECHO_COMPILED", "yes")
    with pytest.raises(SystemExit, match="TRIOECHO_COMPILED is 1, 0 or not set, and not 'yes'"):
        hook.dependencies()


def test_what_does_not_compile_makes_a_plain_wheel_with_a_warning(
    hook_module: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_hindrances(hook_module, monkeypatch)
    build_data: dict[str, Any] = {"force_include": {}}
    hook.initialize("standard", build_data)
    hook.finalize("standard", build_data, "")
    [warning] = hook.app.warnings
    assert warning.startswith("compiling failed:\n")
    assert warning.endswith("\nThe wheel is plain.")
    assert build_data == {"force_include": {}}


def test_what_does_not_compile_is_an_error_where_it_was_asked_for(
    hook_module: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_hindrances(hook_module, monkeypatch)
    monkeypatch.setenv("TRIOECHO_COMPILED", "1")
    with pytest.raises(SystemExit, match="compiling failed:\n"):
        hook.initialize("standard", {"force_include": {}})


def test_an_editable_install_compiles_nothing(
    hook_module: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_hindrances(hook_module, monkeypatch)
    build_data: dict[str, Any] = {"force_include": {}}
    hook.initialize("editable", build_data)
    assert hook.app.warnings == []
    assert build_data == {"force_include": {}}
