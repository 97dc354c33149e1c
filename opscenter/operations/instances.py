"""What the operations on instances do. The door to them is door.py; reruns, dependencies and the like have files of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from opscenter.base import clock, notify
from opscenter.base.reasons import sentence
from opscenter.engine import advance, backfill_watch
from opscenter.engine.locks import lock_with_downstream
from opscenter.operations import force_rerun, reruns
from opscenter.operations.arguments import arguments_of
from opscenter.operations.dependencies import remove
from opscenter.operations.downstream import rerun_downstream
from opscenter.operations.force_rerun import force
from opscenter.operations.models import Operation
from opscenter.operations.reruns import rerun, stop
from opscenter.production.models import TaskInstance, Transition
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Workspace


def read(ids: Sequence[int], workspace: Workspace, environment: str) -> dict[int, TaskInstance]:
    """The instances of a workspace and environment, locked with everything directly downstream of them; and before them the
    backfills that they are of."""
    backfill_watch.hold(ids)
    lock_with_downstream(ids)
    found = TaskInstance.objects.filter(pk__in=ids, workspace=workspace, environment=environment)
    found = found.select_related("task", "version", "workspace__tenant")
    return {one.pk: one for one in found.defer("version__content")}


def _set_success(instances: Sequence[TaskInstance], operation: Operation) -> None:
    reason = {"code": "instance.set_success", "params": {"user": operation.actor.username}}
    advance.finish_locked(
        [i.pk for i in instances], {State.FAILURE}, State.SUCCESS, reason=reason, operation=operation.pk
    )
    notify.notify(notify.DUE)


def _freeze(instances: Sequence[TaskInstance], operation: Operation) -> None:
    _set_frozen(instances, True, operation)


def _unfreeze(instances: Sequence[TaskInstance], operation: Operation) -> None:
    ids = [i.pk for i in instances]
    _set_frozen(instances, False, operation)
    advance.fire(ids)
    notify.notify(notify.WORK)
    notify.notify(notify.COURIER)
    notify.notify(notify.DUE)


def _set_frozen(instances: Sequence[TaskInstance], frozen: bool, operation: Operation) -> None:
    """A frozen instance keeps its state; the change is written beside the transitions all the same."""
    now = clock.now()
    TaskInstance.objects.filter(pk__in=[i.pk for i in instances]).update(frozen=frozen)
    code = "instance.frozen" if frozen else "instance.unfrozen"
    Transition.objects.bulk_create(
        Transition(
            instance=i,
            bizdate=i.bizdate,
            at=now,
            before=i.state,
            after=i.state,
            attempt=i.attempt,
            reason={"code": code, "params": {"user": operation.actor.username}},
            operation=operation.pk,
        )
        for i in instances
    )


def _set_priority(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """A claim reads it from the instance: what waits for a worker has its new place at once."""
    _chosen(instances).update(priority=arguments_of(operation)["priority"])


def _set_resource_group(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """The new group may have room, and workers, where the old one had none."""
    _chosen(instances).update(resource_group=arguments_of(operation)["resource_group_id"])
    advance.fire([i.pk for i in instances])
    notify.notify(notify.WORK)
    notify.notify(notify.COURIER)


def _chosen(instances: Sequence[TaskInstance]) -> "QuerySet[TaskInstance]":
    return TaskInstance.objects.filter(pk__in=[i.pk for i in instances])


def leave(operation: Operation, ids: Sequence[int]) -> None:
    """These are not operated on after all: puts right what the operation made wait for them, or reached through them."""
    if operation.code in ("rerun", "rerun_downstream"):
        reruns.leave(ids)
    elif operation.code == force_rerun.CODE:
        force_rerun.leave(operation)


EFFECTS: dict[str, Callable[[Sequence[TaskInstance], Operation], None]] = {
    "stop": stop,
    "rerun": rerun,
    "rerun_downstream": rerun_downstream,
    "force_rerun": force,
    "remove_dependencies": remove,
    "set_success": _set_success,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "set_priority": _set_priority,
    "set_resource_group": _set_resource_group,
}


@sentence("instance.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such instance in this workspace and environment.")
