"""The live page and its parts, for any board."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from .application import Page, PageReply
from .board_feed import BoardFeed

_FILES = {
    "/": ("board.html", "text/html; charset=utf-8"),
    "/board.css": ("board.css", "text/css; charset=utf-8"),
    "/board.js": ("board.js", "text/javascript; charset=utf-8"),
    "/heat.js": ("heat.js", "text/javascript; charset=utf-8"),
    "/panels.js": ("panels.js", "text/javascript; charset=utf-8"),
    "/uPlot.css": ("uPlot.css", "text/css; charset=utf-8"),
    "/uPlot.js": ("uPlot.js", "text/javascript; charset=utf-8"),
    "/uPlot.LICENSE": ("uPlot.LICENSE", "text/plain; charset=utf-8"),
}
# Nothing from outside, and nothing that a server or a peer has sent can become a script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def board_pages(feed: BoardFeed) -> Mapping[str, Page]:
    """Return the pages of a board by their paths: the page, its parts, and the stream that it reads."""
    folder = resources.files(__package__).joinpath("board")

    def file_page(name: str, content_type: str) -> Page:
        def page(request: object) -> PageReply:
            headers = {"content-security-policy": _POLICY}
            return PageReply(folder.joinpath(name).read_bytes(), content_type, headers=headers)

        return page

    def events(request: object) -> PageReply:
        return PageReply(feed.stream(), "text/event-stream")

    pages = {path: file_page(*file) for path, file in _FILES.items()}
    return {**pages, "/events": events}
