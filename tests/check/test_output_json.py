"""The JSON of `trioecho check`: every field that its description names, and no other."""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.check_results import (
    FAILED,
    HOSTILE_BYTES,
    good_suite,
    hostile_suite,
    mixed_suite,
    result_of,
    suite,
)
from trioecho.check import output
from trioecho.check.book.book import RULES
from trioecho.check.output import Tested, Untested, results_as_html, results_as_json
from trioecho.check.output.text import Palette, suite_lines
from trioecho.check.verdict import CheckMachine, Verdict


def load(*servers: Tested, strict: bool = False) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(results_as_json(servers, strict=strict), parse_constant=refuse)


def described(block: str) -> list[str]:
    """The fields that the docstring has under this name."""
    text = (results_as_json.__doc__ or "").partition(f"{block}::\n\n")[2].partition("\n\n")[0]
    names: list[str] = []
    for line in text.splitlines():
        if match := re.match(r" +((?:\w+, )*\w+)  ?\S? *\S", line):
            indent = len(line) - len(line.lstrip())
            if indent <= 8:
                names += match[1].split(", ")
    return names


@pytest.mark.parametrize("strict", [False, True])
def test_every_field_is_described_and_every_described_field_is_there(strict: bool) -> None:
    whole = load(mixed_suite(), strict=strict)
    [server] = whole["servers"]
    result = next(result for result in server["results"] if result["id"] == FAILED[0])
    assert list(whole) == described("The whole")
    assert list(server) == described("A server")
    assert list(result) == described("A result")
    assert list(result["cause"]) == described("A cause")
    assert list(result["transcript"][0]) == described("An event")


def test_the_whole_says_what_it_is() -> None:
    whole = load(mixed_suite(), strict=True)
    assert (whole["schema"], whole["version"], whole["strict"]) == ("trioecho-check", 1, True)
    assert whole["outcome"] == "not conformant"


def test_a_server_is_told_in_full() -> None:
    [server] = load(mixed_suite())["servers"]
    results = server.pop("results")
    assert [result["id"] for result in results] == list(RULES)
    [cause] = server.pop("causes")
    assert cause["id"] == "one-parse-per-recv"
    assert cause["words"].startswith("Replies stop after the first frame")
    assert cause["advice"].startswith("Append what is received")
    assert server == {
        "target": "127.0.0.1:26066",
        "outcome": "not conformant",
        "machine": None,
        "error": None,
        "address": "127.0.0.1:26066",
        "command": None,
        "seed": 7,
        "format": "u32be",
        "max_frame_length": 1 << 20,
        "round_trip_s": 0.000085,
        "patience_s": 0.5,
        "confirm_patience_s": 2.0,
        "jobs": 8,
        "started_at": "2026-11-23T23:05:40.250Z",
        "elapsed_s": 4.25,
        "versions": {"trioecho": "0.1.0", "python": "3.11.6", "trio": "0.30.0", "platform": "Linux x86_64"},
        "cut_short": None,
        "asking": None,
        "notes": ["The limit was told by --max-frame-length."],
        "counts": {"pass": 40, "fail": 3, "warn": 1, "not applicable": 8, "inconclusive": 1},
    }


def test_a_result_is_told_in_full() -> None:
    [server] = load(suite((result_of("2.5", Verdict.FAIL),)))["servers"]
    [result] = server["results"]
    assert result.pop("cause") == server["causes"][0]
    sent = result.pop("transcript")[1]
    assert sent == {
        "t_s": 0.0002,
        "connection": 1,
        "kind": "sent",
        "size_bytes": 18,
        "data_hex": "0000000568656c6c6f00000005616761696e",
        "text": "",
    }
    assert result == {
        "id": "2.5",
        "section": 2,
        "title": "Two frames in one segment",
        "level": "MUST",
        "heading": "framing robustness",
        "verdict": "fail",
        "counts_against": True,
        "summary": "Two frames in one segment: one echo came, the other did not within 0.5 s",
        "expected": "two echoes, 18 bytes: 00 00 00 05 68 65 6c 6c 6f 00 00 00 05 61 67 61 69 6e",
        "actual": "one echo, 9 bytes: 00 00 00 05 68 65 6c 6c 6f; then nothing for 0.5 s",
        "reproduce": "trioecho check 127.0.0.1:26066 2.5 --seed 7",
        "notes": ["Tried twice, the second time with 2 s of patience."],
        "elapsed_s": 0.503,
        "attempts": 2,
        "events_left_out": 12,
    }


def test_a_broken_should_counts_only_with_strict() -> None:
    warned = suite((result_of("3.8", Verdict.WARN),))
    for strict, outcome in ((False, "conformant"), (True, "not conformant")):
        whole = load(warned, strict=strict)
        assert whole["outcome"] == whole["servers"][0]["outcome"] == outcome
        assert whole["servers"][0]["results"][0]["counts_against"] is strict


def test_the_worst_outcome_is_that_of_all() -> None:
    untested = Untested("python a.py", "it ended before it listened")
    unsure = suite((result_of("7.1", Verdict.INCONCLUSIVE),))
    assert load(good_suite())["outcome"] == "conformant"
    assert load(good_suite(), unsure)["outcome"] == "inconclusive"
    assert load(good_suite(), unsure, untested)["outcome"] == "not tested"
    assert load(untested, mixed_suite(), unsure)["outcome"] == "not conformant"


def test_a_server_that_could_not_be_tested_says_why() -> None:
    assert load(Untested("python a.py", "it ended before it listened"))["servers"] == [
        {
            "target": "python a.py",
            "outcome": "not tested",
            "machine": None,
            "error": "it ended before it listened",
        }
    ]


def test_hostile_bytes_are_kept_and_hostile_text_can_be_read_anywhere() -> None:
    text = results_as_json([hostile_suite()])
    text.encode("ascii")
    [server] = json.loads(text)["servers"]
    server["target"].encode()
    for result in server["results"]:
        assert bytes.fromhex(result["transcript"][0]["data_hex"]) == HOSTILE_BYTES
        json.dumps(result, ensure_ascii=False).encode()  # which lone surrogates would not let pass


def test_a_number_that_is_not_known_is_null() -> None:
    server = replace(good_suite(), round_trip_s=math.nan, elapsed_s=math.inf, max_frame_length=None)
    [loaded] = load(server)["servers"]
    assert loaded["round_trip_s"] is loaded["elapsed_s"] is loaded["max_frame_length"] is None


@pytest.mark.parametrize(
    "module", sorted(Path(output.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_reports_do_no_input_and_no_output(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text("utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    called = {
        node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert imported <= {
        *("__future__", "collections.abc", "dataclasses", "datetime", "typing"),
        *("base64", "csv", "hashlib", "html", "io", "itertools", "json", "math", "re", "textwrap"),
        *("urllib.parse", "xml.etree.ElementTree"),
    }
    assert called.isdisjoint({"open", "print", "input"})


def test_a_verdict_names_the_worker_of_a_cluster_and_its_machine() -> None:
    machine = CheckMachine("a\x1b[2J", "alpha")
    tested, untested = load(
        replace(good_suite(), machine=machine), Untested("x", "it is gone", machine=machine)
    )["servers"]
    assert tested["machine"] == untested["machine"] == {"worker": "a\\x1b[2J", "host": "alpha"}
    [alone] = load(good_suite())["servers"]
    assert alone["machine"] is None


def test_pages_and_lines_name_it_too() -> None:
    result = replace(good_suite(), machine=CheckMachine("<a>\x1b", "alpha"))
    page = results_as_html([result])
    assert "Checked by</dt><dd>worker &lt;a&gt;" in page
    lines = [*suite_lines(result, Palette(is_coloured=False), strict=False, is_verbose=False)]
    assert "checked by worker <a>\\x1b on alpha" in lines
