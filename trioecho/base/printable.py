"""Bytes and texts of others, made safe to show: in a terminal, a log or a page."""

from __future__ import annotations


def printable(text: str | bytes) -> str:
    r"""Return the text with escapes for what a terminal or a browser could obey.

    Escaped are control characters, those that change the direction of writing, and
    bytes that are not UTF-8 (in a ``str`` the lone surrogates that stand for them).
    Line ends and tabs stay; ``\r\n`` becomes ``\n``. Whatever came from a peer, a child
    process, a file or a file's name goes through here before a person sees it.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="surrogateescape")
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def printable_line(text: str | bytes) -> str:
    """Return the text as `printable` does, and line ends and tabs escaped, too: it stays one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what errors="surrogateescape" makes of a byte
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
