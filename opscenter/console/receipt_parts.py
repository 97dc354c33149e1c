"""Receipts of trigger calls as pages show them: what became of each call, and where it came from."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, here
from opscenter.production import selectors
from opscenter.production.models import Task, TaskInstance, TriggerCommand
from opscenter.workspaces.models import AuditEntry

SHOWN = 50
"""Of one instance."""
LATEST_SHOWN = 5
"""Of one task, on its page."""


def of_instance(instance: TaskInstance) -> list[dict[str, Any]]:
    """Every call that named the instance, and what became of it."""
    return [_receipt(one) for one in selectors.receipts_of(instance)[:SHOWN]]


def of_task(request: ConsoleRequest, task: Task) -> list[dict[str, Any]]:
    """The latest calls that named the task, also those that found no instance of it. Index: trigger_task."""
    found = selectors.receipts(request.user, request.workspace, request.environment).filter(task_number=task.number)
    return [_receipt(one, request) for one in found.order_by("-pk")[:LATEST_SHOWN]]


def with_tasks(request: ConsoleRequest, commands: Iterable[TriggerCommand]) -> list[dict[str, Any]]:
    """Receipts of different tasks, each with the name of its task and a link to it."""
    found = list(commands)
    numbers = {one.task_number for one in found if one.workspace_id is not None}
    tasks = selectors.tasks(request.user, request.workspace, request.environment).filter(number__in=numbers)
    names = dict(tasks.values_list("number", "name"))
    return [
        _receipt(one, request)
        | {
            "task": names.get(one.task_number, str(one.task_number)),
            "task_url": here(request, "task", number=one.task_number) if one.task_number in names else "",
        }
        for one in found
    ]


def _receipt(one: TriggerCommand, request: ConsoleRequest | None = None) -> dict[str, Any]:
    """One receipt; with ``request`` also which instance it was for, for a page that is not the instance's own."""
    told: dict[str, Any] = {
        "status": one.status,
        "at": one.received_at,
        "sentence": outcome(one),
        "caller": one.caller,
        "key": one.access_key_id,
        "source": one.api or AuditEntry.Face(one.face).label,
        "address": one.address,
        "request_id": one.request_id,
        "held_until": one.held_until if one.status == TriggerCommand.Status.HELD else None,
        "settled_at": one.settled_at,
    }
    if request is not None:
        told["scheduled_at"] = one.scheduled_at
        told["instance_url"] = here(request, "instance", pk=one.instance_id) if one.instance_id else ""
    return told


def outcome(command: TriggerCommand) -> str:
    """What the receipt says; of a command that was held, what became of it since."""
    code = command.reason["code"]
    if command.status == TriggerCommand.Status.EXPIRED and code == "trigger.held":
        return say("trigger.expired", {"at": command.held_until})
    if command.status == TriggerCommand.Status.SPENT:
        return _("The instance was rerun since; it needs a new trigger.")
    if command.status == TriggerCommand.Status.FIRED and code != "trigger.fired":
        return _("It was held until all conditions were met, then the instance opened.")
    return say(code, command.reason.get("params", {}))
