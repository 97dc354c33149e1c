"""What the operations on instances do: stop, rerun, set to succeeded, freeze, change the priority. The door is door.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from opscenter.base import clock, notify
from opscenter.base.reasons import sentence
from opscenter.engine import advance, http_calls, wiring
from opscenter.engine.locks import lock_with_downstream
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation, OperationTarget
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.production.transitions import transition
from opscenter.workspaces.models import Workspace


def read(ids: Sequence[int], workspace: Workspace, environment: str) -> dict[int, TaskInstance]:
    """The instances of a workspace and environment, locked with everything directly downstream of them."""
    lock_with_downstream(ids)
    found = TaskInstance.objects.filter(pk__in=ids, workspace=workspace, environment=environment)
    return {one.pk: one for one in found.select_related("task", "version").defer("version__content")}


def _stop(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """What waits fails at once; what runs is killed by its worker and then fails. Neither is rerun automatically."""
    waiting = [i.pk for i in instances if State(i.state) in WAITING]
    claimed = [i for i in instances if i.state == State.CLAIMED]
    running = [i.pk for i in instances if State(i.state) in LIVE and i.state != State.CLAIMED]
    reason = {"code": "attempt.stopped", "params": {}}
    transition(waiting, WAITING, State.FAILURE, reason=reason, operation=operation.pk)
    for instance in claimed:
        transition([instance.pk], {State.CLAIMED}, State.FAILURE, reason=reason, operation=operation.pk)
        Attempt.objects.filter(instance=instance, number=instance.attempt).update(
            state=Attempt.State.STOPPED, finished_at=clock.now(), lease_until=None, reason=reason
        )
    Attempt.objects.filter(instance__in=running, state=Attempt.State.RUNNING).update(stop_requested_at=clock.now())
    http_calls.hurry(running)
    if running:
        notify.notify(notify.STOP)


def _rerun(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Back to waiting. Edges to downstream instances that have not started are opened again; a trigger's command is
    spent and a new one needed."""
    ids = [i.pk for i in instances]
    succeeded = [i.pk for i in instances if i.state == State.SUCCESS]
    reopen(succeeded)
    _await_upstream(ids, operation)
    TriggerCommand.objects.filter(
        instance__in=ids, status__in=[TriggerCommand.Status.HELD, TriggerCommand.Status.FIRED]
    ).update(status=TriggerCommand.Status.SPENT, settled_at=clock.now())
    for times in {i.version.rerun_times for i in instances}:
        like = [i.pk for i in instances if i.version.rerun_times == times]
        TaskInstance.objects.filter(pk__in=like).update(reruns_left=times)
    advance.place(ids, {State.SUCCESS, State.FAILURE}, operation=operation.pk)
    notify.notify(notify.DUE)  # one that needs no worker succeeds again by the scheduler's next wave


def reopen(upstream_ids: Sequence[int]) -> None:
    """Edges from these to instances that have not started are not met any more; those wait again (DESIGN.md 4.5)."""
    edges = InstanceEdge.objects.filter(upstream__in=upstream_ids, met=True, downstream__state__in=WAITING)
    downstream = list(edges.values_list("downstream_id", flat=True))
    InstanceEdge.objects.filter(upstream__in=upstream_ids, downstream__in=downstream).update(met=False)
    wiring.recount(sorted(set(downstream)))


def _await_upstream(ids: Sequence[int], operation: Operation) -> None:
    """What is rerun waits for its upstream again where that has not succeeded, or is rerun by the same operation: together
    with it, or in a batch to come."""
    to_come = OperationTarget.objects.filter(
        operation=operation, object_type="instance", object_id=OuterRef("upstream"), done=None
    )
    InstanceEdge.objects.filter(downstream__in=ids, met=True).filter(
        Q(upstream__in=ids) | ~Q(upstream__state=State.SUCCESS) | Exists(to_come)
    ).update(met=False)
    wiring.recount(ids)


def leave(code: str, ids: Sequence[int]) -> None:
    """Instances that are not rerun after all: what was rerun before them does not wait for those that have succeeded."""
    if code != "rerun":
        return
    waited_for = InstanceEdge.objects.filter(upstream__in=ids, upstream__state=State.SUCCESS, met=False)
    lock_with_downstream(sorted(set(waited_for.values_list("upstream_id", flat=True))))
    advance.release(list(waited_for.values_list("upstream_id", flat=True).distinct()))


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


EFFECTS: dict[str, Callable[[Sequence[TaskInstance], Operation], None]] = {
    "stop": _stop,
    "rerun": _rerun,
    "set_success": _set_success,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "set_priority": _set_priority,
    "set_resource_group": _set_resource_group,
}


@sentence("instance.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such instance in this workspace and environment.")
