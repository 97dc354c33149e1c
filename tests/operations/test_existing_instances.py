"""What a change does to instances that exist, and to those of the days after it: spec 3.7, row by row."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.engine import attempts, claim, generate
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
from opscenter.production.models import (
    Task,
    TaskInstance,
    TriggerCommand,
)
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Member, User
from tests.cast import usable_group
from tests.engine.runs import WORKER
from tests.engine.test_advance import counts_agree
from tests.workflows.cast import document, make_cast, node

pytestmark = pytest.mark.django_db
YESTERDAY, TODAY, TOMORROW, AFTER = (date(2026, 11, day) for day in (20, 21, 22, 23))
NOON, NIGHT = (datetime(2026, 11, 21, hour, minute, tzinfo=UTC) for hour, minute in ((4, 0), (15, 31)))
"""12:00 and 23:31 of today in Shanghai, where the tenant is."""
SHANGHAI = timedelta(hours=8)
HOURLY, LATER = "00 00 00-23/1 * * ?", "00 30 00-23/2 * * ?"


class World:
    """A workspace with the node ``a`` published the day before yesterday, and a clock."""

    def __init__(self, at: Callable[[datetime], None], **fields: Any) -> None:
        self.at, self.cast = at, make_cast()
        self.fields: dict[str, Any] = {"trigger": {"cron": HOURLY}, "script": _shell("echo old")} | fields
        at(NOON - timedelta(days=2))
        self.publish()

    def publish(self, **changes: Any) -> Task:
        """Publish ``a`` with these changes, now."""
        self.fields |= changes
        nodes = import_document(self.cast.owner, self.cast.workspace, document(node("a", **self.fields))).nodes
        publish(self.cast.owner, self.cast.workspace, nodes, "change")
        return self.task

    def generate(self, *days: date) -> None:
        for day in days:
            generate.generate_day(self.cast.tenant, day)

    @property
    def task(self) -> Task:
        return Task.objects.get(name="a")

    def of(self, day: date) -> list[TaskInstance]:
        found = TaskInstance.objects.filter(task__name="a", bizdate=day - timedelta(days=1))
        return list(found.order_by("scheduled_at"))

    def times(self, day: date) -> list[str]:
        """The local times of a day's instances."""
        return [f"{one.scheduled_at + SHANGHAI:%H:%M}" for one in self.of(day)]


def _shell(content: str) -> dict[str, Any]:
    return {"content": content, "runtime": {"command": "DIDE_SHELL"}}


def clock_times(first: int, step: int, minute: int) -> list[str]:
    return [f"{hour:02}:{minute:02}" for hour in range(first, 24, step)]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    return lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def world(at: Callable[[datetime], None]) -> World:
    made = World(at)
    made.generate(YESTERDAY, TODAY)
    at(NOON)
    return made


def snapshot(instances: list[TaskInstance]) -> list[Any]:
    return list(TaskInstance.objects.filter(pk__in=[one.pk for one in instances]).order_by("pk").values())


def test_code_is_new_for_what_has_not_started_and_the_schedule_stays_as_it_was(world: World) -> None:
    started, waiting = world.of(TODAY)[:2]
    TaskInstance.objects.filter(pk__in=[started.pk, waiting.pk]).update(state=State.WAIT_RESOURCE, unmet=0)
    running, then = (one.instance for one in claim.claim(WORKER, 2))
    old = attempts.start(running, 1, worker=WORKER, pid=1, host="here")
    task = world.publish(script=_shell("echo new"))
    new = attempts.start(then, 1, worker=WORKER, pid=1, host="here")
    assert old is not None and new is not None
    assert (old.content, new.content) == ("echo old", "echo new")
    waiting.refresh_from_db()
    assert task.version is not None and waiting.version.number + 1 == task.version.number


def test_a_schedule_of_t_plus_1_counts_from_tomorrow(world: World) -> None:
    before = snapshot(world.of(TODAY))
    world.publish(trigger={"cron": LATER})
    assert snapshot(world.of(TODAY)) == before
    world.generate(TOMORROW)
    assert (world.times(TODAY), world.times(TOMORROW)) == (clock_times(0, 1, 0), clock_times(0, 2, 30))


@pytest.mark.parametrize("mode", ["T+1", "Immediately"])
def test_a_schedule_that_is_changed_after_half_past_eleven_counts_from_the_day_after_tomorrow(
    world: World, mode: str
) -> None:
    world.at(NIGHT)
    before = snapshot(world.of(TODAY))
    world.publish(trigger={"cron": LATER}, instanceMode=mode)
    world.generate(TOMORROW, AFTER)
    assert snapshot(world.of(TODAY)) == before
    assert (world.times(TOMORROW), world.times(AFTER)) == (clock_times(0, 1, 0), clock_times(0, 2, 30))


def test_a_schedule_of_immediately_replaces_what_is_more_than_ten_minutes_ahead(world: World) -> None:
    before = world.of(TODAY)
    past = snapshot(before[:13])  # 12:00 is now; it is kept
    world.publish(trigger={"cron": LATER}, instanceMode="Immediately")
    assert world.times(TODAY) == [*clock_times(0, 1, 0)[:13], *clock_times(12, 2, 30)]
    assert snapshot(world.of(TODAY)[:13]) == past
    assert counts_agree()


def test_what_has_started_is_never_replaced(world: World) -> None:
    early = world.of(TODAY)[20]
    TaskInstance.objects.filter(pk=early.pk).update(state=State.RUNNING, attempt=1)
    world.publish(trigger={"cron": LATER}, instanceMode="Immediately")
    assert world.times(TODAY) == sorted([*clock_times(0, 1, 0)[:13], "20:00", *clock_times(12, 2, 30)])


def test_what_stays_planned_stays_the_same_instance_with_what_it_pins_renewed(world: World) -> None:
    usable_group(world.cast.workspace, "big")
    before = {one.scheduled_at: one.pk for one in world.of(TODAY)}
    task = world.publish(
        trigger={"cron": "00 00 01-23/2 * * ?"}, instanceMode="Immediately", priority=8, rerunTimes=2,
        runtimeResource={"resourceGroup": "big"},
    )  # fmt: skip
    after = world.of(TODAY)
    assert world.times(TODAY) == [*clock_times(0, 1, 0)[:13], *clock_times(13, 2, 0)]
    assert {one.scheduled_at: one.pk for one in after}.items() <= before.items()
    pinned = {(one.version_id, one.priority, one.reruns_left, one.resource_group.name) for one in after[13:]}
    assert pinned == {(task.version_id, 8, 2, "big")}
    assert [one.period for one in after[13:]] == list(range(7, 13))
    assert {(one.priority, one.resource_group.name) for one in after[:13]} == {(1, "default")}
    assert counts_agree()


def test_a_person_froze_this_run_and_it_stays_frozen(world: World) -> None:
    last = world.of(TODAY)[-1]
    TaskInstance.objects.filter(pk=last.pk).update(frozen=True)
    world.publish(instanceMode="Immediately", description="changed")
    assert [one.pk for one in world.of(TODAY) if one.frozen] == [last.pk]


def test_a_trigger_that_is_held_for_a_run_to_come_is_kept_or_told_to_be_gone(at: Callable[[datetime], None]) -> None:
    world = World(at, script={"runtime": {"command": "SCHEDULER_TRIGGER"}}, instanceMode="Immediately")
    world.generate(TODAY)
    at(NOON)
    stays, goes = (world.of(TODAY)[hour] for hour in (20, 21))
    held = [
        TriggerCommand.objects.create(
            tenant=world.cast.tenant, workspace=world.cast.workspace, instance=one, task_number=world.task.number,
            environment="Prod", scheduled_at=one.scheduled_at, caller=world.cast.owner.user, face="openapi",
            status="held", reason={"code": "trigger.held", "params": {}}, held_until=NOON + timedelta(hours=24),
        )
        for one in (stays, goes)
    ]  # fmt: skip
    world.publish(trigger={"cron": "00 00 00-22/2 * * ?"})
    for one in held:
        one.refresh_from_db()
    assert (held[0].status, held[0].instance) == ("held", stays)
    assert (held[1].status, held[1].instance, held[1].reason["code"]) == ("expired", None, "trigger.instance_gone")


def test_freezing_leaves_today_alone_and_blocks_from_the_next_generation_on(world: World) -> None:
    before = snapshot(world.of(TODAY))
    world.publish(recurrence="Pause")
    world.generate(TOMORROW)
    assert snapshot(world.of(TODAY)) == before
    assert {(one.kind, one.frozen) for one in world.of(TOMORROW)} == {(Kind.PAUSE, True)}


def test_unfreezing_leaves_what_was_born_frozen_frozen(world: World) -> None:
    world.publish(recurrence="Pause")
    world.generate(TOMORROW)
    born = snapshot(world.of(TOMORROW))
    world.publish(recurrence="Normal")
    world.generate(AFTER)
    assert snapshot(world.of(TOMORROW)) == born
    assert {(one.kind, one.frozen) for one in world.of(AFTER)} == {(Kind.NORMAL, False)}


def test_a_dry_run_recurrence_leaves_today_alone_and_counts_from_the_next_generation_on(world: World) -> None:
    before = snapshot(world.of(TODAY))
    world.publish(recurrence="Skip")
    world.generate(TOMORROW)
    assert snapshot(world.of(TODAY)) == before
    assert {(one.kind, one.needs_worker) for one in world.of(TOMORROW)} == {(Kind.SKIP, False)}


def test_an_offline_task_gets_no_new_instances(world: World) -> None:
    Task.objects.filter(name="a").update(status=Task.Status.OFFLINE)
    world.generate(TOMORROW)
    assert len(world.of(TODAY)) == 24 and world.of(TOMORROW) == []


def test_resource_group_and_priority_are_for_new_instances_the_owner_is_the_tasks(world: World) -> None:
    big = usable_group(world.cast.workspace, "big")
    other = User.objects.create_user("otto", tenant=world.cast.tenant)
    Member.objects.create(workspace=world.cast.workspace, user=other, roles=["role_project_dev"])
    before = snapshot(world.of(TODAY))
    world.publish(owner="otto", runtimeResource={"resourceGroup": "big"}, priority=7)
    world.generate(TOMORROW)
    assert snapshot(world.of(TODAY)) == before
    assert {(one.resource_group_id, one.priority) for one in world.of(TOMORROW)} == {(big.pk, 7)}
    assert {one.task.owner for one in (*world.of(TODAY), *world.of(TOMORROW))} == {other}


def test_dependencies_are_those_that_the_task_had_when_the_instance_was_made(world: World) -> None:
    report = import_document(world.cast.owner, world.cast.workspace, document(node("up"), id="w2", name="Other"))
    publish(world.cast.owner, world.cast.workspace, report.nodes, "before it")
    world.publish(inputs={"nodeOutputs": [{"data": "up"}]})
    world.generate(TOMORROW)
    assert {_upstream(one) for one in world.of(TODAY)} == {("shop_root",)}
    assert {_upstream(one) for one in world.of(TOMORROW)} == {("up",)}


def _upstream(instance: TaskInstance) -> tuple[str, ...]:
    return tuple(instance.upstream_edges.order_by("upstream").values_list("upstream__task__name", flat=True))


def test_maximum_of_parallel_runs_and_misfire_policy_count_at_once(world: World) -> None:
    first, *_rest = world.of(TODAY)
    TaskInstance.objects.filter(bizdate=first.bizdate, task=first.task).update(state=State.WAIT_RESOURCE, unmet=0)
    assert len(claim.claim(WORKER, 1)) == 1
    task = world.publish(maxParallelInstances=2, misfirePolicy="Latest")
    assert (task.max_parallel, task.misfire_policy) == (2, "Latest")
    assert len(claim.claim(WORKER, 5)) == 1
    world.publish(maxParallelInstances=None)
    assert len(claim.claim(WORKER, 5)) == 5
