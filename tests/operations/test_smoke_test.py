"""Run now: who may, for which tasks, with which date, and what the run then knows."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.engine import advance, due
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.operations.smoke_test import run_now
from opscenter.operations.trigger import trigger
from opscenter.production.models import Task, TaskInstance, TaskVersion, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from opscenter.workspaces.models import AuditEntry, Member, User
from tests.cast import Cast
from tests.engine.runs import execute

pytestmark = pytest.mark.django_db
BIZDATE = date(2026, 3, 14)
AT = time(2, 30)


@pytest.fixture
def cast() -> Cast:
    return Cast()


def run(user: User, task: Task, **values: Any) -> WorkflowInstance:
    asked: dict[str, Any] = {"bizdate": BIZDATE, "at": AT} | values
    return run_now(Actor(user, AuditEntry.Face.CONSOLE, address="10.1.2.3"), reloaded(task), **asked)


def reloaded(task: Task) -> Task:
    return Task.objects.select_related("workspace__tenant", "version").get(pk=task.pk)


def only(family: WorkflowInstance) -> TaskInstance:
    return family.task_instances.get()


@pytest.mark.parametrize("environment", ["Prod", "Dev"])
def test_it_starts_at_once_whatever_its_upstream_and_its_time(cast: Cast, environment: str) -> None:
    upstream = cast.task("before", environment=environment)
    task = cast.task("now", environment=environment, upstream=[upstream], workflow=cast.workflow("w", environment))
    cast.instance(upstream, State.FAILURE)
    far = clock.now().date() + timedelta(days=300)
    family = run(cast.operator, task, bizdate=far, comment="after the fix")
    assert (family.type, family.environment, family.bizdate, family.created_by) == (
        "SmokeTest", environment, far, cast.operator
    )  # fmt: skip
    assert (family.workflow, family.workspace) == (task.workflow, cast.workspace)
    instance = only(family)
    assert (instance.state, instance.environment, instance.unmet) == (State.WAIT_RESOURCE, environment, 0)
    assert instance.scheduled_at == datetime.combine(far + timedelta(days=1), AT, UTC)
    assert instance.not_before is None and not instance.upstream_edges.exists()
    assert execute(instance).state == "success"


def test_it_is_written_down(cast: Cast) -> None:
    task = cast.task("now")
    instance = only(run(cast.operator, task, comment="after the fix"))
    operation = Operation.objects.get()
    assert (operation.code, operation.status, operation.actor, operation.comment) == (
        "run_now", "applied", cast.operator, "after the fix"
    )  # fmt: skip
    assert operation.params == {"task": task.number, "bizdate": "2026-03-14", "at": "02:30:00"}
    target = operation.targets.get()
    assert (target.object_type, target.object_id, target.done) == ("instance", instance.pk, True)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_id, entry.address) == ("task.run_now", str(task.number), "10.1.2.3")
    assert entry.params["instance"] == instance.pk
    assert instance.transitions.get().operation == operation.pk


def test_its_parameters_come_from_the_date_and_the_time_asked_for(cast: Cast) -> None:
    cast.tenant.time_zone = "Asia/Shanghai"
    cast.tenant.save()
    assignments = "day=${yyyymmdd} at=$[yyyymmddhh24mi] month=${yyyymm-1}"
    task = cast.task("now", content="echo ${day} ${at} ${month} $cyctime", version={"parameters": assignments})
    instance = only(run(cast.admin, task))
    assert instance.scheduled_at == datetime(2026, 3, 14, 18, 30, tzinfo=UTC)
    attempt = execute(instance)
    assert log_text(attempt) == "20260314 202603150230 202602 20260315023000\n"
    assert attempt.parameters == {"day": "20260314", "at": "202603150230", "month": "202602"}


def test_it_may_be_done_again_and_leaves_the_scheduled_run_alone(cast: Cast) -> None:
    task = cast.task("now")
    scheduled = cast.instance(
        task, State.NOT_RUN, bizdate=BIZDATE, scheduled_at=datetime(2026, 3, 15, 2, 30, tzinfo=UTC)
    )
    first, second = only(run(cast.admin, task)), only(run(cast.admin, task))
    assert first.scheduled_at == second.scheduled_at == scheduled.scheduled_at
    scheduled.refresh_from_db()
    assert (scheduled.state, TaskInstance.objects.count()) == (State.NOT_RUN, 3)


def test_a_failure_is_final(cast: Cast) -> None:
    """Somebody looks at it: it is not rerun by itself."""
    task = cast.task("now", content="exit 1", version={"rerun_times": 3})
    instance = only(run(cast.admin, task))
    execute(instance)
    assert (instance.state, instance.due_at) == (State.FAILURE, None)


def test_a_virtual_task_succeeds_with_the_next_wave(cast: Cast) -> None:
    instance = only(run(cast.admin, cast.task("now", "virtual")))
    due.run_inline()
    instance.refresh_from_db()
    assert instance.state == State.SUCCESS


# who may

MAY = {
    "owner": (True, True),
    "admin": (True, True),
    "operator": (True, True),
    "developer": (False, True),
    "deployer": (False, False),
    "visitor": (False, False),
}


@pytest.mark.parametrize("environment", ["Prod", "Dev"])
@pytest.mark.parametrize("own", [False, True], ids=["others", "own"])
@pytest.mark.parametrize("who", MAY)
def test_who_may(cast: Cast, who: str, own: bool, environment: str) -> None:
    user = getattr(cast, who)
    task = cast.task("now", environment=environment, owner=user if own else cast.user("colleague"))
    if MAY[who][own]:
        assert only(run(user, task)).state == State.WAIT_RESOURCE
        return
    with pytest.raises(Forbidden) as error:
        run(user, task)
    assert error.value.reason.params["permission"] == "task.test"
    assert not TaskInstance.objects.exists() and not Operation.objects.exists()


def test_a_stranger_learns_nothing_even_of_a_task_of_theirs(cast: Cast) -> None:
    task = cast.task("now", owner=cast.stranger)
    with pytest.raises(NotFound) as error:
        run(cast.stranger, task)
    assert error.value.reason.code == "workspace.unknown"


# which tasks and dates


def test_an_offline_task_is_refused(cast: Cast) -> None:
    task = cast.task("now", status="Offline")
    with pytest.raises(Refused) as error:
        run(cast.admin, task)
    assert (error.value.reason.code, error.value.reason.params) == ("task.offline", {"task": "now"})
    assert "offline" in str(error.value) and not WorkflowInstance.objects.exists()


def test_a_task_that_was_never_published_is_refused(cast: Cast) -> None:
    task = cast.task("now")
    Task.objects.update(version=None)
    TaskVersion.objects.all().delete()
    with pytest.raises(Refused):
        run(cast.admin, task)


@pytest.mark.parametrize("bizdate", [date.max, date.min, date(1999, 1, 1), date(2200, 1, 1)])
def test_a_date_that_is_far_away_is_refused(cast: Cast, bizdate: date) -> None:
    with pytest.raises(Invalid) as error:
        run(cast.admin, cast.task("now"), bizdate=bizdate)
    assert error.value.reason.code == "smoke_test.bizdate"
    assert bizdate.isoformat() in str(error.value)


def test_a_comment_has_its_limit(cast: Cast) -> None:
    with pytest.raises(Invalid) as error:
        run(cast.admin, cast.task("now"), comment="x" * 1001)
    assert error.value.reason.code == "operation.comment"
    assert not WorkflowInstance.objects.exists()


# HTTP trigger nodes


def call(cast: Cast, task: Task, instance: TaskInstance, environment: str) -> Any:
    return trigger(
        Actor(cast.admin, AuditEntry.Face.API),
        task_number=task.number,
        environment=environment,
        scheduled_at=instance.scheduled_at,
    )


@pytest.mark.parametrize("days", [-1, 30], ids=["past", "future"])
def test_a_trigger_node_waits_for_its_call_in_dev_and_opens(cast: Cast, days: int) -> None:
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    task = cast.task("gate", "http_trigger", environment="Dev")
    in_prod = cast.task("gate", "http_trigger", number=task.number)
    instance = only(run(cast.admin, task, bizdate=clock.now().date() + timedelta(days=days)))
    assert instance.state == State.WAIT_TRIGGER
    assert advance.drain() == 0
    with pytest.raises(NotFound) as error:
        call(cast, in_prod, instance, "Prod")
    assert error.value.reason.code == "trigger.instance_missing"
    command = call(cast, task, instance, "Dev")
    instance.refresh_from_db()
    assert (command.status, command.instance_id, instance.state) == ("fired", instance.pk, State.SUCCESS)
    assert call(cast, task, instance, "Dev").status == "no_effect"


def test_of_several_smoke_tests_of_a_time_the_latest_is_meant(cast: Cast) -> None:
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    task = cast.task("gate", "http_trigger", environment="Dev")
    first, second = only(run(cast.admin, task)), only(run(cast.admin, task))
    assert call(cast, task, first, "Dev").instance_id == second.pk
    first.refresh_from_db()
    assert first.state == State.WAIT_TRIGGER


def test_in_prod_a_call_means_the_scheduled_instance_not_the_smoke_test(cast: Cast) -> None:
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    task = cast.task("gate", "http_trigger")
    tested = only(run(cast.admin, task))
    scheduled = cast.instance(task, State.WAIT_TRIGGER, bizdate=BIZDATE, scheduled_at=tested.scheduled_at)
    assert call(cast, task, tested, "Prod").instance_id == scheduled.pk


def test_a_role_taken_away_counts_for_the_next_run(cast: Cast) -> None:
    task = cast.task("now")
    run(cast.operator, task)
    Member.objects.filter(user=cast.operator).update(roles=["role_project_guest"])
    with pytest.raises(Forbidden):
        run(cast.operator, task)
