"""Which addresses of ``--admin`` are apart from those of the command itself."""

from __future__ import annotations

import pytest

from trioecho.base.listen_address import parse_listen_address
from trioecho.cli.shared.admin_apart import refuse_same_address
from trioecho.cli.shared.output import CommandError


async def are_apart(admin: str, other: str, *, is_ipv6_only: bool = True) -> bool:
    try:
        await refuse_same_address(
            parse_listen_address(admin), [parse_listen_address(other)], "it", is_ipv6_only=is_ipv6_only
        )
    except CommandError:
        return False
    return True


@pytest.mark.parametrize(
    ("admin", "other"),
    [
        ("127.0.0.1:7000", "127.0.0.1:7001"),
        ("127.0.0.2:7000", "127.0.0.1:7000"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:7000", "[::]:7000"),
        ("[::]:7000", "0.0.0.0:7000"),
        ("unix:/tmp/a", "unix:/tmp/b"),
        ("unix:/tmp/a", "127.0.0.1:7000"),
        ("fd://3", "fd://4"),
        ("no-such-host.invalid:7000", "127.0.0.1:7000"),
    ],
)
async def test_apart(admin: str, other: str) -> None:
    assert await are_apart(admin, other)
    assert await are_apart(other, admin)


@pytest.mark.parametrize(
    ("admin", "other"),
    [
        ("127.0.0.1:7000", "127.0.0.1:7000"),
        ("0.0.0.0:7000", "127.0.0.1:7000"),
        ("[::]:7000", "[::1]:7000"),
        (":7000", "127.0.0.1:7000"),
        ("unix:/tmp/a", "unix:/tmp/a"),
        ("fd://3", "fd://3"),
    ],
)
async def test_not_apart(admin: str, other: str) -> None:
    assert not await are_apart(admin, other)
    assert not await are_apart(other, admin)


async def test_ipv4_is_in_ipv6_where_it_is_not_ipv6_alone() -> None:
    assert not await are_apart("127.0.0.1:7000", "[::]:7000", is_ipv6_only=False)
