"""Resource groups as people look at them: who runs on them, who waits for them, who serves them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from opscenter.base import heartbeat, sql
from opscenter.base.models import Process
from opscenter.production import capacity
from opscenter.production.models import ResourceGroup, Task
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Workspace


@dataclass(frozen=True)
class Queue:
    """What waits for a slot.

    Attributes:
        count, here: instances of all workspaces, and of the one that looks.
        oldest, since: the one that has waited longest, if it is of that workspace; since when the longest waits at all.
    """

    count: int = 0
    here: int = 0
    oldest: int | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Worker:
    """A live worker that serves a group; how many instances it runs at a time, if it said so."""

    host: str
    children: int | None


@dataclass(frozen=True)
class GroupUse:
    """A group at this moment.

    Attributes:
        used, here: slots taken by all workspaces, and by the one that looks.
        workers: those that serve it; nobody runs anything on a group without any.
        tasks: online tasks of the workspace that run on it, its roots left out.
        is_usable: it is associated with the workspace.
    """

    group: ResourceGroup
    used: int
    here: int
    queue: Queue
    workers: tuple[Worker, ...]
    tasks: int
    is_usable: bool


_HERE = f"""
SELECT resource_group_id, count(*) FROM production_taskinstance
WHERE state IN ({State.CLAIMED:d}, {State.RUNNING:d}) AND needs_worker
AND resource_group_id = ANY(%(groups)s::bigint[]) AND workspace_id = %(workspace)s::bigint GROUP BY 1"""
_QUEUE = f"""
SELECT i.resource_group_id, count(*), count(*) FILTER (WHERE i.workspace_id = %(workspace)s::bigint),
       (array_agg(i.id ORDER BY i.state_at, i.id) FILTER (WHERE i.workspace_id = %(workspace)s::bigint))[1],
       min(i.state_at)
FROM production_taskinstance i
WHERE i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen
AND i.resource_group_id = ANY(%(groups)s::bigint[]) GROUP BY 1"""


def uses(groups: Sequence[ResourceGroup], workspace: Workspace) -> list[GroupUse]:
    """The groups as they are now, for somebody who looks from a workspace. Index: instance_live, instance_ready."""
    ids = [group.pk for group in groups]
    values = {"groups": ids, "workspace": workspace.pk}
    used, here = capacity.live_counts(ids), dict(sql.rows(_HERE, values))
    queues = {pk: Queue(*rest) for pk, *rest in sql.rows(_QUEUE, values)}
    tasks = Task.objects.filter(workspace=workspace, status=Task.Status.ONLINE, is_root=False, resource_group__in=ids)
    counted = dict(tasks.order_by().values_list("resource_group").annotate(Count("number", distinct=True)))
    usable = set(ResourceGroup.objects.usable_in(workspace).values_list("pk", flat=True))
    workers = list(heartbeat.alive(Process.Kind.WORKER).order_by("host", "pk").values_list("host", "details"))
    return [
        GroupUse(
            group,
            used.get(group.pk, 0),
            here.get(group.pk, 0),
            queues.get(group.pk, Queue()),
            tuple(
                Worker(host, details.get("children"))
                for host, details in workers
                if details.get("groups") is None or group.pk in details["groups"]
            ),
            counted.get(group.pk, 0),
            group.pk in usable,
        )
        for group in groups
    ]
