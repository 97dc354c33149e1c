"""What an operation is asked about where that is more than its objects: the instances that it reaches through them.

A forced rerun reaches everything downstream, an operation on a whole backfill its instances. The extensions of every workspace
are asked about the instances that lie there, at the points at which the same is asked about when it is done to single ones.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from extensions import envelope, lifecycle
from extensions.models import Enablement, Event
from opscenter.operations.models import Operation, OperationTarget
from opscenter.production.models import TaskInstance
from opscenter.workspaces.models import Member, Workspace

KILL, RERUN = "pre-kill-instance", "pre-rerun-instance"
MOST_ASKED = 10_000
"""Objects of one operation that extensions are asked about; their message names each."""


class Reached(NamedTuple):
    """An instance that an operation reaches."""

    pk: int
    workspace_id: int
    node_type: str
    name: str


@dataclass(frozen=True)
class Reach:
    """Of one kind of operation.

    Attributes:
        points: the extension points that it asks at.
        where: the workspaces that it may reach, by its objects and arguments.
        find: the instances that it asks about at each point, by the locked objects that allow it, its arguments and who
            asks; raises Refused where it cannot be done at all. No more than ``MOST_ASKED`` and one of each point.
    """

    points: tuple[str, ...]
    where: Callable[[Sequence[Any], Mapping[str, Any]], Collection[int]]
    find: Callable[[Sequence[Any], Mapping[str, Any], Member], Mapping[str, Sequence[Reached]]]


@dataclass(frozen=True)
class Question:
    """One message to the extensions that listen for it, in each of their workspaces.

    Attributes:
        data: what it says of its own: ``envelope.nodes``, ``instances`` or ``backfill``.
        names: of what it is about, for people.
    """

    point: str
    listeners: Sequence[Enablement]
    data: Mapping[str, Any]
    names: Sequence[str]


Listening = tuple[str, Enablement]
"""An extension point, and who listens to it."""


def questions(reached: Mapping[str, Sequence[Reached]], listening: Sequence[Listening]) -> list[Question]:
    """A message for each point and workspace, where somebody listens for instances of these node types."""
    found = []
    for point, instances in reached.items():
        there = [one for at, one in listening if at == point]
        for about, who in _by_workspace(sorted(instances), point, there):
            data = envelope.instances([one.pk for one in about])
            found.append(Question(point, who, data, [one.name for one in about]))
    return found


def _by_workspace(
    instances: Sequence[Any], point: str, listening: Sequence[Enablement]
) -> Iterator[tuple[list[Any], list[Enablement]]]:
    """The instances of each workspace where somebody listens for such, and who does."""
    by_workspace: dict[int, list[Any]] = {}
    for one in instances:
        by_workspace.setdefault(one.workspace_id, []).append(one)
    for workspace, some in by_workspace.items():
        types = {one.node_type for one in some}
        there = [one for one in listening if one.workspace_id == workspace]
        if who := lifecycle.among(there, point, partial(set, types)):
            yield some, who


def keep(operation: Operation, reached: Mapping[str, Sequence[Reached]], but: Collection[int] = ()) -> None:
    """Keep with the operation which instances it reaches: what becomes of them nobody knows yet."""
    ids = {one.pk for some in reached.values() for one in some}
    OperationTarget.objects.bulk_create(
        [
            OperationTarget(operation=operation, object_type="instance", object_id=pk)
            for pk in sorted(ids.difference(but))
        ],
        batch_size=1000,
    )


def unasked(operation: Operation, point: str, instances: Sequence[Reached | TaskInstance]) -> set[int]:
    """Those of these instances that extensions guard at a point, and that no message of the operation named there: only
    since it was asked for they are concerned. Of an operation that asked nobody there are none."""
    messages = Event.objects.filter(operation=operation.pk)
    if not instances or not messages.exists():
        return set()
    named: set[int] = set()
    for ids in messages.filter(point=point).values_list("message__data__taskIds", flat=True):
        named.update(ids)
    beside = [one for one in instances if one.pk not in named]
    where = Workspace.objects.filter(pk__in={one.workspace_id for one in beside})
    listening = [one for one in lifecycle.listeners(where, point) if one.is_mandatory]
    return {one.pk for some, _who in _by_workspace(beside, point, listening) for one in some}
