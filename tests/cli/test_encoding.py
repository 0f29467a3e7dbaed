"""Whatever the encoding of a stream: every command says all that it has to say."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.load_results import made_result
from tests.support.processes import run_command
from trioecho.cli.shared.encoding import PLAIN, use_plain_substitutes
from trioecho.load import result_as_json

ASCII = {"PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("✓ ±3 µs", "ascii", b"+ +-3 us"),
        ("✗ ±3 µs", "latin-1", b"X \xb13 \xb5s"),
        ("東 \udcff", "ascii", rb"\u6771 \udcff"),
        ("東 \udcff", "utf-8", "東 ".encode() + rb"\udcff"),
        ("✓", "utf-16-le", "✓".encode("utf-16-le")),
    ],
)
def test_what_an_encoding_lacks_is_put_plainly(text: str, encoding: str, written: bytes) -> None:
    assert text.encode(encoding, PLAIN) == written


def test_streams_are_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    monkeypatch.setattr(sys, "stderr", None)  # as when its descriptor was closed
    use_plain_substitutes()
    sys.stdout.write("✓ 東")
    sys.stdout.flush()
    assert raw.getvalue() == rb"+ \u6771"


def test_bytes_are_still_refused_where_they_are_read() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", PLAIN)


def test_reports_of_two_loads(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.json", "ü東.json")]
    for seed, file in enumerate(files):
        Path(file).write_text(result_as_json(made_result(seed=seed)))
    diff = run_in_process("report", "diff", *files, encoding="ascii")
    assert (diff.returncode, diff.stderr) == (0, "")
    assert "+-" in diff.stdout
    merge = run_command("report", "merge", *files, "--json", str(tmp_path / "東.json"), env=ASCII)
    assert (merge.returncode, merge.stderr) == (0, "")
    assert r"\u6771.json" in merge.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        *(
            (name, "--help")
            for name in ("serve", "client", "send", "demo", "load", "check", "proxy", "faulty")
        ),
        ("report", "diff", "--help"),
        ("check", "--list"),
        ("check", "--explain", "2"),
        ("faulty", "--list"),
    ],
)
def test_what_every_command_says_of_itself(words: tuple[str, ...]) -> None:
    done = run_in_process(*words, encoding="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    "words", [("load", "ü\udcff"), ("serve", "--host", "ü东 "), ("report", "diff", "ü", "\udcff"), ("東",)]
)
def test_a_word_that_is_refused_is_shown(words: tuple[str, ...]) -> None:
    done = run_in_process(*words, encoding="ascii")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "internal error" not in line
