"""The trigger calls of the past: one a day, with its receipt; once too early, once repeated."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from opscenter.processes.demo.cast import Party
from opscenter.processes.demo.lives import STEP, Life
from opscenter.production.models import TaskInstance, TriggerCommand
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules.states import State
from opscenter.production.rules.trigger import HOLD
from opscenter.workspaces.models import AuditEntry

_ADDRESS = "203.0.113.24"
"""Of the caller; from the range that is kept for examples."""
_API = "TriggerSchedulerTaskInstance 2024-05-18"
_TOO_EARLY, _REPEATED = 3, 2
"""So many days ago."""


def is_trigger(instance: TaskInstance) -> bool:
    """Whether the instance is one of an HTTP trigger node."""
    return instance.node_type == HTTP_TRIGGER.code


def be_triggered(life: Life, at: datetime, party: Party, days_ago: int) -> datetime:
    """From the moment its upstream is done to the moment it opens; returns the latter."""
    instance = life.instance
    planned = instance.scheduled_at
    if days_ago == _TOO_EARLY:
        called = planned - timedelta(minutes=12)
        opened = life.wait(at) + STEP
        early = at > called  # even its upstream was not done
        params = {
            "until": (called + HOLD).isoformat(),
            "unmet": ["upstream", "time"] if early else ["time"],
            "upstream": int(early),
            "due_at": planned.isoformat(),
        }
        _receipt(party, instance, called, "fired", "trigger.held", params, held=called + HOLD, settled=opened + STEP)
    else:
        opened = max(life.wait(at), planned + timedelta(minutes=4 + 7 * days_ago % 19, seconds=11 * days_ago % 60))
        _receipt(party, instance, opened, "fired", "trigger.fired", {}, held=opened + HOLD, settled=opened + STEP)
    life.move(opened, State.WAIT_RESOURCE)
    ended = life.succeed_in_place(opened)
    if days_ago == _REPEATED:
        _receipt(party, instance, ended + timedelta(minutes=2), "no_effect", "trigger.already_triggered", {})
    return ended


def _receipt(
    party: Party,
    instance: TaskInstance,
    at: datetime,
    status: str,
    code: str,
    params: dict[str, Any],
    *,
    held: datetime | None = None,
    settled: datetime | None = None,
) -> None:
    named = {
        "task": instance.task.number,
        "environment": instance.environment,
        "scheduled_at": instance.scheduled_at.isoformat(),
    }
    TriggerCommand.objects.create(
        tenant=party.workspace.tenant,
        workspace=party.workspace,
        instance=instance,
        task_number=instance.task.number,
        environment=instance.environment,
        scheduled_at=instance.scheduled_at,
        caller=party.admin.user,
        access_key_id=party.access_key_id,
        face=AuditEntry.Face.API,
        api=_API,
        request_id=str(uuid.uuid4()).upper(),
        address=_ADDRESS,
        received_at=at,
        status=status,
        reason={"code": code, "params": named | params},
        held_until=held,
        settled_at=settled,
    )
