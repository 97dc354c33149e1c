"""What holds many up: the waiting instances of a list, by what is at the bottom of their chains.

From the culprits one walk goes downwards over the edges that are not met. Cost: one index probe for each culprit, and for
each instance that it reaches one probe of its edges; the list itself is read twice, to count it by state, and to count
what of it was reached. What is reached by nobody waits only for what goes on by itself, so that nothing else has to be walked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Case, Count, Min, Q, QuerySet, When
from django.db.models.expressions import RawSQL

from opscenter.base import heartbeat
from opscenter.base.models import Process
from opscenter.production import capacity
from opscenter.production.models import Environment, ResourceGroup, Task, TaskInstance
from opscenter.production.node_types import HTTP
from opscenter.production.roots import COLUMNS, culprits
from opscenter.production.rules.remedies import Cause, Culprit
from opscenter.production.rules.states import WAITING, Kind, State
from opscenter.workspaces.models import Tenant, Workspace

MOST_CULPRITS = 200
"""Culprits that are walked from, those of the latest days first."""
MOST_STEPS = 30_000
"""Pairs of culprit and instance that are walked, over all culprits, the nearest first. Counts beyond are "at least"."""
DAYS_BACK = timedelta(days=7)
"""How many business dates before the list's day a culprit may be of: cross-cycle dependencies lead there."""

_WALK = """
    SELECT walk.label, e.downstream_id FROM walk
    JOIN production_instanceedge e ON e.upstream_id = walk.id AND NOT e.met"""
_HELD = f"""
WITH RECURSIVE culprit AS MATERIALIZED (
    SELECT i.id FROM production_taskinstance i
    WHERE i.workspace_id = ANY(%(workspaces)s::bigint[]) AND i.environment = %(environment)s
    AND i.bizdate BETWEEN %(since)s::date AND %(until)s::date
    AND (i.state IN ({State.FAILURE:d}, {State.WAIT_TRIGGER:d}) OR i.frozen)
    AND EXISTS (SELECT 1 FROM production_instanceedge e WHERE e.upstream_id = i.id AND NOT e.met)
    ORDER BY i.bizdate DESC, i.id LIMIT %(culprits)s::int
), walk(label, id) AS (
    (SELECT id, id FROM culprit
     UNION ALL
     SELECT -i.resource_group_id, i.id FROM production_taskinstance i
     WHERE i.resource_group_id = ANY(%(groups)s::bigint[])
     AND i.state = {State.WAIT_RESOURCE:d} AND i.needs_worker AND NOT i.frozen)
    UNION{_WALK}
), seen AS MATERIALIZED (SELECT label, id FROM walk LIMIT %(steps)s::int),
wanted(id) AS MATERIALIZED (WANTED),
held AS MATERIALIZED (SELECT label, id FROM seen JOIN wanted USING (id) WHERE label <> id)
SELECT label, count(*), (SELECT count(*) FROM seen), (SELECT count(DISTINCT id) FROM held) FROM held GROUP BY label
UNION ALL SELECT 0, 0, (SELECT count(*) FROM seen), (SELECT count(DISTINCT id) FROM held)"""
_CULPRITS = f"""
SELECT {COLUMNS}, i.workspace_id, i.state_at, t.owner_id
FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id WHERE i.id = ANY(%(ids)s::bigint[])"""


@dataclass(frozen=True)
class HoldUp:
    """One reason why instances wait.

    Attributes:
        held: how many of the list wait for it, directly or through others.
        own: how many of the list it is the reason of without others between: those that wait for a slot or for time.
        culprit: the instance that is to blame; its workspace, its task's owner, and since when it is so.
        task: number and name of the task whose maximum of parallel runs is the reason.
        group, slots: the resource group, where that is the reason, and how large it is.
        at: when the first of them goes on by itself.
    """

    cause: Cause
    held: int = 0
    own: int = 0
    culprit: Culprit | None = None
    workspace: int = 0
    owner: int = 0
    since: datetime | None = None
    task: tuple[int, str] | None = None
    group: str = ""
    slots: int = 0
    at: datetime | None = None

    @property
    def count(self) -> int:
        """All that wait because of it."""
        return self.held + self.own


@dataclass(frozen=True)
class HoldUps:
    """Why the instances of a list wait.

    Attributes:
        waiting: how many of them do.
        reasons: those that need somebody first, then by count. An instance with two culprits is counted at each.
        others: how many wait only for what runs, or for times that have not come; 0 where the walk was cut.
        is_capped: the walk was cut: counts are at least what they say.
    """

    waiting: int
    reasons: tuple[HoldUp, ...]
    others: int
    is_capped: bool


def held_by(culprit: int) -> RawSQL:
    """The ids of the instances that wait for one, directly or through others; at most MOST_STEPS."""
    statement = f"""WITH RECURSIVE walk(label, id) AS (SELECT %s::bigint, %s::bigint UNION{_WALK})
        SELECT id FROM walk WHERE id <> label LIMIT %s"""
    return RawSQL(statement, (culprit, culprit, MOST_STEPS))  # noqa: S611  bound by the server


def holdups(
    found: "QuerySet[TaskInstance]", tenant: Tenant, environment: str, day: date | None, now: datetime
) -> HoldUps:
    """Why the instances of ``found`` that wait do so.

    Args:
        found: a list of instances of one environment, of one business date or of all.
        day: that date; None for all, which is looked at as far as a week back from the latest.
    """
    waiting = found.filter(state__in=WAITING).order_by()
    counted = list(
        waiting.values_list("state", "frozen", "resource_group").annotate(
            n=Count("pk"), first=Min("not_before"), since=Min("state_at")
        )
    )
    if not counted:  # filters that can match nothing make no statement that could be walked from
        return HoldUps(0, (), 0, False)
    usage = capacity.usage(set(ResourceGroup.objects.filter(tenant=tenant).values_list("pk", flat=True)))
    ready = _ready(waiting, usage) if any(row[0] == State.WAIT_RESOURCE for row in counted) else []
    short = [pk for pk, one in usage.items() if not one.has_room]
    held, reached, is_capped = _held(waiting, tenant, Environment(environment), day or now.date(), day is None, short)
    reasons = [*_of_culprits(held), *_of_groups(ready, held, usage), *_of_themselves(counted)]
    not_run = sum(row[3] for row in counted if row[0] == State.NOT_RUN and not row[1])
    order = list(Cause)
    reasons.sort(key=lambda one: (order.index(one.cause) >= order.index(Cause.FULL), -one.count))
    others = 0 if is_capped else max(not_run - reached, 0)
    return HoldUps(sum(row[3] for row in counted), tuple(reasons), others, is_capped)


def _held(
    waiting: "QuerySet[TaskInstance]",
    tenant: Tenant,
    environment: Environment,
    day: date,
    is_open: bool,
    groups: Collection[int],
) -> tuple[dict[int, int], int, bool]:
    """By culprit, or by resource group with a minus: how many of the list it holds up; how many are held up at all; and
    whether the walk was cut."""
    wanted, params = waiting.filter(state=State.NOT_RUN, frozen=False).values("pk").query.sql_with_params()
    named = {f"wanted{n}": value for n, value in enumerate(params)}
    values: dict[str, Any] = named | {
        "workspaces": list(Workspace.objects.filter(tenant=tenant).values_list("pk", flat=True)),
        "environment": environment.value,
        "since": day - DAYS_BACK,
        "until": date.max if is_open else day,
        "culprits": MOST_CULPRITS + 1,
        "groups": list(groups),
        "steps": MOST_STEPS,
    }
    first, *rest = wanted.split("%s")
    listed = first + "".join(f"%({name})s{part}" for name, part in zip(named, rest, strict=True))
    statement = _HELD.replace("WANTED", listed)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: Sequence[tuple[int, int, int, int]] = cursor.fetchall()
    seen, reached = rows[-1][2], rows[-1][3]
    counts = {label: count for label, count, *_rest in rows[:-1]}
    is_capped = seen >= MOST_STEPS or sum(label > 0 for label in counts) > MOST_CULPRITS
    return counts, reached, is_capped


def _of_culprits(held: dict[int, int]) -> list[HoldUp]:
    ids = [label for label in held if label > 0]
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_CULPRITS, {"ids": ids})
        rows = cursor.fetchall()
    return [
        HoldUp(one.cause, held[one.id], culprit=one, workspace=row[9], since=row[10], owner=row[11])
        for row, one in zip(rows, culprits(rows), strict=True)
    ]


def _ready(waiting: "QuerySet[TaskInstance]", usage: dict[int, capacity.Usage]) -> list[HoldUp]:
    """What waits for resources, by what it lacks: fewer runs of its task, a courier, or a slot of its group."""
    found = waiting.filter(state=State.WAIT_RESOURCE, frozen=False).annotate(
        calls=Q(node_type=HTTP.code, kind__lt=Kind.SKIP), limiting=Case(When(limited=True, then="task"))
    )
    rows = list(
        found.values_list("limiting", "calls", "needs_worker", "resource_group").annotate(
            n=Count("pk"), since=Min("state_at")
        )
    )
    limiting = Task.objects.exclude(max_parallel=None).in_bulk({row[0] for row in rows} - {None})
    full = capacity.at_maximum({pk: task.max_parallel for pk, task in limiting.items() if task.max_parallel})
    no_courier = any(row[1] for row in rows) and not heartbeat.alive(Process.Kind.COURIER).exists()
    told: dict[tuple[Any, ...], HoldUp] = {}
    for task, calls, by_worker, group, n, since in rows:
        one = usage[group] if by_worker else None
        if task in full:
            kind = HoldUp(Cause.PARALLEL, task=(limiting[task].number, limiting[task].name))
        elif one is not None:
            cause = Cause.STARTING if one.has_room else Cause.FULL if one.workers else Cause.UNSERVED
            kind = HoldUp(cause, group=one.name, slots=one.slots)
        else:
            kind = HoldUp(Cause.UNCALLED if calls and no_courier else Cause.STARTING)
        known = told.setdefault((kind.cause, kind.task, kind.group), kind)
        earliest = min(filter(None, (known.since, since)))
        told[kind.cause, kind.task, kind.group] = replace(known, own=known.own + n, since=earliest)
    return list(told.values())


def _of_groups(ready: Sequence[HoldUp], held: dict[int, int], usage: dict[int, capacity.Usage]) -> list[HoldUp]:
    """The same, with what waits for what waits for slots."""
    found = {one.group: one for one in ready if one.group}
    others = [one for one in ready if not one.group]
    for label, count in held.items():
        if label < 0:
            one = usage[-label]
            cause = Cause.FULL if one.workers else Cause.UNSERVED
            known = found.get(one.name, HoldUp(cause, group=one.name, slots=one.slots))
            found[one.name] = replace(known, held=count)
    return [*others, *found.values()]


def _of_themselves(counted: Sequence[tuple[Any, ...]]) -> list[HoldUp]:
    """What is frozen itself, waits for its own trigger, or for its own time."""
    found: dict[Cause, HoldUp] = {}
    causes = {State.WAIT_TRIGGER: Cause.UNTRIGGERED, State.WAIT_TIME: Cause.TIME}
    for state, frozen, _group, n, first, since in counted:
        cause = Cause.FROZEN if frozen else causes.get(State(state))
        if cause is not None:
            known = found.get(cause, HoldUp(cause))
            at = min(filter(None, (known.at, first)), default=None) if cause is Cause.TIME else None
            earliest = min(filter(None, (known.since, since)))
            found[cause] = replace(known, own=known.own + n, at=at, since=earliest)
    return list(found.values())
