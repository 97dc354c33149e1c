"""Explain: for every instance, at any time, what it waits for and what would help."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.base.reasons import Reason
from opscenter.production.rules.explain import InstanceSnapshot, Occupant, Parallel, Success, Upstream, explain
from opscenter.production.rules.remedies import NEED_SOMEBODY, WHO, Cause, Remedy, Who, together
from opscenter.production.rules.states import LIVE, WAITING, Kind, State

NOW = datetime(2026, 3, 15, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
ME, TASK = 800, 700

READY = InstanceSnapshot(
    id=ME,
    task_id=TASK,
    now=NOW,
    state=State.WAIT_RESOURCE,
    state_since=NOW - HOUR,
    upstream_total=2,
    upstream_since=NOW - 2 * HOUR,
    not_before=NOW - 3 * HOUR,
    group="etl",
    slots=4,
    used=1,
    workers=1,
)
CALL = replace(READY, needs_worker=False, by_courier=True, used=4, workers=0)
TRIGGER = replace(READY, state=State.WAIT_TRIGGER, needs_worker=False, awaits_trigger=True)
FAILED_UP = Upstream(1, "load", State.FAILURE)
FROZEN_UP = Upstream(2, "check", State.NOT_RUN, frozen=True)
GATE_UP = Upstream(3, "gate", State.WAIT_TRIGGER)
RUNNING_UP = Upstream(4, "sync", State.RUNNING)

LIVE_RUN = {"state": State.RUNNING, "attempt": 1}
HEADLINES = [
    (READY, {}, "explain.run_next"),
    (READY, {"frozen": True}, "explain.frozen"),
    (READY, {"frozen": True, "kind": Kind.PAUSE}, "explain.born_frozen"),
    (READY, {"frozen": True, "upstream_unmet": 1, "workers": 0}, "explain.frozen"),
    (READY, {"state": State.NOT_RUN, "upstream_unmet": 1}, "explain.upstream_unmet"),
    (READY, {"state": State.NOT_RUN, "upstream_unmet": 1, "not_before": NOW + HOUR}, "explain.upstream_unmet"),
    (READY, {"state": State.WAIT_TIME, "not_before": NOW + HOUR}, "explain.time_unmet"),
    (READY, {"state": State.WAIT_TIME, "not_before": NOW}, "explain.run_next"),
    (READY, {"state": State.WAIT_TIME, "not_before": NOW, "scheduler": False}, "explain.time_unreleased"),
    (READY, {"state": State.WAIT_TIME, "not_before": NOW + HOUR, "scheduler": False}, "explain.time_unmet"),
    (READY, {"not_before": NOW, "scheduler": False}, "explain.run_next"),
    (READY, {"not_before": None}, "explain.run_next"),
    (READY, {"used": 4}, "explain.resources_full"),
    (READY, {"workers": 0}, "explain.resources_unserved"),
    (READY, {"workers": 0, "needs_worker": False}, "explain.run_next"),
    (READY, {"parallel": Parallel(2, 1)}, "explain.run_next"),
    (READY, {"parallel": Parallel(2, 2)}, "explain.parallel_full"),
    (READY, {"parallel": Parallel(2, 2), "workers": 0}, "explain.parallel_full"),
    (READY, {"parallel": Parallel(2, 2), "state": State.WAIT_TIME, "not_before": NOW + HOUR}, "explain.time_unmet"),
    (READY, {"parallel": Parallel(2, 2), "state": State.RUNNING, "attempt": 1}, "explain.running"),
    (READY, {"parallel": Parallel(2, 2), "state": State.FAILURE, "attempt": 1}, "explain.failed"),
    (READY, {"state": State.CLAIMED, "attempt": 1}, "explain.claimed"),
    (READY, {"state": State.RUNNING, "attempt": 1}, "explain.running"),
    (READY, {"state": State.CHECKING, "attempt": 1}, "explain.checking"),
    (READY, {"state": State.CHECKING_CONDITION, "attempt": 1}, "explain.checking_condition"),
    (READY, {"state": State.RUNNING, "attempt": 1, "upstream_unmet": 1}, "explain.running"),
    (READY, {"state": State.FAILURE, "attempt": 1}, "explain.failed"),
    (READY, {"state": State.FAILURE, "attempt": 1, "next_rerun_at": NOW + HOUR}, "explain.failed_rerun"),
    (READY, {"state": State.FAILURE, "attempt": 1, "next_rerun_at": NOW, "scheduler": False}, "explain.failed_overdue"),
    (READY, {"state": State.FAILURE, "next_rerun_at": NOW + HOUR, "scheduler": False}, "explain.failed_rerun"),
    (READY, {"state": State.SUCCESS, "attempt": 1}, "explain.succeeded_ran"),
    (READY, {"state": State.SUCCESS, "needs_worker": False}, "explain.succeeded_zero_load"),
    (READY, {"state": State.SUCCESS, "kind": Kind.SKIP}, "explain.succeeded_dry_run"),
    (READY, {"state": State.SUCCESS, "kind": Kind.SKIP_CYCLE}, "explain.succeeded_not_its_day"),
    (READY, {"state": State.SUCCESS, "kind": Kind.SKIP_UNCHOSEN}, "explain.succeeded_not_chosen"),
    (READY, {"state": State.SUCCESS, "kind": Kind.CONDITION_UNCHOSEN}, "explain.succeeded_branch_not_taken"),
    (READY, {"state": State.SUCCESS, "kind": Kind.EXPIRED}, "explain.succeeded_expired"),
    (READY, {"state": State.SUCCESS, "kind": Kind.MISSED}, "explain.succeeded_missed"),
    (READY, {"state": State.SUCCESS, "set_success": True, "attempt": 2}, "explain.succeeded_by_hand"),
    (READY, {"needs_worker": False, "scheduler": False}, "explain.run_unreleased"),
    (READY, {"scheduler": False}, "explain.run_next"),
    (READY, LIVE_RUN | {"lease_until": NOW + HOUR}, "explain.running"),
    (READY, LIVE_RUN | {"lease_until": NOW - HOUR}, "explain.running"),
    (READY, LIVE_RUN | {"lease_until": NOW - HOUR, "scheduler": False}, "explain.running_lost"),
    (READY, LIVE_RUN | {"lease_until": NOW + HOUR, "scheduler": False}, "explain.running"),
    (READY, LIVE_RUN | {"stop_requested_at": NOW}, "explain.stopping"),
    (CALL, LIVE_RUN | {"calls": "polling", "stop_requested_at": NOW}, "explain.stopping"),
    (CALL, {}, "explain.run_next"),
    (CALL, {"scheduler": False}, "explain.run_next"),
    (CALL, {"courier": False}, "explain.resources_uncalled"),
    (CALL, {"courier": False, "state": State.NOT_RUN, "upstream_unmet": 1}, "explain.upstream_unmet"),
    (CALL, {"courier": False, "state": State.RUNNING, "calls": "polling", "attempt": 1}, "explain.http_uncalled"),
    (CALL, {"state": State.RUNNING, "calls": "polling", "attempt": 1}, "explain.http_polling"),
    (CALL, {"courier": False, "state": State.FAILURE, "attempt": 1}, "explain.failed"),
    (CALL, {"courier": False, "state": State.SUCCESS, "attempt": 1}, "explain.succeeded_ran"),
    (TRIGGER, {}, "explain.trigger_none"),
    (TRIGGER, {"command_held_until": NOW + HOUR, "scheduler": False}, "explain.run_unreleased"),
    (TRIGGER, {"state": State.NOT_RUN, "upstream_unmet": 1}, "explain.upstream_unmet"),
    (TRIGGER, {"command_expired_at": NOW - HOUR}, "explain.trigger_expired"),
    (TRIGGER, {"command_held_until": NOW - HOUR}, "explain.trigger_expired"),
    (TRIGGER, {"command_held_until": NOW + HOUR}, "explain.run_next"),
    (TRIGGER, {"command_held_until": NOW + HOUR, "command_expired_at": NOW - HOUR}, "explain.run_next"),
    (TRIGGER, {"command_held_until": NOW + HOUR, "used": 4}, "explain.resources_full"),
    (TRIGGER, {"command_held_until": NOW + HOUR, "workers": 0}, "explain.resources_unserved"),
    (TRIGGER, {"frozen": True}, "explain.frozen"),
    (TRIGGER, {"state": State.SUCCESS, "triggered_at": NOW}, "explain.succeeded_triggered"),
    (TRIGGER, {"state": State.SUCCESS, "set_success": True}, "explain.succeeded_by_hand"),
    (TRIGGER, {"state": State.FAILURE}, "explain.failed"),
]


@pytest.mark.parametrize(("base", "changes", "code"), HEADLINES)
def test_headline(base, changes, code):
    explanation = explain(replace(base, **changes))
    assert explanation.headline.code == code
    assert explanation.short == Reason(f"{code}.short", explanation.headline.params)


def _condition(snapshot, code):
    return next(one for one in explain(snapshot).conditions if one.code == code)


def test_conditions_come_in_order_and_the_trigger_only_where_one_is_waited_for():
    assert [one.code for one in explain(READY).conditions] == ["not_frozen", "upstream", "time", "resources", "run"]
    assert [one.code for one in explain(TRIGGER).conditions] == [
        "not_frozen",
        "upstream",
        "time",
        "trigger",
        "resources",
        "run",
    ]


def test_what_is_met_says_since_when():
    assert _condition(READY, "upstream").since == NOW - 2 * HOUR
    assert _condition(READY, "time").since == NOW - 3 * HOUR


def test_frozen_names_who_to_unfreeze():
    frozen = replace(READY, frozen=True, frozen_since=NOW - HOUR)
    condition = _condition(frozen, "not_frozen")
    assert (condition.met, condition.since) == (False, NOW - HOUR)
    assert condition.remedies == (Remedy("unfreeze", (ME,)),)
    assert _condition(replace(frozen, task_frozen=True), "not_frozen").remedies == (
        Remedy("unfreeze", (ME,)),
        Remedy("unfreeze_task", (TASK,)),
    )
    assert _condition(replace(READY, task_frozen=True), "not_frozen").met


def test_blocking_upstream_is_named_with_what_helps_each():
    blocking = (FAILED_UP, FROZEN_UP, GATE_UP, RUNNING_UP, Upstream(5, "again", State.FAILURE))
    snapshot = replace(READY, state=State.NOT_RUN, upstream_total=9, upstream_unmet=6, blocking=blocking)
    condition = _condition(snapshot, "upstream")
    params = condition.reason.params
    assert (params["total"], params["unmet"], params["succeeded"]) == (9, 6, 3)
    assert params["blocking"][1] == {"id": 2, "name": "check", "state": "not_run", "frozen": True}
    assert condition.since == NOW - HOUR
    assert condition.remedies == (
        Remedy("unfreeze", (2,)),
        Remedy("rerun", (1, 5)),
        Remedy("set_success", (1, 5)),
        Remedy("trigger", (3,)),
    )


def test_upstream_that_only_runs_needs_nobody():
    snapshot = replace(READY, state=State.NOT_RUN, upstream_unmet=1, blocking=(RUNNING_UP,))
    assert _condition(snapshot, "upstream").remedies == (Remedy("wait"),)


def test_what_helps_is_done_at_the_bottom_of_the_chain():
    near = Upstream(9, "near", State.NOT_RUN)
    snapshot = replace(READY, state=State.NOT_RUN, upstream_total=1, upstream_unmet=1, blocking=(near,))
    assert _condition(snapshot, "upstream").remedies == (Remedy("look", (9,)),)
    condition = _condition(replace(snapshot, roots=(FAILED_UP,)), "upstream")
    assert condition.remedies == (Remedy("rerun", (1,)), Remedy("set_success", (1,)))
    assert [one["name"] for one in condition.reason.params["blocking"]] == ["near"]
    assert condition.reason.params["roots"] == [
        {"id": 1, "name": "load", "state": "failure", "frozen": False, "cause": "failed"}
    ]


def test_upstream_that_was_reopened_does_not_hold_what_has_started():
    condition = _condition(replace(READY, state=State.RUNNING, attempt=1, upstream_unmet=1), "upstream")
    assert (condition.met, condition.reason.code) == (True, "explain.upstream_passed")


def test_time_tells_how_long():
    condition = _condition(replace(READY, state=State.WAIT_TIME, not_before=NOW + HOUR), "time")
    assert condition.reason.params == {"at": NOW + HOUR, "seconds": 3600}
    assert condition.since == NOW - HOUR


TRIGGERS = [  # changes, met, code, since, whether Trigger is offered
    ({}, False, "explain.trigger_none", NOW - HOUR, True),
    ({"command_expired_at": NOW - 2 * HOUR}, False, "explain.trigger_expired", NOW - 2 * HOUR, True),
    (
        {"command_held_until": NOW + HOUR, "command_held_since": NOW - 3 * HOUR},
        True,
        "explain.trigger_held",
        NOW - 3 * HOUR,
        False,
    ),
    ({"frozen": True}, False, "explain.trigger_none", NOW - HOUR, False),
    ({"task_frozen": True, "frozen": True}, False, "explain.trigger_none", NOW - HOUR, False),
    ({"state": State.FAILURE}, False, "explain.trigger_none", None, False),
    ({"state": State.NOT_RUN}, False, "explain.trigger_none", None, True),
    ({"state": State.NOT_RUN, "created_at": NOW - 9 * HOUR}, False, "explain.trigger_none", NOW - 9 * HOUR, True),
    ({"state": State.SUCCESS, "triggered_at": NOW}, True, "explain.trigger_fired", NOW, False),
    ({"state": State.SUCCESS, "set_success": True}, True, "explain.trigger_passed", None, False),
]


@pytest.mark.parametrize(("changes", "met", "code", "since", "offered"), TRIGGERS)
def test_trigger(changes, met, code, since, offered):
    condition = _condition(replace(TRIGGER, **changes), "trigger")
    assert (condition.met, condition.reason.code, condition.since) == (met, code, since)
    assert condition.remedies == ((Remedy("trigger", (ME,)),) if offered else ())


def test_a_trigger_whose_task_would_refuse_the_call_says_what_comes_first():
    offline = _condition(replace(TRIGGER, task_offline=True, task_frozen=True), "trigger")
    assert (offline.reason.code, offline.remedies) == ("explain.trigger_offline", (Remedy("publish", (TASK,)),))
    frozen = _condition(replace(TRIGGER, task_frozen=True), "trigger")
    assert (frozen.reason.code, frozen.remedies) == (
        "explain.trigger_task_frozen",
        (Remedy("unfreeze_task", (TASK,)),),
    )


CAUSES = [  # what an upstream is like, why it does not succeed, what helps
    ({"state": State.NOT_RUN, "frozen": True}, Cause.FROZEN, ["unfreeze"]),
    ({"state": State.FAILURE, "frozen": True}, Cause.FROZEN, ["unfreeze"]),
    ({"state": State.FAILURE}, Cause.FAILED, ["rerun", "set_success"]),
    ({"state": State.FAILURE, "stopped": True}, Cause.STOPPED, ["rerun", "set_success"]),
    ({"state": State.FAILURE, "rerun_at": NOW}, Cause.RERUN, ["rerun", "set_success", "wait"]),
    ({"state": State.WAIT_TRIGGER}, Cause.UNTRIGGERED, ["trigger"]),
    ({"state": State.WAIT_RESOURCE, "served": False, "room": False}, Cause.UNSERVED, ["start_worker"]),
    ({"state": State.WAIT_RESOURCE, "room": False}, Cause.FULL, ["add_slots", "wait"]),
    ({"state": State.WAIT_RESOURCE, "room": True}, Cause.STARTING, ["wait"]),
    ({"state": State.WAIT_RESOURCE}, Cause.STARTING, ["wait"]),
    ({"state": State.WAIT_RESOURCE, "at_maximum": True, "served": False}, Cause.PARALLEL, ["wait"]),
    ({"state": State.WAIT_RESOURCE, "called": False}, Cause.UNCALLED, ["start_courier"]),
    ({"state": State.WAIT_TIME}, Cause.TIME, ["wait"]),
    ({"state": State.NOT_RUN}, Cause.WAITING, ["look"]),
    *[({"state": state}, Cause.RUNNING, ["wait"]) for state in sorted(LIVE)],
]


@pytest.mark.parametrize(("like", "cause", "operations"), CAUSES)
def test_why_an_upstream_does_not_succeed_and_what_helps(like, cause, operations):
    culprit = Upstream(5, "load", **like)
    assert culprit.cause is cause
    assert [remedy.operation for remedy in culprit.remedies] == operations


def test_every_cause_is_told_and_those_that_need_somebody_say_whom():
    assert {cause for _like, cause, _operations in CAUSES} == set(Cause)
    for like, cause, _operations in CAUSES:
        by_itself = {remedy.who for remedy in Upstream(5, "load", **like).remedies} == {Who.ITSELF}
        assert not (cause in NEED_SOMEBODY and by_itself)


def test_several_upstreams_that_pass_by_themselves_pass_when_the_last_does():
    times = [Upstream(n, "x", State.WAIT_TIME, not_before=NOW + n * HOUR) for n in (1, 3, 2)]
    assert together(times) == (Remedy("wait", at=NOW + 3 * HOUR),)
    assert together([*times, RUNNING_UP]) == (Remedy("wait"),)  # nobody knows when a run ends


def test_a_full_group_says_who_occupies_it():
    full = replace(READY, used=4, occupants=(Occupant(31, "big"), Occupant(32, "bigger")))
    condition = _condition(full, "resources")
    assert condition.reason.params["occupants"] == [{"id": 31, "name": "big"}, {"id": 32, "name": "bigger"}]
    assert [remedy.who for remedy in condition.remedies] == [Who.TENANT_ADMINS, Who.ITSELF]


PARALLEL = [  # changes, running of 2, met, code, since
    ({}, 1, True, "explain.parallel_free", None),
    ({}, 2, False, "explain.parallel_full", NOW - HOUR),
    ({}, 3, False, "explain.parallel_full", NOW - HOUR),  # the maximum was lowered
    ({"state": State.NOT_RUN, "upstream_unmet": 1}, 2, False, "explain.parallel_full", None),
    ({"state": State.FAILURE}, 2, False, "explain.parallel_full", None),  # it never ran
    ({"state": State.CLAIMED, "attempt": 1}, 2, True, "explain.parallel_passed", None),
    ({"state": State.SUCCESS, "attempt": 1}, 2, True, "explain.parallel_passed", None),
]


@pytest.mark.parametrize(("changes", "running", "met", "code", "since"), PARALLEL)
def test_parallel_runs_are_told_one_by_one(changes, running, met, code, since):
    runs = ((31, NOW - 5 * HOUR), (32, NOW - 4 * HOUR))
    condition = _condition(replace(READY, parallel=Parallel(2, running, runs), **changes), "parallel")
    assert (condition.met, condition.reason.code, condition.since) == (met, code, since)
    if not met:
        assert condition.reason.params["runs"] == [
            {"id": 31, "scheduled_at": NOW - 5 * HOUR},
            {"id": 32, "scheduled_at": NOW - 4 * HOUR},
        ]


def test_resources_name_the_group():
    condition = _condition(replace(READY, used=4), "resources")
    assert condition.reason.params == {"group": "etl", "slots": 4, "used": 4, "workers": 1, "occupants": []}
    assert condition.since == NOW - HOUR


def test_what_was_stopped_before_it_ran_would_still_need_a_worker():
    assert not _condition(replace(READY, state=State.FAILURE, workers=0), "resources").met


RESOURCES = [
    ({"state": State.RUNNING, "attempt": 1, "used": 4, "started_at": NOW}, "explain.resources_taken"),
    ({"state": State.SUCCESS, "attempt": 1, "workers": 0}, "explain.resources_taken"),
    ({"state": State.FAILURE, "attempt": 1, "workers": 0}, "explain.resources_taken"),
    ({"state": State.SUCCESS, "attempt": 0, "set_success": True}, "explain.resources_not_needed"),
    ({}, "explain.resources_free"),
]


@pytest.mark.parametrize(("changes", "code"), RESOURCES)
def test_resources_that_are_met(changes, code):
    condition = _condition(replace(READY, **changes), "resources")
    assert (condition.met, condition.reason.code) == (True, code)


def test_running_says_where_and_since_when_and_can_be_stopped():
    snapshot = replace(READY, state=State.RUNNING, attempt=2, worker="worker-3", started_at=NOW - 2 * HOUR)
    run = _condition(snapshot, "run")
    assert run.reason.params == {"attempt": 2, "worker": "worker-3"}
    assert (run.met, run.since, run.remedies) == (
        False,
        NOW - 2 * HOUR,
        (Remedy("stop", (ME,)), Remedy("wait")),
    )


def test_failed_says_why_and_when_it_is_tried_again():
    snapshot = replace(
        READY,
        state=State.FAILURE,
        attempt=2,
        finished_at=NOW - HOUR,
        result=Reason("attempt.exit_code", {"exit_code": 3}),
        exit_code=3,
        next_rerun_at=NOW + HOUR,
        reruns_left=1,
    )
    run = _condition(snapshot, "run")
    assert run.reason.params == {
        "attempt": 2,
        "result": {"code": "attempt.exit_code", "params": {"exit_code": 3}},
        "exit_code": 3,
        "at": NOW + HOUR,
        "reruns_left": 1,
    }
    assert run.since == NOW - HOUR
    assert run.remedies == (Remedy("rerun", (ME,)), Remedy("set_success", (ME,)), Remedy("wait", at=NOW + HOUR))


MOMENTS = st.sampled_from([None, NOW - HOUR, NOW, NOW + HOUR])
SNAPSHOTS = st.builds(
    InstanceSnapshot,
    id=st.just(ME),
    task_id=st.just(TASK),
    now=st.just(NOW),
    state=st.sampled_from(State),
    state_since=st.just(NOW - HOUR),
    kind=st.sampled_from(Kind),
    frozen=st.booleans(),
    frozen_since=MOMENTS,
    task_frozen=st.booleans(),
    task_offline=st.booleans(),
    created_at=st.just(NOW - 2 * HOUR),
    upstream_total=st.integers(0, 3),
    upstream_unmet=st.integers(0, 3),
    upstream_since=MOMENTS,
    blocking=st.lists(st.sampled_from([FAILED_UP, FROZEN_UP, GATE_UP, RUNNING_UP]), max_size=3).map(tuple),
    roots=st.lists(st.sampled_from([FAILED_UP, FROZEN_UP, GATE_UP, RUNNING_UP]), max_size=3).map(tuple),
    not_before=MOMENTS,
    awaits_trigger=st.booleans(),
    command_held_until=MOMENTS,
    command_expired_at=MOMENTS,
    triggered_at=MOMENTS,
    needs_worker=st.booleans(),
    group=st.just("etl"),
    slots=st.integers(0, 2),
    used=st.integers(0, 2),
    workers=st.integers(0, 1),
    attempt=st.integers(0, 2),
    worker=st.sampled_from(["", "worker-1"]),
    started_at=MOMENTS,
    finished_at=MOMENTS,
    result=st.sampled_from([None, Reason("attempt.stopped")]),
    exit_code=st.sampled_from([None, 0, 1]),
    next_rerun_at=MOMENTS,
    reruns_left=st.integers(0, 2),
    set_success=st.booleans(),
    scheduler=st.booleans(),
    by_courier=st.booleans(),
    courier=st.booleans(),
    lease_until=MOMENTS,
    stop_requested_at=MOMENTS,
)


@given(SNAPSHOTS)
def test_every_instance_has_an_explanation(snapshot):
    explanation = explain(snapshot)
    conditions = explanation.conditions
    assert explanation.headline in [one.reason for one in conditions]
    assert all(one.reason.code.startswith("explain.") for one in conditions)
    on_something = set(WHO) - {"wait", "add_slots", "start_worker", "start_courier", "start_scheduler"}
    assert all(
        bool(remedy.targets) is (remedy.operation in on_something) for one in conditions for remedy in one.remedies
    )
    json.dumps([one.reason.as_json() for one in conditions], default=datetime.isoformat)


@given(SNAPSHOTS)
def test_what_waits_is_explained_by_its_first_unmet_condition(snapshot):
    explanation = explain(snapshot)
    *gates, run = explanation.conditions
    if snapshot.state in WAITING:
        unmet = [one for one in explanation.conditions if not one.met]
        assert explanation.headline == unmet[0].reason
        by_nobody = not (snapshot.needs_worker or snapshot.by_courier or snapshot.scheduler)
        ready = "explain.run_unreleased" if by_nobody else "explain.run_next"
        assert run.reason.code == (ready if all(one.met for one in gates) else "explain.run_waiting")
    else:
        assert explanation.headline == run.reason
        assert run.met is (snapshot.state is State.SUCCESS)
    if snapshot.state in LIVE | {State.SUCCESS}:
        assert all(one.met for one in gates[1:])  # only the freeze can come later


UNMET = [  # a condition, and what of a snapshot makes it unmet
    ("not_frozen", {"frozen": True, "frozen_since": NOW - 2 * HOUR}),
    ("upstream", {"upstream_unmet": 1, "blocking": (FAILED_UP,)}),
    ("time", {"not_before": NOW + HOUR}),
    ("resources", {"workers": 0}),
    ("resources", {"used": 4}),
    ("parallel", {"parallel": Parallel(1, 1, ((31, NOW - HOUR),))}),
]


def _every_snapshot():
    """Every state x kind x trigger or not x set of conditions that are not met."""
    for state, kind, base in product(State, Kind, (READY, TRIGGER)):
        waits_for_a_call = base is TRIGGER and not kind.is_dry_run
        for chosen in product((False, True), repeat=len(UNMET)):
            unmet = [one for one, is_chosen in zip(UNMET, chosen, strict=True) if is_chosen]
            changes = {name: value for _code, values in unmet for name, value in values.items()}
            snapshot = replace(base, state=state, kind=kind, awaits_trigger=waits_for_a_call, created_at=NOW - 9 * HOUR)
            needs_resources = waits_for_a_call or base is READY
            codes = {code for code, _values in unmet if code != "resources" or needs_resources}
            yield replace(snapshot, **changes), codes | ({"trigger"} if waits_for_a_call else set())


def test_of_what_waits_exactly_the_unmet_conditions_are_told_each_with_since_when_and_who_can_help():
    seen = 0
    for snapshot, unmet in _every_snapshot():
        told = {one.code: one for one in explain(snapshot).conditions if not one.met and one.code != "run"}
        if snapshot.state in WAITING:
            assert set(told) == unmet, snapshot
            blocked_call = {"trigger"} if snapshot.frozen else set()
            assert {code for code, one in told.items() if not one.remedies} <= blocked_call, snapshot
            assert {code for code, one in told.items() if one.since is None} <= {"resources", "parallel"}, snapshot
        elif snapshot.state is not State.FAILURE:
            assert set(told) <= {"not_frozen"}, snapshot
        seen += 1
    assert seen == len(State) * len(Kind) * 2 * 2 ** len(UNMET)


def test_what_is_not_final_always_has_a_remedy_and_somebody_who_can():
    for snapshot, _unmet in _every_snapshot():
        remedies = [remedy for one in explain(snapshot).conditions if not one.met for remedy in one.remedies]
        if snapshot.state is not State.SUCCESS:
            assert remedies, snapshot
        assert all(remedy.who in Who for remedy in remedies)


@given(SNAPSHOTS)
def test_nothing_that_is_not_final_is_left_without_help(snapshot):
    remedies = [remedy for one in explain(snapshot).conditions if not one.met for remedy in one.remedies]
    assert remedies or snapshot.state is State.SUCCESS


def test_every_way_to_succeed_is_told_apart():
    told = {code.removeprefix("explain.succeeded_") for *_, code in HEADLINES if "succeeded" in code}
    assert told == set(Success)
