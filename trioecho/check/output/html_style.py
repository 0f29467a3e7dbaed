"""How the page looks: light or dark as the reader's system is, from 320 pixels upwards."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f6f7f9; --line: #d9dde3; --ink: #1b1f24; --faint: #5b6470; --link: #0b57c2;
  --pass: #17702f; --pass-bg: #e3f4e6; --fail: #b3211c; --fail-bg: #fdeae8;
  --warn: #815300; --warn-bg: #fdf1d3; --open: #5a4a9c; --open-bg: #edeafa; --skip: #5b6470;
  --skip-bg: #eceef1;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1c2026; --line: #343a43; --ink: #e4e7eb; --faint: #9aa4b1; --link: #82b1ff;
    --pass: #7fd394; --pass-bg: #17301f; --fail: #ff9d94; --fail-bg: #3d1d1c;
    --warn: #f0c365; --warn-bg: #372b12; --open: #b9acf5; --open-bg: #29244a; --skip: #9aa4b1;
    --skip-bg: #272c34;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, h3, h4 { line-height: 1.25; margin: 0; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .9rem; padding-bottom: .35rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; }
p { margin: .5rem 0; }
a { color: var(--link); text-underline-offset: .15em; }
code, pre, .hex { font-family: var(--mono); font-size: .82rem; }
.faint { color: var(--faint); }
.target { font: 600 1.05rem/1.4 var(--mono); margin: .35rem 0 0; }
.server { margin-top: 2.5rem; }
.server + .server { margin-top: 4.5rem; padding-top: 2.5rem; border-top: 3px solid var(--line); }
.outcome { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: baseline; margin: 1.2rem 0;
  padding: .85rem 1.1rem; border-radius: .6rem; border-left: .4rem solid currentColor; }
.outcome strong { font-size: 1.25rem; }
.pass { color: var(--pass); background: var(--pass-bg); }
.fail { color: var(--fail); background: var(--fail-bg); }
.warn { color: var(--warn); background: var(--warn-bg); }
.open { color: var(--open); background: var(--open-bg); }
.skip { color: var(--skip); background: var(--skip-bg); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  gap: .7rem 1.5rem; margin: 0; }
.facts div { min-width: 0; }
.facts dt { color: var(--faint); font-size: .8rem; }
.facts dd { margin: 0; font-size: .92rem; }
.map { display: grid; grid-template-columns: minmax(9rem, auto) 1fr; gap: .55rem 1.2rem;
  align-items: baseline; }
.map h3 { font-size: .95rem; font-weight: 600; }
.chips { display: flex; flex-wrap: wrap; gap: .3rem; list-style: none; margin: 0; padding: 0; }
.chip { display: inline-block; padding: .1rem .5rem; border-radius: .35rem;
  font: 600 .78rem/1.5 var(--mono);
  text-decoration: none; white-space: nowrap; }
a.chip:hover { outline: 2px solid currentColor; }
.legend { font-size: .82rem; margin-top: .9rem; display: flex; flex-wrap: wrap; gap: .3rem .9rem; }
.causes { padding-left: 1.4rem; margin: 0; }
.causes > li { margin: .8rem 0; }
.case { margin: 1.2rem 0; border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
.case > header { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: baseline;
  padding: .7rem 1rem; }
.case > header .level { margin-left: auto; font-size: .8rem; font-weight: 600; }
.case > div { padding: .3rem 1rem 1rem; }
.case h4 { font-size: .8rem; color: var(--faint); font-weight: 600; margin: .9rem 0 .15rem; }
.case p { margin: .15rem 0; }
.case .note { margin-top: .6rem; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr));
  gap: 0 1.5rem; }
.sides p, .said { white-space: pre-line; }
.cause { border-left: 3px solid var(--line); padding-left: .8rem; }
pre { margin: .2rem 0; padding: .55rem .75rem; background: var(--panel); border-radius: .4rem;
  white-space: pre-wrap; }
details { margin-top: .9rem; }
summary { cursor: pointer; font-size: .9rem; color: var(--link); }
.transcript { background: var(--panel); border-radius: .4rem; padding: .5rem .75rem; margin-top: .5rem;
  max-height: 32rem; overflow-y: auto; }
.event { margin: .45rem 0; }
.event .faint { font-size: .8rem; }
.event > b { font: 600 .8rem/1.4 var(--mono); white-space: pre-wrap; }
.sent > b::before { content: "\\2192 "; color: var(--link); }
.received > b::before { content: "\\2190 "; color: var(--pass); }
.hex { display: flex; flex-wrap: wrap; gap: 0 2ch; max-width: 92ch; font-size: .75rem; line-height: 1.5; }
.hex span { white-space: pre; }
.hex i { font-style: normal; color: var(--faint); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; font-size: .8rem; color: var(--faint); font-weight: 600; }
th, td { padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:last-child, th:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.rule { margin: 1.4rem 0; }
.rule p { margin: .25rem 0; }
.rule:target, .case:target { outline: 3px solid var(--link); outline-offset: .4rem; border-radius: .4rem; }
.source { font-size: .85rem; color: var(--faint); }
.back { font-size: .85rem; }
footer { margin-top: 3rem; font-size: .85rem; color: var(--faint); }
@media (max-width: 640px) {
  body { padding: 1.2rem .9rem 3rem; font-size: 15px; }
  .map { grid-template-columns: 1fr; gap: .25rem; }
  .map h3 { margin-top: .6rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .case > header .level { margin-left: 0; }
  .wide { display: none; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  .case, .rule { break-inside: avoid-page; }
  .transcript { max-height: none; }
}
"""
