"""Apache Thrift's servers of `void ping()`.  usage: thrift_ping.py threaded|nonblocking PORT

The processor is what the Thrift compiler makes of such a service, without the declarations around it.
"""

import logging
import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.server.TNonblockingServer import TNonblockingServer
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TFramedTransportFactory


class Ping(TProcessor):
    def process(self, incoming, outgoing) -> None:
        name, _, number = incoming.readMessageBegin()
        incoming.skip(TType.STRUCT)
        incoming.readMessageEnd()
        if name == "ping":
            outgoing.writeMessageBegin(name, TMessageType.REPLY, number)
            outgoing.writeStructBegin("ping_result")
            outgoing.writeFieldStop()
            outgoing.writeStructEnd()
        else:
            unknown = TApplicationException(TApplicationException.UNKNOWN_METHOD, f"Unknown function {name}")
            outgoing.writeMessageBegin(name, TMessageType.EXCEPTION, number)
            unknown.write(outgoing)
        outgoing.writeMessageEnd()
        outgoing.trans.flush()


kind, port = sys.argv[1:]
logging.disable()  # of connections that a client has reset
listener = TServerSocket("127.0.0.1", int(port))
if kind == "threaded":
    framed, binary = TFramedTransportFactory(), TBinaryProtocolFactory()
    TThreadedServer(Ping(), listener, framed, binary, daemon=True).serve()
else:
    TNonblockingServer(Ping(), listener).serve()
