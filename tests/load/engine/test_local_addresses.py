"""Which of the addresses that a cluster was given are those of this machine."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

from trioecho.load.engine import local_addresses
from trioecho.load.engine.local_addresses import bind_to_source, own_sources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux")

NOBODYS = "192.0.2.1"


def test_addresses_and_devices_of_other_machines_are_left_to_them() -> None:
    assert own_sources(["127.0.0.2", NOBODYS, "127.0.0.3%nowhere", "127.0.0.3"]) == ("127.0.0.2", "127.0.0.3")
    assert own_sources([]) == ()
    with pytest.raises(ValueError, match=r"from 192\.0\.2\.1: this machine does not have it"):
        own_sources([NOBODYS, "127.0.0.3%nowhere"])


@pytest.mark.parametrize("sources", [("127.0.0.2%lo", "127.0.0.3"), ("127.0.0.3", "127.0.0.2%lo")])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EPERM, r"this user may not choose the network device lo \(CAP_NET_RAW\)"),
        (errno.ENOPROTOOPT, "a network device can be chosen on Linux alone"),
        (errno.EMFILE, ".*[Tt]oo many open files"),
    ],
)
def test_why_an_own_address_cannot_be_used_is_said(
    code: int, reason: str, sources: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_devices(plain: socket.socket, source: str) -> None:
        if "%" in source:
            raise OSError(code, os.strerror(code))
        bind_to_source(plain, source)

    monkeypatch.setattr(local_addresses, "bind_to_source", refuse_devices)
    with pytest.raises(ValueError, match=rf"from 127\.0\.0\.2%lo: {reason}"):
        own_sources(sources)
    # Where the address is of another machine, it is no matter that the device is refused here.
    assert own_sources([f"{NOBODYS}%lo", "127.0.0.3"]) == ("127.0.0.3",)
