"""What freezing and unfreezing a task does: to the task, to instances that exist, to those that are generated after."""

from datetime import date, timedelta

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, NotFound
from opscenter.engine import generate
from opscenter.operations.door import MOST
from opscenter.operations.models import Operation
from opscenter.production.models import Task, TaskDependency, TaskInstance, Transition
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Member, Workspace
from tests.operations.guarded import Guarded, check_of, frozen, say, told

pytestmark = pytest.mark.django_db


def hang(cast: Guarded, task: Task) -> None:
    """Below the workspace's root, so that it is scheduled."""
    root = generate.ensure_root(cast.workspace, "Prod", cast.owner)
    TaskDependency.objects.create(task=task, upstream=root, output=f"{cast.workspace.name}_root")


def generated(cast: Guarded, days: int, *tasks: Task) -> list[TaskInstance]:
    """Their instances of a day to come, as the night's pass makes them."""
    day = clock.now().date() + timedelta(days=1 + days)
    generate.generate_day(cast.tenant, day)
    made = TaskInstance.objects.filter(task__in=tasks, bizdate=day - timedelta(days=1))
    assert made.count() == len(tasks)
    return list(made.order_by("task"))


def test_the_change_is_the_requesters(cast: Guarded) -> None:
    task = cast.task()
    began = clock.now()
    cast.freeze(task)
    task.refresh_from_db()
    assert (task.recurrence, task.modified_by) == ("Pause", cast.operator)
    assert task.modified_at >= began


@pytest.mark.parametrize("checked_first", [False, True])
@pytest.mark.parametrize(("before", "kind"), [("Normal", Kind.NORMAL), ("Skip", Kind.SKIP)])
def test_a_frozen_task_thaws_back_to_what_it_was(cast: Guarded, before: str, kind: Kind, checked_first: bool) -> None:
    task = cast.task(recurrence=before)
    hang(cast, task)
    if checked_first:
        cast.extension()
    for day in (2, 3):  # twice, as the second time must not know the first
        operation = cast.freeze(task)
        if checked_first:
            say(check_of(operation), "OK")
        (instance,) = generated(cast, 2 * day, task)
        assert (instance.kind, instance.frozen) == (Kind.PAUSE, True)
        operation = cast.unfreeze(task)
        if checked_first:
            say(check_of(operation), "OK")
        task.refresh_from_db()
        assert task.recurrence == before
        (instance,) = generated(cast, 2 * day + 1, task)
        assert (instance.kind, instance.frozen) == (kind, False)


def test_instances_that_exist_are_left_as_they_are(cast: Guarded) -> None:
    task = cast.task()
    instances = [cast.instance(task, state, bizdate=date(2026, 11, n + 1)) for n, state in enumerate(State)]
    before = list(TaskInstance.objects.order_by("pk").values())
    cast.freeze(task)
    cast.unfreeze(task)
    assert list(TaskInstance.objects.order_by("pk").values()) == before
    assert len(instances) == len(State) and not Transition.objects.exists()


def test_tomorrows_instances_are_born_frozen_and_block_what_comes_after(cast: Guarded) -> None:
    task = cast.task("frozen")
    hang(cast, task)
    after = cast.task("after", upstream=[task])
    cast.freeze(task)
    first, second = generated(cast, 1, task, after)
    assert (first.frozen, first.kind, second.frozen, second.kind, second.unmet) == (
        True, Kind.PAUSE, False, Kind.NORMAL, 1,
    )  # fmt: skip
    cast.unfreeze(task)
    first.refresh_from_db()
    assert first.frozen, "what was born frozen stays so until it is unfrozen itself"


def test_while_it_is_checked_instances_are_born_as_ever(cast: Guarded) -> None:
    task = cast.task()
    hang(cast, task)
    cast.extension()
    operation = cast.freeze(task)
    (before,) = generated(cast, 1, task)
    say(check_of(operation), "OK")
    (after,) = generated(cast, 2, task)
    before.refresh_from_db()
    assert (before.frozen, after.frozen) == (False, True)


def test_blocked_and_refused_freezes_leave_no_mark(cast: Guarded) -> None:
    task = cast.task(recurrence="Skip")
    cast.extension()
    before = Task.objects.values().get()
    say(check_of(cast.freeze(task)), "FAIL")
    assert Task.objects.values().get() == before


def test_environments_are_frozen_apart(cast: Guarded) -> None:
    task = cast.task()
    twin = cast.task("twin", environment="Dev", number=task.number)
    cast.freeze(task)
    assert frozen(task, twin) == [True, False]
    cast.freeze(twin, environment="Dev")
    cast.unfreeze(task)
    assert frozen(task, twin) == [False, True]
    assert told(cast.unfreeze(twin)) == {twin.pk: "task.unknown"}, "it is not in production"


def test_what_is_elsewhere_is_unknown_whoever_can_see_it(cast: Guarded) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=elsewhere, user=cast.operator, roles=["role_project_pe"])
    theirs, mine = cast.task("theirs", workspace=elsewhere), cast.task("mine")
    operation = cast.freeze(theirs, mine)
    assert told(operation) == {theirs.pk: "task.unknown", mine.pk: None}
    assert frozen(theirs, mine) == [False, True]


def test_who_is_no_member_and_what_cannot_be_asked(cast: Guarded) -> None:
    task = cast.task()
    with pytest.raises(NotFound):
        cast.freeze(task, by=cast.stranger)
    with pytest.raises(Forbidden):
        cast.freeze(task, by=cast.visitor)
    with pytest.raises(Invalid) as none:
        cast.freeze()
    with pytest.raises(Invalid) as many:
        cast.freeze(*[Task(pk=number) for number in range(1, MOST + 2)])
    assert [error.value.reason.code for error in (none, many)] == ["operation.count_task"] * 2
    with pytest.raises(Invalid) as long:
        cast.freeze(task, comment="x" * 1001)
    assert long.value.reason.code == "operation.comment"
    assert not Operation.objects.exists() and frozen(task) == [False]


def test_a_thousand_tasks_are_one_operation(cast: Guarded) -> None:
    """The most that one call takes, checked and applied."""
    cast.extension()
    template = cast.task()
    values = {"environment": "Prod", "workspace": cast.workspace, "node_type": "shell", "owner": cast.owner}
    tasks = Task.objects.bulk_create(
        Task(number=template.number + 1 + at, name=str(at), resource_group=cast.group, **values) for at in range(MOST)
    )
    operation = cast.freeze(*tasks)
    check = check_of(operation)
    assert len(check.event.message["data"]["nodeIds"]) == MOST
    say(check, "OK")
    assert set(told(operation).values()) == {None}
    assert Task.objects.filter(recurrence="Pause").count() == MOST
