"""Errors in words."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl

import pytest
import trio

from trioecho import FrameDecoder
from trioecho.base.describe import describe, describe_with_place
from trioecho.base.exception_groups import BaseExceptionGroup


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def raised_while_handling(error: BaseException, context: BaseException) -> BaseException:
    try:
        try:
            raise context
        finally:
            raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no"), "no"),
        (ValueError("two\n  lines"), "two lines"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (OSError("no number"), "no number"),
        (OSError(), "OSError"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (trio.ClosedResourceError(), "ClosedResourceError"),
        (raised(trio.BrokenResourceError(), OSError(errno.EPIPE, "Broken pipe")), "Broken pipe"),
        (raised(trio.BrokenResourceError("lost"), OSError(errno.EPIPE, "Broken pipe")), "lost"),
        (raised(trio.BrokenResourceError(), raised(OSError(), KeyError("deep"))), "'deep'"),
        (raised_while_handling(trio.BrokenResourceError(), ValueError("before")), "before"),
        (raised(raised_while_handling(OSError(), ValueError("hidden")), None), "OSError"),
        (
            raised(
                trio.BrokenResourceError(),
                ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
            ),
            "TLS: wrong version number",
        ),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:2580)"),
         "TLS: EOF occurred in violation of protocol"),
        (BaseExceptionGroup("a nursery's", [raised(trio.BrokenResourceError(), OSError("pipe"))]), "pipe"),
        (BaseExceptionGroup("of a nursery", [BaseExceptionGroup("inner", [KeyboardInterrupt()])]),
         "KeyboardInterrupt"),
    ],
)  # fmt: skip
def test_an_error_always_has_words(error: BaseException, words: str) -> None:
    assert describe(error) == words


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert describe(one) == "ValueError"


def test_the_place_of_an_error_is_where_it_was_raised() -> None:
    assert describe_with_place(ValueError("no")) == "ValueError: no"
    assert describe_with_place(raised(ValueError("no"))).startswith("ValueError: no (test_describe.py:")
    assert describe_with_place(raised(ValueError())).startswith("ValueError (test_describe.py:")


def test_the_place_of_an_error_is_one_that_a_user_can_change() -> None:
    def broken(document: object) -> None:
        json.loads("{")

    with pytest.raises(json.JSONDecodeError) as of_library:
        broken(None)
    assert re.search(r"line 1 .*\(test_describe\.py:\d+\)$", describe_with_place(of_library.value))
    with pytest.raises(TypeError) as of_package:
        FrameDecoder().receive_data("text")  # type: ignore[arg-type]
    assert "(test_describe.py:" in describe_with_place(of_package.value)
    without_user = of_package.value.with_traceback(of_package.tb.tb_next)
    assert "(test_describe.py:" not in describe_with_place(without_user)
    assert re.search(r"\(\w+\.py:\d+\)$", describe_with_place(without_user))


def test_an_error_of_syntax_has_its_own_place() -> None:
    with pytest.raises(SyntaxError) as error:
        compile("def shout(:", "shop.py", "exec")
    assert describe_with_place(error.value) == "SyntaxError: invalid syntax (shop.py, line 1)"
