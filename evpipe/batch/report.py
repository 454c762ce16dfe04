"""The batch as a page: one self-contained HTML file, what failed first, links to the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from evpipe.batch.record import Record
from evpipe.batch.summary import dropped_packets, failures_first, totals

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #c5221f; } .damaged { color: #b06000; } .ok { color: #188038; }
code { overflow-wrap: anywhere; }
"""


def report(app: str, version: str, records: Sequence[Record], paths: Mapping[str, str]) -> bytes:
    """The page, UTF-8. It holds no host time, so equal results are equal pages."""
    total = totals(records)
    bad = [record for record in failures_first(records) if record.status != "ok"]
    title = f"{escape(app)}: {total['recordings']} recordings"
    counts = ", ".join(f'<span class="{s}">{total[s]} {s}</span>' for s in ("failed", "damaged", "ok") if total[s])
    results = ", ".join(f"{count:,} {escape(port)}" for port, count in total["results"].items()) or "no results"
    body = [
        f"<h1>{title}</h1>",
        f"<p>{counts or 'none'}. {total['events']:,} events, {total['frames']:,} frames, {total['sensor_s']:,} s of "
        f"sensor time; {results}; {total['lost_events']:,} events lost in recordings, {total['dropped_packets']:,} "
        f"packets dropped. evpipe {escape(version)}.</p>",
    ]
    if bad:
        body += ["<h2>Failures</h2>", "<table><tr><th>recording<th>status<th>message</tr>"]
        body += [
            f'<tr><td><code>{escape(paths[r.name])}</code><td class="{r.status}">{r.status}<td>{escape(r.message)}</tr>'
            for r in bad
        ]
        body.append("</table>")
    ports = sorted(total["results"])
    heads = "".join(f'<th class="n">{escape(port)}' for port in ports)
    body += [
        "<h2>Recordings</h2>",
        '<table><tr><th>recording<th>status<th class="n">seconds<th class="n">events<th class="n">events/s'
        f'<th class="n">frames{heads}<th class="n">lost<th class="n">dropped<th>said</tr>',
        *[_row(record, ports) for record in failures_first(records)],
        "</table>",
    ]
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    return page.encode()


def _row(record: Record, ports: Sequence[str]) -> str:
    name = f"<code>{escape(record.name)}</code>"
    if record.table:
        name = f'<a href="{quote(record.table)}">{name}</a>'
    numbers = [f"{(record.t1_us - record.t0_us) / 1e6:,.3f}", f"{record.events:,}", f"{record.events_per_s:,.0f}"]
    numbers += [f"{record.frames:,}", *[f"{record.results.get(port, 0):,}" for port in ports]]
    numbers += [f"{record.lost_events:,}", f"{dropped_packets(record):,}"]
    said = [*map(escape, record.notes), *([f"and {record.more_notes} more"] if record.more_notes else [])]
    cells = "".join(f'<td class="n">{number}' for number in numbers)
    return f'<tr><td>{name}<td class="{record.status}">{record.status}{cells}<td>{"<br>".join(said)}</tr>'
