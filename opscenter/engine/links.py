"""Which task waits for which: the dependencies that generation and wiring look at."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Q

from opscenter.production.models import Environment, TaskDependency
from opscenter.workspaces.models import Tenant

Type = TaskDependency.Type
Row = tuple[int, int, str]
"""A dependency: upstream, task, type."""


@dataclass(frozen=True)
class Links:
    """What the tasks concerned wait for.

    Attributes:
        normal: pairs (upstream task, task) of the same cycle.
        previous: pairs whose upstream is of the cycle before.
        chained: tasks that wait for their own previous cycle.
    """

    normal: Collection[tuple[int, int]]
    previous: Collection[tuple[int, int]]
    chained: Collection[int]

    def tasks(self) -> set[int]:
        """Every task that is named."""
        return {pk for pairs in (self.normal, self.previous) for pair in pairs for pk in pair}

    def among(self, tasks: Collection[int]) -> "Links":
        """Those from one of the tasks to another of them."""
        return Links(
            [pair for pair in self.normal if pair[0] in tasks and pair[1] in tasks],
            {pair for pair in self.previous if pair[0] in tasks and pair[1] in tasks},
            {pk for pk in self.chained if pk in tasks},
        )


def links_of(tenant: Tenant, environment: str = Environment.PROD) -> Links:
    """What all tasks of a tenant's production, or of another environment, wait for."""
    rows = _rows(Q(task__workspace__tenant=tenant, task__environment=environment))
    parents = _parents(rows)
    return _links(rows, [row for row in rows if row[0] in parents], rows)


def links_around(tasks: Collection[int]) -> Links:
    """What these tasks wait for, and what waits for them."""
    rows = _rows(Q(task__in=tasks) | Q(upstream__in=tasks))
    # who waits for its children's previous cycle waits for these, too
    rows += _rows(Q(task__in=[up for up, task, kind in rows if kind == Type.NORMAL], type=Type.CHILDREN))
    concerned = {pk for up, task, _kind in rows for pk in (up, task)}
    of_parents = [row for row in _rows(Q(upstream__in=_parents(rows))) if row[0] in tasks or row[1] in tasks]
    return _links(rows, of_parents, _rows(Q(task__in=concerned, type=Type.SELF)))


def normal_into(tasks: Collection[int]) -> list[tuple[int, int]]:
    """Pairs (upstream task, task) of the same cycle, for these tasks."""
    return [(up, task) for up, task, _kind in _rows(Q(task__in=tasks, type=Type.NORMAL))]


def cross_cycle_exists(tenant: Tenant) -> bool:
    """Whether any task of the tenant's production waits for the previous cycle of another."""
    others = TaskDependency.objects.filter(type__in=[Type.CHILDREN, Type.OTHER])
    return others.filter(task__workspace__tenant=tenant, task__environment=Environment.PROD).exists()


def _rows(which: Q) -> list[Row]:
    return list(TaskDependency.objects.filter(which).values_list("upstream_id", "task_id", "type"))


def _parents(rows: Iterable[Row]) -> set[int]:
    """Tasks that wait for the previous cycle of their children."""
    return {task for _up, task, kind in rows if kind == Type.CHILDREN}


def _links(rows: Iterable[Row], of_parents: Iterable[Row], on_self: Iterable[Row]) -> Links:
    """What is waited for by ``rows``; ``of_parents`` tells who the parents' children are, ``on_self`` who is chained."""
    return Links(
        normal=[(up, task) for up, task, kind in rows if kind == Type.NORMAL],
        previous={(up, task) for up, task, kind in rows if kind in (Type.SELF, Type.OTHER)}
        | {(child, parent) for parent, child, kind in of_parents if kind == Type.NORMAL},
        chained={task for _up, task, kind in on_self if kind == Type.SELF},
    )
