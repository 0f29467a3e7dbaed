"""The compiled build and the plain one: which one runs, and that they do the same."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trioecho
from tests.support.processes import run_command
from trioecho.base.build import BUILD, IS_COMPILED
from trioecho.base.version import version_and_build

PACKAGE = Path(trioecho.__file__).parent
COMPILE = Path(__file__).parents[1] / "scripts/build/compile.py"
compiled_only = pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled in this build")


def test_the_command_and_results_say_which_build_it_is() -> None:
    assert ("compiled" if IS_COMPILED else "plain") == BUILD
    assert run_command("--version").stdout == f"trioecho {trioecho.__version__} ({BUILD})\n"
    assert version_and_build() == f"{trioecho.__version__} ({BUILD})"


MODULES = re.findall(r'^    "(\w+/\w+)\.py",$', COMPILE.read_text(), re.MULTILINE)


def test_each_module_that_is_to_be_compiled_is() -> None:
    assert "framing/native_scanning" in MODULES
    for name in MODULES:
        module = importlib.import_module(f"trioecho.{name.replace('/', '.')}")
        assert str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES)) == IS_COMPILED, name


@pytest.mark.parametrize("name", MODULES)
def test_no_slice_has_a_call_in_its_bounds(name: str) -> None:
    """Mypyc makes such a call twice, at least up to 2.4."""
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text())):
        if isinstance(node, ast.Slice):
            assert not [each for each in ast.walk(node) if isinstance(each, ast.Call)], ast.unparse(node)


def test_a_traceback_has_files_functions_and_lines() -> None:
    decoder = trioecho.FrameDecoder(max_frame_length=1)
    decoder.receive_data(b"\0\0\0\2")
    with pytest.raises(trioecho.FrameTooLargeError) as caught:
        decoder.next_batch()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["next_batch", "_take_complete"]
    for frame in frames[1:]:
        assert Path(frame.filename).parts[-3:] == ("trioecho", "framing", "decoder.py")
    source = (PACKAGE / "framing/decoder.py").read_text().splitlines()
    assert [source[(frame.lineno or 0) - 1].strip() for frame in frames[1:]] == [
        "size, count = self._take_complete()",
        "raise self._refusal",
    ]


# ---- the same source, compiled and not ----


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The source of the package, loaded once more under another name."""
    folder = tmp_path_factory.mktemp("plain")
    unwanted = shutil.ignore_patterns("__pycache__", *(f"*{suffix}" for suffix in EXTENSION_SUFFIXES))
    shutil.copytree(PACKAGE, folder / "plain_trioecho", ignore=unwanted)
    sys.path.insert(0, str(folder))
    package = importlib.import_module("plain_trioecho")
    assert not importlib.import_module("plain_trioecho.base.build").IS_COMPILED
    yield package
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "plain_trioecho"]:
        del sys.modules[name]


def as_found(error: Exception) -> tuple[Any, ...]:
    attributes = {name: value for name, value in vars(error).items() if not name.startswith("__")}
    return type(error).__name__, str(error), attributes


FORMATS = st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from(["big", "little"]), st.booleans())
WAYS = st.lists(st.sampled_from(["next_frame", "next_frames", "next_batch"]), min_size=1, max_size=4)
STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(0, 300).map(bytes),
        st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0", b"\xff" * 9, b"\0" * 9]),
    ),
    max_size=8,
)


def decoded(
    package: Any, pieces: list[tuple[bool, bytes]], format: tuple[Any, ...], limit: int, ways: list[str]
) -> list[Any]:
    """All that a decoder says of these pieces, of which some are payloads of frames; and the end."""
    frame_format = package.FrameFormat(*format)
    decoder = package.FrameDecoder(format=frame_format, max_frame_length=limit)
    found: list[Any] = []

    def look(number: int) -> None:
        for _ in range(4):
            result: Any
            try:
                result = getattr(decoder, ways[number % len(ways)])()
            except package.ProtocolError as error:
                result = as_found(error)
            if hasattr(result, "frame_count"):
                result = (bytes(result.data), result.frame_count)
            found.append((result, decoder.buffered_bytes, decoder.frames_decoded))

    for number, (is_payload, piece) in enumerate(pieces):
        fits = len(piece) <= frame_format.max_payload_length
        wire = package.encode_frame(piece, format=frame_format) if is_payload and fits else piece
        decoder.receive_data(wire[: len(wire) // 2])
        look(number)
        decoder.receive_data(memoryview(wire)[len(wire) // 2 :])
        look(number + 1)
    decoder.end_of_data()
    look(0)
    try:
        decoder.receive_data(b"more")
    except package.LocalProtocolError as error:
        found.append(as_found(error))
    return found


@compiled_only
@given(
    flags=st.lists(st.booleans(), min_size=8, max_size=8),
    stream=STREAMS,
    format=FORMATS,
    limit=st.sampled_from([0, 5, 254, 1 << 20, 1 << 62, 1 << 63]),
    ways=WAYS,
)
def test_both_builds_give_the_same_frames_and_errors(
    plain: Any, flags: list[bool], stream: list[bytes], format: tuple[Any, ...], limit: int, ways: list[str]
) -> None:
    pieces = list(zip(flags, stream, strict=False))
    assert decoded(trioecho, pieces, format, limit, ways) == decoded(plain, pieces, format, limit, ways)


def echoed(package: str, pieces: list[bytes], accepted: list[int], drains_at: int, limit: int) -> list[Any]:
    """What an exchange returns when it is given these pieces, and each send is accepted in such parts."""
    exchange_module = importlib.import_module(f"{package}.connection.exchange")
    interest_module = importlib.import_module(f"{package}.connection.interest")
    framing = importlib.import_module(f"{package}.framing")
    limits = importlib.import_module(f"{package}.limits")
    reports: list[Any] = []
    found: list[Any] = []
    exchange = exchange_module.Exchange(
        format=framing.FrameFormat(),
        limits=limits.Limits(max_frame_length=limit, idle_timeout_s=9, frame_timeout_s=7, write_timeout_s=5),
        receive_capacity=lambda: 50,
        now=0.0,
        on_sent=lambda *report: reports.append(report),
    )
    try:
        exchange.start(interest_module.Use.ECHO, 0.0)
        for number, piece in enumerate([*pieces, b""]):
            now = number * 2.0
            if number == drains_at:
                exchange.drain()
            if exchange.interest.name not in ("READABLE", "ARRIVED", "LAST_CHANCE"):
                break
            wire = exchange.receive(piece, now)
            while wire is not None or exchange.unsent:
                found.append((bytes(exchange.unsent), exchange.interest.name, exchange.deadline))
                count = min(len(exchange.unsent), accepted[len(found) % len(accepted)])
                wire = exchange.sent(count, now)
                if wire is None and exchange.unsent:
                    exchange.begin_block(now)
                    now += 0.5
            found.append((exchange.interest.name, exchange.deadline, exchange.decoder.buffered_bytes))
    except Exception as error:
        found.append(as_found(error))
    return [found, reports, exchange.sending.name]


@compiled_only
@given(
    stream=st.lists(
        st.one_of(st.binary(max_size=30), st.binary(max_size=60).map(trioecho.encode_frame)), max_size=8
    ),
    accepted=st.lists(st.integers(1, 100), min_size=1, max_size=5),
    drains_at=st.integers(0, 9),
    limit=st.sampled_from([20, 1 << 20, 1 << 31]),
)
def test_both_builds_send_the_same_echoes_and_count_them_alike(
    plain: Any, stream: list[bytes], accepted: list[int], drains_at: int, limit: int
) -> None:
    arguments = (stream, accepted, drains_at, limit)
    assert echoed("trioecho", *arguments) == echoed("plain_trioecho", *arguments)
