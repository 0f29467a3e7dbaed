"""HTML made by functions: text is escaped, and markup is known by its type."""

from __future__ import annotations

import html
from collections.abc import Iterable

from .printable import printable

_VOID = frozenset({"br", "link", "meta"})


class Markup(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


Child = str | Iterable[str] | None

# What is in such a page cannot run or load anything, whatever a server has sent.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, style: str, *body: Child, head: Child = None, policy: str = _POLICY) -> str:
    """Return a page in English that fits every window.

    Args:
      title: what a browser's tab shows.
      style: CSS.
      body: the page's content, as the children of `element`.
      head: further elements for the page's head.
      policy: what the page may load (Content-Security-Policy).
    """
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            head,
            element("title", title),
            element("style", Markup(style)),
        ),
        element("body", *body),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def element(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """Return an element.

    Args:
      name: its tag.
      children: `Markup` stays what it is and other text is escaped; of an iterable
        each part in its turn; None is nothing.
      attributes: a trailing underscore is dropped (``class_``), others become hyphens;
        True is an attribute without a value, False and None are none.
    """
    tag = name + "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{tag}>" if name in _VOID else f"<{tag}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return elements and text one after the other."""
    return Markup("".join(_markup(child) for child in children))


def _markup(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(printable(child))
    return "".join(map(_markup, child))


def _attribute(key: str, value: str | bool | None) -> str:
    key = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {key}" if value is True else f' {key}="{html.escape(printable(value))}"'
