"""Fills the snapshots that rules.explain looks at, by a fixed number of queries, however many the instances."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count

from opscenter.base import clock, heartbeat, sql
from opscenter.base.models import Process
from opscenter.base.reasons import Reason, say
from opscenter.production import capacity, roots
from opscenter.production.models import (
    Attempt,
    HttpCall,
    InstanceEdge,
    Recurrence,
    Task,
    TaskInstance,
    Transition,
    TriggerCommand,
)
from opscenter.production.node_types import HTTP, HTTP_TRIGGER
from opscenter.production.rules.explain import Explanation, InstanceSnapshot, Occupant, Parallel, explain
from opscenter.production.rules.remedies import Culprit
from opscenter.production.rules.states import LIVE, WAITING, Kind, State

OCCUPANTS_SHOWN = 5
"""Instances that hold a slot, told by name; those that began first."""

AT_ONCE = timedelta(seconds=15)
"""What needs nobody to run it succeeds long before."""

_COMMANDS = (
    TriggerCommand.Status.HELD,
    TriggerCommand.Status.FIRED,
    TriggerCommand.Status.EXPIRED,
    TriggerCommand.Status.SPENT,
)
_OCCUPANTS = f"""
SELECT g.id, o.id, o.name FROM unnest(%(ids)s::bigint[]) AS g(id) CROSS JOIN LATERAL (
    SELECT i.id, t.name FROM production_taskinstance i JOIN production_task t ON t.id = i.task_id
    WHERE i.resource_group_id = g.id AND i.state IN ({State.CLAIMED:d}, {State.RUNNING:d}) AND i.needs_worker
    ORDER BY i.state_at, i.id LIMIT {OCCUPANTS_SHOWN}
) o"""
_MET_SINCE = """
SELECT e.downstream_id, max(i.finished_at) FROM production_instanceedge e
JOIN production_taskinstance i ON i.id = e.upstream_id
WHERE e.downstream_id = ANY(%(ids)s::bigint[]) GROUP BY 1"""


def explain_instance(instance: TaskInstance) -> Explanation:
    """Why the instance is in its state, with everything that is known of it."""
    return explain_instances([instance])[instance.pk]


def explain_instances(instances: Sequence[TaskInstance]) -> dict[int, Explanation]:
    """The same for several; by instance id."""
    return _explain(instances, in_full=True)


def told(explanation: Explanation) -> str:
    """An explanation as text, a line for each condition that is not met; what ended is one line."""
    unmet = [one.reason for one in explanation.conditions if not one.met and one.reason.code != "explain.run_waiting"]
    lines = dict.fromkeys(say(one.code, one.params) for one in (explanation.headline, *unmet))
    return "\n".join(lines) + "\n"


def failures(instances: Sequence[TaskInstance]) -> dict[int, str]:
    """Why those of the instances that failed did, in a sentence each."""
    explained = _explain([one for one in instances if one.state == State.FAILURE], in_full=False)
    return {pk: say(one.headline.code, one.headline.params) for pk, one in explained.items()}


def short_reasons(instances: Sequence[TaskInstance]) -> dict[int, Reason]:
    """The same as one short phrase each, for lists; it leaves out what only the whole explanation says."""
    return {pk: explanation.short for pk, explanation in _explain(instances, in_full=False).items()}


@dataclass
class _Facts:
    """What the snapshots need beside the instances' own rows, by instance or by resource group."""

    now: datetime
    totals: dict[int, int] = field(default_factory=dict)
    blocking: dict[int, list[Culprit]] = field(default_factory=dict)
    roots: dict[int, list[Culprit]] = field(default_factory=dict)
    occupants: dict[int, list[Occupant]] = field(default_factory=dict)
    met_since: dict[int, datetime] = field(default_factory=dict)
    commands: dict[int, TriggerCommand] = field(default_factory=dict)
    usage: dict[int, capacity.Usage] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    calls: dict[int, HttpCall] = field(default_factory=dict)
    frozen_since: dict[int, datetime] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    parallel: dict[int, Parallel] = field(default_factory=dict)
    scheduler: bool = True
    courier: bool = True


def _explain(instances: Sequence[TaskInstance], in_full: bool) -> dict[int, Explanation]:
    if not instances:
        return {}
    facts = _gather(instances, in_full)
    return {instance.pk: explain(_snapshot(instance, facts)) for instance in instances}


def _gather(instances: Sequence[TaskInstance], in_full: bool) -> _Facts:
    facts = _Facts(clock.now())
    waiting = [i.pk for i in instances if i.unmet and _has_not_run(i)]
    facts.blocking = roots.blocking([i.pk for i in instances if i.unmet])
    facts.roots = roots.roots([pk for pk in waiting if any(_waits(one) for one in facts.blocking.get(pk, ()))])
    facts.totals = _totals([i.pk for i in instances if in_full or i.unmet])
    facts.commands = _commands([i.pk for i in instances if _awaits_trigger(i)])
    if in_full:
        ids = [i.pk for i in instances]
        facts.attempts = {a.instance_id: a for a in Attempt.objects.filter(instance__in=ids).order_by("number")}
    facts.usage = capacity.usage({i.resource_group_id for i in instances if _has_not_run(i)})
    facts.parallel = capacity.parallel_runs({i.task_id: limit for i in instances if (limit := _limit(i)) is not None})
    facts.calls = _calls([i.pk for i in instances if i.node_type == HTTP.code and i.state == State.RUNNING])
    if any(_is_overdue(i, facts) for i in instances):
        facts.scheduler = heartbeat.alive(Process.Kind.SCHEDULER).exists()
    if any(_by_courier(i) and i.state in (*WAITING, State.RUNNING) for i in instances):
        facts.courier = heartbeat.alive(Process.Kind.COURIER).exists()
    if in_full:
        facts.occupants = _occupants([pk for pk, one in facts.usage.items() if one.used >= one.slots])
        facts.met_since = {pk: at for pk, at in _rows(_MET_SINCE, ids) if at is not None}
        facts.frozen_since, facts.paused = _frozen_since([i.pk for i in instances if i.frozen])
    return facts


def _rows(statement: str, ids: list[int]) -> list[tuple[Any, ...]]:
    return sql.rows(statement, {"ids": ids}) if ids else []


def _waits(culprit: Culprit) -> bool:
    """It does not succeed because of others in turn."""
    return culprit.state is State.NOT_RUN


def _occupants(groups: list[int]) -> dict[int, list[Occupant]]:
    """Who holds the slots of these groups. Index: instance_live."""
    found: dict[int, list[Occupant]] = {}
    for group, pk, name in _rows(_OCCUPANTS, groups):
        found.setdefault(group, []).append(Occupant(pk, name))
    return found


def _totals(ids: list[int]) -> dict[int, int]:
    if not ids:
        return {}
    counted = InstanceEdge.objects.filter(downstream__in=ids).values("downstream_id").annotate(n=Count("upstream_id"))
    return {row["downstream_id"]: row["n"] for row in counted}


def _commands(ids: list[int]) -> dict[int, TriggerCommand]:
    """The latest command of each instance that counted for anything."""
    if not ids:
        return {}
    found = TriggerCommand.objects.filter(instance__in=ids, status__in=_COMMANDS).order_by("pk")
    return {command.instance_id: command for command in found if command.instance_id is not None}


def _calls(ids: list[int]) -> dict[int, HttpCall]:
    if not ids:
        return {}
    found = HttpCall.objects.filter(attempt__instance__in=ids).select_related("attempt").defer("plan", "last_line")
    return {call.attempt.instance_id: call for call in found}


_LIVE_ATTEMPTS = (Attempt.State.CLAIMED, Attempt.State.RUNNING)
_CALL_WORDS = {HttpCall.Phase.POLL: "polling", HttpCall.Phase.POLLING: "asking"}


_FREEZES = ("instance.frozen", "backfill.paused")


def _frozen_since(ids: list[int]) -> tuple[dict[int, datetime], set[int]]:
    """Since when each is frozen; those that the pause of their backfill froze."""
    if not ids:
        return {}, set()
    found = list(Transition.objects.filter(instance__in=ids, reason__code__in=_FREEZES).order_by("at"))
    last = {one.instance_id: one for one in found}
    paused = {pk for pk, one in last.items() if one.reason and one.reason["code"] == "backfill.paused"}
    return {pk: one.at for pk, one in last.items()}, paused


def _has_not_run(instance: TaskInstance) -> bool:
    """It waits, or it was ended before its first attempt: what it lacks is still to be told."""
    state = State(instance.state)
    return state in WAITING or (state is State.FAILURE and instance.attempt == 0)


def _is_overdue(instance: TaskInstance, facts: _Facts) -> bool:
    """A moment at which the scheduler moves it has come, or it should long have succeeded where it stands."""
    if instance.state in (State.WAIT_TIME, State.FAILURE):
        return instance.due_at is not None and instance.due_at <= facts.now
    if instance.state in LIVE:
        lease = _lease(facts.attempts.get(instance.pk))
        return lease is not None and lease <= facts.now
    command = facts.commands.get(instance.pk)
    is_held = command is not None and command.status == TriggerCommand.Status.HELD
    is_open = instance.state == State.WAIT_RESOURCE or (instance.state == State.WAIT_TRIGGER and is_held)
    return is_open and not (instance.needs_worker or _by_courier(instance)) and facts.now - instance.state_at > AT_ONCE


def _lease(attempt: Attempt | None) -> datetime | None:
    return attempt.lease_until if attempt is not None and attempt.state in _LIVE_ATTEMPTS else None


def _parallel(instance: TaskInstance, facts: _Facts) -> Parallel | None:
    """The other runs of a limited task: it may have been taken itself since its row was read."""
    found = facts.parallel.get(instance.task_id)
    if found is None or _limit(instance) is None:
        return None
    others = tuple((pk, at) for pk, at in found.runs if pk != instance.pk)
    is_own = instance.state not in (State.CLAIMED, State.RUNNING) and len(others) < len(found.runs)
    return replace(found, running=found.running - 1, runs=others) if is_own else found


def _by_courier(instance: TaskInstance) -> bool:
    return instance.node_type == HTTP.code and not Kind(instance.kind).is_dry_run


def _limit(instance: TaskInstance) -> int | None:
    """The maximum of parallel runs that the instance will count against, or counts against."""
    return instance.task.max_parallel if instance.needs_worker or _by_courier(instance) else None


def _awaits_trigger(instance: TaskInstance) -> bool:
    is_open = instance.bypasses_trigger or Kind(instance.kind).is_dry_run
    return instance.node_type == HTTP_TRIGGER.code and not is_open


def _snapshot(instance: TaskInstance, facts: _Facts) -> InstanceSnapshot:
    pk, state = instance.pk, State(instance.state)
    reason = Reason(instance.reason["code"], instance.reason.get("params", {})) if instance.reason else None
    command = facts.commands.get(pk)
    status = command.status if command else None
    attempt = facts.attempts.get(pk)
    usage = facts.usage.get(instance.resource_group_id)
    call = facts.calls.get(pk)
    skipped = state is State.SUCCESS and reason is not None and reason.code == "http.not_executed"
    return InstanceSnapshot(
        id=pk,
        task_id=instance.task_id,
        now=facts.now,
        state=state,
        state_since=instance.state_at,
        created_at=instance.created_at,
        kind=Kind.SKIP if skipped else Kind(instance.kind),
        frozen=instance.frozen,
        is_paused=pk in facts.paused,
        frozen_since=facts.frozen_since.get(pk, instance.created_at if instance.kind == Kind.PAUSE else None),
        task_frozen=instance.task.recurrence == Recurrence.PAUSE,
        task_offline=instance.task.status == Task.Status.OFFLINE,
        upstream_total=facts.totals.get(pk, 0),
        upstream_unmet=instance.unmet,
        upstream_since=facts.met_since.get(pk) if instance.unmet == 0 else None,
        blocking=tuple(facts.blocking.get(pk, ())),
        roots=tuple(facts.roots.get(pk, ())),
        not_before=instance.not_before,
        awaits_trigger=_awaits_trigger(instance),
        command_held_until=command.held_until if command and status == TriggerCommand.Status.HELD else None,
        command_held_since=command.received_at if command and status == TriggerCommand.Status.HELD else None,
        command_expired_at=command.held_until if command and status == TriggerCommand.Status.EXPIRED else None,
        triggered_at=command.settled_at if command and status == TriggerCommand.Status.FIRED else None,
        parallel=_parallel(instance, facts),
        needs_worker=instance.needs_worker,
        group=instance.resource_group.name,
        slots=instance.resource_group.slots,
        used=usage.used if usage else 0,
        workers=usage.workers if usage else 0,
        occupants=tuple(facts.occupants.get(instance.resource_group_id, ())),
        attempt=instance.attempt,
        worker=attempt.host if attempt else "",
        started_at=instance.started_at,
        lease_until=_lease(attempt),
        stop_requested_at=attempt.stop_requested_at if attempt and state in LIVE else None,
        finished_at=instance.finished_at,
        result=reason if state is State.FAILURE else None,
        exit_code=attempt.exit_code if attempt else None,
        next_rerun_at=instance.due_at if state is State.FAILURE else None,
        reruns_left=instance.reruns_left,
        set_success=state is State.SUCCESS and reason is not None and reason.code == "instance.set_success",
        scheduler=facts.scheduler,
        by_courier=_by_courier(instance),
        courier=facts.courier,
        calls=_CALL_WORDS.get(HttpCall.Phase(call.phase), "request") if call else "",
        poll_at=call.due_at if call and call.phase == HttpCall.Phase.POLL else None,
    )
