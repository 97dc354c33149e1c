"""Taking tasks out of production: when that is refused, and what becomes of their instances (DESIGN.md 6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Case, F, Value, When
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base import clock, notify
from opscenter.base.reasons import Reason, sentence
from opscenter.engine import advance
from opscenter.engine.locks import lock_instances
from opscenter.operations.models import Operation
from opscenter.production.models import Environment, Task, TaskDependency, TaskInstance, Transition
from opscenter.production.rules.states import WAITING, Kind, State
from workflows.models import Node

_NAMED = 5


def refused_by_downstream(tasks: Sequence[Task]) -> dict[int, Reason]:
    """Which of these tasks cannot go, because an online task waits for them that does not go with them.

    Whole subgraphs may go together: one that is kept keeps all that it waits for, directly or not.
    """
    going = {task.pk for task in tasks}
    rows = TaskDependency.objects.filter(upstream__in=going, task__status=Task.Status.ONLINE)
    edges = list(
        rows.exclude(task=F("upstream"))
        .order_by("task__name", "task")
        .values_list("upstream_id", "task_id", "task__name", "task__workspace_id")
    )
    while stuck := {up for up, down, _name, _place in edges if up in going and down not in going}:
        going -= stuck
    return {
        task.pk: _downstream(
            task, {down: (name, place) for up, down, name, place in edges if up == task.pk and down not in going}
        )
        for task in tasks
        if task.pk not in going
    }


def _downstream(task: Task, kept: Mapping[int, tuple[str, int]]) -> Reason:
    """Tasks of other workspaces are told by name alone: whose they are is not everybody's to know."""
    named = [{"name": name, "here": place == task.workspace_id} for name, place in list(kept.values())[:_NAMED]]
    return Reason("task.downstream", {"task": task.name, "downstream": named, "more": len(kept) - len(named)})


def undeploy(tasks: Sequence[Task], operation: Operation) -> None:
    """They turn Offline; what of their instances has not started becomes a dry run. Their drafts stay, unpublished.

    Their dependencies and output names stay with them until they are published again. The caller holds the tenant, so
    that neither the night's generation nor a publication runs meanwhile.
    """
    numbers = [task.number for task in tasks]
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(
        status=Task.Status.OFFLINE, modified_at=clock.now(), modified_by=operation.actor
    )
    if operation.environment == Environment.PROD:
        Node.objects.filter(workspace=operation.workspace_id, number__in=numbers).update(published_version=None)
    _run_dry(tasks, operation)


def _run_dry(tasks: Sequence[Task], operation: Operation) -> None:
    """Frozen ones stay frozen, and are dry runs when they are unfrozen."""
    waiting = TaskInstance.objects.filter(task__in=tasks, state__in=WAITING, kind__lt=Kind.SKIP)
    lock_instances(list(waiting.values_list("pk", flat=True)))
    found = list(waiting.order_by("pk"))
    ids = [one.pk for one in found]
    TaskInstance.objects.filter(pk__in=ids).update(
        kind=Kind.SKIP,
        needs_worker=False,
        limited=False,
        due_at=Case(When(state=State.WAIT_RESOURCE, then=Value(None)), default=F("due_at")),
    )
    now = clock.now()
    Transition.objects.bulk_create(
        Transition(
            instance=one,
            bizdate=one.bizdate,
            at=now,
            before=one.state,
            after=one.state,
            attempt=one.attempt,
            reason={"code": "instance.undeployed", "params": {"user": operation.actor.username}},
            operation=operation.pk,
        )
        for one in found
    )
    advance.place(ids, {State.WAIT_TRIGGER}, operation=operation.pk)
    notify.notify(notify.DUE)  # those that wait for nothing else succeed by the scheduler's next wave


@sentence("task.downstream")
def _has_downstream(params: Mapping[str, Any]) -> str:
    names = [
        f"“{one['name']}”" if one["here"] else _("“%(name)s” (in another workspace)") % one
        for one in params["downstream"]
    ]
    if params["more"]:
        names.append(ngettext("%(n)s more", "%(n)s more", params["more"]) % {"n": params["more"]})
    return _("Tasks wait for “%(task)s”: %(names)s. Undeploy them first, or together with it.") % {
        "task": params["task"],
        "names": ", ".join(names),
    }
