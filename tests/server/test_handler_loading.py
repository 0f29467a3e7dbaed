"""MODULE:HANDLER: what is found, and how it is said what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trioecho import echo
from trioecho.base.functions_by_name import FunctionNotFoundError, FunctionReference
from trioecho.server.handler_loading import load_service, reference_to

SHOP = """
import json

class Shop:
    def reply(message: bytes) -> bytes:
        return b"of a class"

def reply(message: bytes) -> bytes:
    return b"of a module"

def of_two(message, other):
    return message

number = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules, which are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.chdir(tmp_path)
    for path, text in {
        "shop_of_test.py": SHOP,
        "shelf_of_test/__init__.py": "",
        "shelf_of_test/shop.py": "from .stock import stock\ndef reply(message: bytes): return stock\n",
        "shelf_of_test/stock.py": "stock = b'of a package'\n",
        "random.py": "def reply(message: bytes) -> bytes: return b'of random.py'\n",
        "raises.py": "\n\nPORT = int('many')\n",
        "wrong.py": "def reply(:\n",
        "needs.py": "import a_module_that_nobody_has\n",
        "leaves.py": "raise SystemExit(0)\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def function_of(name: str, folder: Path) -> object:
    return load_service(FunctionReference(name, str(folder))).function


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("shop_of_test:reply", b"of a module"),
        ("shop_of_test:Shop.reply", b"of a class"),
        ("shop_of_test.py:reply", b"of a module"),
        ("shelf_of_test.shop:reply", b"of a package"),
        ("random.py:reply", b"of random.py"),
    ],
)
def test_a_function_is_found(name: str, reply: bytes, folder: Path) -> None:
    assert function_of(name, folder)(b"") == reply  # type: ignore[operator]
    assert function_of(str(folder / "random.py") + ":reply", folder)(b"") == b"of random.py"  # type: ignore[operator]


def test_an_installed_function_is_found_and_what_is_in_the_folder_shadows_nothing(folder: Path) -> None:
    assert function_of("trioecho:echo", folder) is echo
    assert sys.path[-1] == str(folder)
    assert not hasattr(sys.modules["random"], "reply")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "shop_of_test",
            "'shop_of_test' does not name a function; write MODULE:FUNCTION or FILE.py:FUNCTION",
        ),
        ("shop_of_test:", "'shop_of_test:' does not name a function"),
        (":reply", "':reply' does not name a function"),
        ("shop-of-test:reply", "'shop-of-test' cannot be the name of a module; write MODULE:FUNCTION"),
        ("..shop:reply", "'..shop' cannot be the name of a module"),
        ("shopp:reply", "there is no module shopp, neither in FOLDER nor among the installed ones"),
        ("shelf_of_test.shopp:reply", "there is no module shelf_of_test.shopp, neither in FOLDER nor"),
        ("shopp.py:reply", "there is no file shopp.py"),
        ("shop_of_test:repyl", "shop_of_test has no repyl; did you mean reply?"),
        ("shop_of_test:Shop.repyl", "shop_of_test has no Shop.repyl; did you mean reply?"),
        ("shop_of_test.py:sell", "shop_of_test.py has no sell"),
        ("random:reply", "for the file of that name write random.py:reply"),
        (
            "shop_of_test:number",
            "shop_of_test:number: an object of type int cannot be served; write a function",
        ),
        (
            "shop_of_test:of_two",
            "shop_of_test:of_two (shop_of_test.py:11): of_two(message, other) takes more",
        ),
        ("shop_of_test:json", "an object of type module cannot be served"),
        ("raises:reply", "raises cannot be imported: ValueError: invalid literal for int"),
        ("raises.py:reply", "'many' (raises.py:3)"),
        ("wrong:reply", "wrong cannot be imported: SyntaxError: invalid syntax (wrong.py, line 1)"),
        (
            "needs:reply",
            "needs cannot be imported: ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
        ),
        ("leaves:reply", "leaves cannot be imported: SystemExit: 0 (leaves.py:1)"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(name: str, words: str, folder: Path) -> None:
    with pytest.raises(FunctionNotFoundError) as error:
        load_service(FunctionReference(name, str(folder)))
    assert words.replace("FOLDER", str(folder)) in str(error.value)
    assert "\n" not in str(error.value)


class Inside:
    @staticmethod
    def reply(message: bytes) -> bytes:
        return message


def test_other_processes_find_what_is_at_the_top_of_a_module() -> None:
    assert reference_to(echo).name == "trioecho.server.handlers:echo"
    assert reference_to(Inside.reply).name == f"{__name__}:Inside.reply"
    for no_name in (lambda message: message, Inside(), bytes.upper):
        with pytest.raises(ValueError, match="define it at the top of a module or a file"):
            reference_to(no_name)  # type: ignore[arg-type]
