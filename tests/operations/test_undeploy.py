"""Taking tasks out of production: who keeps whom, what becomes of instances, and the way back."""

from datetime import timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.reasons import say as say_reason
from opscenter.engine import advance, attempts, generate
from opscenter.operations.models import Operation
from opscenter.production.models import Task, TaskDependency, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Workspace
from tests.operations.guarded import OPEN, Guarded, check_of, event_of, say, status_of, told

pytestmark = pytest.mark.django_db


def undeploy(cast: Guarded, *tasks: Task, **how: Any) -> Operation:
    return cast.ask("undeploy_task", tasks, **how)


def offline(*tasks: Task) -> list[bool]:
    now = Task.objects.in_bulk([task.pk for task in tasks])
    return [now[task.pk].status == "Offline" for task in tasks]


def why(operation: Operation, task: Task) -> str:
    reason: dict[str, Any] = operation.targets.get(object_id=task.pk).reason or {}
    return say_reason(reason["code"], reason["params"])


def test_what_waited_for_other_runs_of_its_task_becomes_a_dry_run_and_no_call(cast: Guarded) -> None:
    task = cast.task("limited", max_parallel=1)
    cast.instance(task, State.RUNNING, limited=True)
    waiting = cast.instance(task, State.WAIT_RESOURCE, limited=True, scheduled_at=clock.now())
    frozen = cast.instance(
        task, State.WAIT_RESOURCE, limited=True, frozen=True, scheduled_at=clock.now() - timedelta(hours=1)
    )
    assert told(undeploy(cast, task)) == {task.pk: None}
    TaskInstance.objects.filter(task=task, state=State.RUNNING).update(state=State.SUCCESS)
    assert attempts.start_calls(10) == [], "nothing that a courier takes for a call"
    assert advance.drain() == 1
    waiting.refresh_from_db()
    assert (waiting.state, waiting.kind) == (State.SUCCESS, Kind.SKIP)
    TaskInstance.objects.filter(pk=frozen.pk).update(frozen=False)
    assert attempts.start_calls(10) == [] and advance.drain() == 1


# who keeps whom


def test_a_task_is_kept_by_what_waits_for_it(cast: Guarded) -> None:
    up = cast.task("up")
    down = cast.task("down", upstream=[up])
    done = undeploy(cast, up)
    assert told(done) == {up.pk: "task.downstream"} and offline(up, down) == [False, False]
    assert why(done, up) == "Tasks wait for “up”: “down”. Undeploy them first, or together with it."
    assert told(undeploy(cast, down)) == {down.pk: None}
    assert told(undeploy(cast, up)) == {up.pk: None}
    assert offline(up, down) == [True, True]


def test_whole_subgraphs_go_together(cast: Guarded) -> None:
    a = cast.task("a")
    b, c = cast.task("b", upstream=[a]), cast.task("c", upstream=[a])
    d = cast.task("d", upstream=[b, c])
    assert set(told(undeploy(cast, a, b, c, d)).values()) == {None}
    assert offline(a, b, c, d) == [True] * 4


def test_what_is_kept_keeps_all_that_it_waits_for(cast: Guarded) -> None:
    """e waits for d and is not chosen: so d stays, and b and a with it; c goes."""
    a = cast.task("a")
    b, c = cast.task("b", upstream=[a]), cast.task("c", upstream=[a])
    d = cast.task("d", upstream=[b])
    cast.task("e", upstream=[d])
    done = undeploy(cast, a, b, c, d)
    kept = "task.downstream"
    assert told(done) == {a.pk: kept, b.pk: kept, c.pk: None, d.pk: kept}
    assert why(done, a) == "Tasks wait for “a”: “b”. Undeploy them first, or together with it."
    assert offline(a, b, c, d) == [False, False, True, False]


def test_one_that_may_not_be_undeployed_keeps_what_it_waits_for(cast: Guarded) -> None:
    up = cast.task("up", owner=cast.developer)
    down = cast.task("down", upstream=[up])
    done = undeploy(cast, up, down, by=cast.developer)
    assert told(done) == {up.pk: "task.downstream", down.pk: "permission.missing"}


@pytest.mark.parametrize("kind", [TaskDependency.Type.SELF, TaskDependency.Type.CHILDREN])
def test_a_task_does_not_keep_itself(cast: Guarded, kind: str) -> None:
    task = cast.task()
    TaskDependency.objects.create(task=task, upstream=task, type=kind, output="x")
    assert told(undeploy(cast, task)) == {task.pk: None}


def test_a_loop_through_the_previous_cycle_goes_together_or_not_at_all(cast: Guarded) -> None:
    one = cast.task("one")
    other = cast.task("other", upstream=[one])
    TaskDependency.objects.create(task=one, upstream=other, type=TaskDependency.Type.OTHER, output="x")
    assert told(undeploy(cast, one)) == {one.pk: "task.downstream"}
    assert told(undeploy(cast, other)) == {other.pk: "task.downstream"}
    assert told(undeploy(cast, one, other)) == {one.pk: None, other.pk: None}


def test_a_workspace_is_not_named_to_who_may_not_know_it(cast: Guarded) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="secret_place", display_name="Secret place")
    up = cast.task("up")
    for number in range(7):
        cast.task(f"down{number}", upstream=[up], workspace=other if number % 2 else cast.workspace)
    done = undeploy(cast, up)
    assert why(done, up) == (
        "Tasks wait for “up”: “down0”, “down1” (in another workspace), “down2”, “down3” (in another workspace), “down4”, "
        "2 more. Undeploy them first, or together with it."
    )
    assert "ecret" not in str(done.targets.get().reason)


def test_tasks_of_another_workspace_are_no_tasks_here(cast: Guarded) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    assert told(undeploy(cast, task := cast.task(workspace=other))) == {task.pk: "task.unknown"}


# instances


def test_what_has_not_started_becomes_a_dry_run(cast: Guarded) -> None:
    task, other = cast.task(), cast.task("other")
    states = [
        State.NOT_RUN,
        State.WAIT_TIME,
        State.WAIT_RESOURCE,
        State.RUNNING,
        State.SUCCESS,
        State.FAILURE,
        State.CLAIMED,
    ]
    far = clock.now() + timedelta(days=1)
    family = cast.run_family()
    made = [
        cast.instance(task, state, workflow_instance=family, scheduled_at=far + timedelta(hours=n), due_at=far)
        for n, state in enumerate(states)
    ]
    beside = cast.instance(other)
    done = undeploy(cast, task)
    now = TaskInstance.objects.in_bulk()
    dry = {State.NOT_RUN, State.WAIT_TIME, State.WAIT_RESOURCE}
    for one in made:
        is_dry = one.state in dry
        assert (now[one.pk].kind, now[one.pk].needs_worker) == ((Kind.SKIP, False) if is_dry else (Kind.NORMAL, True))
        assert now[one.pk].state == one.state
    assert now[beside.pk].kind == Kind.NORMAL
    changed = Transition.objects.filter(reason__code="instance.undeployed")
    assert set(changed.values_list("instance", flat=True)) == {one.pk for one in made if one.state in dry}
    assert {one.operation for one in changed} == {done.pk}
    assert advance.drain() == 1, "the one that waited for a worker"
    ended = TaskInstance.objects.get(pk=made[2].pk)
    assert (ended.state, ended.attempt) == (State.SUCCESS, 0)


def test_what_waits_for_a_dry_run_starts(cast: Guarded) -> None:
    """An instance of an earlier dependency."""
    task, other = cast.task(), cast.task("other")
    up = cast.instance(task)
    down = cast.instance(other, State.NOT_RUN, upstream=[up])
    undeploy(cast, task)
    advance.drain()
    assert TaskInstance.objects.get(pk=down.pk).state == State.WAIT_RESOURCE


def test_a_trigger_waits_no_more_but_for_its_time(cast: Guarded) -> None:
    gate = cast.task("gate", "http_trigger")
    waits = cast.instance(gate, State.WAIT_TRIGGER, needs_worker=False)
    command = TriggerCommand.objects.create(
        tenant=cast.tenant, task_number=gate.number, instance=waits, status="held", face="api", environment="Prod",
        reason={"code": "trigger.held", "params": {}}, held_until=clock.now() + timedelta(hours=1), caller=cast.owner,
    )  # fmt: skip
    undeploy(cast, gate)
    assert TaskInstance.objects.get(pk=waits.pk).state == State.WAIT_RESOURCE
    advance.drain()
    assert TaskInstance.objects.get(pk=waits.pk).state == State.SUCCESS
    command.refresh_from_db()
    assert command.status != "held"


def test_frozen_instances_stay_frozen(cast: Guarded) -> None:
    one = cast.instance(task := cast.task(), frozen=True)
    undeploy(cast, task)
    advance.drain()
    one.refresh_from_db()
    assert (one.state, one.frozen, one.kind) == (State.WAIT_RESOURCE, True, Kind.SKIP)
    cast.ask("unfreeze", [one])
    advance.drain()
    one.refresh_from_db()
    assert one.state == State.SUCCESS


def test_no_more_instances_are_made(cast: Guarded) -> None:
    root = generate.ensure_root(cast.workspace, "Prod", cast.owner)
    task, stays = cast.task(upstream=[]), cast.task("stays")
    for one in (task, stays):
        TaskDependency.objects.create(task=one, upstream=root, output="x")
    undeploy(cast, task)
    day = clock.now().date() + timedelta(days=3)
    generate.generate_day(cast.tenant, day)
    assert set(TaskInstance.objects.filter(bizdate=day - timedelta(days=1)).values_list("task__name", flat=True)) == {
        root.name,
        "stays",
    }


def test_in_dev_the_draft_stays_published_and_nobody_is_asked(cast: Guarded) -> None:
    cast.extension(points=["undeploy-node"])
    dev = cast.task(environment="Dev")
    done = undeploy(cast, dev, environment="Dev")
    assert (done.status, offline(dev)) == ("applied", [True])


# extensions


def test_extensions_are_asked_first(cast: Guarded) -> None:
    cast.extension(points=["undeploy-node"])
    up = cast.task("up")
    down = cast.task("down", upstream=[up])
    done = undeploy(cast, up, down)
    assert told(done) == {up.pk: OPEN, down.pk: OPEN} and offline(up, down) == [False, False]
    message = event_of(done).message
    assert (message["type"], message["data"]["eventCode"]) == ("dataworks:NodeChange:UndeployNode", "undeploy-node")
    assert message["data"]["nodeIds"] == [up.number, down.number]
    say(check_of(done), "OK")
    assert (status_of(done), offline(up, down)) == ("applied", [True, True])


def test_it_is_looked_at_again_when_they_have_answered(cast: Guarded) -> None:
    cast.extension(points=["undeploy-node"])
    up, other = cast.task("up"), cast.task("other")
    done = undeploy(cast, up, other)
    cast.task("new", upstream=[up])
    say(check_of(done), "OK")
    assert told(done) == {up.pk: "task.downstream", other.pk: None}
    assert (status_of(done), offline(up, other)) == ("partly", [False, True])


def test_a_fail_leaves_everything(cast: Guarded) -> None:
    cast.extension(points=["undeploy-node"])
    done = undeploy(cast, task := cast.task())
    say(check_of(done), "FAIL", "still read by the report")
    assert (status_of(done), offline(task)) == ("blocked", [False])
