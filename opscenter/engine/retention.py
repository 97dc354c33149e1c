"""Retention: what a workspace no longer keeps is removed, whole days at a time, in batches.

A day of instances goes when its number of days is over and nothing of it is alive: every instance has ended, none changed since,
and none is what an instance outside of that day still waits for. Logs go earlier, under the same rule but the last part.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from extensions import notices, regular
from extensions.models import Check, Delivery, DeliveryTry, Event
from extensions.notices import Notice
from opscenter.base import clock, sql
from opscenter.production.models import Environment, TriggerCommand
from opscenter.production.rules.states import State
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, Workspace

BATCH = 2000
"""Instances, attempts, events or receipts that one transaction removes."""
EVERY = timedelta(hours=6)

_QUIET = f"""i.state IN ({State.SUCCESS:d}, {State.FAILURE:d}) AND i.due_at IS NULL AND i.state_at < %(until)s::timestamptz"""
_NOT_NEEDED = f"""NOT EXISTS (
    SELECT 1 FROM production_instanceedge e JOIN production_taskinstance d ON d.id = e.downstream_id
    WHERE e.upstream_id = i.id AND (d.workspace_id <> i.workspace_id OR d.environment <> i.environment OR d.bizdate <> i.bizdate)
    AND (NOT e.met OR d.state NOT IN ({State.SUCCESS:d}, {State.FAILURE:d})))"""
_DAYS = """
    WITH RECURSIVE days AS (
        SELECT min(i.bizdate) AS day FROM production_taskinstance i
        WHERE i.workspace_id = %(workspace)s::bigint AND i.environment = %(environment)s
        UNION ALL SELECT (
            SELECT min(i.bizdate) FROM production_taskinstance i
            WHERE i.workspace_id = %(workspace)s::bigint AND i.environment = %(environment)s AND i.bizdate > days.day
        ) FROM days WHERE days.day < %(first)s::date
    ) SELECT day FROM days WHERE day < %(first)s::date"""
_OF_DAY = """i.workspace_id = %(workspace)s::bigint AND i.environment = %(environment)s AND i.bizdate = %(day)s::date"""


@dataclass(frozen=True)
class Old:
    """What is to be removed.

    Attributes:
        kind: ``instances``, ``logs`` (counted in attempts), ``events`` or ``receipts``.
        environment, day: of instances and logs; empty for what is older than a moment.
    """

    workspace: Workspace
    kind: str
    count: int
    environment: str = ""
    day: date | None = None


def preview(workspace: Workspace) -> Iterator[Old]:
    """All that would be removed now, in the order in which it is."""
    return (old for old in _steps(workspace) if old is not None)


def _steps(workspace: Workspace) -> Iterator[Old | None]:
    """The same, with None for each day that was looked at and stays: one day of a big workspace is work enough at a time."""
    yield from _old_instances(workspace)
    yield from _old_logs(workspace)
    if count := _old_events(workspace).count():
        yield Old(workspace, "events", count)
    if count := _old_receipts(workspace).count():
        yield Old(workspace, "receipts", count)


def remove_batch(old: Old) -> int:
    """Remove up to a batch of it, and write that into the audit trail, in one transaction; how much that was."""
    with transaction.atomic():
        removed = _REMOVE[old.kind](old)
        if removed:
            params = {"kind": old.kind, "count": removed}
            if old.day is not None:
                params |= {"environment": old.environment, "day": old.day.isoformat()}
            workspace = old.workspace
            thing = ("workspace", workspace.pk, workspace.name)
            audit.record(
                None, AuditEntry.Face.SYSTEM, "retention.remove", workspace=workspace, obj=thing, params=params
            )
    return removed


class Sweep:
    """The scheduler's part: a look at one day or one batch at a time, since its other work must not wait; then a long pause."""

    def __init__(self) -> None:
        self._steps: Iterator[Old | None] | None = None
        self._current: Old | None = None
        self._next_at: datetime | None = None

    def run(self) -> datetime | None:
        """The next step, if it is time for one; when the one after it is wanted."""
        now = clock.now()
        if self._next_at is not None and now < self._next_at:
            return self._next_at
        try:
            done = self._step()
        except BaseException:
            self._steps = self._current = None  # from the start again
            raise
        self._next_at = now + EVERY if done else now
        return self._next_at

    def _step(self) -> bool:
        """True when a whole round is done."""
        if self._current is not None and remove_batch(self._current):
            return False
        if self._steps is None:
            workspaces = Workspace.objects.select_related("tenant").order_by("pk")
            self._steps = (step for workspace in workspaces for step in _steps(workspace))
        try:
            self._current = next(self._steps)
        except StopIteration:
            self._steps = self._current = None
            return True
        return False


def _first_kept(workspace: Workspace, days: int) -> tuple[date, datetime]:
    """The first day that is kept, and the moment it begins, in the tenant's time."""
    zone = ZoneInfo(workspace.tenant.time_zone)
    first = clock.now().astimezone(zone).date() - timedelta(days=days)
    return first, datetime.combine(first, time(), zone)


def _old_days(workspace: Workspace, days: int, rule: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Days of instances that are old enough: each with the number of its instances, 0 when the rule keeps it."""
    first, until = _first_kept(workspace, days)
    for environment in Environment.values:
        values = {"workspace": workspace.pk, "environment": environment}
        for (day,) in sql.rows(_DAYS, values | {"first": first}):
            ((count, all_may_go),) = sql.rows(
                f"SELECT count(*), coalesce(bool_and({rule}), false) FROM production_taskinstance i WHERE {_OF_DAY}",
                values | {"day": day, "until": until},
            )
            yield values | {"day": day}, count if all_may_go else 0


def _old_instances(workspace: Workspace) -> Iterator[Old | None]:
    for of_day, count in _old_days(workspace, workspace.keep_instances, f"{_QUIET} AND {_NOT_NEEDED}"):
        yield Old(workspace, "instances", count, of_day["environment"], of_day["day"]) if count else None


def _remove_instances(old: Old) -> int:
    _, until = _first_kept(old.workspace, old.workspace.keep_instances)
    found = sql.rows(
        f"""SELECT i.id, i.workflow_instance_id, u.uid, i.node_type FROM production_taskinstance i
            JOIN production_task t ON t.id = i.task_id JOIN workspaces_user u ON u.id = t.owner_id
            WHERE {_OF_DAY} AND {_QUIET} AND {_NOT_NEEDED} ORDER BY i.id LIMIT {BATCH} FOR UPDATE OF i SKIP LOCKED""",
        {"workspace": old.workspace.pk, "environment": old.environment, "day": old.day, "until": until},
    )
    values = {"ids": [row[0] for row in found], "families": sorted({row[1] for row in found})}
    for statement in _WITH_INSTANCES:
        sql.rows(statement, values)
    if old.environment == Environment.PROD:
        _tell(old.workspace, [(row[0], row[2], row[3]) for row in found])
    return len(found)


def _tell(workspace: Workspace, removed: Iterable[tuple[int, int, str]]) -> None:
    """Subscribers learn which instances of production are gone: a message for each owner of their tasks."""
    by_owner: dict[int, list[tuple[int, str]]] = {}
    for instance, owner, node_type in removed:
        by_owner.setdefault(owner, []).append((instance, node_type))
    now = clock.now()
    told = [
        Notice(
            "expired-task-instances-deleted",
            regular.instances_removed([pk for pk, _ in some], owner, workspace.pk, workspace.tenant_id, now),
            f"w{workspace.pk}",
            {node_type for _, node_type in some},
        )
        for owner, some in by_owner.items()
    ]
    notices.tell(workspace, Environment.PROD, told)


_ATTEMPTS = "SELECT id FROM production_attempt WHERE instance_id = ANY(%(ids)s::bigint[])"
_OVER = """SELECT DISTINCT gone.backfill_id FROM production_backfilldate gone
    WHERE gone.family_id = ANY(%(families)s::bigint[]) AND NOT EXISTS (
        SELECT 1 FROM production_backfilldate d JOIN production_taskinstance i ON i.workflow_instance_id = d.family_id
        WHERE d.backfill_id = gone.backfill_id)"""
_WITH_INSTANCES = (
    f"DELETE FROM production_logchunk WHERE attempt_id IN ({_ATTEMPTS})",
    "DELETE FROM production_attempt WHERE instance_id = ANY(%(ids)s::bigint[])",
    "DELETE FROM production_transition WHERE instance_id = ANY(%(ids)s::bigint[])",
    """DELETE FROM production_instanceedge
       WHERE upstream_id = ANY(%(ids)s::bigint[]) OR downstream_id = ANY(%(ids)s::bigint[])""",
    # receipts have a time of their own
    "UPDATE production_triggercommand SET instance_id = NULL WHERE instance_id = ANY(%(ids)s::bigint[])",
    "DELETE FROM production_taskinstance WHERE id = ANY(%(ids)s::bigint[])",
    """DELETE FROM production_workflowinstance f WHERE f.id = ANY(%(families)s::bigint[]) AND NOT EXISTS (
           SELECT 1 FROM production_taskinstance i WHERE i.workflow_instance_id = f.id)""",
    """DELETE FROM extensions_dagstatus s WHERE s.workflow_instance = ANY(%(families)s::bigint[]) AND NOT EXISTS (
           SELECT 1 FROM production_workflowinstance f WHERE f.id = s.workflow_instance)""",
    # a backfill goes with the last of its instances, and with the run families of dates that had none
    f"""DELETE FROM production_workflowinstance f USING production_backfilldate d
        WHERE d.family_id = f.id AND d.backfill_id IN ({_OVER})""",
    f"""WITH jobs AS MATERIALIZED ({_OVER}), dates AS (
            DELETE FROM production_backfilldate WHERE backfill_id IN (SELECT backfill_id FROM jobs)
        ), mails AS (
            DELETE FROM production_backfillmail WHERE backfill_id IN (SELECT backfill_id FROM jobs)
        ) DELETE FROM production_backfill WHERE id IN (SELECT backfill_id FROM jobs)""",
)


def _old_logs(workspace: Workspace) -> Iterator[Old | None]:
    for of_day, quiet in _old_days(workspace, workspace.keep_logs, _QUIET):
        count = sql.rows(f"SELECT count(*) FROM ({_LOGGED}) AS logged", of_day)[0][0] if quiet else 0
        yield Old(workspace, "logs", count, of_day["environment"], of_day["day"]) if count else None


_LOGGED = f"""
    SELECT a.id FROM production_taskinstance i JOIN production_attempt a ON a.instance_id = i.id
    WHERE {_OF_DAY} AND EXISTS (SELECT 1 FROM production_logchunk c WHERE c.attempt_id = a.id)"""


def _remove_logs(old: Old) -> int:
    _, until = _first_kept(old.workspace, old.workspace.keep_logs)
    found = sql.rows(
        f"{_LOGGED} AND {_QUIET} ORDER BY a.id LIMIT {BATCH}",
        {"workspace": old.workspace.pk, "environment": old.environment, "day": old.day, "until": until},
    )
    ids = [row[0] for row in found]
    sql.rows("DELETE FROM production_logchunk WHERE attempt_id = ANY(%(ids)s::bigint[])", {"ids": ids})
    return len(ids)


def _old_events(workspace: Workspace) -> QuerySet[Event]:
    """Events on which nothing waits any more."""
    _, until = _first_kept(workspace, workspace.keep_events)
    open_checks = Check.objects.filter(event=OuterRef("pk"), state=Check.State.CHECKING)
    on_their_way = Delivery.objects.filter(event=OuterRef("pk"), status=Delivery.Status.PENDING)
    old = Event.objects.filter(workspace=workspace, at__lt=until)
    return old.exclude(Exists(open_checks)).exclude(Exists(on_their_way))


def _remove_events(old: Old) -> int:
    ids = list(_old_events(old.workspace).order_by("at").values_list("pk", flat=True)[:BATCH])
    DeliveryTry.objects.filter(delivery__event__in=ids).delete()
    Delivery.objects.filter(event__in=ids).delete()
    Check.objects.filter(event__in=ids).delete()
    Event.objects.filter(pk__in=ids).delete()
    return len(ids)


def _old_receipts(workspace: Workspace) -> QuerySet[TriggerCommand]:
    """Receipts of calls that are settled. Those that named no known task go with the workspace of their caller's tenant that
    keeps receipts longest."""
    _, until = _first_kept(workspace, workspace.keep_receipts)
    found = Q(workspace=workspace)
    longer = Workspace.objects.filter(tenant=workspace.tenant_id, keep_receipts__gt=workspace.keep_receipts)
    if not longer.exists():
        found |= Q(workspace=None, tenant=workspace.tenant_id)
    old = TriggerCommand.objects.filter(found, received_at__lt=until)
    return old.exclude(status=TriggerCommand.Status.HELD)


def _remove_receipts(old: Old) -> int:
    ids = list(_old_receipts(old.workspace).order_by("pk").values_list("pk", flat=True)[:BATCH])
    TriggerCommand.objects.filter(pk__in=ids).delete()
    return len(ids)


_REMOVE: dict[str, Callable[[Old], int]] = {
    "instances": _remove_instances,
    "logs": _remove_logs,
    "events": _remove_events,
    "receipts": _remove_receipts,
}
