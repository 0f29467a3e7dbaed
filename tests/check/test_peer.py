"""What the suite's client says of a connection: an end, a reset, a silence."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.support.guard import GUARD_S, guarded
from tests.support.sockets import LOOPBACK, receive_all, receive_exactly, reset
from trioecho.check.client.connecting import connected
from trioecho.check.client.finding import Kind
from trioecho.check.client.peer import Peer
from trioecho.check.client.peer_socket import PeerSocket
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire

# ---- ends ----


async def test_a_reset_that_a_send_has_met_is_no_end() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = listener.getsockname()
        with guarded():
            async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
                reset(listener.accept()[0])
                while await peer.send(b"x"):
                    pass
                assert await peer.receive() is Kind.RESET


@pytest.mark.parametrize("is_ended_first", [False, True])
async def test_a_reset_is_told_from_an_end_whichever_call_meets_it(is_ended_first: bool) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, guarded():
        for sends_first in (True, False):
            address = listener.getsockname()
            async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
                server = listener.accept()[0]
                await peer.send(b"unread")
                if is_ended_first:
                    server.shutdown(socket.SHUT_WR)
                    server.close()
                else:
                    reset(server)
                if sends_first:
                    while await peer.send(b"x"):
                        pass
                met = await peer.receive()
                assert met is (Kind.END if is_ended_first else Kind.RESET)


async def test_a_reset_that_a_send_meets_beside_a_receive_is_no_end() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, guarded():
        for _ in range(20):  # which of the two asks the system first is chance
            address = listener.getsockname()
            async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
                reset(listener.accept()[0])
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(peer.send, b"x")
                    await trio.lowlevel.checkpoint()
                    assert await peer.receive() is Kind.RESET


# ---- ends of this side ----


async def test_the_end_comes_with_the_last_byte() -> None:
    data = bytes(100_000)
    with socket.create_server((LOOPBACK, 0)) as listener, guarded():
        for is_closed in (False, True):
            address = listener.getsockname()
            async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
                send = peer.send_and_close if is_closed else peer.send_and_half_close
                await send(data)
                with listener.accept()[0] as server:
                    server.settimeout(GUARD_S)
                    assert receive_all(server) == data
                    if not is_closed:
                        server.sendall(b"still read")
                        assert await peer.receive() == b"still read"


# ---- silence ----


async def test_time_in_which_the_machine_stood_still_is_no_silence(mock_clock: MockClock) -> None:
    received: list[bytes | Kind] = []
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = listener.getsockname()
        async with connected(address, Wire(), Transcript(), number=1, patience_s=1) as peer:
            server = listener.accept()[0]

            async def receive() -> None:
                received.append(await peer.receive())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                for _ in range(5):
                    await wait_all_tasks_blocked()
                    mock_clock.jump(60)
                server.sendall(b"late, as all was")
            server.close()
            assert received == [b"late, as all was"]


async def test_silence_is_as_long_as_the_patience_and_longer_while_bytes_are_taken(
    autojump_clock: MockClock,
) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = listener.getsockname()
        async with connected(address, Wire(), Transcript(), number=1, patience_s=2) as peer:
            began = trio.current_time()
            assert await peer.receive() is Kind.SILENCE
            assert trio.current_time() - began == pytest.approx(2)
            began = trio.current_time()
            assert await peer.receive(within_s=0.25) is Kind.SILENCE
            assert trio.current_time() - began == pytest.approx(0.25)
            async with trio.open_nursery() as nursery:
                began = trio.current_time()
                nursery.start_soon(peer.send_pieces, [b"x"] * 4, 1.05)
                assert await peer.receive() is Kind.SILENCE
                assert trio.current_time() - began == pytest.approx(3 * 1.05 + 2)
                began = trio.current_time()
                nursery.start_soon(peer.send_pieces, [b"x"] * 100, 1.05)
                assert await peer.receive() is Kind.SILENCE
                assert trio.current_time() - began == pytest.approx(5 * 2)
                nursery.cancel_scope.cancel()


class OnASlowPath(PeerSocket):
    """Its system carries so much in a second, by Trio's clock, of what it was given."""

    bytes_per_s = 50_000

    def __init__(self, sock: trio.socket.SocketType) -> None:
        super().__init__(sock)
        self.given = 0

    def _send_now(self, data: bytes | memoryview) -> int:
        sent = super()._send_now(data)
        self.given += sent
        return sent

    @property
    def bytes_on_their_way(self) -> int:
        carried_s = trio.current_time() - self.last_sent_at
        return max(0, self.given - int(self.bytes_per_s * carried_s))


async def test_time_in_which_a_slow_path_carries_what_was_sent_is_no_silence(
    autojump_clock: MockClock,
) -> None:
    ours, its = trio.socket.socketpair()
    with its:
        peer = Peer(OnASlowPath(ours), Wire(), Transcript(), 1, patience_s=2)
        for size, carried_s in ((1000, 0.0), (200_000, 4.0), (5_000_000, 8.0)):
            await peer.send(bytes(min(size, 1000)))
            peer._sock.given = size  # type: ignore[attr-defined] # the system's buffers are smaller here
            began = trio.current_time()
            assert await peer.receive() is Kind.SILENCE
            # To a tenth of a second, and without the last bytes.
            assert trio.current_time() - began == pytest.approx(carried_s + 2, abs=0.21)
        peer.release()


async def test_what_the_servers_system_has_not_taken_is_on_its_way() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, guarded():
        async with connected(listener.getsockname(), Wire(), Transcript(), number=1, patience_s=1) as peer:
            server = listener.accept()[0]
            sent = await peer.send_until_blocked(bytes(1 << 16), 1 << 30, stall_s=0.1)
            assert 0 < peer._sock.bytes_on_their_way < sent
            server.settimeout(GUARD_S)
            receive_exactly(server, sent)
            # The last acknowledgement may take 40 ms, and the kernel does not report when it comes.
            while peer._sock.bytes_on_their_way:  # noqa: ASYNC110 - as said
                await trio.sleep(0.01)
            server.close()
