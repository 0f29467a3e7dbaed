"""The fixture ``trioecho_proxy`` of pytest, for whoever asks for this plugin.

A ``conftest.py`` at the top of a project's tests asks for it::

    pytest_plugins = ["trioecho.testing.pytest_plugin"]

It is no entry point of pytest: that would import this package at the start of every run of pytest
where trioecho is installed, also of projects that do not use the fixture, and before their coverage begins.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

import pytest

from .client import ProxyClient, ProxyCommandError, RemoteProxy
from .process import run_proxies
from .words import WhenFullWord


class ProxyFactory(Protocol):
    """What the fixture ``trioecho_proxy`` is: it makes a proxy for a block."""

    def __call__(
        self,
        target: tuple[str, int] | str,
        *,
        listen: tuple[str, int] | str = ...,
        format: str = ...,
        seed: int = ...,
        faults: Sequence[dict[str, object]] = ...,
        max_connections: int | None = ...,
        when_full: WhenFullWord | None = ...,
        total_connections: int | None = ...,
        tls: Mapping[str, object] | None = ...,
    ) -> contextlib.AbstractContextManager[RemoteProxy]:
        """Run a proxy while the block runs; the arguments are those of `ProxyClient.add_proxy`."""


@pytest.fixture(scope="session")
def trioecho_proxies() -> Iterator[ProxyClient]:
    """A process with proxies, started when a test first asks for it, gone at the end of the run."""
    with run_proxies() as client:
        yield client


@pytest.fixture
def trioecho_proxy(trioecho_proxies: ProxyClient) -> ProxyFactory:
    """Return what puts a proxy between a client and a server, for a block.

    ``with trioecho_proxy(target=("127.0.0.1", 8000)) as proxy`` is one; clients connect to
    ``proxy.address``. After the block the proxy is gone, and its connections are reset.
    """
    numbers = itertools.count(1)

    @contextlib.contextmanager
    def run(
        target: tuple[str, int] | str,
        *,
        listen: tuple[str, int] | str = ("127.0.0.1", 0),
        format: str = "u32be",
        seed: int = 0,
        faults: Sequence[dict[str, object]] = (),
        max_connections: int | None = None,
        when_full: WhenFullWord | None = None,
        total_connections: int | None = None,
        tls: Mapping[str, object] | None = None,
    ) -> Iterator[RemoteProxy]:
        name = f"test-{next(numbers)}"
        proxy = trioecho_proxies.add_proxy(
            name,
            target,
            listen=listen,
            format=format,
            seed=seed,
            faults=faults,
            max_connections=max_connections,
            when_full=when_full,
            total_connections=total_connections,
            tls=tls,
        )
        try:
            yield proxy
        finally:
            _remove(proxy)

    return run


def _remove(proxy: RemoteProxy) -> None:
    """Remove a proxy, unless a test has done so."""
    try:
        proxy.remove()
    except ProxyCommandError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
