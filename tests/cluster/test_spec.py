"""How people write which cluster."""

from __future__ import annotations

import pytest

from trioecho.cluster.spec import ClusterSpec, SshHost, parse_cluster


@pytest.mark.parametrize(
    "text", ["tcp://10.0.0.1:8786", "tls://scheduler:1", "tcp://[::1]:65535", "wss://a-b.example.com:443"]
)
def test_an_address_of_a_scheduler(text: str) -> None:
    assert parse_cluster(text) == ClusterSpec(text, "address")
    assert str(parse_cluster(text)) == text


def test_a_cluster_that_is_started() -> None:
    assert parse_cluster("local:12") == ClusterSpec("local:12", "local", count=12)
    assert parse_cluster("ssh:a") == ClusterSpec("ssh:a", "ssh", hosts=(SshHost("a"),))
    assert parse_cluster("ssh:a, me@b.c,10.0.0.1:2222,::1,[fe80::1%eth-0]:22,me@[::1]").hosts == (
        *(SshHost("a"), SshHost("b.c", "me"), SshHost("10.0.0.1", None, 2222)),
        *(SshHost("::1"), SshHost("fe80::1%eth-0", None, 22), SshHost("::1", "me")),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "write tcp://"),
        ("10.0.0.1:8786", "write tcp://"),
        ("tcp://h", "write tcp://"),
        ("tcp://h:0", "write tcp://"),
        ("tcp://h:65536", "write tcp://"),
        ("tcp://h:8786/path", "write tcp://"),
        ("http://h:80", "write tcp://"),
        ("local", "write tcp://"),
        ("local:", "a number of workers from 1 to 1024"),
        ("local:0", "a number of workers from 1 to 1024"),
        ("local:-1", "a number of workers from 1 to 1024"),
        ("local:1025", "a number of workers from 1 to 1024"),
        ("local:٣", "a number of workers from 1 to 1024"),
        ("ssh:", "names of hosts with commas"),
        ("ssh:a,,b", "names of hosts with commas"),
        ("ssh:-oProxyCommand=x", "names of hosts with commas"),
        ("ssh:a;b", "names of hosts with commas"),
        ("ssh:a:0", "names of hosts with commas"),
        ("ssh:a:65536", "names of hosts with commas"),
        ("ssh:-x@a", "names of hosts with commas"),
        ("ssh:me@", "names of hosts with commas"),
    ],
)
def test_what_is_no_cluster(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_cluster(text)
