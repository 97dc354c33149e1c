"""A graph as the DAG page draws it: boxes with what they say and where they lead, lines, and the same as a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.console.access import ConsoleRequest
from opscenter.console.cron_words import in_words
from opscenter.console.templatetags import looks
from opscenter.console.templatetags.ui import scheduled
from opscenter.production.graph import DEEPEST, Graph, Wanted
from opscenter.production.models import Recurrence, Task, TaskInstance
from opscenter.production.rules.layering import Edge, Point, Sizes, lay_out

SIZES = Sizes()
MARGIN = 48
"""Around the drawing, in its units: room for the handles at the boxes."""
HANDLE_WIDTH = 36
_MOST_ASKED = 100
"""Nodes that an address may ask to show more."""


@dataclass(frozen=True)
class Handle:
    """Shows the neighbours of a box that are not shown; without an address it only counts them."""

    count: int
    says: str
    url: str
    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """One node.

    Attributes:
        note: when it is scheduled; ``short_note`` is what fits into the box.
        url: its own page; empty where it is of a workspace that is not the reader's.
        place: the workspace, where that is another one and the reader's too; ``is_elsewhere`` says that it is another.
        marks: said beside the state, such as frozen.
        waits_for: the names of what it waits for among those shown.
    """

    pk: int
    name: str
    type: looks.Look
    note: str
    short_note: str
    look: looks.Look
    marks: Sequence[looks.Look]
    url: str
    glance_url: str
    place: str
    is_elsewhere: bool
    is_centre: bool
    is_chained: bool
    x: float
    y: float
    before: Handle | None
    after: Handle | None
    waits_for: Sequence[str]


@dataclass(frozen=True)
class Line:
    """One edge, as an SVG path."""

    path: str
    is_cross: bool


def wanted(query: QueryDict) -> Wanted:
    """How far the address asks to look; what it says that cannot be is left out."""
    return Wanted(
        up=_level(query.get("up", "")),
        down=_level(query.get("down", "")),
        parents=_ids(query.getlist("parents")),
        children=_ids(query.getlist("children")),
    )


def _level(text: str) -> int:
    return min(int(text), DEEPEST) if text.isascii() and text.isdigit() and len(text) < 4 else 1


def _ids(texts: Sequence[str]) -> list[int]:
    known = [int(text) for text in texts[:_MOST_ASKED] if text.isascii() and text.isdigit() and len(text) < 19]
    return list(dict.fromkeys(known))


def address(found: Wanted, **changes: Any) -> str:
    """The query of the same page that shows more, or less."""
    values: dict[str, Any] = {"up": found.up, "down": found.down, "parents": found.parents, "children": found.children}
    query = QueryDict(mutable=True)
    for name, value in (values | changes).items():
        if isinstance(value, int):
            if value != 1:
                query[name] = str(value)
        elif value:
            query.setlist(name, [str(pk) for pk in value])
    return "?" + query.urlencode()


def drawing(request: ConsoleRequest, graph: Graph, asked: Wanted) -> dict[str, Any]:
    """What ``console/dag/graph.html`` shows."""
    edges = [Edge(link.upstream, link.downstream, link.is_cross) for link in graph.links]
    layout = lay_out(list(graph.nodes), edges, SIZES)
    names = {pk: _name(node) for pk, node in graph.nodes.items()}
    boxes = [
        _box(
            request,
            graph,
            asked,
            node,
            layout.boxes[pk],
            [names[link.upstream] for link in graph.links if link.downstream == pk],
        )
        for pk, node in graph.nodes.items()
    ]
    lines = [
        Line(_path(points, is_back), link.is_cross)
        for link, points, is_back in zip(graph.links, layout.lines, layout.is_back, strict=True)
    ]
    return {
        "boxes": boxes,
        "lines": lines,
        "is_full": graph.is_full,
        "has_cross": any(link.is_cross for link in graph.links) or bool(graph.chained),
        "width": round(layout.width + 2 * MARGIN),
        "height": round(layout.height + 2 * MARGIN),
        "box_width": SIZES.width,
        "box_height": SIZES.height,
        "handle_width": HANDLE_WIDTH,
        "left": -MARGIN,
    }


def _name(node: Task | TaskInstance) -> str:
    return node.name if isinstance(node, Task) else node.task.name


def _box(request: ConsoleRequest, graph: Graph, asked: Wanted, node: Any, at: Point, waits_for: Sequence[str]) -> Box:
    is_known = node.pk in graph.known
    look, marks = _looks(node)
    url = _url(request, node) if is_known else ""
    is_elsewhere = node.workspace_id != request.workspace.pk
    return Box(
        pk=node.pk,
        name=_name(node),
        type=looks.of_node_type(node.node_type),
        note=(note := _note(request, node)),
        short_note=note[5:16] if isinstance(node, TaskInstance) else note,
        look=look,
        marks=marks,
        url=url,
        glance_url=f"{url}glance/" if url and isinstance(node, TaskInstance) else "",
        place=str(node.workspace) if is_elsewhere and is_known else "",
        is_elsewhere=is_elsewhere,
        is_centre=node.pk == next(iter(graph.nodes)),
        is_chained=node.pk in graph.chained,
        x=round(at.x, 1),
        y=round(at.y, 1),
        before=_handle(graph, node.pk, asked, "parents", at),
        after=_handle(graph, node.pk, asked, "children", at),
        waits_for=waits_for,
    )


def _handle(graph: Graph, pk: int, asked: Wanted, side: str, at: Point) -> Handle | None:
    is_before = side == "parents"
    count = (graph.hidden_up if is_before else graph.hidden_down).get(pk, 0)
    if not count:
        return None
    if is_before:
        text = ngettext("%(n)s more that it waits for", "%(n)s more that it waits for", count)
    else:
        text = ngettext("%(n)s more that waits for it", "%(n)s more that wait for it", count)
    ids = list(asked.parents if is_before else asked.children)
    can_show = not graph.is_full and pk not in ids and len(ids) < _MOST_ASKED
    return Handle(
        count,
        says=text % {"n": count},
        url=address(asked, **{side: [*ids, pk]}) if can_show else "",
        x=round(at.x + (-HANDLE_WIDTH - 6 if is_before else SIZES.width + 6), 1),
        y=round(at.y + SIZES.height / 2 - 10, 1),
    )


def _looks(node: Task | TaskInstance) -> tuple[looks.Look, Sequence[looks.Look]]:
    """An instance's state with its marks; of a task, how its instances run."""
    if isinstance(node, TaskInstance):
        return looks.of_instance(node), looks.marks_of(node)
    offline = [looks.OFFLINE] if node.status == Task.Status.OFFLINE else []
    match node.recurrence:
        case Recurrence.PAUSE:
            return looks.FROZEN, offline
        case Recurrence.SKIP:
            return looks.DRY_RUN, offline
    return looks.Look("not_run", "calendar-clock", _("Normal")), offline


def _note(request: ConsoleRequest, node: Task | TaskInstance) -> str:
    if isinstance(node, TaskInstance):
        return scheduled(node.scheduled_at, request.workspace.tenant.time_zone)
    return in_words(node.version.cron) if node.version is not None else ""


def _url(request: ConsoleRequest, node: Task | TaskInstance) -> str:
    place: dict[str, Any] = {"workspace_id": node.workspace_id, "env": request.environment.value.lower()}
    if isinstance(node, Task):
        return reverse("console:task", kwargs=place | {"number": node.number})
    return reverse("console:instance", kwargs=place | {"pk": node.pk})


def _path(points: Sequence[Point], is_back: bool) -> str:
    """Curves between layers, straight through a layer that is only passed; a line back bends below its boxes."""
    start, *rest = points
    text = f"M{_pair(start)}"
    if is_back:
        depth = max(start.y, rest[0].y) + 36
        return f"{text} C{start.x:.1f} {depth:.1f} {rest[0].x:.1f} {depth:.1f} {_pair(rest[0])}"
    for number, (one, other) in enumerate(zip(points, rest, strict=False)):
        if number % 2:
            text += f" L{_pair(other)}"
        else:
            middle = (one.x + other.x) / 2
            text += f" C{middle:.1f} {one.y:.1f} {middle:.1f} {other.y:.1f} {_pair(other)}"
    return text


def _pair(point: Point) -> str:
    return f"{point.x:.1f} {point.y:.1f}"
