"""Large backfills are made in steps: resumed where they were, never twice, cancelled at any moment; and checked before."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ

from extensions.models import Event
from opscenter.base.reasons import Refused
from opscenter.engine import backfill_make
from opscenter.operations import checked
from opscenter.production.models import Backfill, InstanceEdge, Task, TaskInstance, WorkflowInstance
from opscenter.production.rules.backfill import Mode
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, Workspace
from tests.operations.at_once import at_once, no_other_connection_is_busy, wait_until_blocked
from tests.operations.backfilling import FIRST, asked, backfill, counted, instances, ready, run_all
from tests.operations.guarded import Guarded, checks_of, say, status_of, told
from tests.operations.maker import making

pytestmark = pytest.mark.django_db(transaction=True)
D = [FIRST + timedelta(days=n) for n in range(10)]
DESCENDANTS: dict[str, Any] = {"mode": Mode.DESCENDANTS}


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any job is a large one."""
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)


def finish(job: Backfill) -> None:
    while backfill_make.step(job.pk):
        pass
    job.refresh_from_db()


def is_whole(job: Backfill, dates: int) -> bool:
    """Every date once, with its family, its turn and its edges."""
    families = WorkflowInstance.objects.filter(backfill_date__backfill=job)
    turns = job.dates.exclude(turn=None).count()
    return (
        len(instances(job)) == job.instances == job.made == 2 * dates
        and families.count() == dates
        and turns == dates - 1
        and TaskInstance.objects.filter(workflow_instance__in=families).count() == 2 * dates + turns
        and InstanceEdge.objects.count() == dates + 2 * turns
        and counted(job)
    )


@pytest.mark.usefixtures("in_steps")
def test_a_large_job_is_queued_with_the_operation_and_made_date_by_date(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    assert (job.state, job.made, OrmQ.objects.count()) == (Backfill.State.MAKING, 0, 1)
    assert backfill_make.step(job.pk)
    job.refresh_from_db()
    assert (job.state, job.made) == (Backfill.State.MAKING, 2)
    assert {one.state for one in instances(job)} == {State.NOT_RUN}, "nothing starts before everything is there"
    finish(job)
    assert is_whole(job, 3)
    assert job.state == Backfill.State.STARTED
    assert ready(job) == {(D[0], "a")}


@pytest.mark.usefixtures("in_steps")
def test_what_is_made_is_what_was_planned_whatever_is_published_meanwhile(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    backfill_make.step(job.pk)
    planned = {one.task_id: one.version_id for one in instances(job)}
    cast.version(line[0], content="echo new", cron="00 00 */6 * * ?")
    cast.task("new", upstream=[line[0]])
    Task.objects.filter(pk=line[1].pk).update(recurrence="Pause")
    finish(job)
    assert is_whole(job, 2)
    assert {one.version_id for one in instances(job)} == set(planned.values())
    assert not any(one.frozen for one in instances(job))


@pytest.mark.usefixtures("in_steps")
def test_two_workers_on_the_same_job_make_each_date_once(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=4, **DESCENDANTS)
    at_once(*[lambda: finish(Backfill.objects.get(pk=job.pk))] * 3)
    job.refresh_from_db()
    assert is_whole(job, 4)
    assert run_all(job) == [(day, name) for day in D[:4] for name in "ab"]


@pytest.mark.usefixtures("in_steps")
def test_killed_in_the_middle_of_a_date_it_is_made_once_all_the_same(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    backfill_make.step(job.pk)
    with transaction.atomic():
        with connection.cursor() as cursor:  # it has written instances when it has to wait for us
            cursor.execute("LOCK TABLE production_instanceedge IN SHARE ROW EXCLUSIVE MODE")
        with making(job.pk):
            wait_until_blocked()
    no_other_connection_is_busy()
    job.refresh_from_db()
    assert (job.state, job.made, len(instances(job))) == (Backfill.State.MAKING, 2, 2)
    backfill_make.make(job.pk)  # the chore comes back
    job.refresh_from_db()
    assert is_whole(job, 3)
    assert job.state == Backfill.State.STARTED


@pytest.mark.usefixtures("in_steps")
def test_stopped_while_it_is_being_made(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=6, **DESCENDANTS)
    backfill_make.step(job.pk)
    at_once(lambda: finish(Backfill.objects.get(pk=job.pk)), lambda: cast.ask("stop_backfill", [job]))
    finish(job)
    assert job.state == Backfill.State.STOPPED
    everything = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    assert {one.state for one in everything} == {State.FAILURE}
    assert len(instances(job)) == job.made
    again = cast.ask("rerun_backfill", [job])
    half = job.dates.filter(is_made=False).exists()
    assert told(again) == {job.pk: "backfill.half_made" if half else None}


# extensions


@pytest.fixture
def guarded(cast: Guarded) -> Guarded:
    cast.extension(points=["backfill-data"])
    return cast


def test_while_it_is_checked_nothing_is_made(guarded: Guarded, line: list[Task]) -> None:
    operation = asked(guarded, line[0], count=2, **DESCENDANTS)
    job = Backfill.objects.get()
    assert (operation.status, job.state, TaskInstance.objects.count()) == ("checking", "asked", 0)
    assert not WorkflowInstance.objects.exists()
    (event,) = Event.objects.all()
    data: dict[str, Any] = event.message["data"]
    assert (event.point, data["name"], data["extensionBizName"]) == ("backfill-data", job.name, job.name)
    assert (data["rootNodeId"], data["includeNodeIds"]) == (line[0].number, [task.number for task in line])
    assert data["multipleTimePeriods"] == '[{"bizBeginTime":"2026-11-01","bizEndTime":"2026-11-02"}]'
    (check,) = checks_of(operation)
    say(check, "OK")
    assert (status_of(operation), told(operation)) == ("applied", {job.pk: None})
    job.refresh_from_db()
    assert is_whole(job, 2)


@pytest.mark.parametrize("how", ["FAIL", "cancel"])
def test_blocked_or_cancelled_nothing_is_made(guarded: Guarded, line: list[Task], how: str) -> None:
    operation = asked(guarded, line[0])
    if how == "cancel":
        checked.cancel(guarded.actor(), guarded.workspace, operation.pk)
    else:
        (check,) = checks_of(operation)
        say(check, how, "Not at night")
    assert status_of(operation) == ("cancelled" if how == "cancel" else "blocked")
    assert not TaskInstance.objects.exists()
    assert told(guarded.ask("resume_backfill", [Backfill.objects.get()])) == {
        Backfill.objects.get().pk: "backfill.state"
    }


def test_a_changed_world_is_refused_when_the_verdict_comes(guarded: Guarded, line: list[Task]) -> None:
    operation = asked(guarded, line[0], **DESCENDANTS)
    guarded.task("new", upstream=[line[0]])
    (check,) = checks_of(operation)
    say(check, "OK")
    assert status_of(operation) == "refused"
    assert told(operation) == {Backfill.objects.get().pk: "backfill.changed_while_checked"}
    assert not TaskInstance.objects.exists()


def test_the_extensions_of_every_workspace_it_reaches_are_asked(guarded: Guarded, line: list[Task]) -> None:
    other = Workspace.objects.create(tenant=guarded.tenant, name="other")
    Member.objects.create(workspace=other, user=guarded.operator, roles=["role_project_pe"])
    guarded.extension("theirs", workspace=other, test_workspace=other, points=["backfill-data"])
    guarded.task("far", upstream=[line[0]], workspace=other)
    operation = asked(guarded, line[0], **DESCENDANTS)
    assert Event.objects.count() == 2
    ours, theirs = checks_of(operation)
    say(ours, "OK")
    assert (status_of(operation), TaskInstance.objects.count()) == ("checking", 0)
    say(theirs, "OK")
    assert (status_of(operation), TaskInstance.objects.count()) == ("applied", 3)
    assert status_of(asked(guarded, line[1])) == "checking", "reaches one workspace alone"
    assert Event.objects.count() == 3


@pytest.mark.usefixtures("in_steps")
def test_a_verdict_queues_a_large_job(guarded: Guarded, line: list[Task]) -> None:
    operation = asked(guarded, line[0], count=2, **DESCENDANTS)
    assert not OrmQ.objects.exists()
    (check,) = checks_of(operation)
    say(check, "OK")
    assert OrmQ.objects.count() == 1
    assert Backfill.objects.get().state == "making"


def test_who_left_the_workspace_meanwhile_gets_nothing_made(guarded: Guarded, line: list[Task]) -> None:
    operation = asked(guarded, line[0])
    Member.objects.filter(user=guarded.operator).delete()
    (check,) = checks_of(operation)
    say(check, "OK")
    assert told(operation) == {Backfill.objects.get().pk: "operation.asker_left"}
    assert not TaskInstance.objects.exists()


def test_a_preview_of_another_day_is_not_confirmed(guarded: Guarded, line: list[Task]) -> None:
    with pytest.raises(Refused):
        asked(guarded, line[0], fingerprint="0" * 64)
    assert not Event.objects.exists()
