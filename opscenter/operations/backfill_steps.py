"""Stopping and rerunning whole backfills: their instances batch by batch, with a result for each.

The operation has a target for each backfill, without a result as long as it is under way, and one for each of its instances:
those that extensions were asked about from the beginning, the others as soon as a batch has found them. What is left to do is
found from rows, so that a worker that is killed meanwhile costs nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Case, F, QuerySet, Value, When
from django.utils.translation import gettext as _

from opscenter.base.reasons import Reason, sentence
from opscenter.engine import backfill_batches as batches
from opscenter.operations import outcomes, telling
from opscenter.operations.models import Operation
from opscenter.operations.reach import KILL, MOST_ASKED, RERUN, Reach, Reached, unasked
from opscenter.production.models import Backfill, BackfillDate, Task, TaskInstance, TaskVersion
from opscenter.production.rules.states import LIVE, State
from opscenter.workspaces.models import Member, Workspace

AT_ONCE = 1000
"""Instances of an operation that is done in the transaction that asks for it or decides on it; larger ones are jobs."""

Job = Backfill.State
Results = dict[int, Reason | None]


@dataclass(frozen=True)
class _Steps:
    """How one kind of operation goes through a backfill.

    Attributes:
        goes_on: whether the job, its row locked, is still in the middle of it.
        found: the instances that it is to be done to.
        do: does it to some of them; why not, for each that stays as it is.
        end: all of it was done; ``leave``: it was cancelled, and the rest stays as it is.
    """

    goes_on: Callable[[Backfill], bool]
    found: Callable[[Backfill], "QuerySet[TaskInstance]"]
    do: Callable[[Backfill, Sequence[TaskInstance], Operation], Results]
    end: Callable[[Backfill, Operation], None]
    leave: Callable[[Backfill], None]


def go(jobs: Sequence[Backfill], operation: Operation) -> None:
    """Do what was begun with these jobs: all of it now, where that is little; else their targets stay without a result, and
    a worker calls ``step``."""
    targets = operation.targets.filter(object_type="backfill")
    leave(operation, list(targets.filter(done=False).values_list("object_id", flat=True)))
    targets.filter(object_id__in=[job.pk for job in jobs]).update(done=None)
    found = STEPS[operation.code].found
    if sum(found(job).values("pk")[: AT_ONCE + 1].count() for job in jobs) <= AT_ONCE:
        while step(operation):
            pass


def count(operation: Operation) -> int:
    """The instances that it is to be done to now."""
    left = operation.targets.filter(object_type="backfill", done=None).values("object_id")
    return sum(STEPS[operation.code].found(job).count() for job in Backfill.objects.filter(pk__in=left))


def step(operation: Operation) -> bool:
    """One batch of an operation whose row is held; whether more may be left."""
    targets, steps = operation.targets.filter(done=None), STEPS[operation.code]
    waiting = targets.filter(object_type="instance").order_by("pk")
    ids = list(waiting.values_list("object_id", flat=True)[: batches.BATCH])
    if ids:
        _do(operation, steps, ids)
        return True
    target = targets.filter(object_type="backfill").order_by("pk").first()
    if target is None:
        return False
    job = _locked([target.object_id]).get(target.object_id)
    if job is None:
        _write(operation, "backfill", {target.object_id: Reason("backfill.unknown")})
    elif not steps.goes_on(job):
        _write(operation, "backfill", {job.pk: Reason("backfill.interrupted", {"state": job.state})})
    elif not _collect(operation, steps.found(job)):
        steps.end(job, operation)
        _write(operation, "backfill", {job.pk: None})
    return True


def _do(operation: Operation, steps: _Steps, ids: Sequence[int]) -> None:
    """What has vanished meanwhile, and what is of a job in which something else was begun, is told so."""
    dates = BackfillDate.objects.filter(family__task_instances__in=ids)
    jobs = _locked(sorted(set(dates.values_list("backfill", flat=True))))
    results: Results = {}
    of_job: dict[int, list[TaskInstance]] = {}
    for one in _read(ids):
        of_job.setdefault(one.job, []).append(one)
    for pk, some in of_job.items():
        job = jobs.get(pk)
        if job is None or not steps.goes_on(job):
            why = Reason("backfill.interrupted", {"state": job.state if job else ""})
            results |= dict.fromkeys((one.pk for one in some), why)
        else:
            results |= steps.do(job, some, operation)
    results |= dict.fromkeys(set(ids) - set(results), Reason("instance.unknown"))
    _write(operation, "instance", results)


def _read(ids: Sequence[int]) -> list[Any]:
    """As little of these instances as is needed, with the ``job`` and the ``rerun_mode`` of each."""
    found = TaskInstance.objects.filter(pk__in=ids).only("state", "attempt", "node_type", "workspace").order_by("pk")
    job = F("workflow_instance__backfill_date__backfill")
    instances = list(found.annotate(job=job, rerun_mode=F("version__rerun_mode")))
    places = {one.workspace_id for one in instances}
    workspaces = Workspace.objects.select_related("tenant").in_bulk(places)
    for one in instances:
        one.workspace = workspaces[one.workspace_id]
    return instances


def _collect(operation: Operation, found: "QuerySet[TaskInstance]") -> int:
    """Targets for those of these instances that have none, what runs first; how many.

    Whether one has a target is looked up by the instance, whatever the tables' statistics say: by the operation, or in a
    join, all of its targets could be read for each.
    """
    rank = Case(When(state__in=list(LIVE), then=Value(0)), default=Value(1))
    query, values = found.order_by().annotate(rank=rank).values_list("rank", "pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO operations_operationtarget (operation_id, object_type, object_id)
                SELECT %s, 'instance', chosen.id FROM ({query}) chosen(rank, id)
                WHERE (SELECT count(*) FROM operations_operationtarget known WHERE known.operation_id + 0 = %s
                    AND known.object_type = 'instance' AND known.object_id = chosen.id) = 0
                ORDER BY chosen.rank, chosen.id""",
            [operation.pk, *values, operation.pk],
        )
        return cursor.rowcount


def _locked(ids: Sequence[int]) -> dict[int, Backfill]:
    found = Backfill.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True, of=("self",))
    return {one.pk: one for one in found.select_related("workspace__tenant").defer("plan")}


def _write(operation: Operation, object_type: str, results: Results) -> None:
    outcomes.write(operation.targets.filter(object_type=object_type), results)


def cancelled(operation: Operation, by: Mapping[str, Any]) -> None:
    """It was cancelled under way: what was not reached goes on as it was."""
    left = operation.targets.filter(object_type="backfill", done=None)
    for job in _locked(list(left.values_list("object_id", flat=True))).values():
        if STEPS[operation.code].goes_on(job):
            STEPS[operation.code].leave(job)
    left.update(done=False, reason=Reason("backfill.cancelled_halfway", by).as_json(), open_code=None)


def leave(operation: Operation, ids: Sequence[int]) -> None:
    """These backfills do not allow it any more: neither do their instances, which extensions were asked about."""
    for target in operation.targets.filter(object_type="backfill", object_id__in=ids):
        instances = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=target.object_id)
        of_job = operation.targets.filter(object_type="instance", done=None, object_id__in=instances.values("pk"))
        of_job.update(done=False, reason=target.reason)


# what each of them does


def _stop(job: Backfill, instances: Sequence[TaskInstance], operation: Operation) -> Results:
    ids = [one.pk for one in instances]
    stopped = batches.stop_some(job, ids, operation.pk)
    telling.of_instances(telling.KILLED, [one for one in instances if one.pk in stopped], operation)
    return {pk: None if pk in stopped else Reason(outcomes.ENDED_BEFORE) for pk in ids}


def _rerun(job: Backfill, instances: Sequence[TaskInstance], operation: Operation) -> Results:
    able = [one for one in instances if one.state == State.FAILURE and _may_rerun(one)]
    kept = unasked(operation, RERUN, able)
    again = batches.rerun_some(job, [one.pk for one in instances if one.pk not in kept], operation.pk)
    telling.of_instances(telling.RERUN, [one for one in instances if one.pk in again], operation)
    results: Results = dict.fromkeys(kept, Reason("backfill.not_asked"))
    return results | {one.pk: _why_not(one, again) for one in instances if one.pk not in kept}


def _why_not(instance: TaskInstance, again: Collection[int]) -> Reason | None:
    if instance.pk in again:
        return None
    if _may_rerun(instance):
        return Reason("backfill.failed_no_longer")
    return Reason("operation.rerun_denied", {"mode": TaskVersion.RerunMode.ALL_DENIED.value})


def _may_rerun(instance: TaskInstance) -> bool:
    mode = instance.rerun_mode  # type: ignore[attr-defined]  # annotated
    return instance.attempt == 0 or mode != TaskVersion.RerunMode.ALL_DENIED


STEPS = {
    "stop_backfill": _Steps(
        lambda job: job.state == Job.STOPPING,
        batches.unfinished,
        _stop,
        lambda job, operation: batches.end_stop(job, operation.pk),
        batches.take_back_stop,
    ),
    "rerun_backfill": _Steps(
        lambda job: job.is_rerunning,
        lambda job: (
            batches.failed(job).filter(state_at__lt=job.started_at) if job.is_rerunning else batches.failed(job)
        ),
        _rerun,
        lambda job, operation: batches.end_rerun(job),
        batches.end_rerun,
    ),
}


# what extensions are asked about


def _where(jobs: Sequence[Backfill], values: Mapping[str, Any]) -> set[int]:
    tasks = {task for job in jobs for task, _version, _part in job.plan["tasks"]}
    return set(Task.objects.filter(pk__in=tasks).values_list("workspace", flat=True))


def _stopped(jobs: Sequence[Backfill], values: Mapping[str, Any], member: Member) -> dict[str, list[Reached]]:
    """All of those that were started that is not over: it may run when the verdict comes. Of the others nothing has run."""
    return {KILL: _reached([batches.unfinished(job) for job in jobs if job.state == Job.STARTED])}


def _put_back(jobs: Sequence[Backfill], values: Mapping[str, Any], member: Member) -> dict[str, list[Reached]]:
    return {RERUN: _reached([batches.failed(job).filter(batches.RERUNNABLE) for job in jobs])}


def _reached(found: Sequence["QuerySet[TaskInstance]"]) -> list[Reached]:
    wanted = ("pk", "workspace_id", "node_type", "task__name")
    rows: list[Reached] = []
    for some in found:
        rows += [Reached(*row) for row in some.order_by("pk").values_list(*wanted)[: MOST_ASKED + 1 - len(rows)]]
    return rows


REACHES = {
    "stop_backfill": Reach((KILL,), _where, _stopped),
    "rerun_backfill": Reach((RERUN,), _where, _put_back),
}


@sentence(outcomes.ENDED_BEFORE)
def _ended_before(params: Mapping[str, Any]) -> str:
    return _("It was over before the stop reached it.")


@sentence("backfill.failed_no_longer")
def _failed_no_longer(params: Mapping[str, Any]) -> str:
    return _("It was set going by somebody else before the rerun reached it.")


@sentence("backfill.not_asked")
def _not_asked(params: Mapping[str, Any]) -> str:
    return _("It failed while extensions were asked, and they were not asked about it. Rerun what failed once more.")


@sentence("backfill.interrupted")
def _interrupted(params: Mapping[str, Any]) -> str:
    names = dict(Backfill.State.choices)
    state = names.get(params["state"], params["state"])
    return _("Something else was begun with the backfill before this was reached; its state then: %(state)s.") % {
        "state": state
    }


@sentence("backfill.cancelled_halfway")
def _cancelled_halfway(params: Mapping[str, Any]) -> str:
    return _("%(user)s cancelled it half way: what it had not reached went on as before.") % params
