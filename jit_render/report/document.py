"""The HTML that all pages have in common: one file that needs nothing else, for a screen, a phone and paper.

There is no script in it and nothing is fetched; what comes from outside is escaped by whoever writes the sections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from jit_render.report.charts import CSS

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; padding: 1rem;
  max-width: 46rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .5rem; margin: 1rem 0; }
.facts div { border: 1px solid #ccc; border-radius: 6px; padding: .5rem .7rem; }
.facts b { display: block; font-size: 1.2rem; } .facts span, .quiet { color: #555; font-size: .875rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #ddd;
  vertical-align: top; min-width: 2.2rem; }
td:first-child { min-width: 5.5rem; } td.n:first-child { min-width: 2.2rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.alarm { border-left: 4px solid #b00020; padding-left: .7rem; }
@media (max-width: 430px) { body { padding: .6rem; } table { font-size: .8rem; }
  th, td { padding-right: .35rem; } ul { padding-left: 1.2rem; } }
@media print { body { max-width: none; padding: 0; font-size: 11pt; color: #000; }
  tr, .facts div, svg.chart, li { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; } thead { display: table-header-group; }
  @page { margin: 15mm; } svg.chart { max-width: 11cm; } }
"""


def document(title: str, sections: Iterable[str]) -> str:
    """The whole file; `sections` are HTML."""
    body = "\n".join(f"<section>{text}</section>" for text in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}{CSS}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def grid(heads: Sequence[str], body: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Rows of plain text; the columns `numbers` are aligned to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        marks = [' class="n"' if at in numbers else "" for at in range(len(cells))]
        row = "".join(f"<{tag}{mark}>{escape(cell)}</{tag}>" for cell, mark in zip(cells, marks, strict=True))
        return f"<tr>{row}</tr>"

    return f"<table><thead>{line(heads, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in body)}</tbody></table>"
