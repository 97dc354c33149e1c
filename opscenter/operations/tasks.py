"""What the operations on tasks do: freeze, unfreeze, undeploy, change the owner. The door to them is door.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import sentence
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation
from opscenter.operations.undeploy import undeploy
from opscenter.production.models import Recurrence, Task
from opscenter.workspaces.models import Workspace


def read(ids: Sequence[int], workspace: Workspace, environment: str) -> dict[int, Task]:
    """The tasks of a workspace and environment, locked."""
    found = Task.objects.filter(pk__in=ids, workspace=workspace, environment=environment)
    return {one.pk: one for one in found.order_by("pk").select_for_update(no_key=True)}


def _freeze(tasks: Sequence[Task], operation: Operation) -> None:
    """Instances generated from now on are born frozen; those that exist are left as they are (DESIGN.md 6)."""
    _chosen(tasks).update(
        thawed_recurrence=F("recurrence"),
        recurrence=Recurrence.PAUSE,
        modified_at=clock.now(),
        modified_by=operation.actor,
    )


def _unfreeze(tasks: Sequence[Task], operation: Operation) -> None:
    """A task that was a dry run before it was frozen is one again."""
    _chosen(tasks).update(recurrence=F("thawed_recurrence"), modified_at=clock.now(), modified_by=operation.actor)


def _set_owner(tasks: Sequence[Task], operation: Operation) -> None:
    """Who may do what "own only" says changes at once, for instances that exist too."""
    _set(tasks, operation, owner=arguments_of(operation)["owner_id"])


def _set_resource_group(tasks: Sequence[Task], operation: Operation) -> None:
    """Of instances made from now on; those that exist have their own, and an operation that changes it."""
    _set(tasks, operation, resource_group=arguments_of(operation)["resource_group_id"])


def _set_priority(tasks: Sequence[Task], operation: Operation) -> None:
    """The same."""
    _set(tasks, operation, priority=arguments_of(operation)["priority"])


def _set(tasks: Sequence[Task], operation: Operation, **values: Any) -> None:
    _chosen(tasks).update(**values, modified_at=clock.now(), modified_by=operation.actor)


def _chosen(tasks: Sequence[Task]) -> Any:
    return Task.objects.filter(pk__in=[task.pk for task in tasks])


EFFECTS: dict[str, Callable[[Sequence[Task], Operation], None]] = {
    "freeze_task": _freeze,
    "unfreeze_task": _unfreeze,
    "undeploy_task": undeploy,
    "set_owner_task": _set_owner,
    "set_resource_group_task": _set_resource_group,
    "set_priority_task": _set_priority,
}


@sentence("task.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such task in this workspace and environment.")
