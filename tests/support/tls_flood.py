"""Records that no library sends of its own accord, under the keys of a TLS 1.3 connection (RFC 8446)."""

from __future__ import annotations

import hashlib
import hmac
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .tls import client_context
from .tls_by_hand import TlsPeer, shake_hands

_HANDSHAKE, _DATA = 22, 23
_HASH_BYTES = hashlib.sha384().digest_size
_KEY_BYTES, _NONCE_BYTES = 32, 12


def _expand_label(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of section 7.1, for no more than the hash gives."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return hmac.digest(secret, info + b"\1", "sha384")[:size]


class RecordWriter:
    """Encrypts what a client sends, with TLS_AES_256_GCM_SHA384.

    Args:
      secret: client_application_traffic_secret_0, before anything was sent under it.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._use_keys()

    def _use_keys(self) -> None:
        self._cipher = AESGCM(_expand_label(self._secret, b"key", _KEY_BYTES))
        self._nonce = int.from_bytes(_expand_label(self._secret, b"iv", _NONCE_BYTES), "big")
        self._number = 0

    def _record(self, kind: int, content: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        nonce = (self._nonce ^ self._number).to_bytes(_NONCE_BYTES, "big")
        self._number += 1
        return header + self._cipher.encrypt(nonce, content + bytes([kind]), header)

    def data(self, content: bytes) -> bytes:
        """Return a record with these bytes, which may be none."""
        return self._record(_DATA, content)

    def key_update(self, *, asks_for_one: bool = False) -> bytes:
        """Return a record that says that the next ones are under new keys."""
        record = self._record(_HANDSHAKE, bytes([24, 0, 0, 1, asks_for_one]))
        self._secret = _expand_label(self._secret, b"traffic upd", _HASH_BYTES)
        self._use_keys()
        return record


def open_writer(plain: socket.socket) -> tuple[TlsPeer, RecordWriter]:
    """Shake hands over a socket that blocks; return who decrypts, and who encrypts."""
    return writer_after(lambda peer: shake_hands(peer, plain))


def writer_after(shake: Callable[[TlsPeer], object]) -> tuple[TlsPeer, RecordWriter]:
    """Return who decrypts, and who encrypts, after a handshake."""
    context = client_context()
    context.minimum_version = context.maximum_version
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "keys"
        context.keylog_filename = str(log)
        peer = TlsPeer(context)
        shake(peer)
        lines = [line.split() for line in log.read_text().splitlines()]
    [secret] = [words[2] for words in lines if words[0] == "CLIENT_TRAFFIC_SECRET_0"]
    assert (peer.object.cipher() or ("",))[0] == "TLS_AES_256_GCM_SHA384"
    return peer, RecordWriter(bytes.fromhex(secret))
