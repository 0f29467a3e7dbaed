"""Twisted's own protocol of length-prefixed messages.

python twisted_int32.py MAX_FRAME_LENGTH
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver


class Echo(Int32StringReceiver):
    MAX_LENGTH = int(sys.argv[1])

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name for it
        self.transport.setTcpNoDelay(True)

    def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name for it
        self.sendString(string)


factory = Factory.forProtocol(Echo)
factory.noisy = False
port = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
print(f"listening on 127.0.0.1:{port.getHost().port}", file=sys.stderr, flush=True)
reactor.run()
