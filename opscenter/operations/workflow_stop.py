"""Stopping workflow instances: what runs in them, or is about to. Where all that is left of a backfill is named, the backfill."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Forbidden, Reason, Refused, sentence
from opscenter.operations import bulk, door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.registry import OPERATIONS
from opscenter.production.models import Backfill, BackfillDate, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import ENDED
from opscenter.workspaces.models import Workspace

_STOP = OPERATIONS["stop"]
_OPEN = (Operation.Status.CHECKING, Operation.Status.RUNNING)


@dataclass(frozen=True)
class Outcome:
    """What became of one workflow instance.

    Attributes:
        reason: why it was not stopped, or not all of it; None where it was, or will be.
        waiting: what waits for extensions, or is done by a worker.
        is_forbidden: the asker may stop nothing of it.
    """

    reason: Reason | None = None
    waiting: Operation | None = None
    is_forbidden: bool = False


def stop(actor: Actor, families: Sequence[WorkflowInstance], comment: str = "") -> dict[int, Outcome]:
    """Stop workflow instances that the actor may see; by id, what became of each.

    What has not begun, since it waits for others, is left as it is. Of a backfill it is stopped too where every business
    date is named that has not ended.
    """
    jobs = _whole_jobs(families)
    of_jobs = {
        job.pk: _outcome([partial(_stop_job, actor, job, comment)])
        for job in {one.pk: one for one in jobs.values()}.values()
    }
    return {
        family.pk: of_jobs[jobs[family.pk].pk] if family.pk in jobs else _stop(actor, family, comment)
        for family in families
    }


def _whole_jobs(families: Collection[WorkflowInstance]) -> Mapping[int, Backfill]:
    """The backfills of which every date that has not ended is among these, by workflow instance."""
    named = [family.pk for family in families]
    dates = BackfillDate.objects.filter(family__in=named).select_related("backfill__workspace").defer("backfill__plan")
    by_job: dict[int, list[BackfillDate]] = {}
    for date in dates:
        by_job.setdefault(date.backfill_id, []).append(date)
    return {
        date.family_id: date.backfill
        for some in by_job.values()
        if not _has_others(some[0].backfill, named)
        for date in some
        if date.family_id is not None
    }


def _has_others(job: Backfill, named: Collection[int]) -> bool:
    """Whether there are dates beside these that have not ended."""
    others = job.dates.exclude(family__in=named)
    going = TaskInstance.objects.filter(workflow_instance__backfill_date__in=others, turn_of=None)
    return others.filter(is_made=False).exists() or going.exclude(state__in=ENDED).exists()


def _stop_job(actor: Actor, job: Backfill, comment: str) -> Operation:
    return door.apply("stop_backfill", actor, job.workspace, job.environment, [job.pk], comment=comment)


def _stop(actor: Actor, family: WorkflowInstance, comment: str) -> Outcome:
    """Its instances may be of several workspaces."""
    going = TaskInstance.objects.filter(workflow_instance=family, turn_of=None, state__in=_STOP.states)
    places = list(Workspace.objects.filter(pk__in=going.values("workspace")).order_by("pk"))
    if not places:
        return Outcome(Reason("workflow_instance.nothing_to_stop"))

    def of(place: Workspace) -> Operation:
        chosen = going.filter(workspace=place)
        ids = list(chosen.order_by("pk").values_list("pk", flat=True)[: door.MOST + 1])
        if len(ids) <= door.MOST:
            return door.apply(_STOP.code, actor, place, family.environment, ids, comment=comment)
        asked = {"run": family.pk}
        return bulk.apply_to_all(_STOP.code, actor, place, family.environment, chosen, asked, comment=comment)

    return _outcome([partial(of, place) for place in places])


def _outcome(deeds: Sequence[Callable[[], Operation]]) -> Outcome:
    """What operations come to together, each done whatever becomes of the others: the first reason why something was left."""
    refused: list[Refused] = []
    operations = []
    for do in deeds:
        try:
            operations.append(do())
        except Refused as error:
            refused.append(error)
    if refused:
        return Outcome(refused[0].reason, is_forbidden=not operations and isinstance(refused[0], Forbidden))
    left = (
        OperationTarget.objects.filter(operation__in=operations, done=False, reason__isnull=False)
        .order_by("pk")
        .first()
    )
    if left is not None and left.reason is not None:
        return Outcome(Reason(left.reason["code"], left.reason["params"]))
    return Outcome(waiting=next((one for one in operations if one.status in _OPEN), None))


@sentence("workflow_instance.nothing_to_stop")
def _nothing_to_stop(params: Mapping[str, Any]) -> str:
    return _("None of its instances runs, or waits for its time, its trigger or resources.")
