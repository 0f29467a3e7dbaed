"""A load's result as JSON within its page, and found there again."""

from __future__ import annotations

import html
import re

from ...base.html import Markup
from .. import LoadResult, UnreadableResultError, result_as_json

# Not a script, which a page like this has none of.
_BEGIN, _END = '<pre class="json" id="{}">', "</pre>"
_ONLY = "result"
# The names of the results that the page of a comparison holds.
COMPARED = ("A", "B")


def json_in_page(result: LoadResult, name: str = _ONLY) -> Markup:
    """Return the result as an element of a page, with a name that is unique there."""
    text = html.escape(result_as_json(result, indent=None), quote=False)
    return Markup(f"{_BEGIN.format(name)}{text}{_END}")


def find_json(text: str) -> str:
    """Return the JSON that the page of a result holds; what is no page as it is.

    Raises:
      UnreadableResultError: the page holds no single result.
    """
    if not re.match(r"\s*<(!doctype html|html)\b", text, re.IGNORECASE):
        return text
    if found := re.search(f"{re.escape(_BEGIN.format(_ONLY))}(.*?){_END}", text, re.DOTALL):
        return html.unescape(found[1])
    if _BEGIN.format(COMPARED[0]) in text:
        raise UnreadableResultError(
            "this is the page of a comparison, which holds no single result; "
            "give the JSON or the page of a run"
        )
    raise UnreadableResultError("this page holds no result; give the JSON or the page of a run")
