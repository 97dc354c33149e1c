"""Why an instance is in its state, and what would change that: the same questions for every instance at any time.

Conditions come in the order in which an instance passes them: ``not_frozen``, ``upstream``, ``time``, ``trigger``
(only where a command is waited for), ``parallel`` (only where the task limits its parallel runs), ``resources``, ``run``.
Reasons are codes with parameters; a headline's code with ``.short`` behind it is its short form for lists, with the same
parameters.

* not frozen: ``explain.not_frozen``; ``explain.frozen``, ``explain.born_frozen``, ``explain.paused``
* upstream: ``explain.upstream_met`` (total), ``explain.upstream_passed`` (as below; it did not wait for them);
  ``explain.upstream_unmet`` (total, unmet, succeeded, blocking: id, name, state, frozen; roots: the same and cause,
  what those in turn wait for, at the bottom of the chain)
* time: ``explain.time_met`` (at), ``explain.time_none``, ``explain.time_passed`` (at; it did not wait);
  ``explain.time_unmet`` (at, seconds); ``explain.time_unreleased`` (at; no scheduler is there to let it pass)
* trigger: ``explain.trigger_fired``, ``explain.trigger_held`` (until), ``explain.trigger_passed`` (ended by hand);
  ``explain.trigger_none``, ``explain.trigger_expired`` (at); ``explain.trigger_offline``,
  ``explain.trigger_task_frozen`` (a call would be refused)
* parallel: ``explain.parallel_free``, ``explain.parallel_full`` (limit, running, runs: id, scheduled_at);
  ``explain.parallel_passed`` (limit; it runs or has run)
* resources: ``explain.resources_not_needed``, ``explain.resources_taken``, ``explain.resources_free``;
  ``explain.resources_unserved``, ``explain.resources_full`` (each but the first: group, slots, used, workers,
  occupants: id, name); ``explain.resources_uncalled`` (a courier runs it, and none is alive)
* run: ``explain.run_waiting``, ``explain.run_next``, ``explain.run_unreleased`` (it needs nobody but a scheduler, and none
  is there), ``explain.claimed``, ``explain.running``, ``explain.checking``,
  ``explain.checking_condition`` (the last four: attempt, worker); ``explain.running_lost`` (attempt; its worker is gone,
  and no scheduler is there to notice); ``explain.stopping`` (attempt); ``explain.http_request``, ``explain.http_asking``,
  ``explain.http_polling`` (attempt, at), ``explain.http_uncalled`` (attempt; no courier is alive);
  ``explain.failed``, ``explain.failed_rerun``,
  ``explain.failed_overdue`` (its rerun is due, and no scheduler is there)
  (attempt, result, exit_code, at, reruns_left); ``explain.succeeded_`` + how (attempt): see ``Success``
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from opscenter.base.reasons import Reason
from opscenter.production.rules.remedies import Culprit, Remedy, together
from opscenter.production.rules.states import LIVE, WAITING, Kind, State

__all__ = ["Condition", "Explanation", "InstanceSnapshot", "Occupant", "Remedy", "Success", "Upstream", "explain"]


class Success(StrEnum):
    """How an instance came to succeed."""

    RAN = "ran"
    ZERO_LOAD = "zero_load"
    TRIGGERED = "triggered"
    BY_HAND = "by_hand"
    DRY_RUN = "dry_run"
    NOT_ITS_DAY = "not_its_day"
    NOT_CHOSEN = "not_chosen"
    BRANCH_NOT_TAKEN = "branch_not_taken"
    EXPIRED = "expired"
    MISSED = "missed"


_DRY_RUNS = {
    Kind.SKIP: Success.DRY_RUN,
    Kind.SKIP_UNCHOSEN: Success.NOT_CHOSEN,
    Kind.SKIP_CYCLE: Success.NOT_ITS_DAY,
    Kind.CONDITION_UNCHOSEN: Success.BRANCH_NOT_TAKEN,
    Kind.EXPIRED: Success.EXPIRED,
    Kind.MISSED: Success.MISSED,
}


Upstream = Culprit
"""An upstream instance that has not succeeded."""


@dataclass(frozen=True)
class Occupant:
    """An instance that holds a slot of the resource group."""

    id: int
    name: str


@dataclass(frozen=True)
class Parallel:
    """A task's maximum of parallel runs, how many it has, and the first few of them: id and scheduled time."""

    limit: int
    running: int = 0
    runs: tuple[tuple[int, datetime], ...] = ()


@dataclass(frozen=True)
class InstanceSnapshot:
    """All that an explanation looks at, as it is at ``now``.

    Attributes:
        task_id: target of operations on the task.
        state_since: since when it is in its state.
        frozen, frozen_since: of the instance; since when, if that is known.
        is_paused: the pause of its backfill froze it.
        created_at: when it was generated.
        task_frozen: instances that are generated from now on are born frozen.
        task_offline: the task was taken out of production.
        upstream_total, upstream_unmet: how many it waits for at all, and how many of these have not succeeded.
        upstream_since: when the last of them succeeded, if all did and that is known.
        blocking: the first few that have not succeeded.
        roots: what these in turn wait for, at the bottom of the chain; empty where nobody looked, or it was not found
            within the bounds.
        not_before: when it may start at the earliest; None for a run that was asked for at once.
        awaits_trigger: it is of an HTTP trigger node and neither a backfill that bypasses the trigger nor a dry run.
        command_held_until, command_held_since: end of the command that is held for it, and when it came.
        command_expired_at: when the latest command expired, if no other came since.
        triggered_at: when a command opened it.
        parallel: where its task limits how many of its instances run at the same time, and it will be one of them.
        needs_worker: it must be executed; others succeed where they stand.
        group, slots, used, workers: its resource group, how large that is, how many slots are taken, how many live
            workers serve it.
        occupants: some of the instances that hold its slots.
        attempt, worker, started_at, finished_at: of the latest attempt; 0 if there was none; the worker's name.
        lease_until, stop_requested_at: of a live attempt: until when its worker is known to be alive; when somebody asked
            to stop it.
        result: why the latest attempt ended or the instance is in its state, where that was recorded.
        exit_code: of the latest attempt's process.
        next_rerun_at, reruns_left: automatic reruns; when the next is due and how many are left.
        set_success: a person set it to succeeded.
        scheduler: a scheduler is alive; without one nothing that waits for a moment goes on.
        by_courier: a courier runs it, not a worker.
        courier: one is alive.
        calls: of a running HTTP node: ``request``, ``asking`` or ``polling``.
        poll_at: when it polls next.
    """

    id: int
    task_id: int
    now: datetime
    state: State
    state_since: datetime
    created_at: datetime | None = None
    kind: Kind = Kind.NORMAL
    frozen: bool = False
    frozen_since: datetime | None = None
    is_paused: bool = False
    task_frozen: bool = False
    task_offline: bool = False
    upstream_total: int = 0
    upstream_unmet: int = 0
    upstream_since: datetime | None = None
    blocking: tuple[Upstream, ...] = ()
    roots: tuple[Upstream, ...] = ()
    not_before: datetime | None = None
    awaits_trigger: bool = False
    command_held_until: datetime | None = None
    command_held_since: datetime | None = None
    command_expired_at: datetime | None = None
    triggered_at: datetime | None = None
    parallel: Parallel | None = None
    needs_worker: bool = True
    group: str = ""
    slots: int = 0
    used: int = 0
    workers: int = 0
    occupants: tuple[Occupant, ...] = ()
    attempt: int = 0
    worker: str = ""
    started_at: datetime | None = None
    lease_until: datetime | None = None
    stop_requested_at: datetime | None = None
    finished_at: datetime | None = None
    result: Reason | None = None
    exit_code: int | None = None
    next_rerun_at: datetime | None = None
    reruns_left: int = 0
    set_success: bool = False
    scheduler: bool = True
    by_courier: bool = False
    courier: bool = True
    calls: str = ""
    poll_at: datetime | None = None

    @property
    def has_passed(self) -> bool:
        """It is beyond what instances wait for before they start."""
        return self.state in LIVE or self.state is State.SUCCESS


@dataclass(frozen=True)
class Condition:
    """One condition, whether it is met, why, since when if that is known, and what people can do about it."""

    code: str
    met: bool
    reason: Reason
    since: datetime | None = None
    remedies: tuple[Remedy, ...] = field(default=())


@dataclass(frozen=True)
class Explanation:
    """What to say first, and every condition in order."""

    headline: Reason
    conditions: tuple[Condition, ...]

    @property
    def short(self) -> Reason:
        """The headline as a short phrase."""
        return Reason(f"{self.headline.code}.short", self.headline.params)


def explain(snapshot: InstanceSnapshot) -> Explanation:
    """Every condition of an instance; the headline is the first unmet one while it waits, else how it runs or ended."""
    gates = [_not_frozen(snapshot), _upstream(snapshot), _time(snapshot)]
    if snapshot.awaits_trigger:
        gates.append(_trigger(snapshot))
    if snapshot.parallel is not None:
        gates.append(_parallel(snapshot, snapshot.parallel))
    gates.append(_resources(snapshot))
    run = _run(snapshot, ready=all(gate.met for gate in gates))
    deciding = run
    if snapshot.state in WAITING:
        deciding = next((gate for gate in gates if not gate.met), run)
    return Explanation(deciding.reason, (*gates, run))


def _not_frozen(snapshot: InstanceSnapshot) -> Condition:
    if not snapshot.frozen:
        return Condition("not_frozen", True, Reason("explain.not_frozen"))
    code = "explain.born_frozen" if snapshot.kind is Kind.PAUSE else "explain.frozen"
    if snapshot.is_paused:
        code = "explain.paused"
    remedies = [Remedy("unfreeze", (snapshot.id,))]
    if snapshot.task_frozen:
        remedies.append(Remedy("unfreeze_task", (snapshot.task_id,)))
    return Condition("not_frozen", False, Reason(code), snapshot.frozen_since, tuple(remedies))


def _upstream(snapshot: InstanceSnapshot) -> Condition:
    total, unmet = snapshot.upstream_total, snapshot.upstream_unmet
    if unmet == 0:
        return Condition("upstream", True, Reason("explain.upstream_met", {"total": total}), snapshot.upstream_since)
    params = {
        "total": total,
        "unmet": unmet,
        "succeeded": max(total - unmet, 0),
        "blocking": [_told(one) for one in snapshot.blocking],
        "roots": [{**_told(one), "cause": one.cause.value} for one in snapshot.roots],
    }
    if snapshot.has_passed:
        return Condition("upstream", True, Reason("explain.upstream_passed", params))
    reason = Reason("explain.upstream_unmet", params)
    remedies = together(snapshot.roots or snapshot.blocking) or (Remedy("look", (snapshot.id,)),)
    return Condition("upstream", False, reason, _unmet_since(snapshot, State.NOT_RUN), remedies)


def _told(upstream: Upstream) -> dict[str, Any]:
    told = {"id": upstream.id, "name": upstream.name, "state": upstream.state.code, "frozen": upstream.frozen}
    return told | {"turn": upstream.turn} if upstream.turn else told


def _time(snapshot: InstanceSnapshot) -> Condition:
    at = snapshot.not_before
    if at is None:
        return Condition("time", True, Reason("explain.time_none"))
    if snapshot.now >= at and snapshot.state is State.WAIT_TIME and not snapshot.scheduler:
        return Condition("time", False, Reason("explain.time_unreleased", {"at": at}), at, (Remedy("start_scheduler"),))
    if snapshot.now >= at:
        return Condition("time", True, Reason("explain.time_met", {"at": at}), at)
    if snapshot.has_passed:
        return Condition("time", True, Reason("explain.time_passed", {"at": at}))
    seconds = int((at - snapshot.now).total_seconds())
    since = _unmet_since(snapshot, State.WAIT_TIME)
    return Condition(
        "time", False, Reason("explain.time_unmet", {"at": at, "seconds": seconds}), since, (Remedy("wait", at=at),)
    )


def _trigger(snapshot: InstanceSnapshot) -> Condition:
    held_until = snapshot.command_held_until
    if snapshot.has_passed:
        code = "explain.trigger_passed" if snapshot.set_success else "explain.trigger_fired"
        return Condition("trigger", True, Reason(code), snapshot.triggered_at)
    if held_until is not None and held_until > snapshot.now:
        held = Reason("explain.trigger_held", {"until": held_until})
        return Condition("trigger", True, held, snapshot.command_held_since)
    expired_at = snapshot.command_expired_at or held_until
    reason = Reason("explain.trigger_none")
    since = _unmet_since(snapshot, State.WAIT_TRIGGER)
    if expired_at is not None:
        reason, since = Reason("explain.trigger_expired", {"at": expired_at}), expired_at
    if snapshot.state not in WAITING or snapshot.frozen:
        return Condition("trigger", False, reason, since)  # a call is refused until that is put right
    if snapshot.task_offline:
        offline = Reason("explain.trigger_offline")
        return Condition("trigger", False, offline, since, (Remedy("publish", (snapshot.task_id,)),))
    if snapshot.task_frozen:
        frozen = Reason("explain.trigger_task_frozen")
        return Condition("trigger", False, frozen, since, (Remedy("unfreeze_task", (snapshot.task_id,)),))
    return Condition("trigger", False, reason, since, (Remedy("trigger", (snapshot.id,)),))


def _parallel(snapshot: InstanceSnapshot, parallel: Parallel) -> Condition:
    if snapshot.has_passed or (snapshot.state is State.FAILURE and snapshot.attempt > 0):
        return Condition("parallel", True, Reason("explain.parallel_passed", {"limit": parallel.limit}))
    params = {
        "limit": parallel.limit,
        "running": parallel.running,
        "runs": [{"id": pk, "scheduled_at": at} for pk, at in parallel.runs],
    }
    if parallel.running < parallel.limit:
        return Condition("parallel", True, Reason("explain.parallel_free", params))
    since = snapshot.state_since if snapshot.state is State.WAIT_RESOURCE else None
    return Condition("parallel", False, Reason("explain.parallel_full", params), since, (Remedy("wait"),))


def _resources(snapshot: InstanceSnapshot) -> Condition:
    if snapshot.by_courier and not snapshot.courier and snapshot.state in WAITING:
        uncalled = Reason("explain.resources_uncalled")
        since = snapshot.state_since if snapshot.state is State.WAIT_RESOURCE else None
        return Condition("resources", False, uncalled, since, (Remedy("start_courier"),))
    never_ran = snapshot.state is State.SUCCESS and snapshot.attempt == 0
    if never_ran or not (snapshot.needs_worker or snapshot.awaits_trigger):
        return Condition("resources", True, Reason("explain.resources_not_needed"))
    params = {
        "group": snapshot.group,
        "slots": snapshot.slots,
        "used": snapshot.used,
        "workers": snapshot.workers,
        "occupants": [{"id": one.id, "name": one.name} for one in snapshot.occupants],
    }
    since = snapshot.state_since if snapshot.state is State.WAIT_RESOURCE else None
    has_run = snapshot.state is State.FAILURE and snapshot.attempt > 0
    if snapshot.has_passed or has_run:
        return Condition("resources", True, Reason("explain.resources_taken", params), snapshot.started_at)
    if snapshot.workers == 0:
        reason = Reason("explain.resources_unserved", params)
        return Condition("resources", False, reason, since, (Remedy("start_worker"),))
    if snapshot.used >= snapshot.slots:
        reason = Reason("explain.resources_full", params)
        by_itself = (Remedy("wait"),) if snapshot.slots > 0 else ()
        return Condition("resources", False, reason, since, (Remedy("add_slots"), *by_itself))
    return Condition("resources", True, Reason("explain.resources_free", params))


def _run(snapshot: InstanceSnapshot, ready: bool) -> Condition:
    state = snapshot.state
    if state is State.SUCCESS:
        params = {"attempt": snapshot.attempt}
        reason = Reason(f"explain.succeeded_{_how(snapshot)}", params)
        return Condition("run", True, reason, snapshot.finished_at or snapshot.state_since)
    if state is State.FAILURE:
        return _failed(snapshot)
    if state in LIVE:
        return _live(snapshot)
    if ready and not (snapshot.needs_worker or snapshot.by_courier or snapshot.scheduler):
        unreleased = Reason("explain.run_unreleased")
        return Condition("run", False, unreleased, snapshot.state_since, (Remedy("start_scheduler"),))
    if ready:
        return Condition("run", False, Reason("explain.run_next"), snapshot.state_since, (Remedy("wait"),))
    return Condition("run", False, Reason("explain.run_waiting"))


def _live(snapshot: InstanceSnapshot) -> Condition:
    state, told = snapshot.state, {"attempt": snapshot.attempt}
    since = snapshot.state_since if state is State.CLAIMED else snapshot.started_at or snapshot.state_since
    stop = Remedy("stop", (snapshot.id,))
    if snapshot.calls and not snapshot.courier:
        return Condition("run", False, Reason("explain.http_uncalled", told), since, (Remedy("start_courier"), stop))
    if snapshot.lease_until is not None and snapshot.lease_until <= snapshot.now and not snapshot.scheduler:
        lost = Reason("explain.running_lost", told)
        return Condition("run", False, lost, snapshot.lease_until, (Remedy("start_scheduler"),))
    if snapshot.stop_requested_at is not None:
        return Condition("run", False, Reason("explain.stopping", told), snapshot.stop_requested_at, (Remedy("wait"),))
    reason = Reason(f"explain.{state.name.lower()}", told | {"worker": snapshot.worker})
    if snapshot.calls:
        reason = Reason(f"explain.http_{snapshot.calls}", told | {"at": snapshot.poll_at})
    return Condition("run", False, reason, since, (stop, Remedy("wait")))


def _how(snapshot: InstanceSnapshot) -> Success:
    if snapshot.set_success:
        return Success.BY_HAND
    if snapshot.kind in _DRY_RUNS:
        return _DRY_RUNS[snapshot.kind]
    if snapshot.awaits_trigger:
        return Success.TRIGGERED
    return Success.RAN if snapshot.needs_worker or snapshot.attempt else Success.ZERO_LOAD


def _failed(snapshot: InstanceSnapshot) -> Condition:
    params: Mapping[str, Any] = {
        "attempt": snapshot.attempt,
        "result": snapshot.result.as_json() if snapshot.result else None,
        "exit_code": snapshot.exit_code,
        "at": snapshot.next_rerun_at,
        "reruns_left": snapshot.reruns_left,
    }
    code = "explain.failed"
    remedies: tuple[Remedy, ...] = (Remedy("rerun", (snapshot.id,)), Remedy("set_success", (snapshot.id,)))
    if snapshot.next_rerun_at is not None:
        overdue = snapshot.next_rerun_at <= snapshot.now and not snapshot.scheduler
        code = "explain.failed_overdue" if overdue else "explain.failed_rerun"
        remedies += (Remedy("start_scheduler"),) if overdue else (Remedy("wait", at=snapshot.next_rerun_at),)
    return Condition("run", False, Reason(code, params), snapshot.finished_at or snapshot.state_since, remedies)


def _unmet_since(snapshot: InstanceSnapshot, state: State) -> datetime | None:
    """Since when it waits for a condition: that of the state itself, or, before its turn, of all its life."""
    return snapshot.state_since if snapshot.state is state else snapshot.created_at
