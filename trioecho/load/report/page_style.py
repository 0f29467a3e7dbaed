"""The style of the pages about loads."""

from __future__ import annotations

from importlib import resources


def page_style() -> str:
    """Return it as CSS; the plots take their colours from it."""
    return resources.files(__package__).joinpath("load_page.css").read_text("utf-8")
