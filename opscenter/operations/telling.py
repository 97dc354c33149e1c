"""Telling subscribers what was done to production: regular events, written in the transaction that does it."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from extensions import notices, regular
from extensions.notices import Notice
from opscenter.base import clock
from opscenter.operations.models import Operation
from opscenter.production.models import Environment, Task, TaskInstance
from opscenter.workspaces.models import User, Workspace

if TYPE_CHECKING:
    from opscenter.operations.registry import OperationSpec

KILLED, RERUN, PARTED = "kill-instance", "rerun-instance", "delete-task-instance-dependencies"
CREATED, UPDATED, DELETED = "node-change-created", "node-change-updated", "node-change-deleted"


def done(spec: "OperationSpec", operation: Operation, objects: Sequence[Any]) -> None:
    """An operation was done to these tasks or instances."""
    if not spec.event:
        return
    if spec.object_type == "task":
        of_tasks(spec.event, [one.pk for one in objects], operation.actor)
        return
    if spec.event != PARTED:  # that one says what they were parted from, and is told by who knows it
        of_instances(spec.event, objects, operation)


def of_instances(event: str, instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Something was done to these instances, of any workspaces: one message for each workspace."""
    by_workspace: dict[Workspace, list[TaskInstance]] = {}
    for one in instances:
        by_workspace.setdefault(one.workspace, []).append(one)
    for workspace, some in by_workspace.items():
        ids = [one.pk for one in some]
        data = regular.instances_operated(
            ids, operation.actor, workspace.pk, workspace.tenant_id, operation.environment
        )
        # one message about many instances: it is in order with other operations, not with each instance's own changes
        notice = Notice(event, data, f"w{workspace.pk}", {one.node_type for one in some})
        notices.tell(workspace, operation.environment, [notice], operator=operation.actor)


def of_dependencies(removed: Mapping[int, Sequence[int]], instances: Sequence[TaskInstance], by: Operation) -> None:
    """Instances do not wait for these any more. Only production is told of.

    Args:
        removed: instance -> the upstream instances that it waited for.
    """
    workspace, now = by.workspace, clock.now()
    if by.environment != Environment.PROD:
        return
    told = [
        Notice(
            PARTED,
            regular.dependencies_removed(one.pk, removed[one.pk], by.actor, workspace.pk, workspace.tenant_id, now),
            f"i{one.pk}",
            [one.node_type],
        )
        for one in instances
        if removed.get(one.pk)
    ]
    notices.tell(workspace, by.environment, told, operator=by.actor)


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
