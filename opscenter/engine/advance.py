"""Completing is advancing: whoever ends an instance makes what waits for it ready, in the same transaction.

A wave is one transaction. What a wave makes ready and needs no worker is the next wave; it is found from durable rows
(WAIT_RESOURCE, needs no worker, not frozen, no due time), so that a crash between two waves loses nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from opscenter.base import clock, notify, sql
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.production import capacity
from opscenter.production.models import TaskInstance, TriggerCommand
from opscenter.production.node_types import HTTP, HTTP_TRIGGER
from opscenter.production.rules.states import Kind, State
from opscenter.production.transitions import NEXT_STATE, Changed, transition

WAVE = 1000


@dataclass(frozen=True)
class Wave:
    """What one wave did.

    Attributes:
        done: the instances that were ended; one that was in another state or under another attempt is left alone.
        placed: downstream instances that were promoted.
    """

    done: list[Changed]
    placed: list[Changed]

    @property
    def has_next(self) -> bool:
        """It made ready what needs no worker: the next wave."""
        return any(row.after is State.WAIT_RESOURCE and not row.needs_worker for row in self.placed)


RETRY_FOR_CAPACITY = timedelta(seconds=2)


@repeated
def finish(
    ids: Sequence[int],
    before: Collection[State],
    after: State,
    *,
    attempt: int | None = None,
    reason: Mapping[str, Any] | None = None,
    due_at: Any = None,
    operation: int | None = None,
    condition: str = "",
) -> Wave:
    """End instances and advance what is downstream of those that succeeded; one wave, one transaction."""
    lock_with_downstream(ids)
    return finish_locked(
        ids, before, after, attempt=attempt, reason=reason, due_at=due_at, operation=operation, condition=condition
    )


def finish_locked(
    ids: Sequence[int],
    before: Collection[State],
    after: State,
    *,
    attempt: int | None = None,
    reason: Mapping[str, Any] | None = None,
    due_at: Any = None,
    operation: int | None = None,
    condition: str = "",
) -> Wave:
    """The same, inside a transaction that holds the locks of ``lock_with_downstream`` already."""
    done = transition(
        ids, before, after, attempt=attempt, reason=reason, due_at=due_at, operation=operation, condition=condition
    )
    if after is not State.SUCCESS or not done:
        return Wave(done, [])
    _settle_triggers(done)
    return Wave(done, release([row.id for row in done]))


def release(upstream_ids: Sequence[int]) -> list[Changed]:
    """Meet the edges of instances that succeeded; the downstream instances that are promoted because it was their last."""
    counted = sql.rows(
        """WITH met AS (
               UPDATE production_instanceedge SET met = true
               WHERE upstream_id = ANY(%(ids)s::bigint[]) AND NOT met RETURNING downstream_id
           ), counted AS (SELECT downstream_id, count(*) AS n FROM met GROUP BY downstream_id)
           UPDATE production_taskinstance i SET unmet = i.unmet - counted.n
           FROM counted WHERE i.id = counted.downstream_id
           RETURNING i.id, i.unmet, i.state""",
        {"ids": list(upstream_ids)},
    )
    return place([pk for pk, unmet, state in counted if unmet == 0 and state == State.NOT_RUN], {State.NOT_RUN})


def place(
    ids: Sequence[int],
    before: Collection[State],
    *,
    reason: Mapping[str, Any] | None = None,
    operation: int | None = None,
    extra: str = "",
) -> list[Changed]:
    """Put instances that have not started where their conditions say, and wake whoever has work by that.

    Their rows must be locked.
    """
    placed = transition(ids, before, NEXT_STATE, reason=reason, operation=operation, extra=extra)
    announce(placed)
    return placed + fire([row.id for row in placed if row.after is State.WAIT_TRIGGER])


def announce(changed: Sequence[Changed]) -> None:
    """NOTIFY the workers and the courier of work, the scheduler of a new due time."""
    if any(row.after is State.WAIT_RESOURCE and row.needs_worker for row in changed):
        notify.notify(notify.WORK)
    if any(row.after is State.WAIT_RESOURCE and row.node_type == HTTP.code for row in changed):
        notify.notify(notify.COURIER)
    if any(row.after is State.WAIT_TIME for row in changed):
        notify.notify(notify.DUE)


def fire(ids: Sequence[int]) -> list[Changed]:
    """Fire triggers that wait while a command is held for them: they are ready, and succeed with the next wave.

    Without a live worker and a free slot in the group they wait for resources and are tried again; the command is kept.
    Their rows must be locked. Frozen ones keep both state and command.
    """
    if not ids:
        return []
    now = clock.now()
    held = list(
        TaskInstance.objects.filter(
            pk__in=ids,
            frozen=False,
            state__in=[State.WAIT_TRIGGER, State.WAIT_RESOURCE],
            unmet=0,
            node_type=HTTP_TRIGGER.code,
            trigger_commands__status=TriggerCommand.Status.HELD,
            trigger_commands__held_until__gt=now,
        ).values_list("pk", "resource_group_id")
    )
    if not held:
        return []
    able = capacity.groups_with_room({group for _, group in held})
    later = now + RETRY_FOR_CAPACITY
    fired = _await_resources([pk for pk, group in held if group in able], None)
    fired += _await_resources([pk for pk, group in held if group not in able], later)
    notify.notify(notify.DUE)
    return fired


def _await_resources(ids: Sequence[int], due_at: datetime | None) -> list[Changed]:
    """Fired triggers: without a due time the next wave ends them, with one they are tried again then."""
    if not ids:
        return []
    TaskInstance.objects.filter(pk__in=ids, state=State.WAIT_RESOURCE).update(due_at=due_at)
    return transition(ids, {State.WAIT_TRIGGER}, State.WAIT_RESOURCE, due_at=due_at)


def _settle_triggers(done: Sequence[Changed]) -> None:
    """The held command of a trigger that succeeded has fired."""
    triggers = [row.id for row in done if row.node_type == HTTP_TRIGGER.code]
    if triggers:
        TriggerCommand.objects.filter(instance_id__in=triggers, status=TriggerCommand.Status.HELD).update(
            status=TriggerCommand.Status.FIRED, settled_at=Now()
        )


_INLINE = f"NOT i.frozen AND NOT i.needs_worker AND (i.node_type <> '{HTTP.code}' OR i.kind >= {Kind.SKIP:d})"


def ready_inline(limit: int = WAVE) -> list[int]:
    """Instances that are ready and succeed where they stand: virtual nodes, dry runs, fired triggers. Not those that the
    courier runs."""
    return list(
        TaskInstance.objects.filter(state=State.WAIT_RESOURCE, needs_worker=False, frozen=False, due_at__isnull=True)
        .filter(~Q(node_type=HTTP.code) | Q(kind__gte=Kind.SKIP))
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )


def drain(max_waves: int | None = None) -> int:
    """Run waves until nothing is left that needs no worker; returns how many instances succeeded.

    With ``max_waves`` the rest is left to the scheduler, which is told of it.
    """
    total = waves = 0
    while ids := ready_inline():
        if max_waves is not None and waves == max_waves:
            notify.notify(notify.DUE)
            break
        wave = finish(ids, {State.WAIT_RESOURCE}, State.SUCCESS, condition=_INLINE)
        total += len(wave.done)
        waves += 1
    return total
