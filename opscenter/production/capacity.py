"""Slots, workers and parallel runs: whether a resource group, and a task, can take one more run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from opscenter.base import heartbeat, sql
from opscenter.base.models import Process
from opscenter.production.models import ResourceGroup
from opscenter.production.node_types import HTTP
from opscenter.production.rules.explain import Parallel
from opscenter.production.rules.states import Kind, State


@dataclass(frozen=True)
class Usage:
    """A resource group at this moment."""

    name: str
    slots: int
    used: int
    workers: int

    @property
    def has_room(self) -> bool:
        """A live worker serves it and a slot is free."""
        return self.workers > 0 and self.used < self.slots


def live_counts(groups: Collection[int]) -> dict[int, int]:
    """Slots in use, by group; groups without any are left out. Index: instance_live."""
    counted = sql.rows(
        f"""SELECT resource_group_id, count(*) FROM production_taskinstance
            WHERE state IN ({State.CLAIMED:d}, {State.RUNNING:d}) AND needs_worker AND resource_group_id = ANY(%(groups)s::bigint[])
            GROUP BY resource_group_id""",
        {"groups": list(groups)},
    )
    return dict(counted)


def usage(groups: Collection[int]) -> dict[int, Usage]:
    """These groups' slots, how many are taken, and how many live workers serve each."""
    if not groups:
        return {}
    used = live_counts(groups)
    workers = [
        details.get("groups") for details in heartbeat.alive(Process.Kind.WORKER).values_list("details", flat=True)
    ]
    return {
        pk: Usage(name, slots, used.get(pk, 0), sum(serves is None or pk in serves for serves in workers))
        for pk, name, slots in ResourceGroup.objects.filter(pk__in=groups).values_list("pk", "name", "slots")
    }


def groups_with_room(groups: Collection[int]) -> set[int]:
    """Those of the groups that can take one more run."""
    return {pk for pk, found in usage(groups).items() if found.has_room}


@dataclass(frozen=True)
class Lack:
    """What keeps a ready instance from starting: it needs a worker, or a courier of which none is alive; its task has its
    maximum of parallel runs."""

    by_worker: bool
    uncalled: bool
    at_maximum: bool


def lacks(instances: Collection[int]) -> dict[int, Lack]:
    """For instances that wait for resources."""
    if not instances:
        return {}
    rows = sql.rows(
        f"""SELECT i.id, i.needs_worker, i.node_type = '{HTTP.code}' AND i.kind < {Kind.SKIP:d}, i.task_id,
                CASE WHEN i.limited THEN t.max_parallel END
            FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id WHERE i.id = ANY(%(ids)s::bigint[])""",
        {"ids": list(instances)},
    )
    full = at_maximum({task: limit for *_one, task, limit in rows if limit is not None})
    no_courier = any(row[2] for row in rows) and not heartbeat.alive(Process.Kind.COURIER).exists()
    return {
        pk: Lack(by_worker, by_courier and no_courier, limit is not None and task in full)
        for pk, by_worker, by_courier, task, limit in rows
    }


def at_maximum(limits: Mapping[int, int]) -> set[int]:
    """Those of these tasks, given with their maximum of parallel runs, that have it."""
    return {task for task, found in parallel_runs(limits).items() if found.running >= found.limit}


RUNS_SHOWN = 5
"""Running instances of a full task that are told one by one."""


def parallel_runs(limits: Mapping[int, int]) -> dict[int, Parallel]:
    """For tasks with their maximum of parallel runs: how many run, and the first few. Index: instance_limited_live."""
    if not limits:
        return {}
    counted = sql.rows(
        f"""SELECT task_id, count(*), (array_agg(id ORDER BY started_at, id))[1:{RUNS_SHOWN}],
                (array_agg(scheduled_at ORDER BY started_at, id))[1:{RUNS_SHOWN}]
            FROM production_taskinstance
            WHERE task_id = ANY(%(tasks)s::bigint[]) AND limited AND state IN ({State.CLAIMED:d}, {State.RUNNING:d})
            GROUP BY task_id""",
        {"tasks": list(limits)},
    )
    found = {task: Parallel(limits[task], n, tuple(zip(ids, at, strict=True))) for task, n, ids, at in counted}
    return {task: Parallel(limit) for task, limit in limits.items()} | found
