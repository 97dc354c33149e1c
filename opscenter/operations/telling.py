"""Telling subscribers what was done to production: regular events, written in the transaction that does it."""

from collections.abc import Collection, Sequence
from typing import Any

from extensions import notices, regular
from extensions.notices import Notice
from opscenter.operations.models import Operation
from opscenter.operations.registry import OperationSpec
from opscenter.production.models import Environment, Task
from opscenter.workspaces.models import User, Workspace

CREATED, UPDATED, DELETED = "node-change-created", "node-change-updated", "node-change-deleted"


def done(spec: OperationSpec, operation: Operation, objects: Sequence[Any]) -> None:
    """An operation was done to these tasks or instances."""
    if not spec.event:
        return
    if spec.object_type == "task":
        of_tasks(spec.event, [one.pk for one in objects], operation.actor)
        return
    workspace = operation.workspace
    data = regular.instances_operated(
        [one.pk for one in objects], operation.actor, workspace.pk, workspace.tenant_id, operation.environment
    )
    # one message about many instances: it is in order with other operations, not with each instance's own changes
    notice = Notice(spec.event, data, f"w{workspace.pk}", {one.node_type for one in objects})
    notices.tell(workspace, operation.environment, [notice], operator=operation.actor)


def of_tasks(event: str, ids: Collection[int], by: User | None) -> None:
    """Tasks were deployed, changed (anything that a message tells, owner and resource group too) or undeployed.

    Call it in the same transaction, after the change. Only production is told of.

    Args:
        event: CREATED, UPDATED or DELETED.
        ids: primary keys; of any workspaces.
        by: who did it.
    """
    found = Task.objects.filter(pk__in=ids, environment=Environment.PROD)
    by_workspace: dict[Workspace, list[Task]] = {}
    for task in found.select_related("owner", "version", "workspace__tenant").order_by("pk"):
        by_workspace.setdefault(task.workspace, []).append(task)
    for workspace, tasks in by_workspace.items():
        told = [Notice(event, regular.node(task, by), f"t{task.number}", [task.node_type]) for task in tasks]
        notices.tell(workspace, Environment.PROD, told, operator=by)
