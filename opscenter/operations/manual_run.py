"""Runs by hand: a workflow instance of manually triggered tasks, in the order of their workflow, for a business date."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from opscenter.base import ids, notify
from opscenter.base.reasons import Invalid, Refused, sentence
from opscenter.engine import advance
from opscenter.engine.locks import repeated
from opscenter.operations import run_parameters
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import member_of, require
from opscenter.operations.results import check_comment
from opscenter.operations.smoke_test import scheduled_day
from opscenter.production.models import (
    InstanceEdge,
    ProductionWorkflow,
    Recurrence,
    Task,
    TaskDependency,
    TaskInstance,
    WorkflowInstance,
)
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces import audit
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission

CODE = "run_manually"
MOST = 10_000
"""Tasks in one run."""
_LONGEST_NAME = 255
_BATCH = 1000


def run_workflow(
    actor: Actor,
    workflow: ProductionWorkflow,
    *,
    bizdate: date,
    roots: Sequence[int] = (),
    include: Sequence[int] = (),
    exclude: Sequence[int] = (),
    name: str = "",
    parameters: Mapping[str, Any] | None = None,
    comment: str = "",
) -> WorkflowInstance:
    """Run a manually triggered workflow, or a part of it.

    Args:
        roots: numbers of tasks to start from: these and all that come after them are run; none for all.
        include: numbers of the tasks to run; none for all.
        exclude: numbers of tasks that take part as dry runs: their place in the order is kept.
        name: of the run; the workflow's without one.
        parameters: of this run alone, as ``run_parameters.checked`` takes them.

    Raises:
        NotFound, Forbidden: as permits.require says; "own only" roles may run tasks that they own.
        Refused: no tasks of the workflow are online, or it is not triggered manually.
        Invalid: a task that is not of the workflow, a date more than ten years away, too long a comment or name; as
            ``run_parameters.checked``.
    """
    member_of(actor.user, workflow.workspace_id)
    tasks = _manual(Task.objects.filter(workflow=workflow, workspace=workflow.workspace))
    known = {task.number: task.pk for task in tasks}
    for number in (*roots, *include, *exclude):
        if number not in known:
            raise Invalid("manual_run.not_of_workflow", task=number, workflow=workflow.name)
    links = _links(known.values())
    chosen = set(known.values())
    if roots:
        chosen = _with_downstream({known[number] for number in roots}, links)
    if include:
        chosen &= {known[number] for number in (*include, *exclude)}
    if not chosen:
        raise Refused("manual_run.nothing", workflow=workflow.name)
    skipped = {known[number] for number in exclude}
    return _run(
        actor,
        workflow.workspace,
        [task.pk for task in tasks if task.pk in chosen],
        skipped,
        workflow,
        bizdate,
        name or workflow.name,
        parameters,
        comment,
    )


def run_tasks(
    actor: Actor,
    tasks: Sequence[Task],
    *,
    bizdate: date,
    name: str = "",
    parameters: Mapping[str, Any] | None = None,
    comment: str = "",
) -> WorkflowInstance:
    """Run manually triggered tasks of one workspace and environment in one run; those of a workflow in its order.

    Raises:
        As ``run_workflow``; Refused also for a task that is not triggered manually.
    """
    if not tasks or len({(task.workspace_id, task.environment) for task in tasks}) > 1:
        raise Invalid("manual_run.tasks")
    member_of(actor.user, tasks[0].workspace_id)
    for task in tasks:
        if task.trigger != Task.Trigger.MANUAL:
            raise Refused("manual_run.scheduled", task=task.name)
        if task.status != Task.Status.ONLINE or task.version_id is None:
            raise Refused("task.offline", task=task.name)
    first = tasks[0]
    title = first.name if len(tasks) == 1 else f"{first.name} +{len(tasks) - 1}"
    chosen = [task.pk for task in tasks]
    return _run(actor, first.workspace, chosen, set(), None, bizdate, name or title, parameters, comment)


def _manual(tasks: "QuerySet[Task]") -> list[Task]:
    found = tasks.filter(trigger=Task.Trigger.MANUAL, status=Task.Status.ONLINE).exclude(version=None)
    return list(found.order_by("pk"))


@repeated
def _run(
    actor: Actor,
    workspace: Workspace,
    task_ids: Sequence[int],
    skipped: Collection[int],
    workflow: ProductionWorkflow | None,
    bizdate: date,
    name: str,
    parameters: Mapping[str, Any] | None,
    comment: str,
) -> WorkflowInstance:
    locked = Task.objects.filter(pk__in=task_ids).order_by("pk").select_for_update(no_key=True, of=("self",))
    tasks = _manual(locked.select_related("version"))  # none is frozen or undeployed meanwhile
    require(actor, workspace, Permission.TEST_TASK, own=all(task.owner_id == actor.user.pk for task in tasks))
    if not 0 < len(tasks) <= MOST:
        raise Invalid("manual_run.count", most=MOST, given=len(tasks))
    check_comment(comment)
    if len(name) > _LONGEST_NAME:
        raise Invalid("manual_run.name", most=_LONGEST_NAME)
    overrides = run_parameters.checked(parameters, [task.number for task in tasks])
    scheduled_at = datetime.combine(scheduled_day(bizdate), time(), ZoneInfo(workspace.tenant.time_zone))
    kinds = WorkflowInstance.Type
    family = WorkflowInstance.objects.create(
        workspace=workspace,
        environment=tasks[0].environment,
        type=kinds.MANUAL_WORKFLOW if workflow is not None else kinds.MANUAL,
        workflow=workflow,
        name=name,
        bizdate=bizdate,
        parameters=overrides,
        created_by=actor.user,
    )
    instances = _instances(family, tasks, skipped, scheduled_at)
    operation = _record(actor, family, tasks, instances, comment)
    advance.place([one.pk for one in instances if not one.unmet], {State.NOT_RUN}, operation=operation.pk)
    notify.notify(notify.DUE)  # for those that need no worker
    return family


def _instances(
    family: WorkflowInstance, tasks: Sequence[Task], skipped: Collection[int], scheduled_at: datetime
) -> list[TaskInstance]:
    """Store the instances with the edges between them; nothing has started yet."""
    numbers = ids.next_value("production_taskinstance_id_seq", len(tasks))
    by_task = dict(zip((task.pk for task in tasks), numbers, strict=True))
    edges = [
        InstanceEdge(upstream_id=by_task[up], downstream_id=by_task[down], bizdate=family.bizdate)
        for up, down in _order_of(by_task.keys(), _links_around(tasks))
    ]
    unmet = Counter(edge.downstream_id for edge in edges)
    instances = [_instance(family, task, by_task[task.pk], task.pk in skipped, scheduled_at) for task in tasks]
    for one in instances:
        one.unmet = unmet[one.pk]
    TaskInstance.objects.bulk_create(instances, batch_size=_BATCH)
    InstanceEdge.objects.bulk_create(edges, batch_size=_BATCH)
    return instances


def _instance(family: WorkflowInstance, task: Task, pk: int, skip: bool, scheduled_at: datetime) -> TaskInstance:
    assert task.version is not None  # _manual leaves out those without
    kind = Kind.SKIP_UNCHOSEN if skip else Kind.SKIP if task.recurrence == Recurrence.SKIP else Kind.MANUAL
    return TaskInstance(
        pk=pk,
        workflow_instance=family,
        task=task,
        version=task.version,
        workspace_id=task.workspace_id,
        environment=task.environment,
        bizdate=family.bizdate,
        scheduled_at=scheduled_at,
        not_before=None,
        node_type=task.node_type,
        kind=kind,
        needs_worker=task.type.needs_worker and not kind.is_dry_run,
        state=State.NOT_RUN,
        frozen=task.recurrence == Recurrence.PAUSE and not skip,
        priority=task.priority,
        resource_group_id=task.resource_group_id,
        reruns_left=task.version.rerun_times,
    )


def _links(tasks: "Collection[int] | QuerySet[Task]") -> list[tuple[int, int]]:
    """Pairs (upstream, task) among these."""
    found = TaskDependency.objects.filter(task__in=tasks, upstream__in=tasks, type=TaskDependency.Type.NORMAL)
    return list(found.values_list("upstream_id", "task_id"))


def _links_around(tasks: Sequence[Task]) -> list[tuple[int, int]]:
    """Those of the whole workflows that the tasks are of: what is left out still tells who comes before whom."""
    workflows = {task.workflow_id for task in tasks if task.workflow_id is not None}
    return _links(Task.objects.filter(workflow__in=workflows))


def _order_of(tasks: Collection[int], links: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Pairs (upstream, task) among the chosen tasks, through those that are left out too."""
    above: dict[int, list[int]] = defaultdict(list)
    for up, down in links:
        above[down].append(up)
    pairs: set[tuple[int, int]] = set()
    for task in tasks:
        seen, todo = set(), list(above[task])
        while todo:
            up = todo.pop()
            if up in tasks:
                pairs.add((up, task))
            elif up not in seen:
                seen.add(up)
                todo += above[up]
    return pairs


def _with_downstream(roots: set[int], links: Sequence[tuple[int, int]]) -> set[int]:
    below: dict[int, list[int]] = defaultdict(list)
    for up, down in links:
        below[up].append(down)
    found, todo = set(roots), list(roots)
    while todo:
        fresh = [down for down in below[todo.pop()] if down not in found]
        found.update(fresh)
        todo += fresh
    return found


def _record(
    actor: Actor, family: WorkflowInstance, tasks: Sequence[Task], instances: Sequence[TaskInstance], comment: str
) -> Operation:
    """The operation with its instances as targets, and the entry in the audit trail."""
    asked = {"workflow_instance": family.pk, "bizdate": family.bizdate.isoformat()}
    asked |= {"parameters": family.parameters} if family.parameters else {}
    operation = Operation.objects.create(
        code=CODE,
        workspace=family.workspace,
        environment=family.environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        params=asked,
        status=Operation.Status.APPLIED,
    )
    OperationTarget.objects.bulk_create(
        [
            OperationTarget(operation=operation, object_type="instance", object_id=one.pk, done=True)
            for one in instances
        ],
        batch_size=_BATCH,
    )
    workflow = family.workflow
    thing = ("workflow", workflow.number, workflow.name) if workflow else ("task", tasks[0].number, tasks[0].name)
    audit.record(
        actor.user,
        actor.face,
        "task.run_manually",
        workspace=family.workspace,
        obj=thing,
        params={"count": len(instances), "comment": comment, **asked},
        address=actor.address,
    )
    return operation


def _sentence(code: str, text: Callable[[], str]) -> None:
    def say(params: Mapping[str, object]) -> str:
        return text() % params

    sentence(code)(say)


_sentence("manual_run.not_of_workflow", lambda: _("%(task)s is no task of the workflow “%(workflow)s” that is online."))
_sentence(
    "manual_run.nothing",
    lambda: _("The workflow “%(workflow)s” has no manually triggered task that is online. Publish it first."),
)
_sentence("manual_run.tasks", lambda: _("Choose tasks of one workspace and environment."))
_sentence("manual_run.count", lambda: _("Choose between 1 and %(most)s tasks; %(given)s were given."))
_sentence("manual_run.name", lambda: _("The name of the run is too long; %(most)s characters are the most."))
_sentence(
    "manual_run.scheduled",
    lambda: _("“%(task)s” runs by its schedule. To run it at once, use “Run now”: that makes a test instance."),
)
