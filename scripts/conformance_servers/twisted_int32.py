"""Twisted's Int32StringReceiver.  usage: twisted_int32.py PORT"""

import sys

from twisted.internet import protocol, reactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.basic import Int32StringReceiver
from zope.interface import implementer


@implementer(IHalfCloseableProtocol)
class Echo(Int32StringReceiver):
    MAX_LENGTH = 1 << 20

    def connectionMade(self) -> None:
        # While the client does not read, the transport pauses its producer: its own reading.
        self.transport.registerProducer(self.transport, True)
        self.transport.setTcpNoDelay(True)

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)

    def lengthLimitExceeded(self, length: int) -> None:
        self.end()

    # Without IHalfCloseableProtocol Twisted drops what it has not sent when the client ends its side.
    def readConnectionLost(self) -> None:
        self.end()

    def writeConnectionLost(self) -> None:
        pass

    def end(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()


reactor.listenTCP(int(sys.argv[1]), protocol.Factory.forProtocol(Echo), backlog=1024, interface="127.0.0.1")
reactor.run()
