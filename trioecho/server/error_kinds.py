"""The kinds of errors that a server counts, for whoever has to know them before they occur."""

from __future__ import annotations

# `HandlerErrors` names those that peers cause.
ERROR_KINDS = (
    "aborted",
    "accept_failed",
    "connection_lost",
    "frame_timeout",
    "frame_too_large",
    "frame_too_small",
    "handler_failed",
    "idle_timeout",
    "incomplete_frame",
    "proxy_header_invalid",
    "proxy_header_timeout",
    "proxy_not_allowed",
    "tls_handshake_failed",
    "tls_handshake_timeout",
    "worker_died",
    "write_timeout",
)
