"""`import trioecho`: what is public, and that Trio is imported only for what needs it."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import trioecho

WITHOUT_TRIO = ["FrameDecoder", "FrameFormat", "FrameTooLargeError", "Limits", "encode_frame"]


def run_python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("name", ["echo", "FrameChannel", *WITHOUT_TRIO])
def test_trio_is_imported_for_what_needs_it_and_for_nothing_else(name: str) -> None:
    printed = run_python(f"from trioecho import {name}; import sys; print('trio' in sys.modules)")
    assert printed == f"{name not in WITHOUT_TRIO}\n"


def test_all_names_are_listed_before_any_was_asked_for() -> None:
    listed = run_python("import trioecho; print(*dir(trioecho), sep='\\n')").split()
    assert set(trioecho.__all__) <= set(listed)
    assert run_python("from trioecho import *; print(serve_frames.__name__)") == "serve_frames\n"


def test_every_name_is_the_one_of_its_home() -> None:
    homes = vars(trioecho)["_HOMES"]
    for name, home in homes.items():
        assert getattr(trioecho, name) is getattr(importlib.import_module(home, "trioecho"), name)
    assert set(homes) <= set(trioecho.__all__)


# What a version number promises, beside the names themselves and their constructors' arguments.
PUBLIC_ATTRIBUTES = {
    "Frame": {"header", "payload", "trailer"},
    "FrameBatch": {"data", "frame_count"},
    "FrameChannel": {
        *{"receive_frame", "send_frame"},
        *{"receive", "receive_batch", "send", "send_batch", "send_eof", "echo", "reply_with"},
        *{"aclose", "abort", "finish", "drain", "peer", "info"},
    },
    "FrameClient": {"request", "request_frame", "in_flight"},
    "FrameDecoder": {
        *{"receive_data", "end_of_data", "next_frame", "next_frames", "next_batch", "next_whole_frame"},
        *{"buffered_bytes", "frames_decoded"},
    },
    "FrameFormat": {
        *{"header_bytes", "byte_order", "length_includes_header"},
        *{"encode_header", "decode_header", "max_payload_length"},
        *{"parse", "trailer", "frame_length", "is_plain"},
    },
    "FrameServer": {"connections", "drain", "report_now"},
    "Limits": {
        *{"max_frame_length", "max_connections", "idle_timeout_s", "frame_timeout_s", "write_timeout_s"},
        *{"grace_s", "linger_s", "spin_s", "tls_handshake_timeout_s", "proxy_header_timeout_s"},
    },
    "ProxyProtocol": {"accepts", "allow_from"},
    "TlsFiles": {
        *{"keyfile", "keyfile_password_file", "client_ca", "tls_min", "ciphers", "alpn"},
        *{"load", "with_absolute_paths"},
    },
    "PerfCounterClock": {"current_time", "deadline_to_sleep_time", "start_clock"},
}


@pytest.mark.parametrize("name", PUBLIC_ATTRIBUTES)
def test_a_public_class_has_what_users_need_and_nothing_else(name: str) -> None:
    assert {
        attribute
        for attribute in dir(getattr(trioecho, name))
        if not attribute.startswith("_") and attribute not in dir(tuple)
    } == PUBLIC_ATTRIBUTES[name]


def test_what_is_for_the_engine_alone_is_not_public() -> None:
    assert not {"ConnectionDecoder", "ReceiveBuffer", "BlockPool"} & set(dir(trioecho))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trioecho' has no attribute 'FrameChanel'"):
        trioecho.FrameChanel  # type: ignore[attr-defined]  # noqa: B018 - that is the test
    with pytest.raises(ImportError, match="cannot import name 'FrameChanel'"):
        from trioecho import FrameChanel  # type: ignore[attr-defined]  # noqa: F401


# Each command's module has these two, which the command line calls.
OF_EVERY_COMMAND = {"add_command", "run"}


def test_a_public_name_means_one_thing_in_the_whole_package() -> None:
    names: Counter[str] = Counter()
    for path in Path(trioecho.__file__).parent.rglob("*.py"):
        defined = {
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        names.update(defined)
    twice = {name for name, count in names.items() if count > 1 and not name.startswith("_")}
    assert twice == OF_EVERY_COMMAND
