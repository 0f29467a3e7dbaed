"""What the operands and options of ``trioecho check`` name."""

from __future__ import annotations

from itertools import chain, permutations
from pathlib import Path

import pytest

from trioecho.check.runner.suite import Target
from trioecho.cli.check_files import add_report_options
from trioecho.cli.check_requests import add_request_options
from trioecho.cli.check_targets import Candidate, add_target_options, servers_and_cases
from trioecho.cli.shared.parser import Parser


def read(*words: str) -> tuple[list[Candidate], list[str]]:
    parser = Parser()
    add_target_options(parser)
    return servers_and_cases(parser.parse_args(words))


def test_servers_stand_anywhere_with_a_name_or_without() -> None:
    servers, cases = read(
        "2.5", "127.0.0.1:1", "--spawn", "./a {port}", "go=[::1]:2", "--spawn", "C++=b=c {port}", "4"
    )
    assert cases == ["2.5", "4"]
    assert servers == [
        Candidate(Target("127.0.0.1:1", ("127.0.0.1", 1))),
        Candidate(Target("go", ("::1", 2), words=("[::1]:2",))),
        Candidate(Target("./a {port}"), ("./a", "{port}")),
        Candidate(Target("C++", command="b=c {port}", words=("--spawn", "b=c {port}")), ("b=c", "{port}")),
    ]


@pytest.mark.parametrize("order", [*permutations((("127.0.0.1:1",), ("--ask", "x.jsonl"), ("1", "2.3")))])
def test_cases_and_servers_stand_on_either_side_of_what_is_asked(order: tuple[tuple[str, ...], ...]) -> None:
    parser = Parser()
    add_target_options(parser)
    add_request_options(parser)
    add_report_options(parser)
    arguments = parser.parse_args([*chain(*order), "--json", "-", "4"])
    [server], cases = servers_and_cases(arguments)
    assert server.target.address == ("127.0.0.1", 1)
    assert cases == ["1", "2.3", "4"]
    assert (arguments.ask, arguments.json) == ("x.jsonl", "-")


@pytest.mark.parametrize(
    "command", ["./a=b {port}", "-a=b {port}", "a --b=c {port}", "'a'=b {port}", "a/b=c {port}"]
)
def test_a_sign_in_a_path_or_an_option_names_nothing(command: str) -> None:
    [server], _ = read("--spawn", command)
    assert server.target == Target(command)


def test_a_class_has_a_server_for_each_file_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ada l", "alan", "7"):
        Path("hw", name).mkdir(parents=True)
        Path("hw", name, "a=1.py").touch()
    template = "./run {file} {dir}/x {port}"
    servers, cases = read("--class", template, "hw/ada l/a=1.py", "K=hw/alan/a=1.py", "hw/7/", "2.5")
    assert cases == ["2.5"]
    ada, alan, seven = servers
    folder = tmp_path / "hw"
    assert ada == Candidate(
        Target(
            "ada l",
            command=f"./run '{folder}/ada l/a=1.py' '{folder}/ada l'/x {{port}}",
            words=("--class", template, "hw/ada l/a=1.py"),
        ),
        (f"{tmp_path}/run", f"{folder}/ada l/a=1.py", f"{folder}/ada l/x", "{port}"),
        f"{folder}/ada l",
        (f"{folder}/ada l/a=1.py",),
    )
    assert (alan.target.name, alan.directory) == ("K", f"{folder}/alan")
    assert seven.target.name == "7"
    assert seven.command == (f"{tmp_path}/run", f"{folder}/7", f"{folder}/7/x", "{port}")
    assert seven.directory == f"{folder}/7"


def test_a_program_without_a_path_is_left_to_be_found(tmp_path: Path) -> None:
    [server], _ = read("--class", "python x/y {file} {port}", str(tmp_path))
    assert server.command == ("python", "x/y", str(tmp_path), "{port}")
