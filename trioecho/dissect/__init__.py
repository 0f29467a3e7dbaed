"""``trioecho dissect``: a dissector for Wireshark, which shows frames of any format."""

from __future__ import annotations

from .dissector import DEFAULT_NAME, MOST_FRAME_LENGTH, is_name, wireshark_dissector

__all__ = ["DEFAULT_NAME", "MOST_FRAME_LENGTH", "is_name", "wireshark_dissector"]
