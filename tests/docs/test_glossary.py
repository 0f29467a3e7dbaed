"""The words of the core are explained where it begins, and in the guide: in the same words."""

from __future__ import annotations

import re

import trioecho.connection
from tests.support.checkout import ROOT


def test_the_guide_explains_the_words_of_the_core_as_the_core_does() -> None:
    doc = trioecho.connection.__doc__ or ""
    bullets = re.findall(r"^- \*([a-z ]+)\*: (.*?)\.$(?=\n- |\n*\Z)", doc, re.DOTALL | re.MULTILINE)
    words = {word: " ".join(meaning.split()) for word, meaning in bullets}
    assert len(words) == doc.count("\n- ") >= 10
    page = (ROOT / "trioecho/guide/design.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", page, re.MULTILINE))
    assert words == {word: table.get(word) for word in words}
