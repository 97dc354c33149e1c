"""The life of one attempt: started, renewed, ended or lost. A late answer under an old number changes nothing."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from opscenter.base import clock, notify, sql
from opscenter.engine import advance, claim, limits
from opscenter.engine.advance import Wave
from opscenter.engine.children import LEASE
from opscenter.engine.locks import lock_instances, lock_with_downstream, repeated
from opscenter.production.models import Attempt, LogChunk, TaskVersion
from opscenter.production.node_types import HTTP
from opscenter.production.rules.states import Kind, State
from opscenter.production.transitions import Chosen, transition

LOST_LIMIT = 3
"""An instance whose attempts were lost this often is not started again by itself: it may be what kills its workers."""

_FINAL = {
    Attempt.State.SUCCESS: State.SUCCESS,
    Attempt.State.FAILURE: State.FAILURE,
    Attempt.State.STOPPED: State.FAILURE,
}


@dataclass
class Running:
    """A started attempt: the pinned version, and what the run needs to know of instance and task.

    Attributes:
        family: type of the run family.
        overrides, shared: JSON of the run family's overrides of parameters, and of the global and workspace parameters.
        parameters, parameter_sources, resources: filled by the run: values as resolved, where they come from (None
            until they are resolved); version numbers by name.
        asked: ``children.clock`` from before the start was asked for; the lease may have begun then, however late the answer.
    """

    id: int
    instance: int
    number: int
    started_at: datetime
    bizdate: date
    scheduled_at: datetime
    node_type: str
    workspace: int
    task_number: int
    workflow_number: int
    time_zone: str
    content: str
    data_source: str
    environment: str
    assignments: str
    workflow_assignments: str
    overrides: str
    family: str
    shared: str | None
    timeout: int
    rerun_mode: str
    rerun_interval: int
    reruns_left: int
    pid: int | None
    host: str
    parameters: dict[str, str] = field(default_factory=dict)
    parameter_sources: dict[str, Any] | None = None
    resources: dict[str, int] = field(default_factory=dict)
    asked: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: ``success``, ``failure`` or ``stopped``, and why.

    Attributes:
        rerun: whether an automatic rerun may follow a failure.
    """

    state: Attempt.State
    exit_code: int | None = None
    reason: Mapping[str, Any] | None = None
    rerun: bool = True


_CONTEXT = """
    SELECT a.id, a.instance_id, a.number, a.started_at, i.bizdate, i.scheduled_at, i.node_type, i.workspace_id,
        t.number, coalesce(workflow.number, 1), tenant.time_zone, v.content,
        coalesce(family.data_sources->>v.data_source, v.data_source), t.environment,
        v.parameters, coalesce(workflow.parameters, ''), family.parameters, family.type,
        (SELECT jsonb_agg(jsonb_build_array(p.workspace_id IS NOT NULL, p.name, p.expression) ORDER BY p.id)
         FROM production_sharedparameter p
         WHERE p.tenant_id = w.tenant_id
         AND (p.workspace_id IS NULL OR (p.workspace_id = w.id AND p.environment = t.environment))),
        v.timeout, v.rerun_mode, v.rerun_interval, i.reruns_left, a.pid, a.host
    FROM a
    JOIN production_taskinstance i ON i.id = a.instance_id
    JOIN production_workflowinstance family ON family.id = i.workflow_instance_id
    JOIN production_task t ON t.id = i.task_id
    JOIN production_taskversion v ON v.id = t.version_id
    JOIN workspaces_workspace w ON w.id = i.workspace_id
    JOIN workspaces_tenant tenant ON tenant.id = w.tenant_id
    LEFT JOIN production_productionworkflow workflow ON workflow.id = t.workflow_id"""


_CALLS = f"""
    SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
    WHERE i.state = {State.WAIT_RESOURCE:d} AND NOT i.needs_worker AND NOT i.frozen AND NOT i.limited
    AND i.node_type = '{HTTP.code}' AND i.kind < {Kind.SKIP:d}
    ORDER BY i.priority DESC, i.scheduled_at, i.id LIMIT %(most)s::int FOR NO KEY UPDATE SKIP LOCKED"""
_CALLS_AMONG_LIMITED = f"""
    WITH t AS MATERIALIZED (
        SELECT t.id, coalesce(t.max_parallel, %(most)s::int) - {limits.RUNNING} AS room
        FROM production_task t WHERE t.id = ANY(%(tasks)s::bigint[])
    ), limited AS (
        SELECT one.* FROM t CROSS JOIN LATERAL (
            SELECT i.id, i.priority, i.scheduled_at FROM production_resourcegroup g CROSS JOIN LATERAL (
                SELECT i.id, i.priority, i.scheduled_at FROM production_taskinstance i
                WHERE {limits.WAITS} AND NOT i.needs_worker AND i.resource_group_id = g.id AND i.task_id = t.id
                ORDER BY i.priority DESC, i.scheduled_at, i.id
                LIMIT greatest(0, least(t.room, %(most)s::int)) FOR NO KEY UPDATE SKIP LOCKED) i
            ORDER BY i.priority DESC, i.scheduled_at, i.id LIMIT greatest(0, t.room)) one
    )
    SELECT id FROM (SELECT * FROM ({_CALLS}) plain UNION ALL SELECT * FROM limited) ready
    ORDER BY priority DESC, scheduled_at, id LIMIT %(most)s::int"""


@repeated
def start(instance: int, number: int, *, worker: int | None = None, pid: int, host: str) -> Running | None:
    """Turn a claim into a run; None when the claim is no longer there to start.

    The attempt belongs to the worker that starts it. Mostly that is the one that claimed it; but a claim given back frees
    its number, and a job that comes late may find a claim that another worker made under the same number.

    The attempt pins the task's latest version: an instance that has not started runs the code that is deployed now.
    """
    if not transition([instance], {State.CLAIMED}, State.RUNNING, attempt=number):
        return None
    found = sql.rows(
        f"""WITH a AS (
                UPDATE production_attempt a SET
                    state = 'running', worker = coalesce(%(worker)s::bigint, a.worker),
                    pid = %(pid)s::int, host = %(host)s, version_id = t.version_id,
                    started_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s::interval
                FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id
                WHERE i.id = a.instance_id AND a.instance_id = %(instance)s::bigint AND a.number = %(number)s::int
                RETURNING a.id, a.instance_id, a.number, a.started_at, a.pid, a.host
            ) {_CONTEXT}""",
        {"instance": instance, "number": number, "worker": worker, "pid": pid, "host": host, "lease": LEASE},
    )
    return Running(*found[0])


def _take(worker: int, groups: Collection[int] | None, pid: int | None, host: str) -> Running | None:
    """Claim one ready instance and start it."""
    chosen = claim.ready(1, groups)
    if chosen is None:
        return None
    taken = transition(chosen, {State.WAIT_RESOURCE}, State.RUNNING, extra=", attempt = i.attempt + 1")
    if not taken:
        return None
    found = sql.rows(
        f"""WITH a AS (
                INSERT INTO production_attempt
                    (instance_id, number, state, version_id, parameters, resources, worker, host, pid,
                     claimed_at, started_at, lease_until)
                SELECT i.id, i.attempt, 'running', t.version_id, '{{}}', '{{}}', %(worker)s::bigint, %(host)s, %(pid)s::int,
                       clock_timestamp(), clock_timestamp(), clock_timestamp() + %(lease)s::interval
                FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id
                WHERE i.id = %(instance)s::bigint
                RETURNING id, instance_id, number, started_at, pid, host
            ) {_CONTEXT}""",
        {"instance": taken[0].id, "worker": worker, "pid": pid, "host": host, "lease": LEASE},
    )
    return Running(*found[0])


def start_calls(most: int) -> list[Running]:
    """Start up to ``most`` ready instances that the courier runs; inside a transaction. Their attempts have no worker and
    no lease: what is due of them is a row of its own (http_calls), made in the same transaction."""
    tasks = limits.to_call(most)
    chosen = Chosen(_CALLS_AMONG_LIMITED, {"most": most, "tasks": tasks}) if tasks else Chosen(_CALLS, {"most": most})
    taken = transition(chosen, {State.WAIT_RESOURCE}, State.RUNNING, extra=", attempt = i.attempt + 1")
    if not taken:
        return []
    found = sql.rows(
        f"""WITH a AS (
                INSERT INTO production_attempt
                    (instance_id, number, state, version_id, parameters, resources, host, claimed_at, started_at)
                SELECT i.id, i.attempt, 'running', t.version_id, '{{}}', '{{}}', '', clock_timestamp(), clock_timestamp()
                FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id
                WHERE i.id = ANY(%(ids)s::bigint[])
                RETURNING id, instance_id, number, started_at, pid, host
            ) {_CONTEXT}""",
        {"ids": [row.id for row in taken]},
    )
    return [Running(*row) for row in found]


def resumed(attempt_id: int) -> Running | None:
    """A started attempt, by whoever goes on with it; None when it has ended."""
    found = sql.rows(
        f"""WITH a AS (
                SELECT id, instance_id, number, started_at, pid, host FROM production_attempt
                WHERE id = %(id)s::bigint AND state = 'running'
            ) {_CONTEXT}""",
        {"id": attempt_id},
    )
    return Running(*found[0]) if found else None


def renew(worker: int) -> None:
    """Renew the leases of a worker's running attempts."""
    sql.rows(
        """UPDATE production_attempt SET lease_until = clock_timestamp() + %(lease)s::interval
           WHERE worker = %(worker)s::bigint AND state = 'running'""",
        {"lease": LEASE, "worker": worker},
    )


@repeated
def end(running: Running, outcome: Outcome, log: list[LogChunk]) -> Wave | None:
    """Record how an attempt ended, with the last of its log, and advance what waits for it.

    Returns:
        None when the attempt had been closed by others meanwhile: the answer came too late and changes nothing.
    """
    return _end(running, outcome, log)


@repeated
def end_and_take(
    running: Running, outcome: Outcome, log: list[LogChunk], *, worker: int, groups: Collection[int] | None
) -> tuple[Wave | None, Running | None]:
    """End an attempt, and start the next ready instance in the same child, in one transaction."""
    return _end(running, outcome, log), _take(worker, groups, running.pid, running.host)


def _end(running: Running, outcome: Outcome, log: list[LogChunk]) -> Wave | None:
    lock_with_downstream([running.instance])
    closed = _close(running, outcome)
    if closed is None:
        return None
    if log:
        LogChunk.objects.bulk_create(log, ignore_conflicts=True)
    stopped = closed is Attempt.State.STOPPED and outcome.state is not Attempt.State.STOPPED
    reason = {"code": "attempt.stopped", "params": {}} if stopped else outcome.reason
    wave = advance.finish_locked(
        [running.instance],
        {State.RUNNING},
        _FINAL[closed],
        attempt=running.number,
        reason=reason,
        due_at=_rerun_at(running) if closed is Attempt.State.FAILURE and outcome.rerun else None,
    )
    if closed is Attempt.State.FAILURE:
        notify.notify(notify.DUE)
    return wave


def _close(running: Running, outcome: Outcome) -> Attempt.State | None:
    """Close the attempt if it is still the running one; a failure after a request to stop is the stop."""
    closed = sql.rows(
        """UPDATE production_attempt SET
               state = CASE WHEN stop_requested_at IS NOT NULL AND %(state)s = 'failure' THEN 'stopped'
                            ELSE %(state)s END,
               exit_code = %(exit_code)s::int, reason = %(reason)s::jsonb, finished_at = clock_timestamp(),
               lease_until = NULL, parameters = %(parameters)s::jsonb,
               parameter_sources = %(sources)s::jsonb, resources = %(resources)s::jsonb
           WHERE id = %(id)s::bigint AND state = 'running' RETURNING state""",
        {
            "id": running.id,
            "state": outcome.state.value,
            "exit_code": outcome.exit_code,
            "reason": json.dumps(dict(outcome.reason)) if outcome.reason else None,
            "parameters": json.dumps(running.parameters),
            "sources": None if running.parameter_sources is None else json.dumps(running.parameter_sources),
            "resources": json.dumps(running.resources),
        },
    )
    return Attempt.State(closed[0][0]) if closed else None


def _rerun_at(running: Running) -> datetime | None:
    """When the next automatic rerun of a failed instance is due; None when there is none left."""
    if running.reruns_left <= 0 or running.rerun_mode == TaskVersion.RerunMode.ALL_DENIED:
        return None
    return clock.now() + timedelta(seconds=running.rerun_interval)


@repeated
def lose(attempt_id: int, *, if_expired: bool = False, handed_over: bool = False) -> bool:
    """Close a running attempt whose worker is gone, and start the instance again where its rerun setting allows.

    It costs no automatic rerun.

    Args:
        if_expired: only if its lease is over: the worker may have renewed it since the caller looked.
        handed_over: its worker was stopped in good order, which says nothing against the instance: not counted as lost.
    """
    instance_id = Attempt.objects.values_list("instance_id", flat=True).get(pk=attempt_id)
    lock_instances([instance_id])
    attempt = Attempt.objects.select_for_update(no_key=True, of=("self",)).select_related("version").get(pk=attempt_id)
    if attempt.state != Attempt.State.RUNNING:
        return False
    if if_expired and attempt.lease_until is not None and attempt.lease_until > clock.now():
        return False
    again = _may_start_again(attempt, handed_over)
    state, code = _gone(attempt, again) if handed_over else (Attempt.State.LOST, "attempt.lost")
    reason = {"code": code, "params": {} if code == "attempt.stopped" else {"host": attempt.host}}
    Attempt.objects.filter(pk=attempt_id).update(state=state, finished_at=clock.now(), lease_until=None, reason=reason)
    after = State.WAIT_RESOURCE if again else State.FAILURE
    changed = transition([instance_id], {State.RUNNING}, after, attempt=attempt.number, reason=reason)
    advance.announce(changed)
    return bool(changed)


def _may_start_again(attempt: Attempt, handed_over: bool) -> bool:
    """Whether an instance whose worker is gone starts again by itself."""
    if attempt.stop_requested_at is not None or attempt.version is None:
        return False
    if attempt.version.rerun_mode == TaskVersion.RerunMode.ALL_DENIED:
        return False
    earlier = Attempt.objects.filter(instance_id=attempt.instance_id, state=Attempt.State.LOST).count()
    return handed_over or earlier + 1 < LOST_LIMIT


def _gone(attempt: Attempt, again: bool) -> tuple[Attempt.State, str]:
    """State and reason of an attempt whose worker was stopped in good order."""
    if again:
        return Attempt.State.HANDED, "attempt.handed_over"
    if attempt.stop_requested_at is not None:
        return Attempt.State.STOPPED, "attempt.stopped"
    return Attempt.State.LOST, "attempt.worker_stopped"
