"""The trigger call: an external system opens an HTTP trigger node (seeds 000 to 002). Every call leaves a receipt."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from opscenter.base import clock, notify
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Reason, Refused
from opscenter.engine import advance
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.operations.actor import Actor
from opscenter.operations.permits import missing
from opscenter.production import capacity
from opscenter.production.helpers import Helpers, Place
from opscenter.production.models import (
    Environment,
    Recurrence,
    Task,
    TaskInstance,
    TriggerCommand,
    WorkflowInstance,
)
from opscenter.production.node_types import HTTP_TRIGGER, NODE_TYPES
from opscenter.production.rules import trigger as rules
from opscenter.production.rules.remedies import Who
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces import audit
from opscenter.workspaces.models import Member
from opscenter.workspaces.roles import Permission

_ERRORS: dict[str, type[Refused]] = {
    "trigger.task_unknown": NotFound,
    "trigger.instance_missing": NotFound,
    "trigger.not_a_trigger_node": Invalid,
    "permission.missing": Forbidden,
}

_HELP: dict[str, Who] = {
    "trigger.task_frozen": Who.TASK_OPERATORS,
    "trigger.instance_frozen": Who.OPERATORS,
    "trigger.task_offline": Who.PUBLISHERS,
    "trigger.stopped": Who.OPERATORS,
}
"""Refusals that people can put right."""


@dataclass(frozen=True)
class Call:
    """What the caller named."""

    task_number: int
    environment: str
    scheduled_at: datetime
    workspace_id: int | None = None
    bizdate: date | None = None


def trigger(
    actor: Actor,
    *,
    task_number: int,
    environment: str = Environment.PROD,
    scheduled_at: datetime,
    workspace_id: int | None = None,
    bizdate: date | None = None,
) -> TriggerCommand:
    """Trigger the one instance of (task, scheduled time).

    Args:
        workspace_id: the 2020 API's AppId, checked if given.
        bizdate: the 2020 API's BizDate, checked if given.

    Returns:
        The receipt: fired, held (until when, and for which conditions), or without effect.

    Raises:
        Refused: with the condition that failed; the receipt of the refusal is stored all the same.
    """
    call = Call(task_number, environment, scheduled_at, workspace_id, bizdate)
    command, reason = _trigger(actor, call)
    if command.status == TriggerCommand.Status.REFUSED:
        raise _ERRORS.get(reason.code, Refused)(reason.code, **reason.params, **_who_can(command, reason))
    return command


def _who_can(command: TriggerCommand, reason: Reason) -> dict[str, Any]:
    """Who can put right what the call was refused for; a caller who may call may know."""
    who = _HELP.get(reason.code)
    if who is None or command.workspace_id is None:
        return {}
    place = Place(command.workspace_id, command.instance.task.owner_id if command.instance else 0)
    people = Helpers([place], command.tenant_id).people(who, [place])
    return {"who": people.names, "more": people.more} if people else {}


@repeated
def _trigger(actor: Actor, call: Call) -> tuple[TriggerCommand, Reason]:
    task, member = _find_task(actor, call)
    if task is None or member is None:
        return _receipt(actor, call, clock.now(), Reason("trigger.task_unknown", _named(call)))
    if not member.may(Permission.TRIGGER, own=task.owner_id == actor.user.pk):
        return _receipt(
            actor, call, clock.now(), Reason("permission.missing", missing(Permission.TRIGGER, member)), task
        )
    instance = _find_instance(task, call)
    held = None
    if instance is not None:
        # the trigger's row is locked before its state is read, here as in promotion and expiry (DESIGN.md 4.4)
        lock_with_downstream([instance.pk])
        instance.refresh_from_db()
        held = instance.trigger_commands.filter(status=TriggerCommand.Status.HELD).first()
    now = clock.now()
    decision = rules.decide(_snapshot(task, instance, held, now))
    reason = Reason(decision.reason.code, _named(call) | dict(decision.reason.params))
    if instance is None or decision.outcome in (rules.Outcome.REFUSED, rules.Outcome.NO_EFFECT):
        return _receipt(actor, call, now, reason, task, instance, TriggerCommand.Status(decision.outcome.value))
    if held is not None:  # its time is over, but the scheduler has not swept it yet: it makes room for this one
        held.status, held.settled_at = TriggerCommand.Status.EXPIRED, now
        held.save(update_fields=["status", "settled_at"])
    if decision.outcome is rules.Outcome.FIRED:
        _open(instance)
        return _receipt(actor, call, now, reason, task, instance, TriggerCommand.Status.FIRED)
    answer = _receipt(actor, call, now, reason, task, instance, TriggerCommand.Status.HELD)
    advance.fire([instance.pk])
    notify.notify(notify.DUE)  # a new expiry
    return answer


def _open(instance: TaskInstance) -> None:
    """All conditions hold: the instance succeeds and what waits for it becomes ready, in this transaction."""
    wave = advance.finish_locked([instance.pk], {State(instance.state)}, State.SUCCESS)
    if wave.has_next:
        notify.notify(notify.DUE)  # virtual nodes downstream are the scheduler's next wave


def _find_task(actor: Actor, call: Call) -> tuple[Task | None, Member | None]:
    """The task, if the actor may know of it, and the actor's membership in its workspace."""
    task = (
        Task.objects.select_related("workspace__tenant")
        .filter(number=call.task_number, environment=call.environment)
        .first()
    )
    if task is None or (call.workspace_id is not None and task.workspace_id != call.workspace_id):
        return None, None
    member = Member.objects.filter(workspace=task.workspace, user=actor.user, user__is_active=True).first()
    return task, member


def _find_instance(task: Task, call: Call) -> TaskInstance | None:
    """The scheduled instance in Prod; where there is none, and in Dev, the latest smoke test of that time."""
    found = TaskInstance.objects.filter(task=task, scheduled_at=call.scheduled_at).select_related("workflow_instance")
    if call.bizdate is not None:
        found = found.filter(bizdate=call.bizdate)
    scheduled = found.filter(workflow_instance__type=WorkflowInstance.Type.NORMAL).order_by("-pk").first()
    if scheduled is not None:
        return scheduled
    by_hand = [WorkflowInstance.Type.SMOKE_TEST, WorkflowInstance.Type.BACKFILL]
    return found.filter(workflow_instance__type__in=by_hand).order_by("-pk").first()


def _snapshot(
    task: Task, instance: TaskInstance | None, held: TriggerCommand | None, now: datetime
) -> rules.TriggerSnapshot:
    return rules.TriggerSnapshot(
        is_trigger_node=NODE_TYPES[task.node_type] is HTTP_TRIGGER,
        task_online=task.status == Task.Status.ONLINE,
        task_frozen=task.recurrence == Recurrence.PAUSE,
        instance_exists=instance is not None,
        instance_frozen=instance is not None and instance.frozen,
        bypassed=instance is not None and (instance.bypasses_trigger or Kind(instance.kind).is_dry_run),
        state=None if instance is None else State(instance.state),
        unmet=0 if instance is None else instance.unmet,
        scheduled_at=(instance and instance.not_before) or now,  # a run now waits for no time
        now=now,
        resource_ok=instance is not None and bool(capacity.groups_with_room({instance.resource_group_id})),
        command_held_until=held.held_until if held else None,
    )


def _named(call: Call) -> dict[str, Any]:
    return {
        "task": call.task_number,
        "environment": call.environment,
        "scheduled_at": call.scheduled_at.isoformat(),
    }


def _receipt(
    actor: Actor,
    call: Call,
    now: datetime,
    reason: Reason,
    task: Task | None = None,
    instance: TaskInstance | None = None,
    status: TriggerCommand.Status = TriggerCommand.Status.REFUSED,
) -> tuple[TriggerCommand, Reason]:
    """Store what was asked and what became of it, in the trail too."""
    command = TriggerCommand.objects.create(
        tenant=actor.user.tenant,
        workspace=task.workspace if task else None,
        instance=instance,
        task_number=call.task_number,
        environment=call.environment,
        scheduled_at=call.scheduled_at,
        caller=actor.user,
        access_key_id=actor.access_key_id,
        face=actor.face,
        api=actor.api,
        request_id=actor.request_id,
        address=actor.address,
        received_at=now,
        status=status,
        reason=_storable(reason),
        held_until=now + rules.HOLD if status == TriggerCommand.Status.HELD else None,
        settled_at=now if status == TriggerCommand.Status.FIRED else None,
    )
    if task is not None:
        audit.record(
            actor.user,
            actor.face,
            "instance.trigger",
            workspace=task.workspace,
            obj=("task", task.number, task.name),
            params={"instance": instance.pk if instance else None, "outcome": status.value, "reason": reason.code},
            address=actor.address,
        )
    return command, reason


def _storable(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "params": {k: v.isoformat() if isinstance(v, (date, datetime)) else v for k, v in reason.params.items()},
    }
