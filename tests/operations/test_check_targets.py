"""Targets are looked at again when the verdict is there: what changed while the extension thought about it."""

from collections.abc import Callable

import pytest

from extensions.models import Check
from opscenter.operations import checked
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, Member
from tests.operations.guarded import Guarded, check_of, frozen, say, status_of, told, trail

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Guarded:
    made = Guarded()
    made.extension(allows_mark_passed=True, silence_blocks=False)
    return made


def offline(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(status=Task.Status.OFFLINE)


def frozen_otherwise(task: Task) -> None:
    """By a publication, say."""
    Task.objects.filter(pk=task.pk).update(recurrence="Pause", thawed_recurrence="Skip")


def gone(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(version=None)
    task.versions.all().delete()
    Task.objects.filter(pk=task.pk).delete()


def moved(task: Task) -> None:
    """Into another workspace, where nobody was asked."""
    other = Guarded("other")
    Task.objects.filter(pk=task.pk).update(workspace=other.workspace)


DRIFT: list[tuple[Callable[[Task], None], str]] = [
    (offline, "task.offline"),
    (frozen_otherwise, "task.frozen"),
    (gone, "task.unknown"),
    (moved, "task.unknown"),
]


@pytest.mark.parametrize(("drift", "code"), DRIFT)
def test_what_changed_meanwhile_is_refused_and_the_rest_is_done(
    cast: Guarded, drift: Callable[[Task], None], code: str
) -> None:
    first, second = cast.task("first"), cast.task("second")
    operation = cast.freeze(first, second)
    drift(first)
    before = Task.objects.filter(pk=first.pk).values().first()
    say(check_of(operation), "OK")
    assert (status_of(operation), told(operation)) == ("partly", {first.pk: code, second.pk: None})
    assert Task.objects.filter(pk=first.pk).values().first() == before
    assert frozen(second) == [True]
    entry = AuditEntry.objects.get(action="task.freeze")
    assert (entry.params["done"], entry.params["refused"]) == ([second.pk], [first.pk])


@pytest.mark.parametrize(("drift", "code"), DRIFT)
def test_when_nothing_is_left_it_is_refused(cast: Guarded, drift: Callable[[Task], None], code: str) -> None:
    task = cast.task()
    operation = cast.freeze(task)
    drift(task)
    say(check_of(operation), "OK")
    assert (status_of(operation), told(operation)) == ("refused", {task.pk: code})
    assert check_of(operation).verdict == "OK"
    assert trail(operation)[-1] == ("task.freeze", cast.operator)
    assert AuditEntry.objects.get(action="task.freeze").params["done"] == []


def test_unfreezing_what_was_unfrozen_otherwise_is_refused(cast: Guarded) -> None:
    task = cast.task(recurrence="Pause")
    operation = cast.unfreeze(task)
    Task.objects.update(recurrence="Skip")
    say(check_of(operation), "OK")
    assert (status_of(operation), told(operation)) == ("refused", {task.pk: "task.not_frozen"})
    task.refresh_from_db()
    assert task.recurrence == "Skip"


def test_a_task_given_to_another_owner_is_out_of_a_developers_reach(cast: Guarded) -> None:
    mine, given_away = cast.task("mine", owner=cast.developer), cast.task("given away", owner=cast.developer)
    operation = cast.freeze(mine, given_away, by=cast.developer)
    Task.objects.filter(pk=given_away.pk).update(owner=cast.owner)
    say(check_of(operation), "OK")
    assert told(operation) == {mine.pk: None, given_away.pk: "permission.missing"}
    assert frozen(mine, given_away) == [True, False]


def test_who_lost_the_role_has_lost_the_operation(cast: Guarded) -> None:
    task = cast.task()
    operation = cast.freeze(task)
    Member.objects.filter(user=cast.operator).update(roles=["role_project_guest"])
    say(check_of(operation), "OK")
    assert (status_of(operation), told(operation), frozen(task)) == (
        "refused", {task.pk: "permission.missing"}, [False],
    )  # fmt: skip


def left(cast: Guarded) -> None:
    Member.objects.filter(user=cast.operator).delete()


def deactivated(cast: Guarded) -> None:
    cast.operator.is_active = False
    cast.operator.save()


def by_verdict(cast: Guarded, check: Check) -> None:
    say(check, "OK")


def by_hand(cast: Guarded, check: Check) -> None:
    checked.mark_passed(cast.actor(cast.admin), cast.workspace, check.pk, "")


def by_disabling(cast: Guarded, check: Check) -> None:
    checked.release(check.extension, cast.actor(cast.admin))


def by_silence(cast: Guarded, check: Check) -> None:
    checked.unreachable(check.pk)


PASSING = [by_verdict, by_hand, by_disabling, by_silence]


@pytest.mark.parametrize("how", PASSING)
@pytest.mark.parametrize("leaves", [left, deactivated])
def test_a_requester_who_left_has_left_the_operation_too(
    cast: Guarded, leaves: Callable[[Guarded], None], how: Callable[[Guarded, Check], None]
) -> None:
    task = cast.task()
    operation = cast.freeze(task)
    leaves(cast)
    how(cast, check_of(operation))
    assert (status_of(operation), told(operation), frozen(task)) == (
        "refused", {task.pk: "operation.asker_left"}, [False],
    )  # fmt: skip
    assert told(cast.freeze(task, by=cast.admin)) == {task.pk: "open"}, "others may ask for it again"


@pytest.mark.parametrize("how", PASSING)
def test_targets_are_looked_at_again_however_the_check_passed(
    cast: Guarded, how: Callable[[Guarded, Check], None]
) -> None:
    first, second = cast.task("first"), cast.task("second")
    operation = cast.freeze(first, second)
    offline(first)
    how(cast, check_of(operation))
    assert (status_of(operation), told(operation)) == ("partly", {first.pk: "task.offline", second.pk: None})


def test_a_task_that_drifted_back_is_done(cast: Guarded) -> None:
    task = cast.task()
    operation = cast.freeze(task)
    offline(task)
    Task.objects.update(status=Task.Status.ONLINE)
    say(check_of(operation), "OK")
    assert (status_of(operation), frozen(task)) == ("applied", [True])


def test_the_wait_holds_nothing_else_up(cast: Guarded) -> None:
    """While the freeze is checked, the task can be published, its owner changed; unfreezing it is refused as ever."""
    task = cast.task()
    cast.freeze(task)
    cast.version(task, content="echo changed")
    assert told(cast.unfreeze(task)) == {task.pk: "task.not_frozen"}
