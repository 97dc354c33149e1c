"""Claims: a worker takes ready instances, by priority, no more than it has free children and their groups free slots."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from opscenter.base import notify, sql
from opscenter.engine import limits
from opscenter.engine.locks import lock_instances
from opscenter.production.models import Attempt, ResourceGroup
from opscenter.production.rules.states import State
from opscenter.production.transitions import Chosen, transition

START_WITHIN = timedelta(seconds=10)
"""A claim not started within this time goes back, without costing an attempt."""


@dataclass(frozen=True)
class Claim:
    """An instance claimed for one attempt."""

    instance: int
    attempt: int


@transaction.atomic
def claim(worker: int, free: int, groups: Collection[int] | None = None) -> list[Claim]:
    """Claim up to ``free`` ready instances for a worker.

    Args:
        worker: the worker's base.Process.
        groups: resource groups it serves; None for all.
    """
    found = ready(free, groups)
    if found is None:
        return []
    changed = transition(found, {State.WAIT_RESOURCE}, State.CLAIMED, extra=", attempt = i.attempt + 1")
    sql.rows(
        """INSERT INTO production_attempt
               (instance_id, number, state, parameters, resources, worker, host, claimed_at, lease_until)
           SELECT one.id, one.number, 'claimed', '{}', '{}', %(worker)s, '', clock_timestamp(),
                  clock_timestamp() + %(within)s::interval
           FROM unnest(%(ids)s::bigint[], %(numbers)s::int[]) AS one(id, number)""",
        {
            "worker": worker,
            "within": START_WITHIN,
            "ids": [row.id for row in changed],
            "numbers": [row.attempt for row in changed],
        },
    )
    return [Claim(row.id, row.attempt) for row in changed]


def ready(free: int, groups: Collection[int] | None) -> Chosen | None:
    """What to take next: up to ``free`` instances over all groups, by priority, then by scheduled time; None for nothing.

    The rows of the groups stay locked until the transaction ends, so that their slots are counted by one claim after the
    other; what is done under that lock is kept to few statements, because all workers wait for it. So do those of limited
    tasks that may start one more.
    """
    locked = sql.rows(
        f"""SELECT g.id, EXISTS ({_LIMITED_ONE}) FROM production_resourcegroup g
            WHERE (%(groups)s::bigint[] IS NULL OR g.id = ANY(%(groups)s::bigint[]))
            AND (EXISTS ({_ONE}) OR EXISTS ({_LIMITED_ONE}))
            ORDER BY g.id FOR NO KEY UPDATE""",
        {"groups": None if groups is None else list(groups)},
    )
    if not locked:
        return None
    values = {"groups": [row[0] for row in locked], "free": free}
    crowded = [pk for pk, has_limited in locked if has_limited]
    tasks = limits.with_room(free, crowded) if crowded else []
    return Chosen(_READY_AMONG_LIMITED, {**values, "tasks": tasks}) if tasks else Chosen(_READY, values)


_ONE = f"""SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
    WHERE i.resource_group_id = g.id AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen
    AND NOT i.limited"""
_LIMITED_ONE = f"""SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
    WHERE i.resource_group_id = g.id AND {limits.WAITS} AND i.needs_worker"""
_ROOMY = f"""
    SELECT g.id, g.slots - (
        SELECT count(*) FROM production_taskinstance live
        WHERE live.resource_group_id = g.id AND live.state IN ({State.CLAIMED:d}, {State.RUNNING:d})
        AND live.needs_worker
    ) AS room
    FROM production_resourcegroup g WHERE g.id = ANY(%(groups)s::bigint[])"""
_FIRST = "i.priority DESC, i.scheduled_at, i.id"
_READY = f"""
    SELECT ready.id
    FROM ({_ROOMY}) AS g
    CROSS JOIN LATERAL (
        {_ONE} ORDER BY {_FIRST} LIMIT greatest(0, least(g.room, %(free)s::int)) FOR NO KEY UPDATE SKIP LOCKED
    ) AS ready
    ORDER BY ready.priority DESC, ready.scheduled_at, ready.id LIMIT %(free)s::int"""
_READY_AMONG_LIMITED = f"""
    WITH g AS MATERIALIZED ({_ROOMY}), t AS MATERIALIZED (
        SELECT t.id, coalesce(t.max_parallel, %(free)s::int) - {limits.RUNNING} AS room
        FROM production_task t WHERE t.id = ANY(%(tasks)s::bigint[])
    ), ready AS (
        SELECT plain.*, g.id AS in_group, g.room AS group_room, NULL::bigint AS of_task, NULL::bigint AS task_room
        FROM g CROSS JOIN LATERAL (
            {_ONE} ORDER BY {_FIRST}
            LIMIT greatest(0, least(g.room, %(free)s::int)) FOR NO KEY UPDATE SKIP LOCKED) AS plain
        UNION ALL
        SELECT limited.*, g.id, g.room, t.id, t.room
        FROM g CROSS JOIN t CROSS JOIN LATERAL (
            {_LIMITED_ONE} AND i.task_id = t.id ORDER BY {_FIRST}
            LIMIT greatest(0, least(g.room, t.room, %(free)s::int)) FOR NO KEY UPDATE SKIP LOCKED) AS limited
    ), able AS (
        SELECT *, row_number() OVER (PARTITION BY of_task ORDER BY priority DESC, scheduled_at, id) AS nth FROM ready
    ), placed AS (
        SELECT *, row_number() OVER (PARTITION BY in_group ORDER BY priority DESC, scheduled_at, id) AS place
        FROM able WHERE of_task IS NULL OR nth <= task_room
    )
    SELECT id FROM placed WHERE place <= group_room
    ORDER BY priority DESC, scheduled_at, id LIMIT %(free)s::int"""


@transaction.atomic
def give_back(instance: int, attempt: int) -> bool:
    """Undo a claim that was not started; the attempt's number is free again. False when it did start."""
    lock_instances([instance])
    changed = transition(
        [instance],
        {State.CLAIMED},
        State.WAIT_RESOURCE,
        attempt=attempt,
        reason={"code": "attempt.not_started", "params": {}},
        extra=", attempt = i.attempt - 1",
    )
    if not changed:
        return False
    Attempt.objects.filter(instance=instance, number=attempt).delete()
    notify.notify(notify.WORK)
    return True


def group_ids(names: Collection[str]) -> list[int]:
    """The groups of these names, in whatever tenant."""
    return list(ResourceGroup.objects.filter(name__in=names).values_list("pk", flat=True))
