"""The line in which a server says where it listens: what is written can be read."""

from __future__ import annotations

import pytest

from trioecho.base.addresses import listening_line, listening_port


@pytest.mark.parametrize(
    ("addresses", "line"),
    [
        ([("127.0.0.1", 80)], "listening on 127.0.0.1:80"),
        ([("::1", 80, 0, 0)], "listening on [::1]:80"),
        ([("::1", 80, 0, 0), ("127.0.0.1", 81)], "listening on [::1]:80 and 127.0.0.1:81"),
    ],
)
def test_where_a_server_listens_is_written_and_read(addresses: list[object], line: str) -> None:
    assert listening_line(addresses) == line
    assert listening_port(f"10:00:00Z {line}\n") == 80


@pytest.mark.parametrize("line", ["", "listening", "listening on 127.0.0.1:80x", "waiting on 127.0.0.1:80"])
def test_another_line_has_no_port(line: str) -> None:
    assert listening_port(line) is None
