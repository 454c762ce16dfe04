"""The look of reports: one HTML file that holds its pictures, needs no script and no network, and prints well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: #24292f; background: #fff;
  max-width: 1080px; margin: 2rem auto 4rem; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; max-width: 46rem; } .faint { color: #57606a; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #57606a; border-bottom: 1px solid #d0d7de; }
th, td { padding: .28rem .9rem .28rem 0; vertical-align: top; } td { border-bottom: 1px solid #eaeef2; }
td.number, th.number { text-align: right; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid #d0d7de; border-radius: 8px; padding: .6rem 1rem; min-width: 8.2rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.25; } .tile span { color: #57606a; font-size: .85rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1.4rem 1.6rem; }
figure { margin: 0; break-inside: avoid; } figure img { width: 100%; height: auto; display: block; }
figure b { display: block; margin-bottom: .2rem; } figcaption { color: #57606a; font-size: .85rem; }
.bar { display: inline-block; width: 12rem; height: .7rem; background: #eaeef2; border-radius: 3px; }
.bar i { display: block; height: 100%; background: #2563a8; border-radius: 3px; }
pre { background: #f6f8fa; border: 1px solid #eaeef2; border-radius: 6px; padding: .8rem 1rem; overflow-x: auto;
  font-size: .85rem; white-space: pre-wrap; } code { background: #f6f8fa; padding: .1rem .3rem; border-radius: 4px; }
@media (max-width: 560px) { .panels { grid-template-columns: 1fr; } }
@media print { body { margin: 0; max-width: none; font-size: 11px; } .panels { grid-template-columns: 1fr 1fr; }
  .tile, .bar, .bar i { print-color-adjust: exact; -webkit-print-color-adjust: exact; } h2 { break-after: avoid; }
  tr { break-inside: avoid; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole document. `body` holds pieces of HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table of HTML cells, which the caller has escaped; columns `numbers` stand to the right."""
    right = set(numbers)

    def line(cells: Sequence[str], tag: str) -> str:
        marks = [' class="number"' if column in right else "" for column in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{c}</{tag}>" for m, c in zip(marks, cells, strict=True)) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """The few numbers that matter most: (number, what it is)."""
    inside = "".join(f'<div class="tile"><b>{escape(b)}</b><span>{escape(text)}</span></div>' for b, text in figures)
    return f'<div class="tiles">{inside}</div>'


def bar(share: float) -> str:
    """A share in [0, 1] as a bar."""
    return f'<span class="bar"><i style="width:{100 * share:.1f}%"></i></span>'


def figure(title: str, image: str, caption: str) -> str:
    """A picture, given as HTML, with its title and a sentence."""
    return f"<figure><b>{escape(title)}</b>{image}<figcaption>{escape(caption)}</figcaption></figure>"
