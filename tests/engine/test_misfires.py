"""After an absence of the scheduler: what was missed runs or not, as each task's policy says."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.due import _pass
from opscenter.base.reasons import say
from opscenter.engine import due, generate, misfires
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply
from opscenter.production.explaining import explain_instance
from opscenter.production.models import (
    Attendance,
    Environment,
    GenerationRun,
    InstanceEdge,
    Task,
    TaskDependency,
    TaskInstance,
    TaskVersion,
    Transition,
    WorkflowInstance,
)
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry, Member
from tests.engine.graphs import Scene

pytestmark = pytest.mark.django_db


class Outage(Scene):
    """Hourly tasks, and a scheduler that was away for the last six hours."""

    def __init__(self) -> None:
        super().__init__()
        self.now = clock.now()
        GenerationRun.objects.bulk_create(
            GenerationRun(tenant=self.tenant, day=self.now.date() + timedelta(days=n), instances=0, edges=0)
            for n in range(-2, 3)
        )
        self.away(6)

    def away(self, hours: float) -> None:
        Attendance.objects.all().delete()
        Attendance.objects.create(seen_at=self.now - timedelta(hours=hours))

    def hourly(self, policy: str, *hours_ago: float, node_type: str = "shell", **fields: Any) -> list[TaskInstance]:
        """Instances of a task, each scheduled so many hours ago, waiting for their times."""
        task = self.task(node_type)
        Task.objects.filter(pk=task.pk).update(misfire_policy=policy)
        made = self.instances(task, len(hours_ago), state=State.WAIT_TIME, **fields)
        for one, ago in zip(made, hours_ago, strict=True):
            one.scheduled_at = one.not_before = one.due_at = self.now - timedelta(hours=ago)
            one.bizdate = one.scheduled_at.date() - timedelta(days=1)
        TaskInstance.objects.bulk_update(made, ["bizdate", "scheduled_at", "not_before", "due_at"])
        return made


@pytest.fixture
def outage() -> Outage:
    return Outage()


def back() -> None:
    """The scheduler is there again, for one round of its work."""
    _pass(due.SOURCES)


def kinds(instances: list[TaskInstance]) -> list[Kind]:
    found = TaskInstance.objects.in_bulk([one.pk for one in instances])
    return [Kind(found[one.pk].kind) for one in instances]


def states(instances: list[TaskInstance]) -> list[State]:
    found = TaskInstance.objects.in_bulk([one.pk for one in instances])
    return [State(found[one.pk].state) for one in instances]


RUN, DRY = State.WAIT_RESOURCE, State.SUCCESS
POLICIES = [("All", [RUN, RUN, RUN]), ("Latest", [DRY, DRY, RUN]), ("None", [DRY, DRY, DRY])]


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
def test_each_policy(outage: Outage, policy: str, expected: list[State]) -> None:
    made = outage.hourly(policy, 3, 2, 1)
    back()
    assert states(made) == expected
    assert kinds(made) == [Kind.MISSED if one is DRY else Kind.NORMAL for one in expected]


def test_all_is_what_a_task_has_that_says_nothing(outage: Outage) -> None:
    assert outage.task("shell").misfire_policy == "All"


@pytest.mark.parametrize(
    ("hours_ago", "is_missed"), [(6.5, False), (5.9, True), (0.1, True), (4 / 60, False), (-1, False)]
)
def test_missed_is_what_was_due_in_the_absence_and_is_more_than_five_minutes_late(
    outage: Outage, hours_ago: float, is_missed: bool
) -> None:
    made = outage.hourly("None", hours_ago)
    misfires.settle(outage.now)
    assert (kinds(made) == [Kind.MISSED]) is is_missed


def test_a_scheduler_that_is_there_and_late_misses_nothing(outage: Outage) -> None:
    outage.away(4 / 60)
    made = outage.hourly("None", 3, 2, 1)
    back()
    assert states(made) == [RUN] * 3


def test_a_first_start_is_no_absence(outage: Outage) -> None:
    Attendance.objects.all().delete()
    made = outage.hourly("None", 3)
    back()
    assert states(made) == [RUN]
    assert Attendance.objects.get().seen_at >= outage.now


def test_an_absence_is_settled_once(outage: Outage) -> None:
    outage.hourly("None", 3)
    back()
    later = outage.hourly("None", 2)
    back()
    assert states(later) == [RUN]


def test_whoever_attends_does_not_hide_an_absence(outage: Outage) -> None:
    made = outage.hourly("None", 3)
    misfires.attend()
    back()
    assert states(made) == [DRY]
    before = outage.now - timedelta(minutes=1)
    Attendance.objects.update(seen_at=before)
    misfires.attend()
    assert Attendance.objects.get().seen_at > before


def test_what_is_downstream_of_a_dry_run_goes_on_and_is_told_why(outage: Outage) -> None:
    (missed,) = outage.hourly("None", 3)
    (behind,) = outage.instances(outage.task("shell"), 1)
    outage.connect([(missed, behind)])
    back()
    assert (states([missed]), states([behind])) == ([DRY], [RUN])
    missed.refresh_from_db()
    assert explain_instance(missed).headline.code == "explain.succeeded_missed"
    (told,) = Transition.objects.filter(instance=missed, reason__code="instance.missed")
    assert told.reason is not None and (told.before, told.after) == (State.WAIT_TIME, State.WAIT_TIME)
    assert "No scheduler was running from" in say(told.reason["code"], told.reason["params"])


def test_the_whole_chain_behind_what_was_missed_was_missed_each_by_its_own_policy(outage: Outage) -> None:
    """An hourly root, one task that runs all, and one behind it that runs the latest alone."""
    roots, firsts, lasts = (outage.hourly(policy, 3, 2, 1) for policy in ("All", "All", "Latest"))
    outage.connect([*zip(roots, firsts, strict=True), *zip(firsts, lasts, strict=True)])
    back()
    assert kinds(firsts) == [Kind.NORMAL] * 3
    assert kinds(lasts) == [Kind.MISSED, Kind.MISSED, Kind.NORMAL]
    assert states(lasts) == [State.NOT_RUN] * 3  # dry or not, each waits for its upstream


@pytest.mark.parametrize(
    ("upstream", "changes"),
    [
        ("runs", {"state": State.RUNNING, "attempt": 1}),
        ("failed", {"state": State.FAILURE, "attempt": 1}),
        ("is frozen", {"frozen": True}),
        ("is not due yet", {"scheduled_at": "later"}),
        ("was due before", {"scheduled_at": "earlier"}),
        ("is a trigger that nobody called", {"node_type": "http_trigger", "state": State.WAIT_TRIGGER}),
        ("is a trigger whose time came just now", {"node_type": "http_trigger"}),
        ("is a test", {"workflow_instance": "test"}),
        ("was reset by a rerun", {"attempt": 2, "state": State.NOT_RUN}),
    ],
)
def test_what_waits_for_an_upstream_that_was_not_missed_was_not_missed(
    outage: Outage, upstream: str, changes: dict[str, Any]
) -> None:
    (above,), (below,), (end,) = outage.hourly("All", 3), outage.hourly("None", 2), outage.hourly("None", 1)
    outage.connect([(above, below), (below, end)])
    times = {"later": outage.now + timedelta(hours=1), "earlier": outage.now - timedelta(hours=9)}
    if "scheduled_at" in changes:
        changes = {"scheduled_at": times[changes["scheduled_at"]]}
    if "workflow_instance" in changes:
        changes = {"workflow_instance": _test_run(outage)}
    TaskInstance.objects.filter(pk=above.pk).update(**changes)
    misfires.settle(outage.now)
    assert kinds([above, below, end]) == [Kind.NORMAL] * 3


def _test_run(outage: Outage) -> WorkflowInstance:
    return WorkflowInstance.objects.create(
        workspace=outage.workspace, environment="Prod", type="SmokeTest", name="t", bizdate=outage.now.date()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"frozen": True},
        {"kind": Kind.SKIP_CYCLE},
        {"kind": Kind.SKIP},
        {"attempt": 1},
        {"state": State.WAIT_RESOURCE},
        {"state": State.RUNNING},
        {"state": State.FAILURE},
        {"state": State.SUCCESS},
        {"node_type": "http_trigger"},
    ],
)
def test_what_the_policy_leaves_as_it_is(outage: Outage, changes: dict[str, Any]) -> None:
    (made,) = outage.hourly("None", 3)
    TaskInstance.objects.filter(pk=made.pk).update(**changes)
    before = TaskInstance.objects.filter(pk=made.pk).values("kind", "state", "needs_worker", "frozen").get()
    assert misfires.settle(outage.now) == 0
    assert TaskInstance.objects.filter(pk=made.pk).values("kind", "state", "needs_worker", "frozen").get() == before


@pytest.mark.parametrize(("node_type", "runs"), [("shell", True), ("http", False)])
def test_who_reruns_a_missed_instance_wants_it_run(outage: Outage, node_type: str, runs: bool) -> None:
    Member.objects.create(workspace=outage.workspace, user=outage.user, roles=["role_project_admin"])
    (missed,) = outage.hourly("None", 3, node_type=node_type)
    back()
    assert states([missed]) == [DRY]
    apply("rerun", Actor(outage.user, AuditEntry.Face.CONSOLE), outage.workspace, "Prod", [missed.pk])
    missed.refresh_from_db()
    assert (missed.kind, missed.needs_worker, missed.state) == (Kind.NORMAL, runs, State.WAIT_RESOURCE)


def test_who_reruns_something_with_a_missed_instance_behind_it_wants_that_run_too(outage: Outage) -> None:
    Member.objects.create(workspace=outage.workspace, user=outage.user, roles=["role_project_admin"])
    (before,) = outage.hourly("All", 4)
    (missed,) = outage.hourly("None", 3)
    InstanceEdge.objects.create(upstream=before, downstream=missed, bizdate=missed.bizdate)
    TaskInstance.objects.filter(pk=before.pk).update(state=State.FAILURE)
    TaskInstance.objects.filter(pk=missed.pk).update(state=State.NOT_RUN, unmet=1, kind=Kind.MISSED, needs_worker=False)
    ids, arguments = [before.pk, missed.pk], {"start": [before.pk]}
    actor = Actor(outage.user, AuditEntry.Face.CONSOLE)
    apply("rerun_downstream", actor, outage.workspace, "Prod", ids, arguments=arguments)
    missed.refresh_from_db()
    assert (missed.kind, missed.needs_worker, missed.state) == (Kind.NORMAL, True, State.NOT_RUN)


def test_an_off_day_in_between_is_no_latest_run(outage: Outage) -> None:
    made = outage.hourly("Latest", 3, 2, 1)
    TaskInstance.objects.filter(pk=made[2].pk).update(kind=Kind.SKIP_CYCLE, needs_worker=False)
    misfires.settle(outage.now)
    assert kinds(made) == [Kind.MISSED, Kind.NORMAL, Kind.SKIP_CYCLE]


def test_a_crash_before_the_end_leaves_the_absence_to_the_next(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = outage.hourly("Latest", 3, 2)
    with monkeypatch.context() as broken:
        broken.setattr(Transition.objects, "bulk_create", _crash)
        with pytest.raises(ZeroDivisionError):
            misfires.settle(outage.now)
    assert kinds(made) == [Kind.NORMAL, Kind.NORMAL]
    back()
    assert kinds(made) == [Kind.MISSED, Kind.NORMAL]


def _crash(*_given: object) -> None:
    raise ZeroDivisionError


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock as the engine's code sees it; the database's own goes on."""
    return lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)


def test_days_that_nobody_generated_are_made_up_before_the_policy_counts(at: Callable[[datetime], None]) -> None:
    """Three days away: a daily task with each policy, all behind the workspace's root."""
    scene = Scene()
    today = (clock.now() - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    left = today - timedelta(days=3)
    at(left)
    root = generate.ensure_root(scene.workspace, Environment.PROD, scene.user)
    tasks = {policy: scene.task("shell") for policy in ("All", "Latest", "None")}
    for policy, task in tasks.items():
        TaskVersion.objects.filter(task=task).update(cron="00 00 02 * * ?", first_day=left.date())
        Task.objects.filter(pk=task.pk).update(misfire_policy=policy)
        TaskDependency.objects.create(task=task, upstream=root, output="x")
    back()  # the last round before everything stops; today's instances of then are in the past
    TaskInstance.objects.filter(task__in=tasks.values()).update(state=State.SUCCESS, due_at=None)
    at(today)
    back()
    found = {
        policy: [
            Kind(kind)
            for kind in TaskInstance.objects.filter(task=task, scheduled_at__gt=left, scheduled_at__lt=today)
            .order_by("scheduled_at")
            .values_list("kind", flat=True)
        ]
        for policy, task in tasks.items()
    }
    assert found == {
        "All": [Kind.NORMAL] * 3,
        "Latest": [Kind.MISSED, Kind.MISSED, Kind.NORMAL],
        "None": [Kind.MISSED] * 3,
    }
    runs = TaskInstance.objects.filter(task__in=tasks.values(), state=State.WAIT_RESOURCE)
    assert runs.filter(needs_worker=True).count() == 4
