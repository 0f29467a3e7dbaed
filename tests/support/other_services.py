"""Services that do not echo frames of u32be: what each does with one connection of blocking sockets."""

from __future__ import annotations

import socket


def answer_lines(peer: socket.socket) -> None:
    """A service of lines: silent until one is complete."""
    received = b""
    while b"\r\n" not in received:
        received += peer.recv(1 << 16) or b"\r\n"
    peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def echo_little_endian(peer: socket.socket) -> None:
    """As a server with a limit: a frame of more than 1 MiB ends the connection."""
    with peer.makefile("rb") as stream:
        while header := stream.read(4):
            if (length := int.from_bytes(header, "little")) > 1 << 20:
                return
            peer.sendall(header + stream.read(length))


def speak_tls(peer: socket.socket) -> None:
    """As OpenSSL does: what is no TLS gets no answer, and what is gets an alert at least."""
    if peer.recv(1 << 16).startswith(b"\x16\x03"):
        peer.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


def be_silent(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass
