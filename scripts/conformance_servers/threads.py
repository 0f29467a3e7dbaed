"""A thread per connection, blocking, done right.  usage: threads.py PORT

The server itself is the honest one, `trioecho.faulty.EchoServer`.
"""

import signal
import sys

from trioecho.faulty import EchoServer

server = EchoServer(port=int(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: server.on_sigterm())
signal.signal(signal.SIGINT, lambda *_: server.on_sigint())
server.serve()
