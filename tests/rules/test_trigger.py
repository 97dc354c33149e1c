"""What becomes of a trigger call: the six conditions of seed 001 and the decisions of DESIGN.md 6."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.production.rules.trigger import HOLD, Outcome, TriggerSnapshot, decide

NOW = datetime(2026, 3, 15, 8, tzinfo=UTC)
READY = TriggerSnapshot(
    is_trigger_node=True,
    task_online=True,
    task_frozen=False,
    instance_exists=True,
    instance_frozen=False,
    bypassed=False,
    state=State.WAIT_TRIGGER,
    unmet=0,
    scheduled_at=NOW,
    now=NOW,
    resource_ok=True,
)

DECISIONS = [
    ({}, Outcome.FIRED, "trigger.fired"),
    ({"is_trigger_node": False}, Outcome.REFUSED, "trigger.not_a_trigger_node"),
    ({"instance_exists": False, "state": None}, Outcome.REFUSED, "trigger.instance_missing"),
    ({"is_trigger_node": False, "instance_exists": False}, Outcome.REFUSED, "trigger.not_a_trigger_node"),
    ({"bypassed": True}, Outcome.REFUSED, "trigger.bypassed"),
    ({"bypassed": True, "state": State.SUCCESS}, Outcome.REFUSED, "trigger.bypassed"),
    ({"task_online": False}, Outcome.REFUSED, "trigger.task_offline"),
    ({"task_frozen": True}, Outcome.REFUSED, "trigger.task_frozen"),
    ({"instance_frozen": True}, Outcome.REFUSED, "trigger.instance_frozen"),
    ({"instance_frozen": True, "command_held_until": NOW + HOLD}, Outcome.REFUSED, "trigger.instance_frozen"),
    ({"state": State.FAILURE}, Outcome.REFUSED, "trigger.stopped"),
    ({"state": State.SUCCESS}, Outcome.NO_EFFECT, "trigger.already_triggered"),
    ({"state": State.SUCCESS, "task_frozen": True}, Outcome.NO_EFFECT, "trigger.already_triggered"),
    ({"state": State.SUCCESS, "task_online": False}, Outcome.NO_EFFECT, "trigger.already_triggered"),
    ({"state": State.RUNNING}, Outcome.NO_EFFECT, "trigger.already_triggered"),
    ({"unmet": 2, "state": State.NOT_RUN}, Outcome.HELD, "trigger.held"),
    ({"scheduled_at": NOW + timedelta(seconds=1), "state": State.WAIT_TIME}, Outcome.HELD, "trigger.held"),
    ({"resource_ok": False}, Outcome.HELD, "trigger.held"),
    ({"unmet": 1, "command_held_until": NOW + timedelta(1)}, Outcome.NO_EFFECT, "trigger.already_held"),
    ({"unmet": 1, "command_held_until": NOW}, Outcome.HELD, "trigger.held"),  # the held one is over
    ({"command_held_until": NOW - timedelta(1)}, Outcome.FIRED, "trigger.fired"),
]


@pytest.mark.parametrize(("changes", "outcome", "code"), DECISIONS)
def test_decision(changes, outcome, code):
    decision = decide(replace(READY, **changes))
    assert (decision.outcome, decision.reason.code) == (outcome, code)


CONDITIONS = [
    ({"instance_exists": False, "state": None}, ["instance_exists", "pending", "upstream", "time", "resources"]),
    ({"state": State.SUCCESS}, ["pending"]),
    ({"unmet": 3}, ["upstream"]),
    ({"scheduled_at": NOW + timedelta(hours=1)}, ["time"]),
    ({"resource_ok": False}, ["resources"]),
    ({"instance_frozen": True}, ["not_frozen"]),
    ({"task_frozen": True}, ["not_frozen"]),
    ({}, []),
]


@pytest.mark.parametrize(("changes", "unmet"), CONDITIONS)
def test_conditions_are_named_in_the_seeds_order(changes, unmet):
    conditions = decide(replace(READY, **changes)).conditions
    assert [one.code for one in conditions] == [
        "instance_exists",
        "pending",
        "upstream",
        "time",
        "resources",
        "not_frozen",
    ]
    assert [one.code for one in conditions if not one.met] == unmet


def test_a_held_command_names_what_it_waits_for_and_until_when():
    due = NOW + timedelta(hours=1)
    decision = decide(replace(READY, state=State.NOT_RUN, unmet=2, scheduled_at=due, resource_ok=False))
    assert decision.reason.params == {
        "until": NOW + timedelta(hours=24),
        "unmet": ["upstream", "time", "resources"],
        "upstream": 2,
        "due_at": due,
    }


def test_a_second_call_names_the_end_of_the_first():
    until = NOW + timedelta(hours=3)
    assert decide(replace(READY, unmet=1, command_held_until=until)).reason.params == {"until": until}


SNAPSHOTS = st.builds(
    TriggerSnapshot,
    is_trigger_node=st.booleans(),
    task_online=st.booleans(),
    task_frozen=st.booleans(),
    instance_exists=st.just(True),
    instance_frozen=st.booleans(),
    bypassed=st.booleans(),
    state=st.sampled_from(State),
    unmet=st.integers(0, 3),
    scheduled_at=st.sampled_from([NOW - timedelta(1), NOW, NOW + timedelta(1)]),
    now=st.just(NOW),
    resource_ok=st.booleans(),
    command_held_until=st.sampled_from([None, NOW - timedelta(1), NOW + timedelta(1)]),
)


@given(SNAPSHOTS)
def test_it_fires_only_when_all_six_conditions_hold(snapshot):
    decision = decide(snapshot)
    if decision.outcome is Outcome.FIRED:
        assert all(one.met for one in decision.conditions)
        assert snapshot.is_trigger_node and snapshot.task_online and not snapshot.bypassed
    if decision.outcome is Outcome.HELD:
        assert snapshot.state in WAITING
        assert decision.reason.params["unmet"]


@given(SNAPSHOTS)
def test_what_is_over_is_never_opened_or_held(snapshot):
    if snapshot.state in LIVE | {State.SUCCESS, State.FAILURE}:
        assert decide(snapshot).outcome in (Outcome.REFUSED, Outcome.NO_EFFECT)
