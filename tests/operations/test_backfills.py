"""Backfills: what is previewed is what is made, date after date, and nothing else."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations import backfills, trigger
from opscenter.operations.models import Operation
from opscenter.production.models import (
    Backfill,
    InstanceEdge,
    Recurrence,
    ResourceGroup,
    Task,
    TaskDependency,
    TaskInstance,
    WorkflowInstance,
)
from opscenter.production.rules.backfill import DateRange, Mode, OnFailure, Order
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import AuditEntry, Member, Workspace
from tests.console.visits import as_user, url
from tests.operations.backfilling import (
    FIRST,
    asked,
    backfill,
    counted,
    days,
    get,
    instances,
    kinds,
    of_day,
    ready,
    request,
    run_all,
    succeed,
)
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db
D = [FIRST + timedelta(days=n) for n in range(10)]


@pytest.fixture
def line(cast: Guarded) -> list[Task]:
    """a -> b -> c, every day."""
    a = cast.task("a")
    b = cast.task("b", upstream=[a])
    return [a, b, cast.task("c", upstream=[b])]


def chain_on_itself(task: Task) -> None:
    TaskDependency.objects.create(
        task=task, upstream=task, type=TaskDependency.Type.SELF, output=f"{task.workspace.name}.{task.number}_out"
    )


def test_one_task_for_one_date(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], comment="lost data")
    (made,) = instances(job)
    assert (made.task, made.bizdate, made.kind, made.version_id) == (line[0], D[0], Kind.NORMAL, line[0].version_id)
    assert made.scheduled_at == datetime(2026, 11, 2, tzinfo=UTC)
    assert made.state == State.WAIT_RESOURCE
    assert made.not_before is None
    assert made.workflow_instance.type == WorkflowInstance.Type.BACKFILL
    assert made.workflow_instance.created_by == cast.operator
    assert (job.state, job.instances, job.made, job.tasks) == (Backfill.State.STARTED, 1, 1, 1)
    assert job.name.startswith("P_a_")
    operation = Operation.objects.get(pk=job.operation or 0)
    assert (operation.code, operation.status, operation.comment) == ("make_backfill", "applied", "lost data")
    assert operation.targets.get().done
    assert AuditEntry.objects.get(action="backfill.make").object_id == str(operation.pk)


def test_descendants_keep_their_order_within_a_date(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], mode=Mode.DESCENDANTS)
    assert [one.task.name for one in instances(job)] == ["a", "b", "c"]
    assert counted(job)
    assert run_all(job) == [(D[0], "a"), (D[0], "b"), (D[0], "c")]


def test_levels_below_the_task_can_be_chosen_and_tasks_left_out(cast: Guarded, line: list[Task]) -> None:
    assert set(kinds(backfill(cast, line[0], mode=Mode.DESCENDANTS, depth=1))) == {"a", "b"}
    left = backfill(cast, line[0], mode=Mode.DESCENDANTS, exclude=[line[1]])
    assert kinds(left) == {"a": Kind.NORMAL, "b": Kind.SKIP_UNCHOSEN, "c": Kind.NORMAL}
    assert run_all(left) == [(D[0], "a"), (D[0], "c")]


def test_what_lies_between_chosen_tasks_is_a_dry_run(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], mode=Mode.ADVANCED, include=[line[2]])
    assert kinds(job) == {"a": Kind.NORMAL, "b": Kind.SKIP_UNCHOSEN, "c": Kind.NORMAL}


def test_a_link_is_every_task_on_the_way(cast: Guarded, line: list[Task]) -> None:
    cast.task("aside", upstream=[line[0]])
    assert set(kinds(backfill(cast, line[0], mode=Mode.LINK, include=[line[2]]))) == {"a", "b", "c"}
    with pytest.raises(Refused) as refused:
        backfill(cast, line[2], mode=Mode.LINK, include=[line[0]])
    assert refused.value.reason.code == "backfill.no_link"


def test_massive_by_workspace(cast: Guarded, line: list[Task]) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.operator, roles=["role_project_pe"])
    cast.task("far", upstream=[line[0]], workspace=other)
    own = backfill(cast, line[0], mode=Mode.MASSIVE, workspaces=(cast.workspace.pk,))
    assert set(kinds(own)) == {"a", "b", "c"}
    both = backfill(cast, line[0], mode=Mode.MASSIVE, exclude=[line[2]])
    assert kinds(both) == {
        "a": Kind.NORMAL, "b": Kind.NORMAL, "c": Kind.SKIP_UNCHOSEN, "far": Kind.NORMAL,
    }  # fmt: skip
    assert get(both, D[0], "far").workspace_id == other.pk
    everything = backfill(cast, mode=Mode.MASSIVE, workspaces=(other.pk,))
    assert set(kinds(everything)) == {"far"}


def test_one_date_after_the_other(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], mode=Mode.DESCENDANTS, count=3)
    assert ready(job) == {(D[0], "a")}
    assert counted(job)
    assert run_all(job) == [(day, name) for day in D[:3] for name in "abc"]
    assert set(of_day(job, D[2]).values()) == {State.SUCCESS}


def test_the_newest_date_first(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=3, order=Order.DESC)
    assert run_all(job) == [(D[2], "a"), (D[1], "a"), (D[0], "a")]


def test_dates_side_by_side_in_groups(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], count=4, groups=2)
    assert ready(job) == {(D[0], "a"), (D[1], "a")}
    succeed(get(job, D[1], "a"))
    assert ready(job) == {(D[0], "a"), (D[3], "a")}


def test_a_date_waits_for_the_whole_date_before_it(cast: Guarded) -> None:
    root = cast.task("root")
    left, right = cast.task("left", upstream=[root]), cast.task("right", upstream=[root])
    job = backfill(cast, root, mode=Mode.DESCENDANTS, count=2)
    succeed(get(job, D[0], "root"))
    succeed(get(job, D[0], left.name))
    assert ready(job) == {(D[0], right.name)}
    succeed(get(job, D[0], right.name))
    assert ready(job) == {(D[1], "root")}


def test_a_date_without_instances_is_passed_over(cast: Guarded) -> None:
    """The task is effective again after a gap; here until the third and from the fifth on it is two tasks."""
    early = cast.task("early", version={"end_at": datetime(2026, 11, 3, 12, tzinfo=UTC)})
    late = cast.task("late", version={"start_at": datetime(2026, 11, 6, tzinfo=UTC)})
    job = backfill(cast, early, late, mode=Mode.ADVANCED, count=5)
    assert [one.instances for one in job.dates.order_by("position")] == [1, 1, 0, 0, 1]
    assert run_all(job) == [(D[0], "early"), (D[1], "early"), (D[4], "late")]


def test_cross_cycle_dependencies_hold_between_the_dates_of_the_job(cast: Guarded, line: list[Task]) -> None:
    chain_on_itself(line[0])
    job = backfill(cast, line[0], count=3, groups=3)
    assert ready(job) == {(D[0], "a")}, "the groups would run side by side, but the task waits for itself"
    assert run_all(job) == [(D[0], "a"), (D[1], "a"), (D[2], "a")]


def test_the_newest_first_is_refused_where_a_task_waits_for_its_cycle_before(cast: Guarded, line: list[Task]) -> None:
    chain_on_itself(line[0])
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], count=2, order=Order.DESC)
    assert refused.value.reason.code == "backfill.newest_first"
    assert not Backfill.objects.exists()


def test_hours_of_a_day(cast: Guarded) -> None:
    hourly = cast.task("hourly", cron="00 15 00-23/1 * * ?")
    daily = cast.task("daily", upstream=[hourly], cron="00 30 00 * * ?")
    job = backfill(cast, hourly, mode=Mode.DESCENDANTS, start=time(1, 15), end=time(3, 15))
    found = [one for one in instances(job) if one.task == hourly]
    assert [f"{one.scheduled_at:%H:%M}/{one.period}" for one in found] == ["01:15/2", "02:15/3", "03:15/4"]
    waiting = get(job, D[0], daily.name)
    assert (waiting.state, waiting.unmet) == (State.NOT_RUN, 3)
    assert all(one.state == State.WAIT_RESOURCE for one in found), "side by side within the day"


def test_an_off_day_is_a_dry_run(cast: Guarded) -> None:
    weekly = cast.task("weekly", cron="00 00 01 ? * MON")  # the scheduled day 2026-11-02 is a Monday
    job = backfill(cast, weekly, count=2)
    assert [Kind(one.kind) for one in instances(job)] == [Kind.NORMAL, Kind.SKIP_CYCLE]
    assert run_all(job) == [(D[0], "weekly")]
    assert set(of_day(job, D[1]).values()) == {State.SUCCESS}


def test_instances_of_a_frozen_task_are_born_frozen_and_hold_up_what_comes_after(
    cast: Guarded, line: list[Task]
) -> None:
    Task.objects.filter(pk=line[1].pk).update(recurrence=Recurrence.PAUSE)
    job = backfill(cast, line[0], mode=Mode.DESCENDANTS)
    assert kinds(job)["b"] is Kind.PAUSE
    assert run_all(job) == [(D[0], "a")]
    cast.ask("unfreeze", [get(job, D[0], "b")])
    assert run_all(job) == [(D[0], "b"), (D[0], "c")]


def test_a_trigger_is_bypassed_and_nobody_can_trigger_it(cast: Guarded) -> None:
    gate = cast.task("gate", "http_trigger")
    below = cast.task("below", upstream=[gate])
    job = backfill(cast, gate, mode=Mode.DESCENDANTS)
    waiting = get(job, D[0], "gate")
    with pytest.raises(Refused) as refused:
        trigger.trigger(cast.actor(), task_number=gate.number, scheduled_at=waiting.scheduled_at)
    assert refused.value.reason.code == "trigger.bypassed"
    assert run_all(job) == [(D[0], below.name)]
    assert get(job, D[0], "gate").state == State.SUCCESS


def test_dates_to_come_wait_for_their_time_unless_asked_otherwise(cast: Guarded, line: list[Task]) -> None:
    tomorrow = clock.now().date() + timedelta(days=1)
    waits = backfill(cast, line[0], ranges=days(1, tomorrow))
    (one,) = instances(waits)
    assert (one.state, one.not_before, one.due_at) == (State.WAIT_TIME, one.scheduled_at, one.scheduled_at)
    at_once = backfill(cast, line[0], ranges=days(1, tomorrow), immediately=True)
    assert [one.state for one in instances(at_once)] == [State.WAIT_RESOURCE]


def test_priority_group_and_parameters(cast: Guarded, line: list[Task]) -> None:
    group = ResourceGroup.objects.create(tenant=cast.tenant, name="big")
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], resource_group="big")
    assert refused.value.reason.code == "backfill.group_elsewhere"
    group.associations.create(workspace=cast.workspace)
    parameters = {"workflow": {"day": "$bizdate"}, "tasks": {str(line[0].number): {"x": "1"}}}
    job = backfill(cast, line[0], priority=11, resource_group="big", parameters=parameters)
    (one,) = instances(job)
    assert (one.priority, one.resource_group) == (11, group)
    assert one.workflow_instance.parameters == parameters


def test_nothing_starts_where_that_was_asked_for(cast: Guarded, line: list[Task]) -> None:
    job = backfill(cast, line[0], autostart=False)
    assert job.state == Backfill.State.READY
    assert [one.state for one in instances(job)] == [State.NOT_RUN]
    cast.ask("resume_backfill", [job])
    assert [one.state for one in instances(job)] == [State.WAIT_RESOURCE]


def test_the_development_environment(cast: Guarded) -> None:
    cast.extension(points=["backfill-data"])
    task = cast.task("d", environment="Dev")
    job = backfill(cast, task, environment="Dev", count=2)
    assert [(one.environment, one.state) for one in instances(job)] == [
        ("Dev", State.WAIT_RESOURCE), ("Dev", State.NOT_RUN),
    ]  # fmt: skip


def test_a_preview_makes_nothing_and_tells_all(cast: Guarded, line: list[Task]) -> None:
    Task.objects.filter(pk=line[1].pk).update(recurrence=Recurrence.SKIP)
    found = backfills.preview(
        cast.actor(), cast.workspace, "Prod", request(line[0], mode=Mode.DESCENDANTS, count=3, groups=2)
    )
    assert not Backfill.objects.exists()
    assert not TaskInstance.objects.exists()
    assert found.plan.instances == 9
    assert [(day.bizdate, day.after) for day in found.plan.days] == [(D[0], None), (D[1], None), (D[2], D[0])]
    assert dict(found.plan.days[0].counts) == {"run": 2, "dry_run": 1}
    assert {found.plan.tasks[pk].name: role.why for pk, role in found.plan.roles.items()} == {
        "a": "backfill.chosen", "b": "backfill.recurrence", "c": "backfill.chosen",
    }  # fmt: skip
    assert found.expected is not None
    assert found.expected.unknown == 2


def test_how_long_it_will_take_is_told_by_past_runs(cast: Guarded, line: list[Task]) -> None:
    begun = datetime(2026, 10, 1, tzinfo=UTC)
    for task, seconds in zip(line, (10, 20, 30), strict=True):
        cast.instance(task, State.SUCCESS, started_at=begun, finished_at=begun + timedelta(seconds=seconds))
    asked_for = request(line[0], mode=Mode.DESCENDANTS, count=3, groups=2)
    found = backfills.preview(cast.actor(), cast.workspace, "Prod", asked_for).expected
    assert found is not None
    assert (found.seconds, found.unknown) == (120.0, 0)


def test_what_is_confirmed_is_what_was_previewed(cast: Guarded, line: list[Task]) -> None:
    asked_for: dict[str, Any] = {"mode": Mode.DESCENDANTS, "count": 2}
    seen = backfills.preview(cast.actor(), cast.workspace, "Prod", request(line[0], **asked_for)).fingerprint
    cast.version(line[0], content="echo new code")  # not what the preview is about
    job = backfill(cast, line[0], fingerprint=seen, **asked_for)
    assert instances(job)[0].version.number == 2
    cast.task("new", upstream=[line[0]])
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], fingerprint=seen, **asked_for)
    assert refused.value.reason.code == "backfill.changed"
    assert Backfill.objects.count() == 1


def test_the_same_client_token_is_the_same_backfill(cast: Guarded, line: list[Task]) -> None:
    first = asked(cast, line[0], client_token="once")
    assert asked(cast, line[0], client_token="once") == first
    assert Backfill.objects.count() == 1
    with pytest.raises(Invalid) as refused:
        asked(cast, line[1], client_token="once")
    assert refused.value.reason.code == "operation.client_token"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"ranges": ()}, "no_dates", "ranges"),
    ({"ranges": (DateRange(D[1], D[0]),)}, "reversed_range", "ranges"),
    ({"ranges": tuple(DateRange(day, day) for day in D[:8])}, "too_many_ranges", "ranges"),
    ({"ranges": (DateRange(date(2020, 1, 1), date(2026, 1, 1)),)}, "too_many_dates", "ranges"),
    ({"ranges": (DateRange(date(9999, 12, 31), date(9999, 12, 31)),)}, "far_date", "ranges"),
    ({"groups": 0}, "groups", "groups"),
    ({"groups": 11}, "groups", "groups"),
    ({"priority": 12}, "priority", "priority"),
    ({"start": time(5), "end": time(4)}, "reversed_hours", "end"),
    ({"depth": 0, "mode": Mode.DESCENDANTS}, "depth", "depth"),
    ({"mode": Mode.LINK}, "link_ends", "include"),
    ({"resource_group": "nowhere"}, "group", "resource_group"),
    ({"workspaces": (1,), "mode": Mode.MASSIVE}, "unknown_workspace", "workspaces"),
    ({"name": "x" * 256}, "long_name", "name"),
]


@pytest.mark.parametrize(("how", "code", "field"), WRONG, ids=[code for _how, code, _field in WRONG])
def test_bad_requests_are_told_with_their_field(
    cast: Guarded, line: list[Task], how: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        backfill(cast, line[0], **how)
    assert (refused.value.reason.code, refused.value.reason.params["field"]) == (f"backfill.{code}", field)
    assert str(refused.value)


def test_named_tasks_must_be_known_to_the_asker(cast: Guarded, line: list[Task]) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    hidden = cast.task("hidden", workspace=elsewhere)
    with pytest.raises(Invalid) as refused:
        backfill(cast, hidden)
    assert refused.value.reason.code == "backfill.unknown_task"


def test_who_may(cast: Guarded, line: list[Task]) -> None:
    own = cast.task("own", owner=cast.developer)
    assert backfill(cast, own, by=cast.developer).created_by == cast.developer
    mixed = cast.task("mixed", upstream=[own])
    with pytest.raises(Refused) as refused:
        backfill(cast, own, mixed, by=cast.developer, mode=Mode.ADVANCED)
    assert refused.value.reason.code == "backfill.barred"
    for who in (cast.developer, cast.visitor):
        with pytest.raises(Forbidden):
            backfill(cast, line[0], by=who)
    with pytest.raises(NotFound):
        backfill(cast, line[0], by=cast.stranger)


def test_a_task_of_others_in_the_middle_is_a_dry_run(cast: Guarded) -> None:
    first = cast.task("first", owner=cast.developer)
    middle = cast.task("middle", upstream=[first])
    last = cast.task("last", upstream=[middle], owner=cast.developer)
    job = backfill(cast, first, mode=Mode.ADVANCED, include=[middle, last], by=cast.developer)
    assert kinds(job) == {"first": Kind.NORMAL, "middle": Kind.SKIP_UNCHOSEN, "last": Kind.NORMAL}


def test_more_tasks_than_allowed_are_refused(cast: Guarded, monkeypatch: pytest.MonkeyPatch, line: list[Task]) -> None:
    from opscenter.production.rules import backfill as rules

    monkeypatch.setattr(rules, "MOST_TASKS", 2)
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], mode=Mode.DESCENDANTS)
    assert refused.value.reason.code == "backfill.too_many_tasks"
    assert backfill(cast, line[0], mode=Mode.MASSIVE).tasks == 3, "by workspace there may be more"
    monkeypatch.setattr(rules, "MOST_ROOTS", 1)
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], line[1])
    assert refused.value.reason.code == "backfill.too_many_roots"


def test_edges_lead_nowhere_outside_of_the_job(cast: Guarded, line: list[Task]) -> None:
    cast.instance(line[0], State.WAIT_RESOURCE, bizdate=D[0])
    job = backfill(cast, line[1])
    (one,) = instances(job)
    assert not InstanceEdge.objects.filter(downstream=one).exists()
    assert ready(job) == {(D[0], "b")}


def test_what_happens_after_a_failure_is_kept(cast: Guarded, line: list[Task]) -> None:
    assert backfill(cast, line[0]).is_watched is False
    assert backfill(cast, line[0], on_failure=OnFailure.STOP).is_watched is True


def test_names_in_workspaces_of_others_are_not_told(cast: Guarded, line: list[Task]) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    secret = cast.task("secret_one", upstream=[line[2]], workspace=elsewhere)
    cast.task("secret_two", upstream=[line[2]], workspace=elsewhere)
    offline = cast.task("secret_three", upstream=[line[2]], workspace=elsewhere)
    Task.objects.filter(pk=offline.pk).update(status=Task.Status.OFFLINE)
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], mode=Mode.DESCENDANTS)
    told = str(refused.value)
    assert "You may not run 2 tasks of workspaces that you are not a member of" in told
    assert "By workspace" in told
    asked_for = {
        "mode": "descendants",
        "tasks": str(line[0].number),
        "order": "asc",
        "groups": "1",
        "on_failure": "wait",
    }
    asked_for |= {"first_1": "2026-11-01", "last_1": "2026-11-01", "step": "preview"}
    page = as_user(cast.operator).get(url(cast, "backfill_new"), asked_for).content.decode()
    assert "You may not run 2 tasks" in page
    assert page.count("of a workspace that you are not a member of") == 3
    assert "secret" not in page
    assert str(secret.number) not in page
    own = backfill(cast, line[0], mode=Mode.MASSIVE, workspaces=(cast.workspace.pk,))
    assert set(kinds(own)) == {"a", "b", "c"}
    Member.objects.create(workspace=elsewhere, user=cast.operator, roles=["role_project_guest"])
    with pytest.raises(Refused) as refused:
        backfill(cast, line[0], mode=Mode.DESCENDANTS)
    assert "“secret_one”, “secret_two”" in str(refused.value)
