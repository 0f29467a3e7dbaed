"""Starts of ``trioecho proxy`` that fail: one line says why."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from trioecho.proxy import relay


def test_a_file_with_more_proxies_than_there_can_be(tmp_path: Path) -> None:
    path = tmp_path / "proxies.toml"
    tables = [f"[[proxy]]\nname = 'p{number}'\ntarget = '127.0.0.1:9'\n" for number in range(1001)]
    path.write_text("".join(tables))
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{path} has 1,001 proxies, and 1000 are the most" in done.stderr


def test_a_proxy_that_listens_and_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_files() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(relay, "open_leave_watch", out_of_files)
    done = run_in_process("proxy", "127.0.0.1:9", "--port", "0")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "proxy: cannot listen: Too many open files" in done.stderr
