"""How much is done for one connection, or for all, before others have their turn."""

from __future__ import annotations

# How long the reactor may keep Trio's other tasks from their turn, and a function that
# replies may keep the other connections.
TURN_S = 0.002
# After this many messages that came together, others have their turn.
TURN_MESSAGES = 64
# Replies of more than this many bytes are not collected but sent.
ENOUGH_BYTES = 1 << 16
