"""Claims: a worker takes ready instances, by priority, no more than it has free children and their groups free slots."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from opscenter.base import notify, sql
from opscenter.engine.locks import lock_instances
from opscenter.production import capacity
from opscenter.production.models import Attempt, ResourceGroup
from opscenter.production.rules.states import State
from opscenter.production.transitions import transition

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
    changed = transition(pick(free, groups), {State.WAIT_RESOURCE}, State.CLAIMED, extra=", attempt = i.attempt + 1")
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


def pick(free: int, groups: Collection[int] | None) -> list[int]:
    """Lock the groups' rows, so that their slots are counted one claim after the other, and the instances to be taken."""
    room = _lock_groups_with_room(groups)
    return _pick(room, free) if room else []


def _lock_groups_with_room(groups: Collection[int] | None) -> dict[int, int]:
    """Lock the groups that have ready instances; how many slots each has free."""
    locked = sql.rows(
        f"""SELECT g.id, g.slots FROM production_resourcegroup g
            WHERE (%(groups)s::bigint[] IS NULL OR g.id = ANY(%(groups)s::bigint[])) AND EXISTS (
                SELECT 1 FROM production_taskinstance i WHERE i.resource_group_id = g.id
                AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen)
            ORDER BY g.id FOR NO KEY UPDATE""",
        {"groups": None if groups is None else list(groups)},
    )
    used = capacity.live_counts([pk for pk, _ in locked])
    return {pk: slots - used.get(pk, 0) for pk, slots in locked if slots > used.get(pk, 0)}


def _pick(room: dict[int, int], free: int) -> list[int]:
    """The next instances over all groups, by priority, then by scheduled time."""
    picked = sql.rows(
        f"""SELECT ready.id FROM unnest(%(groups)s::bigint[], %(room)s::int[]) AS g(id, room)
            CROSS JOIN LATERAL (
                SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
                WHERE i.resource_group_id = g.id
                AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen
                ORDER BY i.priority DESC, i.scheduled_at, i.id
                LIMIT least(g.room, %(free)s::int) FOR NO KEY UPDATE SKIP LOCKED
            ) ready
            ORDER BY ready.priority DESC, ready.scheduled_at, ready.id LIMIT %(free)s::int""",
        {"groups": list(room), "room": list(room.values()), "free": free},
    )
    return [row[0] for row in picked]


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
