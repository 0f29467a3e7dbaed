"""How Sphinx makes the site; ``scripts/docs`` runs it."""

from __future__ import annotations

from typing import Any

import trioecho

project = "trioecho"
version = release = trioecho.__version__
project_copyright = "the trioecho authors"

extensions = [
    "myst_parser",  # pages are Markdown
    "sphinx.ext.autodoc",  # the API reference comes from the docstrings
    "sphinx.ext.napoleon",  # which are written in Google's style
]
# Docstrings say `name`, as Trio's do: find whatever has that name.
default_role = "any"
myst_heading_anchors = 4
# Code is coloured where it is Python or a shell; the rest is output.
highlight_language = "text"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_ivar = True
# What annotations name and this site does not have: Trio, the standard library, names of our own
# that are not public.
nitpick_ignore_regex = [("py:.*", r"(?!trioecho\.[A-Z]).*")]
suppress_warnings = ["ref.any"]  # likewise, where a docstring names them

html_theme = "furo"
html_title = f"trioecho {version}"
html_copy_source = False
html_show_sphinx = False


def _keep_public(app: Any, name: str, obj: type, options: object, bases: list[type]) -> None:
    """Leave out the base classes that are this project's own and not public."""
    bases[:] = [
        base
        for base in bases
        if not getattr(base, "__module__", "").startswith("trioecho.") or base.__name__ in trioecho.__all__
    ]


def setup(app: Any) -> None:
    """Connect what Sphinx calls."""
    app.connect("autodoc-process-bases", _keep_public)
