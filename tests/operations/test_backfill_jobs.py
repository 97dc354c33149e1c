"""A backfill as a whole: paused, resumed, stopped, rerun; its failures, its run window."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.engine import backfill_watch, claim, retention
from opscenter.production.explaining import explain_instance, short_reasons
from opscenter.production.models import (
    Attempt,
    Backfill,
    Task,
    TaskDependency,
    TaskInstance,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.rules.backfill import Mode, OnFailure
from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.workspaces.models import User
from tests.operations.at_once import meanwhile
from tests.operations.backfilling import (
    FIRST,
    backfill,
    counted,
    days,
    fail,
    get,
    instances,
    of_day,
    pass_by,
    ready,
    run_all,
    succeed,
)
from tests.operations.guarded import Guarded, told

pytestmark = pytest.mark.django_db
D = [FIRST + timedelta(days=n) for n in range(10)]
DESCENDANTS: dict[str, Any] = {"mode": Mode.DESCENDANTS}


def do(cast: Guarded, code: str, job: Backfill, by: User | None = None) -> str | None:
    """The code of why it was not done, None if it was; the job is as it is afterwards."""
    operation = cast.ask(f"{code}_backfill", [job], by=by)
    job.refresh_from_db()
    return told(operation)[job.pk]


def unfinished(job: Backfill) -> list[TaskInstance]:
    everything = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    return [one for one in everything if State(one.state) in WAITING | LIVE or one.due_at is not None]


def test_a_paused_job_starts_nothing_and_goes_on_where_it_was(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    assert do(cast, "pause", job) is None
    assert job.is_paused
    assert ready(job) == set()
    assert explain_instance(get(job, D[0], "a")).headline.code == "explain.paused"
    assert do(cast, "pause", job) == "backfill.paused_already"
    assert do(cast, "resume", job) is None
    assert do(cast, "resume", job) == "backfill.not_paused"
    assert run_all(job) == [(D[0], "a"), (D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_what_runs_goes_on_while_the_job_is_paused(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], **DESCENDANTS)
    running = get(job, D[0], "a")
    TaskInstance.objects.filter(pk=running.pk).update(state=State.RUNNING)
    do(cast, "pause", job)
    assert not get(job, D[0], "a").frozen
    succeed(running)
    assert ready(job) == set()
    do(cast, "resume", job)
    assert ready(job) == {(D[0], "b")}


def test_resuming_leaves_frozen_what_somebody_else_froze(cast: Guarded, line: list[Task]) -> None:
    Task.objects.filter(pk=line[1].pk).update(recurrence="Pause")
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    cast.ask("freeze", [get(job, D[1], "a")])
    do(cast, "pause", job)
    cast.ask("unfreeze", [get(job, D[2], "a")])
    cast.ask("freeze", [get(job, D[2], "a")])
    do(cast, "resume", job)
    frozen = {(one.bizdate, one.task.name) for one in instances(job) if one.frozen}
    assert frozen == {(D[1], "a"), (D[2], "a"), *((day, "b") for day in D[:3])}


def test_a_stopped_job_leaves_nothing_waiting_or_running(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, groups=3, **DESCENDANTS)
    succeed(get(job, D[0], "a"))
    claimed = claim.claim(1, 1)[0].instance
    running = next(one for one in instances(job) if one.state == State.WAIT_RESOURCE)
    TaskInstance.objects.filter(pk=running.pk).update(state=State.RUNNING, attempt=1)
    Attempt.objects.create(instance=running, number=1, state="running", claimed_at=clock.now())
    rerun_later = next(one for one in instances(job) if one.state == State.WAIT_RESOURCE)
    TaskInstance.objects.filter(pk=rerun_later.pk).update(state=State.FAILURE, due_at=clock.now())
    assert do(cast, "stop", job) is None
    assert job.state == Backfill.State.STOPPED
    assert [one.pk for one in unfinished(job)] == [running.pk]
    assert Attempt.objects.get(instance=running).stop_requested_at is not None
    assert Attempt.objects.get(instance=claimed).state == Attempt.State.STOPPED
    assert do(cast, "stop", job) == "backfill.state"


def test_a_job_stopped_while_it_is_paused_can_be_rerun(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    succeed(get(job, D[0], "a"))
    do(cast, "pause", job)
    do(cast, "stop", job)
    assert {one.state for one in instances(job)} == {State.SUCCESS, State.FAILURE}
    assert do(cast, "rerun", job) is None
    assert job.state == Backfill.State.STARTED
    assert counted(job)
    assert run_all(job) == [(D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_rerunning_what_failed_keeps_the_order(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    fail(get(job, D[0], "a"))
    assert ready(job) == set()
    do(cast, "rerun", job)
    assert run_all(job) == [(D[0], "a"), (D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_what_never_allows_a_rerun_is_rerun_only_if_it_never_ran(cast: Guarded) -> None:
    task = cast.task("once", version={"rerun_mode": TaskVersion.RerunMode.ALL_DENIED})
    job = backfill(cast, task, count=2, groups=2)
    TaskInstance.objects.filter(pk=get(job, D[0], "once").pk).update(attempt=1)
    do(cast, "stop", job)
    do(cast, "rerun", job)
    assert ready(job) == {(D[1], "once")}


def test_after_a_failure_the_next_date_waits_by_default(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    fail(get(job, D[0], "a"))
    pass_by()
    assert of_day(job, D[1]) == {"a": State.NOT_RUN, "b": State.NOT_RUN}
    cast.ask("set_success", [get(job, D[0], "a")])
    assert run_all(job) == [(D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_after_a_failure_the_next_date_can_go_on(cast: Guarded, line: list[Task]) -> None:
    aside = cast.task("aside", upstream=[line[0]])
    job = backfill(cast, line[0], count=2, on_failure=OnFailure.GO_ON, **DESCENDANTS)
    succeed(get(job, D[0], "a"))
    fail(get(job, D[0], "b"))
    pass_by()
    assert ready(job) == {(D[0], aside.name)}, "the failed date is not over yet"
    succeed(get(job, D[0], aside.name))
    assert pass_by() is not None
    assert ready(job) == {(D[1], "a")}
    assert run_all(job) == [(D[1], "a"), (D[1], "aside"), (D[1], "b")]
    pass_by()
    job.refresh_from_db()
    assert not job.is_watched, "nobody looks at it any more"


@pytest.fixture
def stuck(cast: Guarded) -> Backfill:
    """Goes on after failures; of the second date everything but what waits for the failure of the first is over."""
    a, b = cast.task("a"), cast.task("b")
    TaskDependency.objects.create(
        task=a, upstream=a, type="CrossCycleDependsOnSelf", output=f"acme_daily.{a.number}_out"
    )
    job = backfill(cast, a, b, count=3, mode=Mode.ADVANCED, on_failure=OnFailure.GO_ON)
    succeed(get(job, D[0], "b"))
    fail(get(job, D[0], "a"))
    pass_by()
    succeed(get(job, D[1], "b"))
    pass_by()
    assert ready(job) == set()
    job.refresh_from_db()
    assert not job.is_watched, "nothing moves"
    return job


@pytest.mark.parametrize("code", ["rerun", "set_success"])
def test_a_failure_after_nothing_moved_any_more_is_acted_upon_too(cast: Guarded, stuck: Backfill, code: str) -> None:
    cast.ask(code, [get(stuck, D[0], "a")])
    if code == "rerun":
        succeed(get(stuck, D[0], "a"))
    fail(get(stuck, D[1], "a"))
    pass_by()
    assert ready(stuck) == {(D[2], "b")}


@pytest.mark.django_db(transaction=True)
def test_who_looks_sees_what_somebody_sets_moving_at_the_same_moment(cast: Guarded, stuck: Backfill) -> None:
    Backfill.objects.filter(pk=stuck.pk).update(is_watched=True)
    with meanwhile(backfill_watch.run_backfills):
        cast.ask("rerun", [get(stuck, D[0], "a")])
    stuck.refresh_from_db()
    assert stuck.is_watched


def test_operations_on_the_instances_of_others_wake_no_job(cast: Guarded, stuck: Backfill) -> None:
    cast.ask("rerun", [cast.instance(cast.task("other"), State.FAILURE)])
    stuck.refresh_from_db()
    assert not stuck.is_watched


def test_after_a_failure_the_whole_job_can_stop(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, groups=3, on_failure=OnFailure.STOP, **DESCENDANTS)
    failed = get(job, D[0], "a")
    fail(failed)
    pass_by()
    job.refresh_from_db()
    assert job.state == Backfill.State.STOPPED
    assert job.reason == {"code": "backfill.stopped_by_failure", "params": {"instance": failed.pk}}
    assert not unfinished(job)


def test_an_automatic_rerun_is_no_failure_yet(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], on_failure=OnFailure.STOP)
    TaskInstance.objects.filter(pk=get(job, D[0], "a").pk).update(
        state=State.FAILURE, due_at=clock.now() + timedelta(hours=1)
    )
    pass_by()
    job.refresh_from_db()
    assert (job.state, job.is_watched) == (Backfill.State.STARTED, True)


# the run window


class Clock:
    """The database's clock, moved; of the transitions only the state is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.now = datetime.now(UTC)

    def set(self, at: datetime) -> None:
        self.now = at
        self._patch.setattr(clock, "now", lambda: self.now)


def around_now(**hours: float) -> tuple[time, time, bool]:
    """A window of two hours whose beginning is so far from now."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(**hours)
    return start.time(), (start + timedelta(hours=2)).time(), False


def test_outside_its_run_window_nothing_starts(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], run_window=around_now(hours=3), **DESCENDANTS)
    assert of_day(job, D[0]) == {"a": State.WAIT_TIME, "b": State.NOT_RUN}
    (opens,) = {one.not_before for one in instances(job)}
    assert opens is not None
    assert timedelta(hours=2) < opens - datetime.now(UTC) < timedelta(hours=4)


def test_when_its_run_window_closes_what_has_not_started_waits_for_the_next_one(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = backfill(cast, line[0], run_window=around_now(hours=-1), **DESCENDANTS)
    assert ready(job) == {(D[0], "a")}
    job.refresh_from_db()
    closes = job.due_at
    assert closes is not None
    assert backfill_watch.run_backfills() == closes
    moved = Clock(monkeypatch)
    moved.set(closes)
    assert backfill_watch.run_backfills() == closes + timedelta(days=1)
    opens = closes + timedelta(hours=22) - timedelta(seconds=1)
    assert {one.not_before for one in instances(job)} == {opens}
    assert of_day(job, D[0]) == {"a": State.WAIT_TIME, "b": State.NOT_RUN}
    assert get(job, D[0], "a").due_at == opens


def test_who_may_operate_a_job(cast: Guarded, line: list[Task]) -> None:
    own = cast.task("own", owner=cast.developer)
    job = backfill(cast, own, by=cast.developer)
    assert do(cast, "pause", job, by=cast.developer) is None
    others = backfill(cast, line[0])
    assert do(cast, "pause", others, by=cast.developer) == "permission.missing"


def test_an_explanation_names_the_date_that_is_waited_for(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    waiting = get(job, D[1], "a")
    reason = explain_instance(waiting).headline
    assert reason.code == "explain.upstream_unmet"
    assert "business date 2026-11-01 of the backfill" in say(reason.code, reason.params)
    short = short_reasons([waiting])[waiting.pk]
    assert say(short.code, short.params) == "Waits for the business date 2026-11-01 of the backfill"


def test_a_job_is_removed_with_the_last_of_its_instances(cast: Guarded, line: list[Task]) -> None:
    """Kept by when it ran, not by the business dates that it ran for."""
    first = date(2025, 1, 1)
    job = backfill(cast, line[0], ranges=days(3, first), **DESCENDANTS)
    run_all(job)
    job.mails.create(outcome="success", ended_at=clock.now())
    remove(cast)
    assert Backfill.objects.filter(pk=job.pk).exists()
    long_ago = clock.now() - timedelta(days=cast.workspace.keep_instances + 2)
    everything = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    everything.filter(bizdate__lt=first + timedelta(days=2)).update(state_at=long_ago)
    remove(cast)
    assert {one.bizdate for one in instances(job)} == {first + timedelta(days=2)}
    assert Backfill.objects.filter(pk=job.pk).exists()
    everything.update(state_at=long_ago)
    remove(cast)
    assert not Backfill.objects.exists()
    assert not WorkflowInstance.objects.filter(type=WorkflowInstance.Type.BACKFILL).exists()


def remove(cast: Guarded) -> None:
    """What the workspace no longer keeps."""
    for old in list(retention.preview(cast.workspace)):
        while retention.remove_batch(old):
            pass


@pytest.mark.parametrize(
    ("kind", "fails", "told"),
    [
        ("SuccessFailure", False, "success"),
        ("SUCCESS_FAILURE", True, "failure"),
        ("Success", False, "success"),
        ("Success", True, ""),
        ("Failure", True, "failure"),
        ("FAILURE", False, ""),
        (None, True, ""),
    ],
)
def test_its_creator_is_told_how_it_ended_where_they_want_to_know(
    cast: Guarded, kind: str | None, fails: bool, told: str
) -> None:
    up, down = cast.task("up"), cast.task("down")
    job = backfill(cast, up, down, mode=Mode.ADVANCED, alert={"type": kind} if kind else None)
    backfill_watch.run_backfills()
    job.refresh_from_db()
    assert (job.alert, job.is_watched) == ("", kind is not None), "it has not ended"
    TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).update(state=State.SUCCESS, due_at=None)
    if fails:
        TaskInstance.objects.filter(task=up, workflow_instance__backfill_date__backfill=job).update(state=State.FAILURE)
    backfill_watch.run_backfills()
    job.refresh_from_db()
    assert (job.alert, job.is_watched) == (told, False)
    assert (job.alert_at is not None) is bool(told)


def test_who_is_told_that_it_was_stopped_by_a_failure(cast: Guarded) -> None:
    job = backfill(cast, cast.task("up"), on_failure=OnFailure.STOP, alert={"type": "Failure"})
    TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).update(state=State.FAILURE, due_at=None)
    backfill_watch.run_backfills()
    job.refresh_from_db()
    assert (job.state, job.alert) == ("stopped", "failure")


def test_a_rerun_of_what_failed_ends_once_more(cast: Guarded) -> None:
    job = backfill(cast, cast.task("up"), alert={"type": "SuccessFailure"})
    of_job = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    of_job.update(state=State.FAILURE, due_at=None)
    backfill_watch.run_backfills()
    cast.ask("rerun_backfill", [job])
    job.refresh_from_db()
    assert (job.alert, job.is_watched) == ("", True)
    of_job.update(state=State.SUCCESS, due_at=None)
    backfill_watch.run_backfills()
    job.refresh_from_db()
    assert job.alert == "success"


def test_who_was_told_of_an_end_is_not_told_of_the_same_one_again(cast: Guarded) -> None:
    job = backfill(cast, cast.task("up"), alert={"type": "SuccessFailure"})
    fail(get(job, D[0], "up"))
    pass_by()
    Backfill.objects.filter(pk=job.pk).update(alert="")  # they have looked at it
    cast.ask("set_priority", [get(job, D[0], "up")], arguments={"priority": 8})
    pass_by()
    job.refresh_from_db()
    assert (job.alert, job.is_watched) == ("", False)
    cast.ask("rerun", [get(job, D[0], "up")])
    succeed(get(job, D[0], "up"))
    pass_by()
    job.refresh_from_db()
    assert job.alert == "success"
