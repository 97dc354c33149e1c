"""What was missed while no scheduler was there, settled before anything of it is released (rules.misfires says what is).

Who leads notes every few seconds that somebody is there. Who finds a gap in that makes up the days that nobody generated,
turns what is not to run into dry runs, and only then goes on: a crash on the way leaves the gap, and with it all of this to
whoever comes next. Dry runs take the ordinary way, so what is downstream of them goes on.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from opscenter.base import clock, sql
from opscenter.engine import generate
from opscenter.engine.locks import lock_instances
from opscenter.production.models import Attendance, MisfirePolicy, Task, TaskInstance, Transition, WorkflowInstance
from opscenter.production.node_types import HTTP_TRIGGER, NODE_TYPES
from opscenter.production.rules import misfires
from opscenter.production.rules.misfires import GRACE, Missed, Policy
from opscenter.production.rules.states import Kind, State

logger = structlog.get_logger(__name__)
EVERY = timedelta(seconds=10)
"""How often is noted that a scheduler is there."""

_UNTOUCHED = f"i.state IN ({State.NOT_RUN:d}, {State.WAIT_TIME:d}) AND i.attempt = 0 AND NOT i.frozen"
_IN_ABSENCE = f"""family.type = '{WorkflowInstance.Type.NORMAL}' AND {_UNTOUCHED}
    AND i.scheduled_at > %(began)s::timestamptz AND i.scheduled_at <= %(late)s::timestamptz
    AND (i.node_type <> '{HTTP_TRIGGER.code}' OR i.kind >= {Kind.SKIP:d})"""
_CONCERNED = f"""
    SELECT i.id, i.task_id, i.scheduled_at, t.misfire_policy
    FROM production_task t
    JOIN production_taskinstance i ON i.task_id = t.id AND i.bizdate BETWEEN %(first)s::date AND %(last)s::date
    JOIN production_workflowinstance family ON family.id = i.workflow_instance_id
    WHERE t.id = ANY(%(tasks)s::bigint[]) AND {_IN_ABSENCE} AND i.kind = {Kind.NORMAL:d}"""
_WAITED_FOR = f"""
    SELECT e.downstream_id, i.id, {_IN_ABSENCE}
    FROM production_instanceedge e
    JOIN production_taskinstance i ON i.id = e.upstream_id
    JOIN production_workflowinstance family ON family.id = i.workflow_instance_id
    WHERE e.downstream_id = ANY(%(ids)s::bigint[]) AND NOT e.met"""


def attend() -> None:
    """A scheduler is there. Across a gap that is an absence this says nothing: it has to be settled first."""
    now = clock.now()
    Attendance.objects.filter(seen_at__gte=now - GRACE, seen_at__lt=now).update(seen_at=now)


def run_attendance() -> datetime | None:
    """Settle the absence that just ended, if there was one, and note that a scheduler is there."""
    now = clock.now()
    seen, _new = Attendance.objects.get_or_create(defaults={"seen_at": now})
    if now - seen.seen_at > GRACE:
        generate.run_nights()  # days that were missed as a whole: what is made of them cannot start before we are done
        settle(now)
    elif now - seen.seen_at >= EVERY:
        attend()
    return now + EVERY


@transaction.atomic
def settle(now: datetime) -> int:
    """Turn what was missed and is not to run into dry runs; returns how many. ``now`` ends the absence."""
    seen = Attendance.objects.select_for_update(no_key=True).get()
    began = seen.seen_at
    done = _make_dry(_not_run(began, now), began, now)
    seen.seen_at = max(began, now)
    seen.save()
    logger.info("misfires.settled", began=str(began), ended=str(now), dry_runs=done)
    return done


def _not_run(began: datetime, ended: datetime) -> set[int]:
    """The instances that were missed and are not to run."""
    tasks = list(Task.objects.exclude(misfire_policy=MisfirePolicy.ALL).values_list("pk", flat=True))
    window = {"began": began, "late": ended - GRACE}
    days = {"first": began.date() - timedelta(days=2), "last": ended.date() + timedelta(days=1)}  # in any time zone
    concerned = [
        Missed(pk, task, at, Policy(policy))
        for pk, task, at, policy in sql.rows(_CONCERNED, {**window, **days, "tasks": tasks})
    ]
    missed = misfires.missed(_waiting(concerned, window))
    return misfires.not_run(one for one in concerned if one.id in missed)


def _waiting(concerned: Iterable[Missed], window: dict[str, datetime]) -> dict[int, list[int]]:
    """What these wait for, and what that waits for in turn, as far as its time passed in the absence too."""
    waits_for: dict[int, list[int]] = {one.id: [] for one in concerned}
    fresh = list(waits_for)
    while fresh:
        found = sql.rows(_WAITED_FOR, {**window, "ids": fresh})
        fresh = list({up for _down, up, is_in_absence in found if is_in_absence and up not in waits_for})
        waits_for |= {up: [] for up in fresh}
        for down, up, _is_in_absence in found:
            waits_for[down].append(up)
    return waits_for


def _make_dry(ids: Iterable[int], began: datetime, ended: datetime) -> int:
    wanted = sorted(ids)
    lock_instances(wanted)
    changed = sql.rows(
        f"""UPDATE production_taskinstance i SET kind = {Kind.MISSED:d}, needs_worker = false
            WHERE i.id = ANY(%(ids)s::bigint[]) AND {_UNTOUCHED} AND i.kind = {Kind.NORMAL:d}
            RETURNING i.id, i.bizdate, i.state""",
        {"ids": wanted},
    )
    params = {"from": began.isoformat(), "until": ended.isoformat()}
    Transition.objects.bulk_create(
        Transition(
            instance_id=pk,
            bizdate=bizdate,
            at=ended,
            before=state,
            after=state,
            attempt=0,
            reason={"code": "instance.missed", "params": params},
        )
        for pk, bizdate, state in changed
    )
    return len(changed)


def run_after_all(ids: Collection[int]) -> None:
    """Those of these instances that were missed and became dry runs are ordinary ones again: somebody wants them run. One that
    is ready succeeds in this moment, and is left alone."""
    by_worker = [code for code, node_type in NODE_TYPES.items() if node_type.needs_worker]
    missed = TaskInstance.objects.filter(pk__in=ids, kind=Kind.MISSED).exclude(state=State.WAIT_RESOURCE)
    missed.update(kind=Kind.NORMAL, needs_worker=Q(node_type__in=by_worker))
