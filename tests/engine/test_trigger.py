"""The trigger's walk through the engine: fired, held, expired, once; and a race that must strand nothing."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.engine import advance, due
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.trigger import trigger
from opscenter.production.models import Task, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry, Member, User
from tests.engine.graphs import PAST, Scene

pytestmark = pytest.mark.django_db(transaction=True)
Status = TriggerCommand.Status


@pytest.fixture
def scene():
    made = Scene()
    Member.objects.create(workspace=made.workspace, user=made.user, roles=["role_project_owner"])
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    Process.objects.filter(pk=worker.pk).update(seen_at=clock.now() + timedelta(hours=1))  # nobody beats for it here
    return made


def caller(scene: Scene, user: User | None = None) -> Actor:
    return Actor(user or scene.user, AuditEntry.Face.API, access_key_id="LTAI", api="TriggerSchedulerTaskInstance")


def call(scene: Scene, instance: TaskInstance, user: User | None = None, **values: Any) -> TriggerCommand:
    named: dict[str, Any] = {"task_number": instance.task.number, "scheduled_at": instance.scheduled_at} | values
    return trigger(caller(scene, user), **named)


def gate(scene: Scene, **fields) -> tuple[TaskInstance, TaskInstance]:
    """A trigger instance and the shell instance behind it."""
    (first,) = scene.instances(scene.task("http_trigger"), 1, **fields)
    (then,) = scene.instances(scene.task("shell"), 1)
    scene.connect([(first, then)])
    return first, then


def state(instance: TaskInstance) -> State:
    instance.refresh_from_db()
    return State(instance.state)


def test_a_call_fires_and_releases_what_waits(scene):
    first, then = gate(scene)
    command = call(scene, first)
    assert command.status == Status.FIRED and command.settled_at is not None
    assert (state(first), state(then)) == (State.SUCCESS, State.WAIT_RESOURCE)
    assert AuditEntry.objects.get(action="instance.trigger").params["instance"] == first.pk


def test_a_repeated_call_has_no_effect_and_a_receipt_of_its_own(scene):
    first, _ = gate(scene)
    call(scene, first)
    again = call(scene, first)
    assert (again.status, again.reason["code"]) == (Status.NO_EFFECT, "trigger.already_triggered")
    assert first.trigger_commands.count() == 2


def test_a_call_before_the_upstream_is_held_and_fires_when_it_succeeds(scene):
    (before,) = scene.instances(scene.task(), 1)
    first, then = gate(scene)
    scene.connect([(before, first)])
    command = call(scene, first)
    assert command.status == Status.HELD
    assert command.held_until - command.received_at == timedelta(hours=24)
    assert call(scene, first).reason["code"] == "trigger.already_held"
    assert advance.drain() == 2
    command.refresh_from_db()
    assert command.status == Status.FIRED
    assert (state(first), state(then)) == (State.SUCCESS, State.WAIT_RESOURCE)


def test_a_call_before_the_time_is_held_and_fires_at_its_time(scene):
    soon = clock.now() + timedelta(seconds=1)
    first, then = gate(scene, state=State.WAIT_TIME, not_before=soon, due_at=soon)
    assert call(scene, first).status == Status.HELD
    due.run_due_instances()
    assert state(first) is State.WAIT_TIME
    TaskInstance.objects.filter(pk=first.pk).update(not_before=PAST, due_at=PAST)
    due.run_due_instances()
    due.run_inline()
    assert (state(first), state(then)) == (State.SUCCESS, State.WAIT_RESOURCE)


def test_a_held_command_expires_visibly_and_a_new_one_is_needed(scene):
    (before,) = scene.instances(scene.task(), 1)
    first, _ = gate(scene)
    scene.connect([(before, first)])
    command = call(scene, first)
    TriggerCommand.objects.update(held_until=clock.now())
    due.run_expired_commands()
    command.refresh_from_db()
    assert command.status == Status.EXPIRED
    advance.drain()
    assert state(first) is State.WAIT_TRIGGER
    assert call(scene, first).status == Status.FIRED


def test_without_a_worker_it_waits_for_resources_and_keeps_the_command(scene):
    Process.objects.all().delete()
    first, then = gate(scene)
    command = call(scene, first)
    assert (command.status, state(first)) == (Status.HELD, State.WAIT_RESOURCE)
    assert advance.drain() == 0
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    TaskInstance.objects.filter(pk=first.pk).update(due_at=PAST)
    due.run_due_instances()
    due.run_inline()
    command.refresh_from_db()
    assert (command.status, state(first), state(then)) == (Status.FIRED, State.SUCCESS, State.WAIT_RESOURCE)


def test_a_command_that_expires_while_it_waits_for_resources_leaves_the_gate_shut(scene):
    Process.objects.all().delete()
    first, _ = gate(scene)
    call(scene, first)
    TriggerCommand.objects.update(held_until=clock.now())
    due.run_expired_commands()
    assert state(first) is State.WAIT_TRIGGER


def test_frozen_while_held_it_fires_on_unfreezing(scene):
    (before,) = scene.instances(scene.task(), 1)
    first, then = gate(scene)
    scene.connect([(before, first)])
    command = call(scene, first)
    door.apply("freeze", caller(scene), scene.workspace, "Prod", [first.pk])
    advance.drain()
    command.refresh_from_db()
    assert (command.status, state(first)) == (Status.HELD, State.WAIT_TRIGGER)
    door.apply("unfreeze", caller(scene), scene.workspace, "Prod", [first.pk])
    due.run_inline()
    command.refresh_from_db()
    assert (command.status, state(first), state(then)) == (Status.FIRED, State.SUCCESS, State.WAIT_RESOURCE)


def test_a_rerun_needs_a_new_command_and_does_not_run_downstream_again(scene):
    first, then = gate(scene)
    command = call(scene, first)
    advance.finish([then.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    door.apply("rerun", caller(scene), scene.workspace, "Prod", [first.pk])
    command.refresh_from_db()
    assert command.status == Status.SPENT
    assert (state(first), state(then)) == (State.WAIT_TRIGGER, State.SUCCESS)
    assert call(scene, first).status == Status.FIRED
    assert state(then) is State.SUCCESS


def test_a_rerun_reopens_the_edge_to_what_has_not_started(scene):
    first, then = gate(scene)
    call(scene, first)
    door.apply("rerun", caller(scene), scene.workspace, "Prod", [first.pk])
    assert (state(then), then.unmet) == (State.NOT_RUN, 1)
    call(scene, first)
    assert (state(then), then.unmet) == (State.WAIT_RESOURCE, 0)


REFUSALS = [
    ({"task": {"recurrence": "Pause"}}, "trigger.task_frozen", Refused),
    ({"task": {"status": "Offline"}}, "trigger.task_offline", Refused),
    ({"instance": {"frozen": True}}, "trigger.instance_frozen", Refused),
    ({"instance": {"bypasses_trigger": True}}, "trigger.bypassed", Refused),
    ({"instance": {"kind": Kind.SKIP}}, "trigger.bypassed", Refused),
    ({"instance": {"state": State.FAILURE}}, "trigger.stopped", Refused),
    ({"call": {"scheduled_at": PAST + timedelta(days=3)}}, "trigger.instance_missing", NotFound),
    ({"call": {"task_number": 1}}, "trigger.task_unknown", NotFound),
    ({"call": {"workspace_id": 1}}, "trigger.task_unknown", NotFound),
    ({"call": {"environment": "Dev"}}, "trigger.task_unknown", NotFound),
    ({"task": {"node_type": "shell"}}, "trigger.not_a_trigger_node", Invalid),
]


@pytest.mark.parametrize(("change", "code", "error"), REFUSALS, ids=[f"{n}-{r[1]}" for n, r in enumerate(REFUSALS)])
def test_what_is_refused_says_why_and_leaves_a_receipt(scene, change, code, error):
    first, then = gate(scene)
    Task.objects.filter(pk=first.task_id).update(**change.get("task", {}))
    TaskInstance.objects.filter(pk=first.pk).update(**change.get("instance", {}))
    with pytest.raises(error) as caught:
        call(scene, first, **change.get("call", {}))
    assert caught.value.reason.code == code
    receipt = TriggerCommand.objects.get()
    assert (receipt.status, receipt.reason["code"]) == (Status.REFUSED, code)
    assert state(then) is State.NOT_RUN


def test_a_stranger_learns_nothing_and_a_visitor_which_permission_is_missing(scene):
    first, _ = gate(scene)
    stranger = User.objects.create_user("stranger", tenant=scene.tenant)
    with pytest.raises(NotFound):
        call(scene, first, user=stranger)
    Member.objects.create(workspace=scene.workspace, user=stranger, roles=["role_project_guest"])
    with pytest.raises(Forbidden) as caught:
        call(scene, first, user=stranger)
    assert caught.value.reason.params["permission"] == "instance.trigger"
    assert state(first) is State.WAIT_TRIGGER


def test_the_last_upstream_and_the_call_at_the_same_moment_never_strand_and_never_fire_twice(scene):
    """500 races of the two halves of the gate, each pair released by a barrier."""
    rounds = 500
    upstream = scene.instances(scene.task(), rounds)
    gates = scene.instances(scene.task("http_trigger"), rounds)
    behind = scene.instances(scene.task("shell"), rounds)
    scene.connect([*zip(upstream, gates, strict=True)])
    scene.connect([*zip(gates, behind, strict=True)])
    barrier = threading.Barrier(2)
    errors: list[BaseException] = []

    def run(step):
        try:
            for number in range(rounds):
                barrier.wait(timeout=30)
                step(number)
        except BaseException as error:
            errors.append(error)
            barrier.abort()
        finally:
            connection.close()

    number_of = gates[0].task.number
    actor = caller(scene)
    threads = [
        threading.Thread(target=run, args=(step,))
        for step in (
            lambda n: advance.finish([upstream[n].pk], {State.WAIT_RESOURCE}, State.SUCCESS),
            lambda n: trigger(actor, task_number=number_of, scheduled_at=gates[n].scheduled_at),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    advance.drain()
    ids = [instance.pk for instance in gates]
    assert set(TaskInstance.objects.filter(pk__in=ids).values_list("state", flat=True)) == {State.SUCCESS}
    assert TriggerCommand.objects.filter(status=Status.FIRED).count() == rounds
    waiting = TaskInstance.objects.filter(pk__in=[i.pk for i in behind])
    assert set(waiting.values_list("state", "unmet")) == {(State.WAIT_RESOURCE, 0)}
    ends = Transition.objects.filter(instance__in=ids, after=State.SUCCESS)
    assert ends.count() == rounds
