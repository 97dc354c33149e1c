"""Manually triggered tasks: published but never generated, run by hand as one workflow instance, in the workflow's order."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.engine import advance, generate, retention
from opscenter.operations.actor import Actor
from opscenter.operations.manual_run import _order_of, run_tasks, run_workflow
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, ProductionWorkflow, Task, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast
from tests.engine.runs import execute
from tests.engine.test_advance import counts_agree

BIZDATE = date(2026, 3, 14)


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def manual(cast: Cast, name: str, *upstream: Task, **fields: Any) -> Task:
    return cast.task(name, upstream=upstream, trigger="Manual", cron="", **fields)


def by(user: User) -> Actor:
    return Actor(user, AuditEntry.Face.CONSOLE, address="10.1.2.3")


def run(cast: Cast, workflow: ProductionWorkflow, **options: Any) -> WorkflowInstance:
    return run_workflow(by(options.pop("user", cast.operator)), workflow, bizdate=BIZDATE, **options)


def chain(cast: Cast, *names: str, environment: str = "Prod", **fields: Any) -> tuple[ProductionWorkflow, list[Task]]:
    """A manual workflow of tasks one behind the other."""
    workflow = cast.workflow("by_hand", environment)
    tasks: list[Task] = []
    for name in names:
        tasks.append(manual(cast, name, *tasks[-1:], workflow=workflow, environment=environment, **fields))
    return workflow, tasks


def edges(family: WorkflowInstance) -> set[tuple[str, str]]:
    rows = InstanceEdge.objects.filter(downstream__workflow_instance=family)
    return set(rows.values_list("upstream__task__name", "downstream__task__name"))


def states(family: WorkflowInstance) -> dict[str, State]:
    return {one.task.name: State(one.state) for one in family.task_instances.select_related("task")}


@pytest.mark.parametrize("environment", ["Prod", "Dev"])
def test_a_workflow_runs_as_one_instance_in_its_order(cast: Cast, environment: str) -> None:
    workflow, _tasks = chain(cast, "a", "b", "c", environment=environment)
    family = run(cast, workflow, comment="again")
    assert (family.type, family.environment, family.workflow, family.name, family.bizdate, family.created_by) == (
        "ManualWorkflow", environment, workflow, "by_hand", BIZDATE, cast.operator
    )  # fmt: skip
    assert edges(family) == {("a", "b"), ("b", "c")}
    assert states(family) == {"a": State.WAIT_RESOURCE, "b": State.NOT_RUN, "c": State.NOT_RUN}
    for name in "abc":
        instance = family.task_instances.get(task__name=name)
        assert (instance.kind, instance.scheduled_at) == (Kind.MANUAL, datetime(2026, 3, 15, tzinfo=UTC))
        assert execute(instance).state == "success"
    assert set(states(family).values()) == {State.SUCCESS}
    assert counts_agree()


def test_tasks_alone_run_together_in_one_run(cast: Cast) -> None:
    first, second = manual(cast, "first"), manual(cast, "second")
    family = run_tasks(by(cast.operator), [first, second], bizdate=BIZDATE)
    assert (family.type, family.workflow, family.name) == ("Manual", None, "first +1")
    assert set(states(family).values()) == {State.WAIT_RESOURCE}
    assert run_tasks(by(cast.operator), [first], bizdate=BIZDATE).pk != family.pk, "as often as one likes"


def test_generation_never_makes_an_instance_of_them(cast: Cast) -> None:
    generate.ensure_root(cast.workspace, "Prod", cast.owner)
    manual(cast, "by_hand")
    day = clock.now().date() + timedelta(days=1)
    generate.generate_day(cast.tenant, day)
    assert set(TaskInstance.objects.values_list("task__is_root", flat=True)) == {True}


def test_it_is_written_down(cast: Cast) -> None:
    workflow, _tasks = chain(cast, "a", "b")
    family = run(cast, workflow, comment="again")
    operation = Operation.objects.get()
    assert (operation.code, operation.comment, operation.targets.filter(done=True).count()) == (
        "run_manually", "again", 2
    )  # fmt: skip
    assert operation.params == {"workflow_instance": family.pk, "bizdate": "2026-03-14"}
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_id, entry.params["count"]) == ("task.run_manually", str(workflow.number), 2)


# a part of it


def test_it_starts_from_chosen_roots(cast: Cast) -> None:
    workflow, tasks = chain(cast, "a", "b", "c")
    assert edges(run(cast, workflow, roots=[tasks[1].number])) == {("b", "c")}


def test_what_is_left_out_keeps_its_place_in_the_order(cast: Cast) -> None:
    workflow, tasks = chain(cast, "a", "b", "c")
    family = run(cast, workflow, include=[tasks[0].number, tasks[2].number])
    assert states(family).keys() == {"a", "c"}
    assert edges(family) == {("a", "c")}


def test_what_is_excluded_is_a_dry_run(cast: Cast) -> None:
    workflow, tasks = chain(cast, "a", "b", "c")
    numbers = [task.number for task in tasks]
    family = run(cast, workflow, include=[numbers[0], numbers[2]], exclude=[numbers[1]])
    assert family.task_instances.get(task=tasks[1]).kind == Kind.SKIP_UNCHOSEN
    execute(family.task_instances.get(task=tasks[0]))
    advance.drain()
    assert states(family) == {"a": State.SUCCESS, "b": State.SUCCESS, "c": State.WAIT_RESOURCE}


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1])), st.data())
def test_the_order_among_chosen_ones_is_that_of_the_whole(links: set[tuple[int, int]], data: Any) -> None:
    """Who comes before whom among the chosen is what it is among all, however many are left out between."""
    chosen = data.draw(st.sets(st.integers(0, 7)))

    def reachable(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
        found = set(pairs)
        while fresh := {(a, d) for a, b in found for c, d in found if b == c} - found:
            found |= fresh
        return {(a, b) for a, b in found if a in chosen and b in chosen}

    assert reachable(_order_of(chosen, sorted(links))) == reachable(links)


# recurrence, reruns, retention


def test_frozen_and_dry_run_tasks_are_so_in_a_run_too(cast: Cast) -> None:
    workflow = cast.workflow("by_hand")
    manual(cast, "frozen", workflow=workflow, recurrence="Pause")
    manual(cast, "dry", workflow=workflow, recurrence="Skip")
    family = run(cast, workflow)
    assert family.task_instances.get(task__name="frozen").frozen
    advance.drain()
    assert states(family) == {"frozen": State.WAIT_RESOURCE, "dry": State.SUCCESS}


def test_a_failure_is_rerun_as_the_task_says(cast: Cast) -> None:
    workflow = cast.workflow("by_hand")
    manual(cast, "fails", workflow=workflow, content="exit 1", version={"rerun_times": 2})
    instance = run(cast, workflow).task_instances.get()
    execute(instance)
    assert instance.state == State.FAILURE and instance.due_at is not None


def test_retention_covers_them(cast: Cast) -> None:
    workflow, _tasks = chain(cast, "a", "b", node_type="virtual")
    family = run(cast, workflow)
    advance.drain()
    assert set(states(family).values()) == {State.SUCCESS}
    assert not [old for old in retention.preview(cast.workspace) if old.kind == "instances"], "it ended just now"
    TaskInstance.objects.update(state_at=clock.now() - timedelta(days=400))
    for old in list(retention.preview(cast.workspace)):
        while retention.remove_batch(old):
            pass
    assert not TaskInstance.objects.exists() and not WorkflowInstance.objects.exists()


# what is refused


def test_what_cannot_be_run(cast: Cast) -> None:
    workflow, tasks = chain(cast, "a")
    other = manual(cast, "other")
    with pytest.raises(Invalid, match="is no task of the workflow"):
        run(cast, workflow, roots=[other.number])
    with pytest.raises(Refused, match="runs by its schedule"):
        run_tasks(by(cast.operator), [cast.task("daily")], bizdate=BIZDATE)
    with pytest.raises(Invalid, match="ten years"):
        run_workflow(by(cast.operator), workflow, bizdate=date(1999, 1, 1))
    with pytest.raises(Invalid, match="name of the run"):
        run(cast, workflow, name="x" * 256)
    Task.objects.filter(pk=tasks[0].pk).update(status="Offline")
    with pytest.raises(Refused, match="no manually triggered task"):
        run(cast, workflow)
    assert not WorkflowInstance.objects.exists() and not Operation.objects.exists()


MAY = {"owner": "all", "admin": "all", "operator": "all", "developer": "own", "deployer": "none", "visitor": "none"}


@pytest.mark.parametrize("own", ["none", "one", "all"])
@pytest.mark.parametrize("who", MAY)
def test_who_may(cast: Cast, who: str, own: str) -> None:
    """Who may run what they own may run a workflow that is all theirs."""
    user: User = getattr(cast, who)
    workflow, tasks = chain(cast, "a", "b")
    Task.objects.update(owner=cast.user("colleague"))
    mine = {"none": [], "one": tasks[:1], "all": tasks}[own]
    Task.objects.filter(pk__in=[task.pk for task in mine]).update(owner=user)
    if MAY[who] == "all" or (MAY[who] == "own" and own == "all"):
        assert run(cast, workflow, user=user).task_instances.count() == 2
        return
    with pytest.raises(Forbidden) as error:
        run(cast, workflow, user=user)
    assert error.value.reason.params["permission"] == "task.test"
    assert not TaskInstance.objects.exists()


def test_a_stranger_learns_nothing(cast: Cast) -> None:
    workflow, tasks = chain(cast, "a")
    for call in (
        lambda: run(cast, workflow, user=cast.stranger, roots=[1]),
        lambda: run_tasks(by(cast.stranger), tasks, bizdate=BIZDATE),
    ):
        with pytest.raises(NotFound):
            call()
