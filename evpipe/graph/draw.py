"""Pictures of a planned graph: DOT for Graphviz, and SVG from a small layout of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from evpipe.graph.model import Graph
from evpipe.graph.plan import Link, Worker

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _LANE = 150, 46, 120, 30, 24, 18
_INKS = ("#2f6f9f", "#9f5f2f", "#3f7f4f", "#7f4f8f", "#8f3f4f", "#4f7f7f")


def dot(graph: Graph, workers: Sequence[Worker], links: Sequence[Link]) -> str:
    """The graph in the language of Graphviz, a cluster for each worker."""
    lines = [f"digraph {_quoted(graph.name)} {{", "  rankdir=LR; node [shape=box, style=rounded];"]
    for worker in workers:
        lines.append(f"  subgraph {_quoted(f'cluster_{worker.name}')} {{ label={_quoted(worker.name)};")
        for id_ in worker.nodes:
            lines.append(f"    {_quoted(id_)} [label={_quoted(_label(graph, id_, chr(92) + 'n'))}];")
        lines.append("  }")
    for link in links:
        edge = link.edge
        style = "solid" if link.kind == "call" else "bold"
        text = f"{edge.port}{'?' if edge.optional else ''}\\n{link.kind} {link.policy.kind}"
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(text)}, style={style}];")
    return "\n".join([*lines, "}", ""])


def svg(graph: Graph, workers: Sequence[Worker], links: Sequence[Link]) -> str:
    """The graph as SVG: a column for each step from the sources, a colour for each worker.

    An edge that passes over a column runs in a lane of its own below the boxes.
    """
    boxes = _layout(graph)
    floor = max(box.y + box.height for box in boxes.values()) + _LANE
    ink = {id_: _INKS[index % len(_INKS)] for index, worker in enumerate(workers) for id_ in worker.nodes}
    home = {id_: worker.name for worker in workers for id_ in worker.nodes}
    ends: dict[str, int] = {}
    parts = []
    for link in links:
        start, end = boxes[link.edge.source], boxes[link.edge.target]
        place = ends[link.edge.target] = ends.get(link.edge.target, 0) + 1
        x0, y0, x1, y1 = start.x + _WIDTH, start.y + _HEIGHT // 2, end.x, end.y + place * _LANE
        bend = _GAP_X // 2
        path = f"M{x0} {y0} C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
        if x1 - x0 > _GAP_X:
            path = (
                f"M{x0} {y0} C{x0 + bend} {y0} {x0 + bend // 2} {floor} {x0 + bend} {floor} H{x1 - _GAP_X} "
                f"C{x1 - bend} {floor} {x1 - _GAP_X} {y1} {x1} {y1}"
            )
            floor += _LANE // 2
        dashes = ' stroke-dasharray="5 3"' if link.edge.optional else ""
        width = 1 if link.kind == "call" else 2
        parts.append(f'<path d="{path}" fill="none" stroke="#999" stroke-width="{width}"{dashes}/>')
        parts.append(f'<text x="{x1 - 6}" y="{y1 - 3}" text-anchor="end" fill="#333">{escape(link.edge.port)}</text>')
    for node in graph.nodes:
        box, operator = boxes[node.id], node.use.rpartition(".")[2]
        parts.append(
            f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{box.height}" rx="6" fill="white" '
            f'stroke="{ink[node.id]}" stroke-width="2"/>'
            f'<text x="{box.x + 10}" y="{box.y + 19}" font-weight="bold">{escape(node.id)}</text>'
            f'<text x="{box.x + 10}" y="{box.y + 36}" fill="{ink[node.id]}">{home[node.id]}  {escape(operator)}</text>'
        )
    width, height = max(box.x for box in boxes.values()) + _WIDTH + _MARGIN, floor + _MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f"<title>{escape(graph.name)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


class _Box(NamedTuple):
    """A node's top left corner and height, in px."""

    x: int
    y: int
    height: int


def _layout(graph: Graph) -> dict[str, _Box]:
    """A node stands one column after the last one that it hears, and is as high as its inputs need."""
    column: dict[str, int] = {}
    used: dict[int, int] = {}
    boxes = {}
    for node in graph.nodes:
        heard = graph.inputs_of(node.id)
        column[node.id] = at = max((column[edge.source] + 1 for edge in heard), default=0)
        height = max(_HEIGHT, _LANE * (len(heard) + 1))
        y = used.get(at, _MARGIN)
        boxes[node.id] = _Box(_MARGIN + at * (_WIDTH + _GAP_X), y, height)
        used[at] = y + height + _GAP_Y
    return boxes


def _label(graph: Graph, id_: str, newline: str) -> str:
    return f"{id_}{newline}{graph.node(id_).use}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
