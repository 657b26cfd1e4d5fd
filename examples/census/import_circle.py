"""The import graph as a circle: names around it, in an order that keeps related ones close."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from examples.census.counting import ImportGraph
from examples.census.svg import drawing, element, text, title

_SIZE = 620.0
_RADIUS = 224.0
_EDGES_PER_NAME = 5

Edges = Mapping[tuple[str, str], int]


def without(graph: ImportGraph, name: str) -> ImportGraph:
    """Return the graph without one name and its imports."""
    edges = {
        source: {target: files for target, files in targets.items() if target != name}
        for source, targets in graph.edges.items()
        if source != name
    }
    importers: Counter[str] = Counter()
    for targets in edges.values():
        importers.update(targets)
    return ImportGraph({each: importers[each] for each in graph.importers if each != name}, edges)


def ranking(graph: ImportGraph, number: int) -> list[tuple[str, int]]:
    """Return the most imported names with the number of files that import them."""
    return sorted(graph.importers.items(), key=lambda item: (-item[1], item[0]))[:number]


def strongest_edges(graph: ImportGraph, names: Sequence[str], per_name: int = _EDGES_PER_NAME) -> Edges:
    """Return for each name what most of its files import, among `names`."""
    known = set(names)
    edges: dict[tuple[str, str], int] = {}
    for name in names:
        targets = [(target, n) for target, n in graph.edges.get(name, {}).items() if target in known]
        for target, files in sorted(targets, key=lambda item: (-item[1], item[0]))[:per_name]:
            edges[name, target] = files
    return edges


def circle_order(names: Sequence[str], edges: Edges) -> list[str]:
    """Order names around a circle so that connected ones are near: swap pairs as long as that shortens the edges."""
    order = sorted(names)
    neighbours: dict[str, list[tuple[str, float]]] = {name: [] for name in order}
    for (source, target), files in edges.items():
        weight = 1 + math.log(files)
        neighbours[source].append((target, weight))
        neighbours[target].append((source, weight))
    place = {name: index for index, name in enumerate(order)}

    def length_at(name: str) -> float:
        return sum(weight * _apart(place[name], place[other], len(order)) for other, weight in neighbours[name])

    improved = True
    while improved:
        improved = False
        for i, first in enumerate(order):
            for second in order[i + 1 :]:
                before = length_at(first) + length_at(second)
                place[first], place[second] = place[second], place[first]
                if length_at(first) + length_at(second) < before - 1e-9:
                    improved = True
                else:
                    place[first], place[second] = place[second], place[first]
        order.sort(key=place.__getitem__)
    return order


def draw_imports(graph: ImportGraph, number: int = 40) -> str:
    """Draw the `number` most imported names and the strongest imports between them."""
    ranked = ranking(graph, number)
    edges = strongest_edges(graph, [name for name, _ in ranked])
    order = circle_order([name for name, _ in ranked], edges)
    angles = {name: 2 * math.pi * index / len(order) - math.pi / 2 for index, name in enumerate(order)}
    parts = [_edge(source, target, files, angles) for (source, target), files in sorted(edges.items())]
    parts += [_node(name, files, angles[name], max(1, ranked[0][1]), edges) for name, files in sorted(ranked)]
    label = f"Imports between the {len(order)} most imported packages and modules"
    return drawing(_SIZE, _SIZE, parts, label=label, class_="circle")


def _apart(a: int, b: int, around: int) -> int:
    distance = abs(a - b)
    return min(distance, around - distance)


def _at(angle: float, radius: float) -> tuple[float, float]:
    return _SIZE / 2 + radius * math.cos(angle), _SIZE / 2 + radius * math.sin(angle)


def _edge(source: str, target: str, files: int, angles: Mapping[str, float]) -> str:
    (x1, y1), (x2, y2) = _at(angles[source], _RADIUS - 9), _at(angles[target], _RADIUS - 9)
    # The nearer two names are, the flatter their edge: it stays close to the rim and leaves the middle to long ones.
    pull = 0.75 * min(1.0, math.dist((x1, y1), (x2, y2)) / (2 * _RADIUS)) + 0.15
    cx = (x1 + x2) / 2 * (1 - pull) + _SIZE / 2 * pull
    cy = (y1 + y2) / 2 * (1 - pull) + _SIZE / 2 * pull
    return element(
        "path",
        title(f"{files} files of {source} import {target}" if files > 1 else f"{source} imports {target}"),
        d=f"M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}",
        class_="edge",
        data_from=source,
        data_to=target,
        stroke_width=0.8 + 0.7 * math.log2(1 + files) / 2,
    )


def _node(name: str, files: int, angle: float, most: int, edges: Edges) -> str:
    x, y = _at(angle, _RADIUS)
    radius = 3.0 + 8.0 * math.sqrt(files / most)
    lx, ly = _at(angle, _RADIUS + 16)
    left = math.cos(angle) < -1e-9
    turn = math.degrees(angle) + (180 if left else 0)
    related = sorted({target for source, target in edges if source == name})
    hint = f"{name}: imported by {files} files; imports {', '.join(related) or 'none of these'}"
    label = text(
        name,
        lx,
        ly,
        dy="0.32em",
        text_anchor="end" if left else "start",
        transform=f"rotate({turn:.1f} {lx:.1f} {ly:.1f})",
        class_="name",
    )
    return element("g", title(hint) + element("circle", cx=x, cy=y, r=radius) + label, class_="node", data_name=name)
