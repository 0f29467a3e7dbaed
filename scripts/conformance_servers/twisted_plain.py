"""Twisted's Int32StringReceiver, as one would write it at first.  usage: twisted_plain.py PORT"""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols.basic import Int32StringReceiver


class Echo(Int32StringReceiver):
    MAX_LENGTH = 1 << 20

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


reactor.listenTCP(int(sys.argv[1]), protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
reactor.run()
