"""Ending runs and starting them anew: what stop and rerun do to instances. Their rows, and those downstream, must be locked."""

from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, Subquery

from opscenter.base import clock, notify
from opscenter.engine import advance, http_calls, misfires, wiring
from opscenter.engine.locks import lock_with_downstream
from opscenter.operations.models import Operation, OperationTarget
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance, TaskVersion, TriggerCommand
from opscenter.production.rules.states import ENDED, LIVE, WAITING, State
from opscenter.production.transitions import transition


def stop(instances: Sequence[TaskInstance], operation: Operation) -> None:
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


def rerun(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Those that have ended go back to waiting; the others wait for what is rerun together with them.

    Edges to downstream instances that have not started are opened again; a trigger's command is spent and a new one needed.
    """
    ids = [i.pk for i in instances]
    ended = [i.pk for i in instances if State(i.state) in ENDED]
    reopen([i.pk for i in instances if i.state == State.SUCCESS])
    await_upstream(ids, operation)
    TriggerCommand.objects.filter(
        instance__in=ended, status__in=[TriggerCommand.Status.HELD, TriggerCommand.Status.FIRED]
    ).update(status=TriggerCommand.Status.SPENT, settled_at=clock.now())
    of_version = TaskVersion.objects.filter(pk=OuterRef("version_id")).values("rerun_times")
    TaskInstance.objects.filter(pk__in=ended).update(reruns_left=Subquery(of_version))
    misfires.run_after_all(ids)
    advance.place(ended, ENDED, operation=operation.pk)
    notify.notify(notify.DUE)  # one that needs no worker succeeds again by the scheduler's next wave


def reopen(upstream_ids: Sequence[int]) -> None:
    """Edges from these to instances that have not started are not met any more; those wait again (DESIGN.md 4.5)."""
    edges = InstanceEdge.objects.filter(upstream__in=upstream_ids, met=True, downstream__state__in=WAITING)
    downstream = list(edges.values_list("downstream_id", flat=True))
    InstanceEdge.objects.filter(upstream__in=upstream_ids, downstream__in=downstream).update(met=False)
    wiring.recount(sorted(set(downstream)))


def await_upstream(ids: Sequence[int], operation: Operation) -> None:
    """What is rerun waits for its upstream again where that has not succeeded, or is rerun by the same operation: together
    with it, or in a batch to come."""
    to_come = OperationTarget.objects.filter(
        operation=operation, object_type="instance", object_id=OuterRef("upstream"), done=None
    )
    InstanceEdge.objects.filter(downstream__in=ids, met=True).filter(
        Q(upstream__in=ids, upstream__state__in=ENDED) | ~Q(upstream__state=State.SUCCESS) | Exists(to_come)
    ).update(met=False)
    wiring.recount(ids)


def leave(ids: Sequence[int]) -> None:
    """Instances that are not rerun after all: what was rerun before them does not wait for those that have succeeded."""
    waited_for = InstanceEdge.objects.filter(upstream__in=ids, upstream__state=State.SUCCESS, met=False)
    lock_with_downstream(sorted(set(waited_for.values_list("upstream_id", flat=True))))
    advance.release(list(waited_for.values_list("upstream_id", flat=True).distinct()))
