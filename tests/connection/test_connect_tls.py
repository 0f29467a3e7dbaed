"""`open_frame_channel` under TLS."""

from __future__ import annotations

import pytest
import trio

from tests.support.guard import guarded
from tests.support.serving import serving
from tests.support.streams import listen, port_of
from tests.support.tls import client_context, other_authority, server_context
from trioecho import EndOfMessagesError, open_frame_channel


async def test_a_channel_under_tls_whose_half_can_be_ended() -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        channel = await open_frame_channel(
            "127.0.0.1", port_of(listener), ssl_context=client_context(), server_hostname="localhost"
        )
        async with channel:
            for message in (b"hello", b"", bytes(100_000)):
                await channel.send(message)
                assert await channel.receive() == message
            await channel.send(b"the last")
            await channel.send_eof()
            assert await channel.receive() == b"the last"
            with pytest.raises(EndOfMessagesError):
                await channel.receive()
    assert running.messages == 4
    assert running.errors == {}


@pytest.mark.parametrize(
    ("trusts_it", "name", "words"),
    [
        (False, "localhost", "the peer's certificate is not trusted: unable to get local issuer certificate"),
        (True, "example.org", "the peer's certificate is for another name: Hostname mismatch"),
    ],
)
async def test_a_handshake_that_fails_is_an_os_error_and_leaves_nothing_open(
    trusts_it: bool, name: str, words: str
) -> None:
    listener = await listen()
    context = client_context() if trusts_it else client_context(trusts=other_authority())
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        with pytest.raises(OSError, match=words):
            await open_frame_channel(
                "127.0.0.1", port_of(listener), ssl_context=context, server_hostname=name
            )
        await running.drain()
    assert running.errors == {"tls_handshake_failed": 1}


async def test_a_service_that_says_nothing_is_waited_for_and_a_cancelled_call_leaves_nothing_open() -> None:
    with guarded():
        async with await listen() as listener:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel_when_it_says_hello() -> None:
                        stream = await listener.accept()
                        async with stream:
                            assert await stream.receive_some()
                            scope.cancel()

                    nursery.start_soon(cancel_when_it_says_hello)
                    await open_frame_channel("127.0.0.1", port_of(listener), ssl_context=client_context())
            assert scope.cancelled_caught


async def test_a_name_that_cannot_be_one_is_a_value_error() -> None:
    async with await listen() as listener:
        with pytest.raises(ValueError, match=r"server_hostname cannot be '\.'"):
            await open_frame_channel(
                "127.0.0.1", port_of(listener), ssl_context=client_context(), server_hostname="."
            )
