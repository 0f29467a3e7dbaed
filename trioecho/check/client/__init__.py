"""What a case does to a server, and what it sees of it: the suite's own bytes on its own sockets."""
