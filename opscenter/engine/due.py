"""What time itself moves: the due sources of the scheduler."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min

from opscenter.base import clock
from opscenter.base.due import Source
from opscenter.engine import advance, attempts, backfill_watch, claim, generate, misfires, retention
from opscenter.engine.locks import lock_instances
from opscenter.production.models import Attempt, TaskInstance, TriggerCommand
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules.states import State
from opscenter.production.transitions import transition
from opscenter.workspaces.models import Nonce

_BATCH = 1000
_SWEEP = timedelta(minutes=5)
_ATTEMPT_LIVE = [Attempt.State.CLAIMED, Attempt.State.RUNNING]


def run_due_instances() -> datetime | None:
    """Scheduled times that have come, automatic reruns, triggered instances that wait for resources."""
    while ids := list(
        TaskInstance.objects.filter(due_at__lte=clock.now()).order_by("due_at").values_list("pk", flat=True)[:_BATCH]
    ):
        _move(ids)
    return TaskInstance.objects.filter(due_at__isnull=False).aggregate(at=Min("due_at"))["at"]


@transaction.atomic
def _move(ids: list[int]) -> None:
    lock_instances(ids)
    due = TaskInstance.objects.filter(pk__in=ids, due_at__lte=clock.now())
    by_state: dict[int, list[int]] = {}
    for pk, state in due.values_list("pk", "state"):
        by_state.setdefault(state, []).append(pk)
    advance.place(by_state.pop(State.WAIT_TIME, []), {State.WAIT_TIME})
    advance.place(
        by_state.pop(State.FAILURE, []),
        {State.FAILURE},
        reason={"code": "rerun.automatic", "params": {}},
        extra=", reruns_left = i.reruns_left - 1",
    )
    triggered = by_state.pop(State.WAIT_RESOURCE, [])
    later = clock.now() + advance.RETRY_FOR_CAPACITY
    TaskInstance.objects.filter(pk__in=triggered).update(due_at=later)
    advance.fire(triggered)
    # a due time that means nothing in its state must not be found again and again
    for stray in by_state.values():
        TaskInstance.objects.filter(pk__in=stray).update(due_at=None)


def run_inline() -> datetime | None:
    """Waves that whoever made them ready did not finish."""
    advance.drain()
    return None


def run_leases() -> datetime | None:
    """Claims that nobody started go back; attempts whose worker stopped renewing are lost."""
    expired = Attempt.objects.filter(state__in=_ATTEMPT_LIVE, lease_until__lte=clock.now())
    for attempt in expired.order_by("lease_until")[:_BATCH]:
        if attempt.state == Attempt.State.CLAIMED:
            claim.give_back(attempt.instance_id, attempt.number)
        else:
            attempts.lose(attempt.pk, if_expired=True)
    return Attempt.objects.filter(state__in=_ATTEMPT_LIVE).aggregate(at=Min("lease_until"))["at"]


def run_expired_commands() -> datetime | None:
    """Held trigger commands whose 24 hours are over: expired, visibly."""
    held = TriggerCommand.objects.filter(status=TriggerCommand.Status.HELD)
    for command in held.filter(held_until__lte=clock.now()).order_by("held_until")[:_BATCH]:
        _expire(command)
    return held.aggregate(at=Min("held_until"))["at"]


@transaction.atomic
def _expire(command: TriggerCommand) -> None:
    assert command.held_until is not None, "held commands have an end"
    ids = [] if command.instance_id is None else [command.instance_id]
    lock_instances(ids)
    expired = TriggerCommand.objects.filter(
        pk=command.pk, status=TriggerCommand.Status.HELD, held_until__lte=clock.now()
    ).update(status=TriggerCommand.Status.EXPIRED, settled_at=clock.now())
    if expired:
        trigger = f"i.node_type = '{HTTP_TRIGGER.code}' AND NOT i.bypasses_trigger"
        reason = {"code": "trigger.expired", "params": {"at": command.held_until.isoformat()}}
        transition(ids, {State.WAIT_RESOURCE}, State.WAIT_TRIGGER, reason=reason, condition=trigger)


def run_nonces() -> datetime | None:
    """Nonces that can no longer be replayed are forgotten."""
    Nonce.objects.filter(expires_at__lte=clock.now()).delete()
    return clock.now() + _SWEEP


def _source(run: Callable[[], datetime | None]) -> Source:
    return Source(run.__name__.removeprefix("run_"), run)


SOURCES = [
    _source(run)
    for run in (
        misfires.run_attendance,  # before anything is released
        run_due_instances,
        run_inline,
        run_leases,
        run_expired_commands,
        generate.run_nights,
        run_nonces,
    )
] + [backfill_watch.SOURCE, Source("retention", retention.Sweep().run)]
"""In the order in which the scheduler runs them."""
