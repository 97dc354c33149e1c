"""The surroundings of a task or an instance: who waits for whom, as far as was asked for and as the asker may see."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from opscenter.production.models import InstanceEdge, Task, TaskDependency, TaskInstance
from opscenter.workspaces.models import Member, User

MOST_NODES = 200
FIRST_NEIGHBOURS = 12
"""Neighbours of one node on one side that are shown without being asked for."""
MORE_NEIGHBOURS = 60
"""The same when that node was asked to show more."""
DEEPEST = 10
"""Levels on one side."""

Type = TaskDependency.Type


@dataclass(frozen=True)
class Wanted:
    """How far to look.

    Attributes:
        up, down: levels around the centre.
        parents, children: nodes whose neighbours on that side are shown besides.
    """

    up: int = 1
    down: int = 1
    parents: Collection[int] = ()
    children: Collection[int] = ()


@dataclass(frozen=True)
class Link:
    """``is_cross``: of the previous cycle."""

    upstream: int
    downstream: int
    is_cross: bool


@dataclass(frozen=True)
class Graph:
    """What was found, by primary keys.

    Attributes:
        nodes: tasks or instances, in the order in which they were found; the first is the centre.
        known: those of workspaces that the asker is a member of. The others are told by name and state alone.
        hidden_up, hidden_down: how many neighbours of a known node are not in the graph, where there are any.
        chained: tasks that wait for their own previous cycle.
        has_more_up, has_more_down: one more level would show more.
        is_full: the bound of nodes was reached.
    """

    nodes: Mapping[int, Any]
    known: Collection[int]
    links: Sequence[Link]
    hidden_up: Mapping[int, int]
    hidden_down: Mapping[int, int]
    chained: Collection[int]
    has_more_up: bool
    has_more_down: bool
    is_full: bool


class Source(Protocol):
    """Where nodes and their edges are read."""

    def edges(self, ids: Collection[int], near: str) -> "QuerySet[Any]":
        """Edges as rows with ``up`` and ``down``; ``near`` names the end that is none of these nodes."""

    def objects(self, ids: Collection[int]) -> dict[int, Any]:
        """The nodes, with what is shown of them."""

    def links(self, nodes: Mapping[int, Any]) -> list[Link]:
        """The edges among the nodes."""

    def chained(self, ids: Collection[int]) -> set[int]:
        """As in Graph."""


def around(user: User, centre: Task | TaskInstance, wanted: Wanted) -> Graph:
    """The graph around a task or an instance, which the user must be allowed to see."""
    source: Source = _Tasks() if isinstance(centre, Task) else _Instances()
    return _Search(source, user).run(centre.pk, wanted)


_OTHER_END = {"up": "down", "down": "up"}


@dataclass
class _Search:
    source: Source
    user: User
    nodes: dict[int, Any] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    is_full: bool = False
    _workspaces: dict[int, bool] = field(default_factory=dict)

    def run(self, centre: int, wanted: Wanted) -> Graph:
        self._add([centre])
        depths = {"up": wanted.up, "down": wanted.down}
        fringes = {"up": [centre], "down": [centre]}
        for level in range(max(depths.values())):
            for near, depth in depths.items():
                if level < depth:
                    fringes[near] = self._grow(near, fringes[near], FIRST_NEIGHBOURS)
        asked = {"up": set(wanted.parents), "down": set(wanted.children)}
        while any(ids & self.nodes.keys() for ids in asked.values()):  # what is shown now may be asked to show more
            for near, ids in asked.items():
                here = ids & self.nodes.keys()
                asked[near] = ids - here
                self._grow(near, sorted(here), MORE_NEIGHBOURS)
        links = self.source.links(self.nodes)
        hidden = {near: self._hidden(near) for near in depths}
        has_more = {near: not self.is_full and any(pk in hidden[near] for pk in fringes[near]) for near in depths}
        return Graph(
            nodes=self.nodes,
            known=self.known,
            # what one unknown node has to do with another is not the asker's business
            links=[one for one in links if one.upstream in self.known or one.downstream in self.known],
            hidden_up=hidden["up"],
            hidden_down=hidden["down"],
            chained=self.source.chained(self.known),
            has_more_up=has_more["up"],
            has_more_down=has_more["down"],
            is_full=self.is_full,
        )

    def _grow(self, near: str, ids: Iterable[int], most: int) -> list[int]:
        """Add the neighbours of the known ones among these nodes; returns those that are new."""
        of = [pk for pk in ids if pk in self.known]
        if not of:
            return []
        rank = Window(RowNumber(), partition_by=F(_OTHER_END[near]), order_by=near)
        rows = self.source.edges(of, near).values("up", "down")
        ranked = rows.annotate(rank=rank).filter(rank__lte=most).order_by(_OTHER_END[near], near)
        found = dict.fromkeys(row[near] for row in ranked)
        return self._add([pk for pk in found if pk not in self.nodes])

    def _add(self, ids: Sequence[int]) -> list[int]:
        room = MOST_NODES - len(self.nodes)
        self.is_full = self.is_full or len(ids) > room
        objects = self.source.objects(ids[:room])
        unsure = {one.workspace_id for one in objects.values()} - self._workspaces.keys()
        if unsure:
            mine = Member.objects.filter(user=self.user, workspace__in=unsure).values_list("workspace_id", flat=True)
            self._workspaces |= dict.fromkeys(unsure, False) | dict.fromkeys(mine, True)
        added = [pk for pk in ids[:room] if pk in objects]
        self.nodes |= {pk: objects[pk] for pk in added}
        self.known |= {pk for pk in added if self._workspaces[objects[pk].workspace_id]}
        return added

    def _hidden(self, near: str) -> dict[int, int]:
        """Of each known node the neighbours on one side that are not shown, counted."""
        edges = self.source.edges(self.known, near).exclude(**{f"{near}__in": list(self.nodes)})
        counted = edges.values(of=F(_OTHER_END[near])).annotate(count=Count(near, distinct=True)).order_by()
        return {row["of"]: row["count"] for row in counted}


class _Tasks:
    """Tasks that are online, and their dependencies.

    Who waits for the previous cycle of its children names itself there: its children are known by their same-cycle
    dependencies, and stand beside it anyway.
    """

    _OF_ANOTHER = (Type.NORMAL, Type.OTHER)

    def edges(self, ids: Collection[int], near: str) -> "QuerySet[Any]":
        rows = TaskDependency.objects.filter(type__in=self._OF_ANOTHER).annotate(up=F("upstream"), down=F("task"))
        online = {("upstream" if near == "up" else "task") + "__status": Task.Status.ONLINE}
        return rows.filter(**{f"{_OTHER_END[near]}__in": list(ids)}, **online)

    def objects(self, ids: Collection[int]) -> dict[int, Task]:
        found = Task.objects.select_related("workspace", "version", "owner").defer("version__content")
        return found.in_bulk(list(ids))

    def links(self, nodes: Mapping[int, Any]) -> list[Link]:
        rows = TaskDependency.objects.filter(task__in=list(nodes), upstream__in=list(nodes))
        types = list(rows.order_by("pk").values_list("upstream_id", "task_id", "type"))
        same = {(up, down) for up, down, kind in types if kind == Type.NORMAL}
        cross = {(up, down) for up, down, kind in types if kind == Type.OTHER} - same
        of_children = {task for _up, task, kind in types if kind == Type.CHILDREN}
        cross |= {(child, parent) for parent, child in same if parent in of_children} - same
        return [Link(*pair, is_cross) for is_cross, pairs in ((False, same), (True, cross)) for pair in sorted(pairs)]

    def chained(self, ids: Collection[int]) -> set[int]:
        return set(TaskDependency.objects.filter(task__in=list(ids), type=Type.SELF).values_list("task_id", flat=True))


class _Instances:
    """Instances and their edges, of whichever run."""

    def edges(self, ids: Collection[int], near: str) -> "QuerySet[Any]":
        rows = InstanceEdge.objects.annotate(up=F("upstream"), down=F("downstream"))
        return rows.filter(**{f"{_OTHER_END[near]}__in": list(ids)})

    def objects(self, ids: Collection[int]) -> dict[int, TaskInstance]:
        return TaskInstance.objects.select_related("task", "workspace").in_bulk(list(ids))

    def links(self, nodes: Mapping[int, Any]) -> list[Link]:
        ids = list(nodes)
        pairs = InstanceEdge.objects.filter(downstream__in=ids, upstream__in=ids).order_by("downstream", "upstream")
        found = [(nodes[up], nodes[down]) for up, down in pairs.values_list("upstream_id", "downstream_id")]
        same = _same_cycle({(up.task_id, down.task_id) for up, down in found})
        return [
            Link(up.pk, down.pk, up.bizdate != down.bizdate or (up.task_id, down.task_id) not in same)
            for up, down in found
        ]

    def chained(self, ids: Collection[int]) -> set[int]:
        return set()


def _same_cycle(pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pairs of tasks whose instances of one day wait for each other within a cycle.

    An edge does not say which dependency it was made of. One whose dependency was published away since counts as of the
    same cycle.
    """
    tasks = {pk for pair in pairs for pk in pair}
    rows = TaskDependency.objects.filter(Q(task__in=tasks) & (Q(upstream__in=tasks) | Q(type=Type.CHILDREN)))
    normal, other, of_children = set(), set(), set()
    for up, task, kind in rows.values_list("upstream_id", "task_id", "type"):
        if kind == Type.NORMAL:
            normal.add((up, task))
        elif kind == Type.CHILDREN:
            of_children.add(task)
        else:
            other.add((up, task))
    crossing = (
        other | {(child, parent) for parent, child in normal if parent in of_children} | {(pk, pk) for pk in tasks}
    )
    return {pair for pair in pairs if pair in normal or pair not in crossing}
