"""Claims: a worker takes ready instances, by priority, no more than it has free children and their groups free slots."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from opscenter.base import notify, sql
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
    other; what is done under that lock is kept to few statements, because all workers wait for it.
    """
    locked = sql.rows(
        f"""SELECT g.id FROM production_resourcegroup g
            WHERE (%(groups)s::bigint[] IS NULL OR g.id = ANY(%(groups)s::bigint[])) AND EXISTS (
                SELECT 1 FROM production_taskinstance i WHERE i.resource_group_id = g.id
                AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen)
            ORDER BY g.id FOR NO KEY UPDATE""",
        {"groups": None if groups is None else list(groups)},
    )
    return Chosen(_READY, {"groups": [row[0] for row in locked], "free": free}) if locked else None


_READY = f"""
    SELECT ready.id
    FROM (
        SELECT g.id, g.slots - (
            SELECT count(*) FROM production_taskinstance live
            WHERE live.resource_group_id = g.id AND live.state IN ({State.CLAIMED:d}, {State.RUNNING:d})
            AND live.needs_worker
        ) AS room
        FROM production_resourcegroup g WHERE g.id = ANY(%(groups)s::bigint[])
    ) AS roomy
    CROSS JOIN LATERAL (
        SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
        WHERE i.resource_group_id = roomy.id
        AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen
        ORDER BY i.priority DESC, i.scheduled_at, i.id
        LIMIT greatest(0, least(roomy.room, %(free)s::int)) FOR NO KEY UPDATE SKIP LOCKED
    ) AS ready
    ORDER BY ready.priority DESC, ready.scheduled_at, ready.id LIMIT %(free)s::int"""


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
