"""What happens to a backfill by itself: its run window closes, a date of it fails, it ends and its creator is told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from opscenter.base import clock, notify, sql
from opscenter.base.due import Source
from opscenter.engine import advance, backfill_batches, backfill_mail, backfill_make
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
    if job.is_rerunning:
        return  # what has not been put back yet is no failure
    if not job.is_watched or job.state != Backfill.State.STARTED:
        Backfill.objects.filter(pk=pk).update(is_watched=False)
        return
    if job.on_failure == OnFailure.STOP:
        if failed := _failed(pk, since=job.started_at):
            backfill_batches.stop_by_itself(
                job, {"code": "backfill.stopped_by_failure", "params": {"instance": failed[0][0]}}
            )
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


_LOOKED_AT = f"""b.state = '{Backfill.State.STARTED}' AND (
    b.on_failure <> '{OnFailure.WAIT}' OR COALESCE(b.request->'alert'->>'type', '') <> '')"""
_JOBS_OF = """SELECT DISTINCT d.backfill_id FROM production_taskinstance i
    JOIN production_backfilldate d ON d.family_id = i.workflow_instance_id WHERE i.id = ANY(%(ids)s::bigint[])"""


def hold(instances: Sequence[int]) -> None:
    """Before somebody operates on instances: the jobs that they are of, and that are looked at, stay as they are until the
    transaction ends. To be taken before the instances' locks."""
    sql.rows(
        f"""SELECT b.id FROM production_backfill b WHERE b.id IN ({_JOBS_OF}) AND {_LOOKED_AT}
            ORDER BY b.id FOR NO KEY UPDATE""",
        {"ids": list(instances)},
    )


def look_again(instances: Sequence[int]) -> None:
    """Somebody has operated on instances: where nothing moved any more in their jobs, something may move again."""
    woken = sql.rows(
        f"""UPDATE production_backfill b SET is_watched = true
            WHERE b.id IN ({_JOBS_OF}) AND NOT b.is_watched AND {_LOOKED_AT} RETURNING b.id""",
        {"ids": list(instances)},
    )
    if woken:
        notify.notify(notify.DUE)


def _alert(job: Backfill, outcome: Backfill.Alert) -> None:
    """Its creator finds the end in the top bar, where that was asked for. Both APIs' kinds are read: ``SUCCESS_FAILURE``,
    ``SuccessFailure``."""
    wanted = str((job.request.get("alert") or {}).get("type", "")).lower()
    if outcome.value in wanted and _has_changed(job):
        now = clock.now()
        Backfill.objects.filter(pk=job.pk).update(alert=outcome, alert_at=now)
        if backfill_mail.is_wanted(job.request):
            backfill_mail.owe(job, outcome, now)


def _has_changed(job: Backfill) -> bool:
    """Anything of the job has moved since its creator was told of an end the last time: else it is the same end."""
    if job.alert_at is None:
        return True
    since = {"job": job.pk, "since": job.alert_at}
    return bool(sql.rows(f"SELECT 1 {OF_JOB} WHERE d.backfill_id = %(job)s AND i.state_at > %(since)s LIMIT 1", since))


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


def _failed(pk: int, since: datetime | None = None) -> list[tuple[Any, ...]]:
    """An instance that has failed; or that has failed since."""
    which = f"i.state = {State.FAILURE:d} AND i.due_at IS NULL" + (" AND i.state_at > %(since)s" if since else "")
    values = {"job": pk} | ({"since": since} if since else {})
    return sql.rows(f"SELECT i.id {OF_JOB} WHERE d.backfill_id = %(job)s AND {which} LIMIT 1", values)


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
