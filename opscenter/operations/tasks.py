"""What the operations on tasks do: freeze and unfreeze. The door to them is door.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import sentence
from opscenter.operations.models import Operation
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


def _chosen(tasks: Sequence[Task]) -> Any:
    return Task.objects.filter(pk__in=[task.pk for task in tasks])


EFFECTS: dict[str, Callable[[Sequence[Task], Operation], None]] = {"freeze_task": _freeze, "unfreeze_task": _unfreeze}


@sentence("task.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such task in this workspace and environment.")
