"""One connection, from the socket to messages and back.

Words that the modules here use (the glossary of the guide's page "design" has them, too):

- *transport*: moves the bytes of one connection, a plain socket or any other Trio stream.
- *exchange*: the protocol state of one connection, without a socket. It is given what was
  received and the time, and returns what to send.
- *interest*: what an exchange waits for: something to receive, room to send, a task that
  takes messages, or its next turn.
- *deadline*: until when it waits.
- *batch*: whole frames that lie one behind the other.
- *reactor*: moves the bytes of all plain sockets of a server, with one epoll.
- *registration*: a connection's place in the reactor.
- *task driver*: moves the bytes of one connection in a task: where there is no reactor, for
  what a handler of channels sends, and at the end of a drain.
- *torn*: a frame was sent in part and cannot be finished: no byte may follow it.
- *drain*: ends a connection after what has arrived was received and replied to. A frame
  that has begun is finished before that, if the peer sends the rest.
- *linger*: the time in which a socket stays open after the end of the stream was sent, so
  that nothing is lost to a reset.
"""
