"""What happens to a backfill by itself: its run window closes, a date of it fails, it ends and its creator is told."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from opscenter.base import clock, notify, sql
from opscenter.base.due import Source
from opscenter.engine import advance, backfill_jobs, backfill_mail, backfill_make
from opscenter.engine.backfill_jobs import OF_JOB
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.production.models import Backfill
from opscenter.production.rules.backfill import OnFailure
from opscenter.production.rules.states import State

_LOOK_EVERY = timedelta(seconds=2)
_ACTIVE = (State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE, State.CLAIMED, State.RUNNING, State.CHECKING)


def run_backfills() -> datetime | None:
    """Run windows that close, failures that are to be acted upon."""
    for job in Backfill.objects.filter(due_at__lte=clock.now()).values_list("pk", flat=True):
        _close_window(job)
    watched = list(Backfill.objects.filter(is_watched=True).order_by("pk").values_list("pk", flat=True))
    for job in watched:
        _look(job)
    due = Backfill.objects.filter(due_at__isnull=False).aggregate(at=Min("due_at"))["at"]
    soon = clock.now() + _LOOK_EVERY if watched else None
    return min((at for at in (due, soon) if at is not None), default=None)


@repeated
def _close_window(pk: int) -> None:
    job = _locked(pk)
    now = clock.now()
    if job.due_at is None or job.due_at > now:
        return
    settings = backfill_make.Settings.of(job)
    if settings.window is None or job.state != Backfill.State.STARTED:
        job.due_at = None
    else:
        opens = settings.window.opens(now, settings.zone)
        backfill_make.hold_until(job, opens, now)
        job.due_at = settings.window.closes(opens, settings.zone)
    job.save(update_fields=["due_at"])


@repeated
def _look(pk: int) -> None:
    """Stop the job, or let the dates after a failed one go on, once nothing moves in that one any more."""
    job = _locked(pk)
    if not job.is_watched or job.state != Backfill.State.STARTED:
        Backfill.objects.filter(pk=pk).update(is_watched=False)
        return
    if job.on_failure == OnFailure.STOP:
        if failed := _failed(pk):
            backfill_jobs.stop(job, {"code": "backfill.stopped_by_failure", "params": {"instance": failed[0][0]}})
            _alert(job, Backfill.Alert.FAILURE)
            return
    elif job.on_failure == OnFailure.GO_ON:
        _let_go_on(pk)
    if not _moves(pk):
        Backfill.objects.filter(pk=pk).update(is_watched=False)
        if _failed(pk):
            _alert(job, Backfill.Alert.FAILURE)
        elif not sql.rows(
            f"SELECT 1 {OF_JOB} WHERE d.backfill_id = %(job)s AND i.state <> {State.SUCCESS:d} LIMIT 1", {"job": pk}
        ):
            _alert(job, Backfill.Alert.SUCCESS)


def _alert(job: Backfill, outcome: Backfill.Alert) -> None:
    """Its creator finds the end in the top bar, where that was asked for. Both APIs' kinds are read: ``SUCCESS_FAILURE``,
    ``SuccessFailure``."""
    wanted = str((job.request.get("alert") or {}).get("type", "")).lower()
    if outcome.value in wanted:
        now = clock.now()
        Backfill.objects.filter(pk=job.pk).update(alert=outcome, alert_at=now)
        if backfill_mail.is_wanted(job.request):
            backfill_mail.owe(job, outcome, now)


def _let_go_on(pk: int) -> None:
    """Open the turn after every date that has failed and in which nothing moves."""
    waiting = sql.rows(
        f"""SELECT follower.turn_id, d.bizdate::text FROM production_backfilldate d
            JOIN production_backfilldate follower ON follower.backfill_id = d.backfill_id AND follower.after = d.bizdate
            JOIN production_taskinstance turn ON turn.id = follower.turn_id AND turn.state = {State.NOT_RUN:d}
            WHERE d.backfill_id = %(job)s AND EXISTS (
                SELECT 1 FROM production_taskinstance i WHERE i.workflow_instance_id = d.family_id
                AND i.state = {State.FAILURE:d} AND i.due_at IS NULL)
            AND NOT EXISTS (
                SELECT 1 FROM production_taskinstance i WHERE i.workflow_instance_id = d.family_id
                AND (i.state = ANY(%(active)s::smallint[]) OR (i.state = {State.FAILURE:d} AND i.due_at IS NOT NULL)))""",
        {"job": pk, "active": [int(state) for state in _ACTIVE]},
    )
    for turn, bizdate in waiting:
        reason = {"code": "backfill.went_on", "params": {"bizdate": bizdate}}
        lock_with_downstream([turn])
        advance.finish_locked([turn], {State.NOT_RUN}, State.SUCCESS, reason=reason)
    if waiting:
        notify.notify(notify.DUE)


def _failed(pk: int) -> list[tuple[Any, ...]]:
    failed = f"i.state = {State.FAILURE:d} AND i.due_at IS NULL"
    return sql.rows(f"SELECT i.id {OF_JOB} WHERE d.backfill_id = %(job)s AND {failed} LIMIT 1", {"job": pk})


def _moves(pk: int) -> bool:
    """Whether anything of the job runs, or will without anybody's help."""
    found = sql.rows(
        f"""SELECT 1 {OF_JOB} WHERE d.backfill_id = %(job)s AND (i.state = ANY(%(active)s::smallint[])
            OR (i.state = {State.FAILURE:d} AND i.due_at IS NOT NULL)) LIMIT 1""",
        {"job": pk, "active": [int(state) for state in _ACTIVE]},
    )
    return bool(found)


def _locked(pk: int) -> Backfill:
    return Backfill.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace__tenant").get(pk=pk)


SOURCE = Source("backfills", run_backfills)
"""Of the scheduler."""
