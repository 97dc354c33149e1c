"""Where the nodes of a graph are drawn: in layers, from what is waited for on the left to what waits on the right.

The steps are Sugiyama's: an order in which strong edges lead forward, layers by the longest path, a bend for each layer
that an edge only passes, fewer crossings by sweeps, and positions near the neighbours without overlaps. Pure.
"""

import itertools
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

SWEEPS = 8
"""Passes over the layers that look for fewer crossings; more change little."""
_SETTLING = 6
"""Passes over the layers that move nodes towards their neighbours."""


class Edge(NamedTuple, Generic[K]):
    """``downstream`` waits for ``upstream``; a weak one gives way where both directions are asked for."""

    upstream: K
    downstream: K
    is_weak: bool = False


@dataclass(frozen=True)
class Sizes:
    """Of the drawing, in its own units: boxes, the room between layers, and between boxes of a layer."""

    width: float = 216
    height: float = 56
    between_layers: float = 84
    between_boxes: float = 16
    bend: float = 10


class Point(NamedTuple):
    """A place in the drawing; y grows downwards."""

    x: float
    y: float


@dataclass(frozen=True)
class Layout(Generic[K]):
    """Where everything is.

    Attributes:
        boxes: the upper left corner of each node.
        lines: for each edge, in the order given, the points that it leads through: from the right side of its upstream
            box to the left side of its downstream box.
        is_back: for each edge, whether it does not lead to a later layer; its points are its two boxes' lower middles.
        width, height: of the whole.
    """

    boxes: Mapping[K, Point]
    lines: Sequence[Sequence[Point]]
    is_back: Sequence[bool]
    width: float
    height: float


def lay_out(nodes: Sequence[K], edges: Sequence[Edge[K]], sizes: Sizes = Sizes()) -> Layout[K]:
    """Lay a graph out. Nodes may be in loops; edges to or from what is no node, and of a node to itself, are not allowed."""
    place = {key: number for number, key in enumerate(_forward(nodes, edges))}
    binding = [edge[:2] for edge in edges if place[edge.upstream] < place[edge.downstream]]
    layer = _layers(sorted(nodes, key=place.__getitem__), dict.fromkeys(binding))
    is_back = [layer[edge.upstream] >= layer[edge.downstream] for edge in edges]
    forward = dict.fromkeys(edge[:2] for edge, back in zip(edges, is_back, strict=True) if not back)
    rows, chains = _rows(nodes, forward, layer)
    rows = _uncrossed(rows, _neighbours(rows, chains))
    centres = _settled(rows, _neighbours(rows, chains), sizes)
    lowest = min((centres[key, layer[key]] for key in nodes), default=0) - sizes.height / 2
    step = sizes.width + sizes.between_layers
    boxes = {key: Point(layer[key] * step, centres[key, layer[key]] - sizes.height / 2 - lowest) for key in nodes}
    lines = [
        _back(boxes, edge, sizes)
        if back
        else _along(
            edge, [Point(bend[1] * step, centres[bend] - lowest) for bend in chains[edge[:2]][1:-1]], boxes, sizes
        )
        for edge, back in zip(edges, is_back, strict=True)
    ]
    return Layout(
        boxes,
        lines,
        is_back,
        width=max((point.x + sizes.width for point in boxes.values()), default=0),
        height=max((point.y + sizes.height for point in boxes.values()), default=0),
    )


def _forward(nodes: Sequence[K], edges: Sequence[Edge[K]]) -> list[K]:
    """The nodes in an order that strong edges follow; of those that may come next, one that weak edges do not forbid.

    In a loop of strong edges the node that comes first in ``nodes`` goes first.
    """
    waits: dict[K, set[K]] = {key: set() for key in nodes}
    weak: dict[K, set[K]] = {key: set() for key in nodes}
    followers: dict[K, list[K]] = defaultdict(list)
    for edge in edges:
        (weak if edge.is_weak else waits)[edge.downstream].add(edge.upstream)
        followers[edge.upstream].append(edge.downstream)
    left = dict.fromkeys(nodes)
    done: list[K] = []
    while left:
        chosen = min(left, key=lambda key: (len(waits[key]), len(weak[key])))
        del left[chosen]
        done.append(chosen)
        for follower in followers[chosen]:
            waits[follower].discard(chosen)
            weak[follower].discard(chosen)
    return done


def _layers(ordered: Sequence[K], edges: Iterable[tuple[K, K]]) -> dict[K, int]:
    """The length of the longest path to each node; what waits for nothing is drawn next to what waits for it."""
    upstream: dict[K, list[K]] = defaultdict(list)
    downstream: dict[K, list[K]] = defaultdict(list)
    for up, down in edges:
        upstream[down].append(up)
        downstream[up].append(down)
    layer: dict[K, int] = {}
    for key in ordered:
        layer[key] = max((layer[up] + 1 for up in upstream[key]), default=0)
    for key in reversed(ordered):
        if not upstream[key] and downstream[key]:
            layer[key] = min(layer[down] for down in downstream[key]) - 1
    first = min(layer.values(), default=0)
    return {key: number - first for key, number in layer.items()}


Spot = tuple[K, int] | tuple[tuple[K, K], int]
"""A node, or a bend of an edge, with its layer."""


def _rows(
    nodes: Sequence[K], edges: Iterable[tuple[K, K]], layer: Mapping[K, int]
) -> tuple[list[list[Spot[K]]], dict[tuple[K, K], list[Spot[K]]]]:
    """The spots of each layer, and for each edge the spots that it leads through."""
    rows: list[list[Spot[K]]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key in nodes:
        rows[layer[key]].append((key, layer[key]))
    chains: dict[tuple[K, K], list[Spot[K]]] = {}
    for up, down in edges:
        bends: list[Spot[K]] = [((up, down), number) for number in range(layer[up] + 1, layer[down])]
        for bend in bends:
            rows[bend[1]].append(bend)
        chains[up, down] = [(up, layer[up]), *bends, (down, layer[down])]
    return rows, chains


Near = Mapping[Spot[K], list[Spot[K]]]


def _neighbours(
    rows: Sequence[Sequence[Spot[K]]], chains: Mapping[tuple[K, K], list[Spot[K]]]
) -> tuple[Near[K], Near[K]]:
    """For each spot those it is joined to in the layer before, and in the layer after."""
    before: dict[Spot[K], list[Spot[K]]] = {spot: [] for row in rows for spot in row}
    after: dict[Spot[K], list[Spot[K]]] = {spot: [] for row in rows for spot in row}
    for chain in chains.values():
        for left, right in itertools.pairwise(chain):
            before[right].append(left)
            after[left].append(right)
    return before, after


def _uncrossed(rows: list[list[Spot[K]]], near: tuple[Near[K], Near[K]]) -> list[list[Spot[K]]]:
    """The layers in the order, among those that the sweeps went through, with the fewest crossings."""
    before, after = near
    best, fewest = rows, crossings(rows, after)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        numbers = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        for number in numbers:
            sources, other = (before, number - 1) if sweep % 2 == 0 else (after, number + 1)
            at = {spot: index for index, spot in enumerate(rows[other])}
            own = {spot: index for index, spot in enumerate(rows[number])}
            rows[number].sort(key=lambda spot: (_mean([at[one] for one in sources[spot]], own[spot]), own[spot]))
        if (found := crossings(rows, after)) < fewest:
            best, fewest = rows, found
    return best


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def crossings(rows: Sequence[Sequence[Spot[K]]], after: Near[K]) -> int:
    """How many pairs of edges cross, between neighbouring layers."""
    total = 0
    for row, following in itertools.pairwise(rows):
        at = {spot: index for index, spot in enumerate(following)}
        seen: list[int] = []
        for spot in row:
            ends = sorted(at[one] for one in after[spot])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _settled(rows: Sequence[Sequence[Spot[K]]], near: tuple[Near[K], Near[K]], sizes: Sizes) -> dict[Spot[K], float]:
    """The height of each spot's middle: near its neighbours, in the order of its layer, without overlaps."""
    at: dict[Spot[K], float] = {}
    for row in rows:
        for spot, middle in zip(row, _apart(row, [0.0] * len(row), sizes), strict=True):
            at[spot] = middle
    for sweep in range(_SETTLING):
        sources = near[sweep % 2]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([at[one] for one in sources[spot]], at[spot]) for spot in row]
            for spot, middle in zip(row, _apart(row, wanted, sizes), strict=True):
                at[spot] = middle
    return at


def _apart(row: Sequence[Spot[K]], wanted: Sequence[float], sizes: Sizes) -> list[float]:
    """The positions nearest to those wanted that keep the order and the distances (pool adjacent violators)."""
    offsets = [0.0]
    for one, other in itertools.pairwise(row):
        offsets.append(offsets[-1] + (_half(one, sizes) + _half(other, sizes)) + sizes.between_boxes)
    pools: list[tuple[float, int]] = []  # the mean of what a pool of spots wants, and how many they are
    for middle, offset in zip(wanted, offsets, strict=True):
        mean, count = middle - offset, 1
        while pools and pools[-1][0] > mean:
            other_mean, other_count = pools.pop()
            mean = (mean * count + other_mean * other_count) / (count + other_count)
            count += other_count
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]


def _half(spot: Spot[K], sizes: Sizes) -> float:
    is_bend = isinstance(spot[0], tuple)
    return (sizes.bend if is_bend else sizes.height) / 2


def _along(edge: Edge[K], bends: Sequence[Point], boxes: Mapping[K, Point], sizes: Sizes) -> list[Point]:
    """From box to box; through a layer that is only passed it goes straight."""
    up, down = boxes[edge.upstream], boxes[edge.downstream]
    points = [Point(up.x + sizes.width, up.y + sizes.height / 2)]
    for bend in bends:
        points += [bend, Point(bend.x + sizes.width, bend.y)]
    return [*points, Point(down.x, down.y + sizes.height / 2)]


def _back(boxes: Mapping[K, Point], edge: Edge[K], sizes: Sizes) -> list[Point]:
    return [
        Point(boxes[key].x + sizes.width / 2, boxes[key].y + sizes.height) for key in (edge.upstream, edge.downstream)
    ]
