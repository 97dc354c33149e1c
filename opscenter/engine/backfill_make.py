"""Making a backfill: one run family a business date, its instances by COPY, its edges by generation's own rules.

Nothing of a job starts before all of it is made: its instances are written as Not run, and the ones that wait for nothing
are let go in the transaction that finds no date left. So a job that is made in many steps, by workers that may be killed,
is made once, and cancelling it never races with what it made.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from django.db.models import F

from opscenter.base import clock, ids, notify, sql
from opscenter.engine import advance, bulk, chores, generate
from opscenter.engine.backfill_plan import planner_of
from opscenter.engine.bulk import Edge, Scheduled, Series
from opscenter.engine.edges import ByTask, Schedules, Standing, far_links, plan_edges
from opscenter.engine.links import Links
from opscenter.engine.locks import repeated
from opscenter.production.models import Backfill, BackfillDate, ResourceGroup, Task, TaskVersion, WorkflowInstance
from opscenter.production.node_types import HTTP_TRIGGER, NODE_TYPES
from opscenter.production.rules.backfill import OnFailure, Part, RunWindow, earliest_start
from opscenter.production.rules.planning import Planned
from opscenter.production.rules.states import Kind, State

AT_ONCE = 2_000
"""Instances that are made in the transaction that asks for them; more are made by chores."""

_NOT_RUN = State.NOT_RUN.value


def begin(job: Backfill) -> None:
    """Make a job whose row this transaction holds: a small one now, a large one by chores after the commit."""
    job.state = Backfill.State.MAKING
    job.save(update_fields=["state"])
    _make_families(job)
    if job.dates.exclude(after=None).exists():
        generate.ensure_root(job.workspace, job.environment, job.created_by)  # turns are instances of it
    if job.instances > AT_ONCE:
        chores.queue(make, job.pk)
        return
    while _step(job):
        pass


def make(job: int) -> None:
    """Chore: make dates until none is left, or until other chores have their turn."""
    chores.in_slices(lambda: step(job), make, job)


@repeated
def step(job: int) -> bool:
    """Make the next date; whether the job is still being made afterwards. Holds the job's row, so that two never make
    the same date, and one that is cancelled is made no further."""
    return _step(Backfill.objects.select_for_update(no_key=True).get(pk=job))


def _step(job: Backfill) -> bool:
    if job.state != Backfill.State.MAKING:
        return False
    date = job.dates.filter(is_made=False).order_by("position").first()
    if date is None:
        _finish(job)
        return False
    _Maker(job).make(date)
    job.made = F("made") + date.instances
    job.save(update_fields=["made"])
    job.refresh_from_db(fields=["made"])
    return True


def _make_families(job: Backfill) -> None:
    dates = list(job.dates.filter(family=None).order_by("position"))
    families = WorkflowInstance.objects.bulk_create(
        WorkflowInstance(
            workspace_id=job.workspace_id,
            environment=job.environment,
            type=WorkflowInstance.Type.BACKFILL,
            name=job.name,
            bizdate=date.bizdate,
            created_by_id=job.created_by_id,
            parameters=job.request["parameters"],
            data_sources=job.request.get("data_sources", {}),
        )
        for date in dates
    )
    for date, family in zip(dates, families, strict=True):
        date.family = family
    BackfillDate.objects.bulk_update(dates, ["family"])


def _finish(job: Backfill) -> None:
    """Everything is there: start it, unless it is to wait for somebody to do so."""
    if job.request["autostart"]:
        start(job)
        return
    job.state, job.is_paused = Backfill.State.READY, True
    job.save(update_fields=["state", "is_paused"])


def start(job: Backfill) -> None:
    """Let go what waits for nothing. Holds the job's row."""
    settings = Settings.of(job)
    now = clock.now()
    job.state, job.is_paused = Backfill.State.STARTED, False
    job.is_watched = job.on_failure != OnFailure.WAIT or bool(job.request.get("alert"))
    job.started_at = now
    job.due_at = settings.window.closes(now, settings.zone) if settings.window else None
    job.save(update_fields=["state", "is_paused", "is_watched", "started_at", "due_at"])
    if settings.window:
        hold_until(job, settings.window.opens(now, settings.zone), now)
    first = sql.rows(
        f"""SELECT i.id FROM production_taskinstance i JOIN production_backfilldate d ON d.family_id = i.workflow_instance_id
            WHERE d.backfill_id = %(job)s AND i.state = {_NOT_RUN} AND i.unmet = 0
            ORDER BY i.id FOR NO KEY UPDATE OF i""",
        {"job": job.pk},
    )
    advance.place([row[0] for row in first], {State.NOT_RUN})
    notify.notify(notify.DUE)


def hold_until(job: Backfill, opens: datetime, now: datetime) -> None:
    """What has not started waits at least until the run window opens; nothing changes while it is open."""
    if opens <= now:
        return
    waiting = (State.NOT_RUN, State.WAIT_TIME, State.WAIT_RESOURCE, State.FAILURE)
    held = sql.rows(
        f"""WITH held AS (
                SELECT i.id FROM production_taskinstance i
                JOIN production_backfilldate d ON d.family_id = i.workflow_instance_id
                WHERE d.backfill_id = %(job)s AND i.state IN ({", ".join(str(int(one)) for one in waiting)})
                AND (i.not_before IS NULL OR i.not_before < %(opens)s)
                ORDER BY i.id FOR NO KEY UPDATE OF i
            )
            UPDATE production_taskinstance i SET
                not_before = %(opens)s,
                due_at = CASE WHEN i.due_at IS NOT NULL THEN %(opens)s END
            FROM held WHERE held.id = i.id RETURNING i.id, i.state""",
        {"job": job.pk, "opens": opens},
    )
    advance.place(sorted(pk for pk, state in held if state == State.WAIT_RESOURCE), {State.WAIT_RESOURCE})


@dataclass(frozen=True)
class Settings:
    """What was asked for, as far as it counts for each instance."""

    zone: ZoneInfo
    start: time
    end: time
    window: RunWindow | None
    immediately: bool
    priority: int | None
    group: int | None

    @classmethod
    def of(cls, job: Backfill) -> "Settings":
        """Of a job."""
        asked = job.request
        window = asked["run_window"]
        group = asked["resource_group"]
        return cls(
            zone=ZoneInfo(job.workspace.tenant.time_zone),
            start=time.fromisoformat(asked["start"]),
            end=time.fromisoformat(asked["end"]),
            window=RunWindow(time.fromisoformat(window[0]), time.fromisoformat(window[1]), window[2])
            if window
            else None,
            immediately=asked["immediately"],
            priority=asked["priority"],
            group=group and ResourceGroup.objects.get(tenant=job.workspace.tenant_id, name=group).pk,
        )


class _Maker:
    """Writes the dates of one job."""

    def __init__(self, job: Backfill) -> None:
        self._job = job
        self._settings = Settings.of(job)
        self._parts = {task: Part(part) for task, _version, part in job.plan["tasks"]}
        versions = [version for _task, version, _part in job.plan["tasks"]]
        self._tasks = bulk.scheduled(TaskVersion.objects.filter(pk__in=versions).order_by("task"))
        self._links = Links(
            [(up, down) for up, down in job.plan["normal"]],
            {(up, down) for up, down in job.plan["previous"]},
            set(job.plan["chained"]),
        )

    def make(self, date: BackfillDate) -> None:
        """The instances and edges of one business date."""
        planner = planner_of(date.bizdate, self._settings.zone, self._settings.start, self._settings.end)
        series = [one for task in self._tasks if (one := Series(task, planner.plan(task))).planned]
        bulk.number(series)
        schedules = Schedules(self._links.chained)
        today = {
            one.task.task: Standing(
                schedules.runs(one.task.task, (planned.scheduled_at for planned in one.planned), one.task.cron),
                one.ids,
                (_NOT_RUN,) * len(one.ids),
            )
            for one in series
        }
        before = self._day_before(date, schedules)
        edges = plan_edges(self._links, schedules, today, before, far_links(self._links, schedules, today))
        edges += self._turn(date, series, edges)
        unmet = Counter(edge.downstream for edge in edges)
        turn = [] if date.turn_id is None else [self._turn_row(date, unmet[date.turn_id])]
        now = clock.now()  # nothing may be asked while rows are being copied
        sql.copy("production_taskinstance", bulk.INSTANCE_COLUMNS, chain(self._rows(date, series, unmet, now), turn))
        bulk.insert_edges(edges, date.bizdate + timedelta(days=1))
        date.is_made = True
        date.save(update_fields=["is_made", "turn"])

    def _day_before(self, date: BackfillDate, schedules: Schedules) -> ByTask:
        """The job's own instances of the business date before, which cross-cycle dependencies lead to."""
        eve = self._job.dates.filter(bizdate=date.bizdate - timedelta(days=1), is_made=True).first()
        if eve is None or not self._links.previous:
            return {}
        crons = {task.task: task.cron for task in self._tasks}
        upstream = {up for up, _down in self._links.previous}
        found: dict[int, list[tuple[datetime, int, int]]] = {}
        for task, at, pk, state in sql.rows(
            """SELECT task_id, scheduled_at, id, state FROM production_taskinstance
               WHERE workflow_instance_id = %(family)s AND id IS DISTINCT FROM %(turn)s ORDER BY scheduled_at, id""",
            {"family": eve.family_id, "turn": eve.turn_id},
        ):
            if task in upstream:
                found.setdefault(task, []).append((at, pk, state))
        return {
            task: Standing(
                schedules.runs(task, (at for at, _pk, _state in rows), crons[task]),
                [pk for _at, pk, _state in rows],
                [state for _at, _pk, state in rows],
            )
            for task, rows in found.items()
        }

    def _turn(self, date: BackfillDate, series: Sequence[Series], edges: Sequence[Edge]) -> list[Edge]:
        """The edges around the date's turn: it waits for what ends the date before, what begins this date waits for it."""
        if date.after is None or not series:
            return []
        (turn,) = ids.next_value("production_taskinstance_id_seq", 1)
        date.turn_id = turn
        own = {pk for one in series for pk in one.ids}
        waiting = {edge.downstream for edge in edges if edge.upstream in own}
        last = sql.rows(
            """SELECT i.id, i.state FROM production_taskinstance i WHERE i.workflow_instance_id = %(family)s AND NOT EXISTS (
                   SELECT 1 FROM production_instanceedge e JOIN production_taskinstance d ON d.id = e.downstream_id
                   WHERE e.upstream_id = i.id AND d.workflow_instance_id = %(family)s)""",
            {"family": self._job.dates.get(bizdate=date.after).family_id},
        )
        around = [Edge(turn, pk, state == State.SUCCESS) for pk, state in last]
        return around + [Edge(pk, turn, False) for one in series for pk in one.ids if pk not in waiting]

    def _rows(
        self, date: BackfillDate, series: Sequence[Series], unmet: Mapping[int, int], now: datetime
    ) -> Iterator[tuple[object, ...]]:
        for one in series:
            for planned, pk in zip(one.planned, one.ids, strict=True):
                yield self._row(date, one.task, planned, pk, unmet.get(pk, 0), now)

    def _row(
        self, date: BackfillDate, task: Scheduled, planned: Planned, pk: int, unmet: int, now: datetime
    ) -> tuple[object, ...]:
        settings, kind = self._settings, _kind(self._parts[task.task], planned, task)
        not_before = earliest_start(
            planned.scheduled_at, now, settings.zone, settings.window, immediately=settings.immediately
        )
        return (
            pk,
            date.family_id,
            task.task,
            task.version,
            task.workspace,
            self._job.environment,
            date.bizdate,
            planned.scheduled_at,
            not_before,
            None,
            planned.period,
            task.node_type,
            int(kind),
            NODE_TYPES[task.node_type].needs_worker and not kind.is_dry_run,
            task.node_type == HTTP_TRIGGER.code,
            _NOT_RUN,
            kind is Kind.PAUSE,
            unmet,
            0,
            task.rerun_times,
            settings.priority or task.priority,
            settings.group or task.resource_group,
        )

    def _turn_row(self, date: BackfillDate, unmet: int) -> tuple[object, ...]:
        root = Task.objects.get(workspace=self._job.workspace_id, environment=self._job.environment, is_root=True)
        midnight = datetime.combine(date.bizdate + timedelta(days=1), time.min, self._settings.zone)
        return (
            date.turn_id,
            date.family_id,
            root.pk,
            root.version_id,
            root.workspace_id,
            root.environment,
            date.bizdate,
            midnight,
            None,
            None,
            1,
            root.node_type,
            int(Kind.NORMAL),
            False,
            False,
            _NOT_RUN,
            False,
            unmet,
            0,
            0,
            self._settings.priority or root.priority,
            root.resource_group_id,
        )


def _kind(part: Part, planned: Planned, task: Scheduled) -> Kind:
    """A dry run because of its day stays one whatever the task does in the job."""
    if part is Part.DRY_RUN:
        return Kind.SKIP if task.recurrence == "Skip" else Kind.SKIP_UNCHOSEN
    if planned.dry_run:
        return Kind.SKIP_CYCLE
    return Kind.PAUSE if part is Part.FROZEN else Kind.NORMAL
