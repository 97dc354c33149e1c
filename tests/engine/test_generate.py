"""Generation: the night's pass, days made up, Immediately with its ten minutes; the graph is always sound."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from opscenter.base import clock
from opscenter.engine import advance, bulk, due, generate
from opscenter.production.models import (
    GenerationRun,
    InstanceEdge,
    ProductionWorkflow,
    Task,
    TaskDependency,
    TaskInstance,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.rules import planning
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Workspace
from tests.engine.graphs import Scene
from tests.engine.test_advance import counts_agree

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch):
    """Set the database's clock, as the code that asks for it sees it."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    set_to(NOW)
    return set_to


@pytest.fixture
def scene(at):
    made = Scene()
    made.root = generate.ensure_root(made.workspace, "Prod", made.user)
    return made


def publish(scene, cron="00 30 02 * * ?", upstream=(), **version) -> Task:
    """A task published yesterday that depends on others, or on the root."""
    task = scene.task("shell", **version)
    TaskVersion.objects.filter(task=task).update(cron=cron, first_day=DAY)
    for one in upstream or [scene.root]:
        TaskDependency.objects.create(task=task, upstream=one, output="x")
    task.refresh_from_db()
    return task


def of(task: Task, day: date = DAY):
    return TaskInstance.objects.filter(task=task, bizdate=day - timedelta(days=1)).order_by("scheduled_at")


def test_the_root_has_an_instance_today_that_succeeds_at_once(scene):
    (instance,) = of(scene.root, NOW.date())
    assert (instance.kind, instance.state) == (Kind.EXPIRED, State.WAIT_RESOURCE)
    advance.drain()
    instance.refresh_from_db()
    assert instance.state == State.SUCCESS


def test_a_day_is_generated_once_with_its_edges(scene):
    first = publish(scene)
    then = publish(scene, "00 00 05 * * ?", [first])
    run = generate.generate_day(scene.tenant, DAY)
    assert (run.instances, run.edges) == (3, 2)
    (a,), (b,) = of(first), of(then)
    assert a.scheduled_at == datetime(2026, 11, 22, 2, 30, tzinfo=UTC) and a.bizdate == date(2026, 11, 21)
    assert (a.state, a.unmet, b.state, b.unmet) == (State.NOT_RUN, 1, State.NOT_RUN, 1)
    assert InstanceEdge.objects.filter(upstream=a, downstream=b, met=False).exists()
    assert generate.generate_day(scene.tenant, DAY) is None
    assert of(first).count() == 1
    assert counts_agree()


def test_instances_belong_to_the_run_of_their_workflow(scene):
    loose, inside = publish(scene), publish(scene)
    workflow = ProductionWorkflow.objects.create(
        number=1, environment="Prod", workspace=scene.workspace, name="nightly", owner=scene.user
    )
    Task.objects.filter(pk=inside.pk).update(workflow=workflow)
    generate.generate_day(scene.tenant, DAY)
    families = {task.pk: of(task).get().workflow_instance for task in (scene.root, loose, inside)}
    assert {(f.name, f.workflow_id, f.bizdate) for f in families.values()} == {
        ("scene", None, DAY - timedelta(days=1)),
        ("nightly", workflow.pk, DAY - timedelta(days=1)),
    }
    assert families[loose.pk] == families[scene.root.pk]
    assert WorkflowInstance.objects.filter(bizdate=DAY - timedelta(days=1)).count() == 2


def test_what_copy_leaves_out_has_a_default_of_the_table():
    left_out = [f for f in TaskInstance._meta.concrete_fields if f.column not in bulk.INSTANCE_COLUMNS]
    assert {f.column for f in left_out} >= {"created_at", "reason", "started_at"}
    assert all(f.null or f.has_db_default() for f in left_out)


def test_a_task_waits_for_one_of_another_workspace_and_another_workflow(scene):
    first = publish(scene)
    then = publish(scene, "00 00 05 * * ?", [first])
    other = Workspace.objects.create(tenant=scene.tenant, name="other")
    workflow = ProductionWorkflow.objects.create(
        number=2, environment="Prod", workspace=other, name="elsewhere", owner=scene.user
    )
    Task.objects.filter(pk=then.pk).update(workspace=other, workflow=workflow)
    generate.generate_day(scene.tenant, DAY)
    (a,), (b,) = of(first), of(then)
    assert (a.workspace, b.workspace, b.workflow_instance.workflow) == (scene.workspace, other, workflow)
    assert b.unmet == 1 and InstanceEdge.objects.filter(upstream=a, downstream=b).exists()
    TaskInstance.objects.filter(pk=a.pk).update(state=State.WAIT_RESOURCE, unmet=0)
    InstanceEdge.objects.filter(downstream=a).delete()
    advance.finish([a.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    assert of(then).get().unmet == 0


def test_hourly_hangs_on_daily_and_daily_waits_for_all_hours(scene):
    hourly = publish(scene, "00 15 00-23/1 * * ?")
    daily = publish(scene, "00 30 23 * * ?", [hourly])
    generate.generate_day(scene.tenant, DAY)
    assert of(hourly).count() == 24
    assert list(of(hourly).values_list("period", flat=True)) == list(range(1, 25))
    assert of(daily).get().unmet == 24
    assert set(of(hourly).values_list("unmet", flat=True)) == {1}


def test_a_weekly_task_is_a_dry_run_on_other_days(scene):
    weekly = publish(scene, "00 00 03 ? * MON")  # DAY is a Sunday
    generate.generate_day(scene.tenant, DAY)
    instance = of(weekly).get()
    assert (instance.kind, instance.needs_worker) == (Kind.SKIP_CYCLE, False)


def test_a_frozen_task_has_frozen_instances_and_a_skipped_one_dry_runs(scene):
    frozen, skipped = publish(scene), publish(scene)
    Task.objects.filter(pk=frozen.pk).update(recurrence="Pause")
    Task.objects.filter(pk=skipped.pk).update(recurrence="Skip")
    generate.generate_day(scene.tenant, DAY)
    assert of(frozen).get().frozen and of(frozen).get().kind == Kind.PAUSE
    assert of(skipped).get().kind == Kind.SKIP


def test_what_is_not_scheduled_is_not_generated(scene):
    offline, expired, isolated = publish(scene), publish(scene, end_at=NOW), scene.task("shell")
    Task.objects.filter(pk=offline.pk).update(status="Offline")
    behind = publish(scene, upstream=[expired])
    generate.generate_day(scene.tenant, DAY)
    assert not TaskInstance.objects.filter(task__in=[offline, expired, isolated, behind], bizdate=NOW.date()).exists()


def test_a_workspace_that_is_switched_off_has_no_instances(scene):
    task = publish(scene)
    scene.workspace.periodic_scheduling = False
    scene.workspace.save()
    generate.generate_day(scene.tenant, DAY)
    assert not of(task).exists()


def test_the_night_comes_at_half_past_eleven_local_time(scene, at):
    scene.tenant.time_zone = "Asia/Shanghai"
    scene.tenant.save()
    publish(scene)
    at(datetime(2026, 11, 21, 15, 29, tzinfo=UTC))  # 23:29 there
    assert generate.run_nights() == datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
    assert set(GenerationRun.objects.values_list("day", flat=True)) == {date(2026, 11, 21)}
    at(datetime(2026, 11, 21, 15, 30, tzinfo=UTC))
    assert generate.run_nights() == datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
    assert GenerationRun.objects.filter(day=DAY).exists()


def test_days_on_which_nobody_was_running_are_made_up(scene, at):
    task = publish(scene)
    generate.generate_day(scene.tenant, DAY)
    at(NOW + timedelta(days=5))
    generate.run_nights()
    days = set(TaskInstance.objects.filter(task=task).values_list("bizdate", flat=True))
    assert days == {date(2026, 11, 21) + timedelta(days=n) for n in range(5)}


def immediately(scene, cron: str, upstream=()) -> Task:
    task = publish(scene, cron, upstream, instance_mode="Immediately")
    TaskVersion.objects.filter(task=task).update(first_day=planning.first_generated_day(clock.now(), ZoneInfo("UTC")))
    task.refresh_from_db()
    return task


def test_immediately_makes_the_rest_of_today_real_and_the_past_expired(scene):
    task = immediately(scene, "00 00 00-23/1 * * ?")
    assert generate.deploy_immediately([task], {task.pk}) == 24
    kinds = list(of(task, NOW.date()).values_list("kind", flat=True))
    assert kinds == [Kind.EXPIRED] * 5 + [Kind.NORMAL] * 19  # 04:00 is now; 05:00 is more than ten minutes away


def test_ten_minutes_are_not_enough_more_are(scene):
    soon, later = immediately(scene, "00 10 04 * * ?"), immediately(scene, "00 11 04 * * ?")
    generate.deploy_immediately([soon, later], {soon.pk, later.pk})
    assert (of(soon, NOW.date()).get().kind, of(later, NOW.date()).get().kind) == (Kind.EXPIRED, Kind.NORMAL)


def test_a_change_replaces_what_is_to_come_and_keeps_what_was(scene):
    task = immediately(scene, "00 00 00-23/1 * * ?")
    behind = immediately(scene, "00 30 00-23/1 * * ?", [task])
    generate.deploy_immediately([task, behind], {task.pk, behind.pk})
    TaskVersion.objects.filter(pk=task.version_id).update(cron="00 20 00-23/2 * * ?")
    task.refresh_from_db()
    generate.deploy_immediately([task], set())
    times = [t.strftime("%H:%M") for t in of(task, NOW.date()).values_list("scheduled_at", flat=True)]
    assert times == [f"{h:02}:00" for h in range(5)] + [f"{h:02}:20" for h in range(4, 24, 2)]
    assert counts_agree()
    assert not of(behind, NOW.date()).filter(upstream_edges=None).exists()


def test_what_waited_for_several_that_are_taken_away_waits_for_none_of_them(scene):
    hours = immediately(scene, "00 00 12-14 * * ?")
    behind = immediately(scene, "00 00 15 * * ?", [hours])
    generate.deploy_immediately([hours, behind], {hours.pk, behind.pk})
    assert of(behind, NOW.date()).get().unmet == 3
    TaskVersion.objects.filter(pk=hours.version_id).update(cron="00 00 01 * * ?")  # past: none today
    generate.deploy_immediately([Task.objects.get(pk=hours.pk)], set())
    instance = of(behind, NOW.date()).get()
    assert instance.unmet == 0 and instance.state in (State.WAIT_TIME, State.WAIT_RESOURCE)
    assert counts_agree()


def test_after_half_past_eleven_nothing_is_made_today(scene, at):
    at(datetime(2026, 11, 21, 23, 31, tzinfo=UTC))
    task = immediately(scene, "00 50 23 * * ?")
    assert generate.deploy_immediately([task], {task.pk}) == 0


def test_immediately_behind_a_task_that_starts_tomorrow_is_isolated_today(scene):
    tomorrow = publish(scene)
    task = immediately(scene, "00 00 12 * * ?", [tomorrow])
    assert generate.deploy_immediately([task], {task.pk}) == 0


def test_an_upstream_that_succeeded_already_meets_its_edge_at_once(scene):
    first = immediately(scene, "00 00 12 * * ?")
    generate.deploy_immediately([first], {first.pk})
    TaskInstance.objects.filter(task=first).update(state=State.SUCCESS, due_at=None)
    then = immediately(scene, "00 00 13 * * ?", [first])
    generate.deploy_immediately([then], {then.pk})
    instance = of(then, NOW.date()).get()
    assert (instance.unmet, instance.upstream_edges.get().met) == (0, True)
    assert instance.state in (State.WAIT_TIME, State.WAIT_RESOURCE)


def test_scheduled_times_that_have_come_are_moved_on(scene):
    TaskInstance.objects.all().delete()
    (instance,) = scene.instances(scene.task("shell"), 1, state=State.WAIT_TIME, due_at=NOW)
    due.run_due_instances()
    instance.refresh_from_db()
    assert (instance.state, instance.due_at) == (State.WAIT_RESOURCE, None)
