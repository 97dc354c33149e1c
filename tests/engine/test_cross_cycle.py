"""Dependencies on the previous cycle: on oneself, on one's children, on other tasks; day after day, and while it runs."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.engine import advance, generate
from opscenter.production.models import InstanceEdge, Task, TaskDependency, TaskInstance, TaskVersion
from opscenter.production.rules.dependencies import find_cycle
from opscenter.production.rules.states import State
from tests.engine.test_advance import counts_agree
from tests.engine.test_generate import DAY, NOW, at, publish, scene  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db
Type = TaskDependency.Type
NEXT = DAY + timedelta(days=1)
HOURS = "00 00 1-3 * * ?"


def after(task: Task, upstream: Task, kind: str) -> None:
    TaskDependency.objects.create(task=task, upstream=upstream, type=kind, output="x")


def waits_for(task: Task, day: date) -> dict[str, list[str]]:
    """Time of each instance of the day -> day and time of those it waits for, the roots left out."""
    found: dict[str, list[str]] = {}
    for instance in TaskInstance.objects.filter(task=task, bizdate=day - timedelta(days=1)).order_by("scheduled_at"):
        ups = TaskInstance.objects.filter(downstream_edges__downstream=instance, task__is_root=False)
        found[f"{instance.scheduled_at:%H:%M}"] = [
            f"{up.task.name} {up.scheduled_at:%d %H:%M}" for up in ups.order_by("scheduled_at", "task__name")
        ]
    return found


def named(task: Task, name: str) -> Task:
    Task.objects.filter(pk=task.pk).update(name=name)
    task.name = name
    return task


def test_an_hour_task_that_depends_on_itself_runs_in_a_row_over_midnight(scene):  # noqa: F811
    task = named(publish(scene, HOURS), "t")
    after(task, task, Type.SELF)
    generate.generate_day(scene.tenant, DAY)
    generate.generate_day(scene.tenant, NEXT)
    assert waits_for(task, DAY) == {"01:00": [], "02:00": ["t 22 01:00"], "03:00": ["t 22 02:00"]}
    assert waits_for(task, NEXT) == {"01:00": ["t 22 03:00"], "02:00": ["t 23 01:00"], "03:00": ["t 23 02:00"]}
    assert counts_agree()


def test_a_day_task_waits_for_its_own_yesterday(scene):  # noqa: F811
    task = named(publish(scene), "t")
    after(task, task, Type.SELF)
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    assert waits_for(task, NEXT) == {"02:30": ["t 22 02:30"]}


def test_what_succeeded_yesterday_is_met_from_the_start(scene):  # noqa: F811
    task = publish(scene)
    after(task, task, Type.SELF)
    generate.generate_day(scene.tenant, DAY)
    TaskInstance.objects.filter(task=task).update(state=State.SUCCESS)
    generate.generate_day(scene.tenant, NEXT)
    (today,) = TaskInstance.objects.filter(task=task, bizdate=DAY)
    edge = InstanceEdge.objects.get(downstream=today, upstream__task=task)
    assert edge.met and today.unmet == 1, "the root alone is waited for"
    assert counts_agree()


def test_yesterday_ending_after_the_generation_releases_today(scene):  # noqa: F811
    task = publish(scene)
    after(task, task, Type.SELF)
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    yesterday, today = TaskInstance.objects.filter(task=task).order_by("bizdate")
    InstanceEdge.objects.filter(downstream=today).exclude(upstream=yesterday).delete()
    still_to_come = datetime.now(UTC) + timedelta(hours=1)  # whatever day it is
    TaskInstance.objects.filter(pk=today.pk).update(unmet=1, not_before=still_to_come)
    TaskInstance.objects.filter(pk=yesterday.pk).update(state=State.RUNNING)
    advance.finish([yesterday.pk], {State.RUNNING}, State.SUCCESS)
    today.refresh_from_db()
    assert today.unmet == 0 and today.state in (State.WAIT_TIME, State.WAIT_RESOURCE)  # as the day of the test is


def test_children_and_other_tasks(scene):  # noqa: F811
    parent = named(publish(scene, "00 00 05 * * ?"), "parent")
    children = [
        named(publish(scene, cron, [parent]), name) for name, cron in (("day", "00 00 06 * * ?"), ("hour", HOURS))
    ]
    other = named(publish(scene, HOURS), "other")
    after(parent, parent, Type.CHILDREN)
    watcher = named(publish(scene, HOURS), "watcher")
    after(watcher, other, Type.OTHER)
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    assert waits_for(parent, DAY) == {"05:00": []}
    assert waits_for(parent, NEXT) == {
        "05:00": ["hour 22 01:00", "hour 22 02:00", "hour 22 03:00", "day 22 06:00"],
    }
    assert waits_for(watcher, NEXT) == {
        "01:00": ["other 22 03:00"],
        "02:00": ["other 23 01:00"],
        "03:00": ["other 23 02:00"],
    }
    assert waits_for(children[0], NEXT) == {"06:00": ["parent 23 05:00"]}
    assert counts_agree()


def test_a_chained_hour_task_and_a_day_task_around_it(scene):  # noqa: F811
    first = named(publish(scene, "00 00 00 * * ?"), "first")
    hour = named(publish(scene, HOURS, [first]), "hour")
    after(hour, hour, Type.SELF)
    last = named(publish(scene, "00 30 02 * * ?", [hour]), "last")
    generate.generate_day(scene.tenant, DAY)
    assert waits_for(hour, DAY) == {
        "01:00": ["first 22 00:00"],
        "02:00": ["hour 22 01:00"],
        "03:00": ["hour 22 02:00"],
    }
    assert waits_for(last, DAY) == {"02:30": ["hour 22 02:00"]}


def test_an_hour_task_and_its_hour_child_take_turns(scene):  # noqa: F811
    parent = named(publish(scene, HOURS), "parent")
    child = named(publish(scene, HOURS, [parent]), "child")
    after(parent, parent, Type.CHILDREN)
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    assert waits_for(parent, NEXT) == {
        "01:00": ["child 22 03:00"],
        "02:00": ["child 23 01:00"],
        "03:00": ["child 23 02:00"],
    }
    assert waits_for(child, NEXT)["02:00"] == ["parent 23 02:00"]


def tied(scene, cron: str) -> tuple[Task, Task, Task]:  # noqa: F811
    """An hour task, one behind it, an hour task behind both, whose previous cycle the first waits for."""
    first = named(publish(scene, HOURS), "first")
    between = named(publish(scene, cron, [first], instance_mode="Immediately"), "between")
    last = named(publish(scene, HOURS, [first, between]), "last")
    after(first, last, Type.OTHER)
    return first, between, last


LAST_OF_YESTERDAY = ["last 22 01:00", "last 22 02:00", "last 22 03:00"]
IN_TURN = {"01:00": ["last 22 03:00"], "02:00": ["last 23 01:00"], "03:00": ["last 23 02:00"]}


def test_a_day_task_between_two_hour_tasks_makes_their_cycle_a_day(scene):  # noqa: F811
    """Within the day the first at 02:00 would wait for the last at 01:00, that for the day's, that for all of the first."""
    first, between, last = tied(scene, "00 30 02 * * ?")
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    assert waits_for(between, NEXT) == {"02:30": ["first 23 01:00", "first 23 02:00", "first 23 03:00"]}
    assert waits_for(last, NEXT)["01:00"] == ["first 23 01:00", "between 23 02:30"]
    assert waits_for(first, NEXT) == dict.fromkeys(("01:00", "02:00", "03:00"), LAST_OF_YESTERDAY)
    assert counts_agree()


def test_a_task_that_becomes_a_day_task_at_once_ties_no_knot(scene, at):  # noqa: F811
    first, between, last = tied(scene, HOURS)
    for day in (DAY, NEXT):
        generate.generate_day(scene.tenant, day)
    assert waits_for(first, NEXT) == IN_TURN
    at(datetime(2026, 11, 23, 0, 30, tzinfo=UTC))
    TaskVersion.objects.filter(pk=between.version_id).update(cron="00 30 02 * * ?")
    generate.deploy_immediately([Task.objects.get(pk=between.pk)], set())
    assert waits_for(last, NEXT)["01:00"] == ["first 23 01:00", "between 23 02:30"]
    assert waits_for(first, NEXT) == dict.fromkeys(("01:00", "02:00", "03:00"), LAST_OF_YESTERDAY)
    assert counts_agree()
    assert sound(InstanceEdge.objects.values_list("downstream_id", "upstream_id"))


def sound(edges: Iterable[tuple[int, int]]) -> bool:
    """No instance waits for itself, whatever lies between."""
    graph: dict[int, list[int]] = {}
    for downstream, upstream in edges:
        graph.setdefault(downstream, []).append(upstream)
    return find_cycle(graph) is None


CRONS = ("00 30 02 * * ?", "00 00 1-3 * * ?", "00 0/30 01 * * ?", "00 00 04 ? * MON", "00 10 00 1 * ?")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_depends_on_whatever_the_graph_is_sound(scene, at, data):  # noqa: F811
    """Never a loop, never an edge to nowhere, never a count that disagrees with its edges."""
    at(NOW)
    TaskInstance.objects.filter(workspace=scene.workspace).delete()
    Task.objects.filter(workspace=scene.workspace, is_root=False).update(status=Task.Status.OFFLINE)
    tasks: list[Task] = []
    for _ in range(data.draw(st.integers(1, 6))):
        chosen = data.draw(st.lists(st.sampled_from(tasks), unique=True, max_size=3)) if tasks else []
        tasks.append(publish(scene, data.draw(st.sampled_from(CRONS)), chosen))
    for task in tasks:
        for kind in data.draw(st.sets(st.sampled_from([Type.SELF, Type.CHILDREN]))):
            after(task, task, kind)
        if data.draw(st.booleans()):
            after(task, data.draw(st.sampled_from(tasks)), Type.OTHER)
    scene.tenant.generationrun_set.all().delete()
    for day in (DAY, NEXT):
        TaskVersion.objects.filter(task__in=tasks).update(first_day=DAY)
        generate.generate_day(scene.tenant, day)
    assert_sound()
    at(datetime(2026, 11, 23, 0, 30, tzinfo=UTC))
    changed = data.draw(st.sampled_from(tasks))
    version = {"cron": data.draw(st.sampled_from(CRONS)), "instance_mode": "Immediately"}
    TaskVersion.objects.filter(pk=changed.version_id).update(**version)
    generate.deploy_immediately([Task.objects.get(pk=changed.pk)], set())
    assert_sound()


def assert_sound() -> None:
    edges = list(InstanceEdge.objects.values_list("downstream_id", "upstream_id"))
    known = set(TaskInstance.objects.values_list("pk", flat=True))
    assert {pk for edge in edges for pk in edge} <= known
    assert sound(edges)
    assert counts_agree()
