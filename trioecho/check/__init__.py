"""A conformance suite for any server that echoes length-prefixed frames.

It shares nothing with the rest of the project: it makes its own bytes and
sends them over its own sockets, so that it cannot share our mistakes.
"""
