"""Stopping and rerunning whole backfills waits for the extensions that guard stops and reruns of their instances."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from extensions.models import Event
from opscenter.base.reasons import Refused
from opscenter.operations import backfill_steps, checked, door, jobs
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill, Task, TaskInstance, TaskVersion
from opscenter.production.rules.backfill import Mode, OnFailure
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, Workspace
from tests.operations.at_once import at_once
from tests.operations.backfilling import FIRST, backfill, fail, get, instances, of_day, pass_by, run_all, succeed
from tests.operations.guarded import Guarded, check_of, checks_of, say, status_of, trail
from tests.operations.test_backfill_batches import everything, fresh, runs, told, unfinished

pytestmark = pytest.mark.django_db
D = [FIRST + timedelta(days=n) for n in range(10)]
DESCENDANTS: dict[str, Any] = {"mode": Mode.DESCENDANTS}
KILL, RERUN = "pre-kill-instance", "pre-rerun-instance"
Job = Backfill.State


@pytest.fixture
def job(cast: Guarded, line: list[Task]) -> Backfill:
    """One that runs; two dates, of the first one a has succeeded and b runs."""
    cast.extension(points=[KILL, RERUN])
    made = backfill(cast, line[0], count=2, **DESCENDANTS)
    succeed(get(made, D[0], "a"))
    runs(get(made, D[0], "b"))
    return made


@pytest.fixture(params=[0, 1000], ids=["by a worker", "at once"])
def at_most(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(backfill_steps, "AT_ONCE", request.param)
    return int(request.param)


def asked(operation: Operation) -> dict[tuple[str, int], list[int]]:
    events = Event.objects.filter(operation=operation.pk)
    return {(one.point, one.workspace_id): one.message["data"]["taskIds"] for one in events}


def test_a_stop_waits_for_the_verdict_on_all_that_it_would_end(cast: Guarded, job: Backfill, at_most: int) -> None:
    before = [(one.pk, one.state) for one in everything(job)]
    operation = cast.ask("stop_backfill", [job])
    left = [one.pk for one in instances(job) if one.state != State.SUCCESS]
    assert (operation.status, asked(operation)) == ("checking", {(KILL, cast.workspace.pk): left})
    assert told(operation) == dict.fromkeys(left)
    assert [(one.pk, one.state) for one in everything(job)] == before and fresh(job).state == Job.STARTED
    data = Event.objects.get().message["data"]
    assert data["extensionBizName"] == "b +2", "its turns are no tasks of theirs"
    say(check_of(operation), "OK")
    assert status_of(operation) == ("running" if at_most == 0 else "applied")
    jobs.run(operation.pk)
    assert (status_of(operation), fresh(job).state) == ("applied", Job.STOPPED)
    assert told(operation) == dict.fromkeys(left, True)
    assert [one.state for one in unfinished(job)] == [State.RUNNING], "which is being killed"
    begun = [] if at_most else ["operation.start", "operation.finish"]
    assert [code for code, _by in trail(operation)] == ["operation.ask", "backfill.stop", *begun]


def test_a_rerun_waits_for_the_verdict_on_all_that_it_would_run(cast: Guarded, line: list[Task], at_most: int) -> None:
    never = cast.task("never", version={"rerun_mode": TaskVersion.RerunMode.ALL_DENIED})
    made = backfill(cast, *line, never, mode=Mode.ADVANCED)
    TaskInstance.objects.filter(pk=get(made, D[0], "never").pk).update(attempt=1)
    fail(get(made, D[0], "a"), get(made, D[0], "never"))
    cast.extension(points=[RERUN])
    operation = cast.ask("rerun_backfill", [made])
    first = get(made, D[0], "a").pk
    assert asked(operation) == {(RERUN, cast.workspace.pk): [first]}
    assert of_day(made, D[0])["a"] == State.FAILURE
    say(check_of(operation), "OK")
    jobs.run(operation.pk)
    assert told(operation) == {first: True, get(made, D[0], "never").pk: "operation.rerun_denied"}
    assert (status_of(operation), of_day(made, D[0])["a"]) == ("partly", State.WAIT_RESOURCE)


@pytest.mark.parametrize("how", ["FAIL", "cancel"])
@pytest.mark.parametrize("code", ["stop_backfill", "rerun_backfill"])
def test_blocked_or_cancelled_nothing_is_done(cast: Guarded, job: Backfill, code: str, how: str) -> None:
    fail(get(job, D[0], "b"))
    before = [(one.pk, one.state) for one in everything(job)]
    operation = cast.ask(code, [job])
    if how == "cancel":
        checked.cancel(cast.actor(), cast.workspace, operation.pk)
    else:
        say(check_of(operation), "FAIL", "The auditors are reading it.")
    after = "cancelled" if how == "cancel" else "blocked"
    assert status_of(operation) == after
    assert set({**told(operation), **told(operation, "backfill")}.values()) == {f"operation.{after}"}
    assert [(one.pk, one.state) for one in everything(job)] == before and fresh(job).state == Job.STARTED
    assert cast.ask(code, [job]).status == "checking", "it can be asked for again"


def test_pausing_and_resuming_ask_nobody(cast: Guarded, job: Backfill) -> None:
    cast.extension("everything", points=[KILL, RERUN, "pre-freeze-instance", "pre-unfreeze-instance", "backfill-data"])
    assert cast.ask("pause_backfill", [job]).status == "applied"
    assert cast.ask("resume_backfill", [job]).status == "applied"


@pytest.mark.parametrize("state", [Job.MAKING, Job.READY])
def test_nobody_is_asked_about_a_job_of_which_nothing_has_run(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch, state: Job
) -> None:
    cast.extension(points=[KILL])
    if state is Job.MAKING:
        monkeypatch.setattr("opscenter.engine.backfill_make.AT_ONCE", 0)
    made = backfill(cast, line[0], autostart=False, **DESCENDANTS)
    assert made.state == state
    assert cast.ask("stop_backfill", [made]).status == "applied"
    assert (fresh(made).state, unfinished(made)) == (Job.STOPPED, [])


def test_nobody_is_asked_in_development(cast: Guarded) -> None:
    cast.extension(points=[KILL])
    task = cast.task("a", environment="Dev")
    made = backfill(cast, task, environment="Dev")
    assert cast.ask("stop_backfill", [made], environment="Dev").status == "applied"


def test_the_extensions_of_every_workspace_are_asked_about_what_lies_there(cast: Guarded, line: list[Task]) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.operator, roles=["role_project_pe"])
    far = cast.task("far", upstream=[line[1]], workspace=other)
    made = backfill(cast, line[0], **DESCENDANTS)
    cast.extension("theirs", workspace=other, test_workspace=other, points=[KILL])
    unconcerned = Workspace.objects.create(tenant=cast.tenant, name="unconcerned")
    cast.extension("others", workspace=unconcerned, test_workspace=unconcerned, points=[KILL])
    operation = cast.ask("stop_backfill", [made])
    assert asked(operation) == {(KILL, other.pk): [TaskInstance.objects.get(task=far).pk]}
    spec = door.OPERATIONS["stop_backfill"]
    assert door.asked_first(spec, cast.workspace, "Prod") == []
    assert door.asked_first(spec, cast.workspace, "Prod", where={cast.workspace.pk, other.pk}) == ["theirs"]
    say(check_of(operation), "OK")
    assert (status_of(operation), unfinished(made)) == ("applied", [])


def test_node_types_that_an_extension_leaves_out_are_not_asked_about(cast: Guarded, line: list[Task]) -> None:
    cast.extension(points=[KILL], parameters=f"extension.fileType.DIDE_SHELL.{KILL}.enabled=false")
    assert cast.ask("stop_backfill", [backfill(cast, line[0], **DESCENDANTS)]).status == "applied"


def test_more_than_a_message_can_name_is_refused_with_what_to_do(
    cast: Guarded, job: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("door", "backfill_steps"):
        monkeypatch.setattr(f"opscenter.operations.{module}.MOST_ASKED", 2)
    with pytest.raises(Refused, match=r"more than 2, which are the most.*paused at once"):
        cast.ask("stop_backfill", [job])
    assert fresh(job).state == Job.STARTED and not Event.objects.exists()


def test_the_same_is_not_asked_for_twice(cast: Guarded, job: Backfill) -> None:
    cast.ask("stop_backfill", [job])
    assert told(cast.ask("stop_backfill", [job]), "backfill") == {job.pk: "operation.open_already"}
    assert cast.ask("pause_backfill", [job]).status == "applied", "the brake is there all the time"


# what changes while they are asked


def test_what_fails_while_they_are_asked_is_not_rerun_unasked(cast: Guarded, job: Backfill) -> None:
    aside = cast.task("aside")
    made = backfill(cast, aside, cast.task("other"), mode=Mode.ADVANCED)
    fail(get(made, D[0], "aside"))
    operation = cast.ask("rerun_backfill", [made])
    fail(get(made, D[0], "other"))
    say(check_of(operation), "OK")
    assert told(operation) == {get(made, D[0], "aside").pk: True, get(made, D[0], "other").pk: "backfill.not_asked"}
    assert of_day(made, D[0]) == {"aside": State.WAIT_RESOURCE, "other": State.FAILURE}
    assert status_of(operation) == "partly"


def test_what_goes_on_while_they_are_asked_is_stopped_as_it_is_then(cast: Guarded, job: Backfill) -> None:
    operation = cast.ask("stop_backfill", [job])
    over = get(job, D[0], "b")
    succeed(over)
    run = runs(get(job, D[1], "a"))
    say(check_of(operation), "OK")
    assert told(operation)[over.pk] == "backfill.ended_before"
    assert (status_of(operation), [one.pk for one in unfinished(job)]) == ("applied", [run.pk])
    assert run.attempts.get().stop_requested_at is not None


def test_what_is_rerun_by_hand_while_they_are_asked_is_stopped_with_it(cast: Guarded, job: Backfill) -> None:
    """A stopped backfill leaves nothing running, also what was over when they were asked."""
    operation = cast.ask("stop_backfill", [job])
    again = get(job, D[0], "a")
    TaskInstance.objects.filter(pk=again.pk).update(state=State.WAIT_RESOURCE)
    assert again.pk not in told(operation)
    say(check_of(operation), "OK")
    assert told(operation)[again.pk] is True
    assert [one.state for one in unfinished(job)] == [State.RUNNING]


def test_stopped_by_a_failure_while_they_are_asked_about_stopping(cast: Guarded, line: list[Task]) -> None:
    cast.extension(points=[KILL])
    made = backfill(cast, line[0], count=2, groups=2, on_failure=OnFailure.STOP, **DESCENDANTS)
    operation = cast.ask("stop_backfill", [made])
    fail(get(made, D[0], "a"))
    pass_by()
    assert fresh(made).state == Job.STOPPED
    say(check_of(operation), "OK")
    assert status_of(operation) == "refused"
    assert set({**told(operation), **told(operation, "backfill")}.values()) == {"backfill.state"}


def test_a_job_that_has_ended_meanwhile(cast: Guarded, job: Backfill) -> None:
    operation = cast.ask("stop_backfill", [job])
    succeed(get(job, D[0], "b"))
    run_all(job)
    say(check_of(operation), "OK")
    assert (status_of(operation), fresh(job).state) == ("refused", Job.STARTED)
    assert set(told(operation).values()) == {"backfill.over"}


def test_of_two_jobs_one_may_have_ended(cast: Guarded, line: list[Task]) -> None:
    cast.extension(points=[KILL])
    one, two = (backfill(cast, line[0], **DESCENDANTS) for _ in range(2))
    operation = cast.ask("stop_backfill", [one, two])
    run_all(one)
    say(check_of(operation), "OK")
    assert told(operation, "backfill") == {one.pk: "backfill.over", two.pk: True}
    assert {told(operation)[instance.pk] for instance in instances(one)} == {"backfill.over"}
    assert {told(operation)[instance.pk] for instance in instances(two)} == {True}
    assert (status_of(operation), unfinished(two)) == ("partly", [])


def test_who_asked_and_has_left_does_nothing(cast: Guarded, job: Backfill) -> None:
    operation = cast.ask("stop_backfill", [job])
    Member.objects.filter(user=cast.operator).delete()
    say(check_of(operation), "OK")
    assert (status_of(operation), fresh(job).state) == ("refused", Job.STARTED)
    assert set(told(operation).values()) == {"operation.asker_left"}


@pytest.mark.django_db(transaction=True)
def test_a_verdict_and_a_cancel_at_once_stop_all_of_it_or_nothing(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_steps, "AT_ONCE", 0)
    cast.extension(points=[KILL])
    for _ in range(4):
        made = backfill(cast, line[0], count=3, **DESCENDANTS)
        operation = cast.ask("stop_backfill", [made])
        (check,) = checks_of(operation)

        def verdict(check: Any = check, pk: int = operation.pk) -> None:
            say(check, "OK")
            jobs.run(pk)

        at_once(verdict, partial(checked.cancel, cast.actor(), cast.workspace, operation.pk))
        status = status_of(operation)
        assert status in ("applied", "cancelled")
        assert fresh(made).state == (Job.STOPPED if status == "applied" else Job.STARTED)
        assert len(unfinished(made)) == (0 if status == "applied" else 8)


@pytest.mark.django_db(transaction=True)
def test_a_verdict_at_the_moment_at_which_a_failure_stops_it(cast: Guarded, line: list[Task]) -> None:
    cast.extension(points=[KILL])
    for _ in range(4):
        made = backfill(cast, line[0], count=3, groups=3, on_failure=OnFailure.STOP, **DESCENDANTS)
        operation = cast.ask("stop_backfill", [made])
        fail(get(made, D[0], "a"))
        at_once(partial(say, check_of(operation), "OK"), pass_by)
        assert status_of(operation) in ("applied", "refused")
        assert (fresh(made).state, unfinished(made)) == (Job.STOPPED, [])
        assert not operation.targets.filter(done=None).exists()
