"""Proxies that lead to each other: found before a client becomes thousands of connections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tests.proxy.test_proxy_set import running_set
from tests.support.in_process import run_in_process
from tests.support.sockets import free_port
from trioecho.proxy import ConflictError, circle_through
from trioecho.proxy.circles import Hop

ELSEWHERE = ("192.0.2.1", 80)


@pytest.mark.parametrize(
    ("listens", "target"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80)),
        (("127.0.0.1", 80), ("localhost", 80)),
        (("127.0.0.1", 80), ("0.0.0.0", 80)),  # noqa: S104 - nothing is bound
        (("localhost", 80), ("127.0.0.1", 80)),
        (("0.0.0.0", 80), ("127.7.7.7", 80)),  # noqa: S104 - likewise
        (("::1", 80), ("0::1", 80)),
        (("::", 80), ("::1", 80)),
        (("192.0.2.1", 80), ELSEWHERE),
        (("echo.example", 80), ("echo.example", 80)),
    ],
)
def test_a_proxy_leads_to_itself(listens: tuple[str, int], target: tuple[str, int]) -> None:
    assert circle_through(Hop("one", [ELSEWHERE, listens], target), []) == ["one"]


@pytest.mark.parametrize(
    ("listens", "target"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 81)),
        (("127.0.0.1", 0), ("127.0.0.1", 0)),
        (("127.0.0.1", 80), ("127.0.0.2", 80)),
        (("127.0.0.1", 80), ("::1", 80)),
        (("0.0.0.0", 80), ("192.0.2.7", 80)),  # noqa: S104 - nothing is bound
        (("0.0.0.0", 80), ("::1", 80)),  # noqa: S104 - likewise
        (("127.0.0.2", 80), ("0.0.0.0", 80)),  # noqa: S104 - likewise
        (("127.0.0.1", 80), ("echo.example", 80)),
        (("127.0.0.1", 80), ("unix:/run/echo", 0)),
    ],
)
def test_a_proxy_leads_elsewhere(listens: tuple[str, int], target: tuple[str, int]) -> None:
    assert circle_through(Hop("one", [listens], target), []) == []


def test_a_circle_is_that_of_the_proxies_in_it() -> None:
    def hop(name: str, listens: int, target: int) -> Hop:
        return Hop(name, [("127.0.0.1", listens)], ("127.0.0.1", target))

    one, two, three, into, end = hop("one", 1, 2), hop("two", 2, 3), hop("three", 3, 1), hop("x", 4, 1), 5
    assert circle_through(one, [into, three, two]) == ["one", "two", "three"]
    assert circle_through(into, [one, two, three]) == []
    assert circle_through(hop("x", 3, end), [one, two]) == []


def test_a_change_that_would_close_a_circle_is_refused() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            one = await proxies.add_as({"name": "one", "target": "127.0.0.1:9"})
            entrance = one.as_object()["listen"]
            two = await proxies.add_as({"name": "two", "target": entrance})
            with pytest.raises(ConflictError, match="target: it leads back to one by two; give the server's"):
                await proxies.change("one", {"target": two.as_object()["listen"]})
            with pytest.raises(ConflictError, match="target: it leads back to one; give the server's"):
                await proxies.change("one", {"target": entrance.replace("127.0.0.1", "localhost")})
            assert one.as_object()["target"] == "127.0.0.1:9"
            await proxies.change("one", {"enabled": False})
            with pytest.raises(ConflictError, match="it leads back to one by two"):  # it may be enabled again
                await proxies.change("one", {"target": two.as_object()["listen"]})
            await proxies.change("two", {"target": "127.0.0.1:8"})
            await proxies.change("one", {"target": two.as_object()["listen"]})

    trio.run(main)


def test_a_proxy_that_would_close_a_circle_is_not_added() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            port = free_port()
            one = await proxies.add_as({"name": "one", "target": f"127.0.0.1:{port}"})
            closing = {"name": "two", "target": one.as_object()["listen"], "listen": f"127.0.0.1:{port}"}
            with pytest.raises(ConflictError, match="it leads back to two by one"):
                await proxies.add_as(closing)
            assert len(proxies) == 1

    trio.run(main)


# Numeric, so no name server is asked; what it is bound to is written otherwise, as with a name.
OTHERWISE_WRITTEN = "127.1"


def test_a_proxy_whose_circle_shows_when_its_name_is_looked_up_is_not_added() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            port = free_port()
            circle = {"name": "one", "target": f"127.0.0.1:{port}", "listen": f"{OTHERWISE_WRITTEN}:{port}"}
            with pytest.raises(ConflictError, match="target: it leads back to one; give the server's"):
                await proxies.add_as(circle)
            assert len(proxies) == 0
            one = await proxies.add_as({**circle, "target": "127.0.0.1:9"})  # nothing is left open
            await proxies.change("one", {"faults": [{"fault": "drop"}]})
            assert one.relay is not None

    trio.run(main)


def test_a_proxy_whose_circle_shows_when_it_is_enabled_stays_disabled_and_can_change() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            port = free_port()
            circle = {"name": "one", "target": f"127.0.0.1:{port}", "listen": f"{OTHERWISE_WRITTEN}:{port}"}
            one = await proxies.add_as({**circle, "enabled": False})
            for enable in (lambda: proxies.change("one", {"enabled": True}), proxies.reset):
                with pytest.raises(ConflictError, match="target: it leads back to one; give the server's"):
                    await enable()
                assert (one.relay, one.settings.enabled) == (None, False)
            await proxies.change("one", {"max_connections": 5, "faults": [{"fault": "drop"}]})
            await proxies.change("one", {"target": "127.0.0.1:9", "enabled": True})
            assert one.relay is not None

    trio.run(main)


def test_a_circle_that_was_not_seen_refuses_no_change_but_of_the_target() -> None:
    async def main() -> None:
        async with running_set() as proxies:
            one = await proxies.add_as({"name": "one", "target": "127.0.0.1:9"})
            one.settings = replace(one.settings, target=one.addresses[0])  # as if over a name
            await proxies.change("one", {"faults": [{"fault": "drop"}], "max_connections": 5})
            await proxies.change("one", {"enabled": False})
            assert one.settings.limits.max_connections == 5

    trio.run(main)


def test_a_file_whose_circle_shows_when_its_names_are_looked_up_starts_nothing(tmp_path: Path) -> None:
    one, two = free_port(), free_port()
    path = tmp_path / "proxies.toml"
    path.write_text(
        f"[[proxy]]\nname = 'one'\nlisten = '{OTHERWISE_WRITTEN}:{one}'\ntarget = '127.0.0.1:{two}'\n"
        f"[[proxy]]\nname = 'two'\nlisten = '127.0.0.1:{two}'\ntarget = '127.0.0.1:{one}'\n"
    )
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"the target of one: 127.0.0.1:{two}: it leads back to one by two" in done.stderr


def test_a_file_with_a_circle_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "proxies.toml"
    path.write_text(
        "[[proxy]]\nname = 'one'\nlisten = '127.0.0.1:26981'\ntarget = '127.0.0.1:26982'\n"
        "[[proxy]]\nname = 'two'\nlisten = '127.0.0.1:26982'\ntarget = 'localhost:26981'\n"
    )
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "the target of one: 127.0.0.1:26982: it leads back to one by two; give the server's" in done.stderr


def test_a_proxy_of_the_command_line_does_not_lead_to_itself() -> None:
    done = run_in_process("proxy", "localhost:26983", "--port", "26983")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "localhost:26983: it leads back to proxy; give the server's address" in done.stderr
