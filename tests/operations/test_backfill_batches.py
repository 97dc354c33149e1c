"""Stopping and rerunning whole backfills in batches: nothing is left behind, whatever happens in between."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django_q.models import OrmQ

from extensions.models import Enablement, Event, Extension
from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.engine import backfill_batches, backfill_make, backfill_watch, claim
from opscenter.operations import backfill_steps, jobs
from opscenter.operations.models import Operation
from opscenter.production.models import Attempt, Backfill, Task, TaskInstance, TaskVersion
from opscenter.production.rules.backfill import Mode, OnFailure
from opscenter.production.rules.states import LIVE, WAITING, State
from tests.operations.at_once import at_once
from tests.operations.backfilling import (
    FIRST,
    backfill,
    counted,
    fail,
    get,
    instances,
    of_day,
    pass_by,
    ready,
    run_all,
    states,
    succeed,
)
from tests.operations.guarded import Guarded, status_of, trail

pytestmark = pytest.mark.django_db
D = [FIRST + timedelta(days=n) for n in range(10)]
DESCENDANTS: dict[str, Any] = {"mode": Mode.DESCENDANTS}
Job = Backfill.State


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any operation is a large one."""
    monkeypatch.setattr(backfill_steps, "AT_ONCE", 0)
    monkeypatch.setattr(backfill_batches, "BATCH", 2)


def told(operation: Operation, object_type: str = "instance") -> dict[int, str | bool | None]:
    """Object -> whether it was done, or the code of why not."""
    targets = operation.targets.filter(object_type=object_type).order_by("object_id")
    return {one.object_id: one.reason["code"] if one.reason else one.done for one in targets}


def fresh(job: Backfill) -> Backfill:
    return Backfill.objects.get(pk=job.pk)


def everything(job: Backfill) -> list[TaskInstance]:
    """With its turns."""
    return list(TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job).order_by("pk"))


def unfinished(job: Backfill) -> list[TaskInstance]:
    return [one for one in everything(job) if State(one.state) in WAITING | LIVE or one.due_at is not None]


def runs(one: TaskInstance) -> TaskInstance:
    TaskInstance.objects.filter(pk=one.pk).update(state=State.RUNNING, attempt=1)
    Attempt.objects.create(instance=one, number=1, state=Attempt.State.RUNNING, claimed_at=clock.now())
    return one


# stopping


def test_a_large_job_is_stopped_by_a_worker_with_a_result_for_each_instance(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, groups=3, **DESCENDANTS)
    succeed(get(job, D[0], "a"))
    claimed = claim.claim(1, 1)[0].instance
    (waiting, *_) = [one for one in instances(job) if one.state == State.WAIT_RESOURCE]
    running = runs(waiting)
    operation = cast.ask("stop_backfill", [job], comment="wrong table")
    assert (operation.status, fresh(job).state, OrmQ.objects.count()) == ("running", Job.STOPPING, 1)
    assert (told(operation, "backfill"), told(operation)) == ({job.pk: None}, {})
    assert jobs._step(operation.pk), "finds what there is to stop"
    left = {one.pk for one in instances(job) if one.state != State.SUCCESS}
    assert told(operation) == dict.fromkeys(left)
    assert jobs._step(operation.pk)
    assert {pk for pk, done in told(operation).items() if done is True} == {claimed, running.pk}, (
        "what runs comes first"
    )
    jobs.run(operation.pk)
    jobs.run(operation.pk)  # the same chore once more, because nobody heard that it had ended
    assert (status_of(operation), fresh(job).state) == ("applied", Job.STOPPED)
    assert told(operation) == dict.fromkeys(left, True)
    assert told(operation, "backfill") == {job.pk: True}
    assert [one.pk for one in unfinished(job)] == [running.pk]
    assert Attempt.objects.get(instance=running).stop_requested_at is not None
    assert Attempt.objects.get(instance=claimed).state == Attempt.State.STOPPED
    assert [code for code, _by in trail(operation)] == ["backfill.stop", "operation.start", "operation.finish"]
    assert counted(job)


def test_a_small_one_is_stopped_at_once(cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_steps, "AT_ONCE", 6)
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    operation = cast.ask("stop_backfill", [job])
    assert (operation.status, fresh(job).state, OrmQ.objects.count()) == ("applied", Job.STOPPED, 0)
    assert told(operation) == {one.pk: True for one in instances(job)}
    assert unfinished(job) == []


def test_several_jobs_in_one_operation(cast: Guarded, line: list[Task]) -> None:
    one, two = (backfill(cast, line[0], count=2, **DESCENDANTS) for _ in range(2))
    operation = cast.ask("stop_backfill", [one, two])
    jobs.run(operation.pk)
    assert told(operation, "backfill") == {one.pk: True, two.pk: True}
    assert unfinished(one) == unfinished(two) == []
    again = cast.ask("rerun_backfill", [one, two])
    jobs.run(again.pk)
    for job in (one, two):
        assert run_all(job) == [(D[0], "a"), (D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_what_was_over_before_it_was_reached_is_told_and_refuses_nothing(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], line[1], mode=Mode.ADVANCED)
    running = get(job, D[0], "a")
    TaskInstance.objects.filter(pk=running.pk).update(state=State.RUNNING)
    operation = cast.ask("stop_backfill", [job])
    jobs._step(operation.pk)
    succeed(running)
    jobs.run(operation.pk)
    assert told(operation)[running.pk] == "backfill.ended_before"
    assert (status_of(operation), unfinished(job)) == ("applied", [])


def test_while_it_is_being_stopped_nothing_else_is_begun_with_it(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], **DESCENDANTS)
    cast.ask("stop_backfill", [job])
    for code in ("stop_backfill", "rerun_backfill", "pause_backfill", "resume_backfill"):
        assert told(cast.ask(code, [job]), "backfill") == {job.pk: "backfill.state"}


def test_subscribers_are_told_what_was_stopped_and_what_is_rerun(cast: Guarded, line: list[Task]) -> None:
    listener = cast.extension(points=["kill-instance", "rerun-instance"])
    assert Enablement.objects.get(extension=listener).is_enabled and Extension.objects.count() == 1
    job = backfill(cast, line[0], **DESCENDANTS)
    ids = [one.pk for one in instances(job)]
    for code in ("stop_backfill", "rerun_backfill"):
        jobs.run(cast.ask(code, [job]).pk)
    said = {event.point: sorted(event.message["data"]["taskIds"]) for event in Event.objects.all()}
    assert said == {"kill-instance": ids, "rerun-instance": ids}


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_stop_that_is_cancelled_half_way_lets_the_rest_go_on(
    cast: Guarded, line: list[Task], is_paused: bool
) -> None:
    job = backfill(cast, line[0], count=3, groups=3, on_failure=OnFailure.GO_ON, **DESCENDANTS)
    if is_paused:
        cast.ask("pause_backfill", [job])
    operation = cast.ask("stop_backfill", [job])
    jobs._step(operation.pk)
    jobs._step(operation.pk)
    jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    assert (status_of(operation), told(operation, "backfill")) == ("cancelled", {job.pk: "backfill.cancelled_halfway"})
    assert list(told(operation).values()).count("operation.stopped") == 4
    now = fresh(job)
    assert (now.state, now.is_paused, now.is_watched, now.reason) == (Job.STARTED, is_paused, True, None)
    jobs.run(operation.pk)
    assert fresh(job).state == Job.STARTED, "the worker does no more of it"
    if is_paused:
        assert ready(job) == set()
        cast.ask("resume_backfill", [job])
    run_all(job)
    pass_by()
    run_all(job)
    stopped = {pk for pk, done in told(operation).items() if done is True}
    behind = {one.pk for one in instances(job) if one.state == State.NOT_RUN}
    assert {one.pk for one in instances(job) if one.state != State.SUCCESS} == stopped | behind
    jobs.run(cast.ask("rerun_backfill", [job]).pk)
    run_all(job)
    assert {one.state for one in everything(job)} == {State.SUCCESS}


def test_a_stop_that_is_cancelled_of_one_that_has_not_started(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], autostart=False, **DESCENDANTS)
    operation = cast.ask("stop_backfill", [job])
    jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    assert (fresh(job).state, fresh(job).is_paused) == (Job.READY, True)
    cast.ask("resume_backfill", [job])
    assert run_all(job) == [(D[0], "a"), (D[0], "b")]


def test_a_stop_that_is_cancelled_of_one_that_is_being_made_has_it_made(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    backfill_make.step(job.pk)
    operation = cast.ask("stop_backfill", [job])
    backfill_make.make(job.pk)
    assert job.dates.filter(is_made=True).count() == 1, "nothing more of it is made"
    jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    assert OrmQ.objects.count() == 3, "making, stopping, making"
    backfill_make.make(job.pk)
    assert fresh(job).state == Job.STARTED
    assert len(run_all(job)) == 6


def test_a_job_that_stops_after_a_failure_is_stopped_in_batches_too(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = backfill(cast, line[0], count=4, groups=4, on_failure=OnFailure.STOP, **DESCENDANTS)
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)
    fail(get(job, D[0], "a"))
    running = runs(get(job, D[1], "a"))
    pass_by()
    assert (fresh(job).state, OrmQ.objects.count()) == (Job.STOPPING, 1)
    backfill_batches.stop_rest(job.pk)
    assert (fresh(job).state, [one.pk for one in unfinished(job)]) == (Job.STOPPED, [running.pk])
    assert (fresh(job).reason or {})["code"] == "backfill.stopped_by_failure"
    assert counted(job)


# rerunning


def test_a_rerun_in_batches_keeps_the_order(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, **DESCENDANTS)
    succeed(get(job, D[0], "a"))
    jobs.run(cast.ask("stop_backfill", [job]).pk)
    operation = cast.ask("rerun_backfill", [job])
    assert (operation.status, fresh(job).state, fresh(job).is_rerunning) == ("running", Job.STARTED, True)
    assert told(cast.ask("rerun_backfill", [job]), "backfill") == {job.pk: "backfill.rerunning"}
    jobs._step(operation.pk)
    jobs._step(operation.pk)
    assert run_all(job) == [(D[0], "b"), (D[1], "a")], (
        "what is put back runs, and may be over before the rest is reached"
    )
    jobs.run(operation.pk)
    assert (status_of(operation), fresh(job).is_rerunning) == ("applied", False)
    assert counted(job)
    assert run_all(job) == [(D[1], "b"), (D[2], "a"), (D[2], "b")]
    assert {one.state for one in everything(job)} == {State.SUCCESS}


@pytest.mark.parametrize("on_failure", [OnFailure.STOP, OnFailure.GO_ON])
def test_what_has_not_been_put_back_yet_is_no_failure(cast: Guarded, line: list[Task], on_failure: OnFailure) -> None:
    job = backfill(cast, line[0], count=3, on_failure=on_failure, **DESCENDANTS)
    jobs.run(cast.ask("stop_backfill", [job]).pk)
    operation = cast.ask("rerun_backfill", [job])
    jobs._step(operation.pk)
    cast.ask("set_priority", [get(job, D[2], "b")], arguments={"priority": 8})  # which has it looked at
    pass_by()
    assert fresh(job).state == Job.STARTED
    jobs.run(operation.pk)
    pass_by()
    assert (fresh(job).state, fresh(job).is_watched) == (Job.STARTED, True)
    assert ready(job) == {(D[0], "a")}
    fail(get(job, D[0], "a"))
    pass_by()
    if on_failure is OnFailure.STOP:
        assert fresh(job).state in (Job.STOPPING, Job.STOPPED)
    else:
        assert ready(job) == {(D[1], "a")}


def test_a_failure_that_cannot_be_rerun_does_not_stop_a_job_once_more(cast: Guarded) -> None:
    once = cast.task("once", version={"rerun_mode": TaskVersion.RerunMode.ALL_DENIED})
    job = backfill(cast, once, cast.task("free"), mode=Mode.ADVANCED, on_failure=OnFailure.STOP)
    TaskInstance.objects.filter(pk=get(job, D[0], "once").pk).update(attempt=1)
    fail(get(job, D[0], "once"))
    pass_by()
    assert fresh(job).state == Job.STOPPED
    operation = cast.ask("rerun_backfill", [job])
    jobs.run(operation.pk)
    assert told(operation) == {get(job, D[0], "once").pk: "operation.rerun_denied", get(job, D[0], "free").pk: True}
    assert status_of(operation) == "partly"
    pass_by()
    assert (fresh(job).state, ready(job)) == (Job.STARTED, {(D[0], "free")})


def test_stopped_in_the_middle_of_a_rerun(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, groups=3, **DESCENDANTS)
    jobs.run(cast.ask("stop_backfill", [job]).pk)
    rerun = cast.ask("rerun_backfill", [job])
    jobs._step(rerun.pk)
    jobs._step(rerun.pk)
    stop = cast.ask("stop_backfill", [job])
    jobs.run(rerun.pk)
    assert (status_of(rerun), list(told(rerun).values()).count("backfill.interrupted")) == ("partly", 4)
    jobs.run(stop.pk)
    assert (status_of(stop), fresh(job).state, unfinished(job)) == ("applied", Job.STOPPED, [])


def test_a_rerun_that_is_cancelled_leaves_the_rest_failed(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, on_failure=OnFailure.STOP, **DESCENDANTS)
    jobs.run(cast.ask("stop_backfill", [job]).pk)
    operation = cast.ask("rerun_backfill", [job])
    jobs._step(operation.pk)
    jobs._step(operation.pk)
    jobs.cancel(cast.actor(), cast.workspace, operation.pk)
    assert (fresh(job).is_rerunning, fresh(job).is_watched) == (False, True)
    pass_by()
    assert fresh(job).state == Job.STARTED, "what was not put back is no new failure"
    assert run_all(job) == [(D[0], "a"), (D[0], "b")]
    assert set(of_day(job, D[1]).values()) == {State.FAILURE}
    jobs.run(cast.ask("rerun_backfill", [job]).pk)
    assert run_all(job) == [(D[1], "a"), (D[1], "b"), (D[2], "a"), (D[2], "b")]


def test_of_a_paused_job_what_is_rerun_waits_for_the_resuming(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    fail(get(job, D[0], "a"))
    cast.ask("pause_backfill", [job])
    jobs.run(cast.ask("rerun_backfill", [job]).pk)
    assert ready(job) == set()
    cast.ask("resume_backfill", [job])
    assert run_all(job) == [(D[0], "a"), (D[0], "b"), (D[1], "a"), (D[1], "b")]


def test_what_vanished_meanwhile_is_told(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=2, **DESCENDANTS)
    operation = cast.ask("stop_backfill", [job])
    jobs._step(operation.pk)
    gone = get(job, D[1], "b").pk
    TaskInstance.objects.filter(pk=gone).delete()
    jobs.run(operation.pk)
    assert told(operation)[gone] == "instance.unknown"
    assert (status_of(operation), fresh(job).state) == ("partly", Job.STOPPED)


# whatever happens in between


@pytest.mark.parametrize("seed", range(10))
def test_a_stopped_job_leaves_nothing_behind_whatever_happens_meanwhile(
    cast: Guarded, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dates are made, instances run and end, what failed is rerun, all between the batches of a stop that may be cancelled."""
    rng = random.Random(seed)
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)
    monkeypatch.setattr(backfill_batches, "BATCH", rng.randint(1, 4))
    tasks = [cast.task("t0")]
    for n in range(1, 4):
        tasks.append(cast.task(f"t{n}", upstream=rng.sample(tasks, rng.randint(1, min(2, n)))))
    job = backfill(
        cast, tasks[0], count=4, groups=rng.randint(1, 3), on_failure=rng.choice(list(OnFailure)), **DESCENDANTS
    )
    open_ones: list[Operation] = []

    def work() -> None:
        what = rng.random()
        waiting = [one for one in everything(job) if one.state == State.WAIT_RESOURCE and not one.frozen]
        if what < 0.3:
            backfill_make.step(job.pk)
        elif what < 0.6 and waiting:
            (fail if rng.random() < 0.3 else succeed)(rng.choice(waiting))
        elif what < 0.75:
            backfill_watch.run_backfills()
            backfill_batches.stop_rest(job.pk) if not open_ones else None
        elif what < 0.9:
            code = rng.choice(("rerun_backfill", "pause_backfill", "resume_backfill", "stop_backfill"))
            operation = cast.ask(code, [job])
            if operation.status == "running":
                open_ones.append(operation)
        elif open_ones:
            chosen = rng.choice(open_ones)
            try:
                jobs.cancel(cast.actor(), cast.workspace, chosen.pk)
            except Refused:
                assert status_of(chosen) != "running"
        for one in open_ones:
            if rng.random() < 0.5:
                jobs._step(one.pk)

    for _ in range(25):
        work()
    for one in open_ones:
        jobs.run(one.pk)
        assert status_of(one) != "running"
    backfill_make.make(job.pk)
    if fresh(job).state == Job.STOPPING:
        backfill_batches.stop_rest(job.pk)
    assert counted(job)
    if fresh(job).state != Job.STOPPED:
        stop = cast.ask("stop_backfill", [job])
        jobs.run(stop.pk)
        assert status_of(stop) in ("applied", "refused"), "refused where everything had ended"
    assert unfinished(job) == []
    if not job.dates.filter(is_made=False).exists():
        jobs.run(cast.ask("rerun_backfill", [job]).pk)
        cast.ask("resume_backfill", [job])
        for _ in range(6):
            run_all(job)
            pass_by()
        assert {one.state for one in everything(job)} == {State.SUCCESS}, states(job)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round", range(3))
def test_stopped_while_workers_make_it_and_stop_it_at_once(
    cast: Guarded, line: list[Task], monkeypatch: pytest.MonkeyPatch, round: int
) -> None:
    monkeypatch.setattr(backfill_make, "AT_ONCE", 0)
    job = backfill(cast, line[0], count=8, **DESCENDANTS)
    for _ in range(round):
        backfill_make.step(job.pk)

    def stop() -> None:
        operation = cast.ask("stop_backfill", [job])
        at_once(*[lambda: jobs.run(operation.pk)] * 2)

    answers = at_once(lambda: backfill_make.make(job.pk), lambda: backfill_make.make(job.pk), stop)
    assert answers == [None, None, None]
    (operation,) = Operation.objects.filter(code="stop_backfill")
    assert (operation.status, fresh(job).state) == ("applied", Job.STOPPED)
    assert unfinished(job) == []
    assert len(told(operation)) == fresh(job).made == len(instances(job))


@pytest.mark.django_db(transaction=True)
def test_a_cancel_racing_with_the_last_batches(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=4, groups=4, **DESCENDANTS)
    operation = cast.ask("stop_backfill", [job])
    jobs._step(operation.pk)
    answers = at_once(lambda: jobs.run(operation.pk), lambda: jobs.cancel(cast.actor(), cast.workspace, operation.pk))
    status = status_of(operation)
    assert status == ("applied" if isinstance(answers[1], Refused) else "cancelled")
    assert fresh(job).state == (Job.STOPPED if status == "applied" else Job.STARTED)
    assert not operation.targets.filter(done=None).exists()
    left = {one.pk for one in unfinished(job)}
    assert left >= {pk for pk, result in told(operation).items() if result == "operation.stopped"}
    assert counted(job)
