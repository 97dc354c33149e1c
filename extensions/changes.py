"""Changes of instances' states, from the engine's transaction to the events that tell of them.

The engine notes one row for each batch of changes in a watched workspace, in the statement that makes them (NOTE): none is
lost, and where nobody has subscribed it costs a look at an empty index. Who sends events takes the rows away and makes
events of them, one at a time and in order. The status of a workflow instance is noticed here, too: it follows from those of
its instances, and no row of it is in the engine's transaction.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from extensions import lifecycle, notices, regular
from extensions.models import DagStatus, Watch
from extensions.notices import Notice
from extensions.points import OF_STATUS
from extensions.regular import PRODUCTION, STATUS, Family, StatusChange
from opscenter.base import clock, sql
from opscenter.base.locks import key_of
from opscenter.production.models import WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.production.rules.workflow_status import WorkflowStatus, status_of
from opscenter.workspaces.models import Workspace

NOTE = f"""
    INSERT INTO extensions_change
        (workspace_id, at, instances, befores, states, waiting_resource_at, started_at, finished_at)
    SELECT c.workspace_id, statement_timestamp(), array_agg(c.id ORDER BY c.id), array_agg(c.before ORDER BY c.id),
           array_agg(c.after ORDER BY c.id), array_agg(c.waiting_resource_at ORDER BY c.id),
           array_agg(c.started_at ORDER BY c.id), array_agg(c.finished_at ORDER BY c.id)
    FROM changed c JOIN extensions_watch w ON w.workspace_id = c.workspace_id
    WHERE c.after <> {State.CLAIMED:d}
    GROUP BY c.workspace_id"""
"""A claim is no change of status to the world: it waits for resources before and after."""

MOST_ROWS, MOST_INSTANCES = 50, 500
"""Rows that are made events of in one transaction, and about how many instances."""
ROOM = 100
"""Messages that wait for a listener at most before its workspace's changes are left in their rows. Those cost a hundredth of
messages, so an engine that leaves no processor time for sending pays next to nothing for what will be sent later."""
MOST_AT_ONCE = 0.1
"""Seconds, before whoever runs us may want to rest."""
LOOK_EVERY = timedelta(milliseconds=500)
"""While somebody has subscribed. A NOTIFY in the engine's transactions would have them commit one after the other."""
_LOCK = "extensions.changes"
_HELD = f"""
    SELECT w.workspace_id FROM extensions_watch w WHERE (
        SELECT bool_and(
            (SELECT count(*) FROM (SELECT 1 FROM extensions_delivery d WHERE d.extension_id = x.id
               AND d.status = 'pending' AND d.of_check_id IS NULL LIMIT {ROOM}) waiting) >= {ROOM})
        FROM extensions_enablement e JOIN extensions_extension x ON x.id = e.extension_id
        WHERE e.workspace_id = w.workspace_id AND e.is_enabled AND x.points && %(points)s::varchar[])"""
"""Workspaces none of whose listeners has room; one that does not keep up holds back nobody else."""


@dataclass(frozen=True)
class _Changed:
    """One instance of a noted row."""

    workspace: int
    at: datetime
    instance: int
    before: State
    after: State
    waiting_resource_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class Changes:
    """Makes events of what was noted; ``run`` is its due source. Whatever wakes its process, it looks at intervals alone, and
    goes on at once only while there is more than it could do in a moment."""

    def __init__(self) -> None:
        self._next_at: datetime | None = None

    def run(self) -> datetime | None:
        """What is noted; returns when to look again, None while nobody has subscribed."""
        now = clock.now()
        if self._next_at is not None and now < self._next_at:
            return self._next_at
        give_up = time.monotonic() + MOST_AT_ONCE
        while fan_out():
            if time.monotonic() > give_up:
                return now
        self._next_at = now + LOOK_EVERY if Watch.objects.exists() else None
        return self._next_at


@transaction.atomic
def fan_out() -> bool:
    """Make events of the oldest rows; whether there may be more. Nothing, while another process is at it."""
    if not sql.rows("SELECT 1 FROM extensions_change LIMIT 1", {}):
        return False
    if not sql.rows("SELECT pg_try_advisory_xact_lock(%(key)s::bigint)", {"key": key_of(_LOCK)})[0][0]:
        return False
    rows = sql.rows(
        f"""WITH held AS MATERIALIZED ({_HELD}),
           first AS MATERIALIZED (
             SELECT id, cardinality(instances) AS size FROM extensions_change
             WHERE workspace_id NOT IN (SELECT workspace_id FROM held) ORDER BY id LIMIT {MOST_ROWS}),
           oldest AS MATERIALIZED (
             SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM first) f
             WHERE before < {MOST_INSTANCES}),
           taken AS (DELETE FROM extensions_change c USING oldest WHERE c.id = oldest.id RETURNING c.*)
           SELECT t.workspace_id, t.at, n.* FROM taken t, unnest(t.instances, t.befores, t.states, t.waiting_resource_at,
                  t.started_at, t.finished_at) WITH ORDINALITY AS n (instance, before, after, waits, started, finished, place)
           ORDER BY t.id, n.place""",
        {"points": list(OF_STATUS)},
    )
    changed = [
        _Changed(workspace, at, instance, State(before), State(after), waits, started, finished)
        for workspace, at, instance, before, after, waits, started, finished, _place in rows
    ]
    if changed:
        _tell(changed)
    return bool(changed)


def _tell(changed: Sequence[_Changed]) -> None:
    workspaces = _listened_to({one.workspace for one in changed})
    changed = [one for one in changed if one.workspace in workspaces]
    found = _instances([one.instance for one in changed])
    statuses = _new_statuses({known.family.id for known in found.values()} - _scheduled(found))
    for pk, workspace in workspaces.items():
        theirs = [one for one in changed if one.workspace == pk and one.instance in found]
        for environment in dict.fromkeys(found[one.instance].family.environment for one in theirs):
            here = [one for one in theirs if found[one.instance].family.environment == environment]
            told = _of_instances(here, found, workspace) if environment == PRODUCTION else []
            families = {found[one.instance].family.id: found[one.instance].family for one in here}
            told += [_of_workflow(families[key], statuses[key], workspace) for key in families if key in statuses]
            notices.tell(workspace, environment, told)


def _listened_to(ids: set[int]) -> dict[int, Workspace]:
    """Those of these workspaces where somebody listens still."""
    found = Workspace.objects.select_related("tenant").in_bulk(ids)
    heard = {one.workspace_id for point in OF_STATUS for one in lifecycle.listeners(found.values(), point)}
    return {pk: workspace for pk, workspace in found.items() if pk in heard}


@dataclass(frozen=True)
class _Known:
    """What messages say of an instance that does not change."""

    node: int
    node_type: str
    kind: int
    frozen: bool
    created_at: datetime
    began_waiting_at: datetime | None
    family: Family


def _instances(ids: Sequence[int]) -> dict[int, _Known]:
    rows = sql.rows(
        f"""SELECT i.id, t.number, i.node_type, i.kind, i.frozen, i.created_at,
                   (SELECT max(c.at) FROM production_transition c
                    WHERE c.instance_id = i.id AND c.after = {State.WAIT_TIME:d}),
                   f.id, f.type, f.environment, f.name, f.bizdate, f.created_at, w.number, w.name, u.uid
            FROM production_taskinstance i
            JOIN production_task t ON t.id = i.task_id
            JOIN production_workflowinstance f ON f.id = i.workflow_instance_id
            LEFT JOIN production_productionworkflow w ON w.id = f.workflow_id
            LEFT JOIN workspaces_user u ON u.id = f.created_by_id
            WHERE i.id = ANY(%(ids)s::bigint[])""",
        {"ids": sorted(set(ids))},
    )
    families: dict[int, Family] = {}
    found = {}
    for pk, node, node_type, kind, frozen, created_at, began_waiting_at, *family in rows:
        one = families.setdefault(family[0], Family(*family))
        found[pk] = _Known(node, node_type, kind, frozen, created_at, began_waiting_at, one)
    return found


def _of_instances(changed: Sequence[_Changed], found: Mapping[int, _Known], workspace: Workspace) -> list[Notice]:
    made = []
    for one in changed:
        if STATUS[one.before] == STATUS[one.after]:
            continue
        known = found[one.instance]
        change = StatusChange(
            instance=one.instance,
            node=known.node,
            family=known.family,
            kind=known.kind,
            frozen=known.frozen,
            after=one.after,
            at=one.at,
            created_at=known.created_at,
            began_waiting_at=known.began_waiting_at,
            waiting_resource_at=one.waiting_resource_at,
            started_at=one.started_at,
            finished_at=one.finished_at,
        )
        data = regular.instance_status(change, workspace.pk, workspace.tenant_id)
        made.append(Notice("instance-status-changes", data, f"i{one.instance}", [known.node_type], one.at))
    return made


def _scheduled(found: Mapping[int, _Known]) -> set[int]:
    """Workflow instances of the daily schedule: DataWorks tells of none, and they have no end that anybody waits for."""
    return {one.family.id for one in found.values() if one.family.type == WorkflowInstance.Type.NORMAL}


def _new_statuses(families: set[int]) -> dict[int, WorkflowStatus]:
    """The status of those of these whose status is another one than was told last."""
    if not families:
        return {}
    counts: dict[int, dict[State, int]] = {}
    for family, state, count in sql.rows(
        """SELECT workflow_instance_id, state, count(*) FROM production_taskinstance
           WHERE workflow_instance_id = ANY(%(ids)s::bigint[]) GROUP BY 1, 2""",
        {"ids": sorted(families)},
    ):
        counts.setdefault(family, {})[State(state)] = count
    told = dict(DagStatus.objects.filter(pk__in=counts).values_list("pk", "status"))
    now = {family: status_of(states) for family, states in counts.items()}
    new = {family: status for family, status in now.items() if told.get(family, WorkflowStatus.NOT_RUN) != status}
    DagStatus.objects.bulk_create(
        [DagStatus(workflow_instance=family, status=status) for family, status in new.items()],
        update_conflicts=True,
        unique_fields=["workflow_instance"],
        update_fields=["status"],
    )
    return new


def _of_workflow(family: Family, status: WorkflowStatus, workspace: Workspace) -> Notice:
    zone = ZoneInfo(workspace.tenant.time_zone)
    data: dict[str, Any] = regular.dag_status(family, status, workspace.pk, workspace.tenant_id, zone)
    return Notice("dag-status-changes", data, f"d{family.id}")
