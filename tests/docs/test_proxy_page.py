"""The guide's page about the proxy: its file, its words for faults, and its requests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.http import ask
from tests.support.proxies import proxy_process
from trioecho.cli.shared.toml_file import read_toml
from trioecho.guide import read_topic
from trioecho.proxy import KINDS, read_proxy
from trioecho.proxy.fault_kinds import PARAMETERS

PAGE = read_topic("proxy")


def test_the_file_of_the_page_has_the_proxies_that_it_says(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "proxies.toml"
    file.write_text(text)
    orders, stock = map(read_proxy, read_toml(str(file), "--proxies")["proxy"])
    assert (orders.name, orders.target, str(orders.listen)) == (
        "orders",
        ("127.0.0.1", 26066),
        "127.0.0.1:26067",
    )
    assert [(fault.name, fault.kind.word) for fault in stock.faults] == [
        ("delay", "delay"),
        ("seventh", "corrupt"),
    ]
    assert (stock.seed, stock.format_text, str(stock.listen)) == (7, "u16le", "127.0.0.1:0")


def test_the_page_names_every_kind_of_fault_and_every_parameter() -> None:
    [kinds] = re.findall(r"its option without the hyphens: (.*) \|", PAGE)
    assert kinds == ", ".join(f"`{word}`" for word in KINDS)
    for parameter in PARAMETERS:
        assert f"`{parameter.word}`" in PAGE


def test_the_requests_of_the_page_have_the_replies_that_it_shows() -> None:
    shown = re.findall(r"^\$ (curl .*)\n(.*)\n", PAGE, re.MULTILINE)
    assert len(shown) == 2
    with proxy_process("127.0.0.1:1", "--port", "0", "--admin", "127.0.0.1:0") as process:
        url = process.read_log_line().split(" admin on ")[1].strip()
        for command, reply in shown:
            words = iter(shlex.split(command)[1:])
            method, body, headers, path = "POST", None, {}, ""
            for word in words:
                if word == "-X":
                    method = next(words)
                elif word == "-d":
                    body = next(words).encode()
                elif word == "-H":
                    name, _, value = next(words).partition(": ")
                    headers[name] = value
                else:
                    path = word.removeprefix("http://127.0.0.1:26080")
            assert ask(url, path, method, body, **headers).text == f"{reply}\n"
