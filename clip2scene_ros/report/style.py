"""The look of report.html: light and dark by the reader's setting, readable on a phone and on paper."""

LINE_COLORS = 6
"""How many lines of a chart have a colour of their own (`--line-0` ...); further ones are dashed."""

STYLE = """
:root { color-scheme: light dark;
  --page: #fafafa; --card: #ffffff; --text: #16191f; --soft: #5b6472; --rule: #dfe3e8; --track: #eceff3;
  --accent: #2563c9; --right: 37 99 201; --wrong: 208 76 30; --on-heat: #ffffff;
  --line-0: #2563c9; --line-1: #c2410c; --line-2: #0f7f6e; --line-3: #9333b8; --line-4: #a16207; --line-5: #be185d; }
@media screen and (prefers-color-scheme: dark) { :root {
  --page: #0f1217; --card: #171b22; --text: #eceff4; --soft: #9aa3b1; --rule: #2b313b; --track: #252b35;
  --accent: #6ea2f5; --right: 66 126 226; --wrong: 214 92 44; --on-heat: #ffffff;
  --line-0: #6ea2f5; --line-1: #f18b5b; --line-2: #3fc4ae; --line-3: #c48be0; --line-4: #dcae3f; --line-5: #f07aae; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 56px; }
h1 { margin: 0; font-size: 52px; line-height: 1.1; letter-spacing: -.02em; }
h1 small { font-size: 20px; font-weight: 500; letter-spacing: 0; color: var(--soft); margin-right: 10px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 4px 0; }
.soft { color: var(--soft); }
.notes { margin: 14px 0 0; padding: 10px 16px; border-left: 3px solid var(--accent); background: var(--card); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px;
  margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { margin: 0; font-size: 22px; font-weight: 600; }
.wide { overflow-x: auto; margin-top: 12px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 500; text-align: left; color: var(--soft); }
tbody th { color: var(--text); }
td, th { padding: 4px 10px 4px 0; vertical-align: baseline; }
td.n, th.n { text-align: right; white-space: nowrap; }
.grid { min-width: 100%; }
.grid td + td, .grid th + th { padding-left: 14px; }
.grid thead th { border-bottom: 1px solid var(--rule); }
.grid tbody tr + tr > * { border-top: 1px solid var(--rule); }
.grid tfoot > tr:first-child > * { border-top: 2px solid var(--rule); font-weight: 600; color: var(--text); }
.bars { width: 100%; }
.bars th { white-space: nowrap; }
.bars tr > :nth-child(2) { width: 100%; }
.bar { display: block; height: 14px; border-radius: 3px; background: var(--track); min-width: 60px; }
.bar i { display: block; height: 100%; border-radius: 3px; background: var(--accent); }
.heat { font-size: 12px; border-collapse: separate; border-spacing: 2px; }
.heat th, .heat td { padding: 0 2px; }
.heat thead th { height: 118px; vertical-align: bottom; }
.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.heat tbody th { white-space: nowrap; padding-right: 8px; text-align: right; vertical-align: middle;
  position: sticky; left: 0; background: var(--card); }
.heat td { width: 42px; min-width: 34px; height: 28px; text-align: center; vertical-align: middle; border-radius: 3px;
  background: rgb(var(--wrong) / var(--v, 0)); }
.heat td.right { background: rgb(var(--right) / var(--v, 0)); }
.heat td.dark { color: var(--on-heat); }
.heat td.none { color: var(--soft); }
.heat td.all { text-align: right; padding-left: 10px; white-space: nowrap; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 20px;
  margin-top: 10px; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 500; margin-bottom: 4px; }
svg { width: 100%; max-width: 560px; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .rule { stroke: var(--rule); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 6px 0 0; padding: 0; list-style: none;
  font-size: 13px; }
.legend svg { display: inline-block; width: 22px; height: 8px; margin-right: 6px; vertical-align: middle; }
img { max-width: 100%; height: auto; border-radius: 6px; display: block; }
figure + figure { margin-top: 16px; }
.charts figure + figure { margin-top: 0; }
pre { margin: 10px 0 0; padding: 12px 14px; border: 1px solid var(--rule); border-radius: 8px; background: var(--page);
  white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; user-select: all; }
.facts td { overflow-wrap: anywhere; }
.facts th { white-space: nowrap; padding-right: 18px; }
code { font: 13px ui-monospace, monospace; }
@media (max-width: 560px) {
  main { padding: 18px 10px 40px; } section { padding: 14px 12px; } h1 { font-size: 42px; }
  .facts tr { display: block; padding: 3px 0; } .facts th, .facts td { display: block; padding: 0; }
  .facts td { color: var(--soft); }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .bars, .grid { font-size: 13px; } .bars th { white-space: normal; } .bar { min-width: 40px; }
  td, th { padding-right: 4px; } .grid td + td, .grid th + th { padding-left: 4px; }
  .heat tbody th { font-size: 11px; } }
@media print {
  :root { color-scheme: light; --page: #ffffff; --text: #000000; --soft: #444444; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } section { break-inside: avoid; } .wide { overflow: visible; }
  .heat { font-size: 9px; } .heat td { width: auto; min-width: 22px; height: 20px; }
  .heat tbody th { position: static; } }
"""

PICTURES = """
h1.words { font-size: 30px; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 12px;
  margin-top: 10px; }
.shots figure + figure { margin-top: 0; }
.shots figcaption { font-size: 13px; font-weight: 500; }
h3 { font-size: 15px; margin: 18px 0 0; }
.swatches { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 10px 0 0; list-style: none; font-size: 13px;
  position: sticky; top: 0; background: var(--card); padding: 6px 0; z-index: 1; }
.swatches i, .key { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px;
  box-shadow: 0 0 0 1px var(--rule); }
@media (max-width: 560px) { h1.words { font-size: 24px; } .swatches { position: static; } }
"""
"""Of pages that show labelled scans: a conclusion as headline, pictures side by side, the classes' colours."""
