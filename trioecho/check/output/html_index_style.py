"""How the index of many servers looks, and the one script that sorts its tables."""

from __future__ import annotations

import base64
import hashlib

from .html_style import STYLE

INDEX_STYLE = (
    STYLE
    + """
body { max-width: 96rem; }
.scroll { overflow-x: auto; margin: 0 -.3rem; padding: 0 .3rem; }
.scroll table { overflow-wrap: normal; }
.overview td { min-width: 4.5rem; }
.overview td:last-child { min-width: 16rem; overflow-wrap: anywhere; }
th[scope=row] { color: var(--ink); font-size: .9rem; min-width: 7rem; max-width: 18rem;
  overflow-wrap: anywhere; }
.scroll th[scope=row], .scroll .name { position: sticky; left: 0; background: var(--paper); z-index: 1; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  text-align: inherit; text-decoration: underline dotted; text-underline-offset: .2em; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.matrix { width: auto; }
.matrix th, .matrix td { padding: .15rem; vertical-align: middle; }
.matrix thead th { vertical-align: bottom; }
.matrix .rule-name { writing-mode: vertical-rl; font: 600 .75rem/1.2 var(--mono); margin: 0; }
.matrix .rule-name a { color: inherit; text-decoration: none; }
.matrix td { text-align: center; min-width: 1.35rem; height: 1.5rem; font: 600 .8rem/1 var(--mono); }
.matrix td a { display: block; color: inherit; text-decoration: none; padding: .2rem 0; }
.matrix td a:hover { outline: 2px solid currentColor; }
.matrix .first { border-left: 1px solid var(--line); }
.matrix .untested { text-align: left; font: inherit; font-size: .85rem; padding-left: .5rem; }
.matrix tfoot td { font-weight: 400; color: var(--faint); }
.often > li { margin: .8rem 0; }
.names { font-size: .9rem; }
@media (max-width: 640px) {
  th[scope=row] { min-width: 5rem; max-width: 8rem; }
}
"""
)

# Without it the order is that of the command line. A click sorts by a column, another one the other way.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === head.dataset.sort ? -1 : 1;
      const first = head.dataset.sort === "descending" ? -1 : 1;
      for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way * first === 1 ? "ascending" : "descending");
      const key = (row) => row.cells[head.dataset.column].dataset.key;
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => way * first *
        key(a).localeCompare(key(b), "en", { numeric: true, sensitivity: "base" }));
      body.append(...rows);
    });
  }
}
"""

# That script and no other runs, and nothing is loaded, whatever a server has sent.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
