"""Links of the README, of the guide and of what stands in .github lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trioecho.guide
from tests.support.checkout import ROOT

GUIDE = Path(trioecho.guide.__file__).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md")), *sorted(GUIDE.glob("*.md"))]


def outside_of_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)", outside_of_fences(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


LINKS = [
    pytest.param(page, link, id=f"{page.name}: {link}")
    for page in PAGES
    for link in re.findall(r"\]\(([^)]+)\)", outside_of_fences(page.read_text()))
    if not link.startswith("https://")
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert not anchor or anchor in anchors_of(target)
