"""Forced reruns wait for the extensions that guard reruns and stops of instances, in every workspace that they reach."""

import random
from functools import partial
from typing import Any

import pytest

from extensions.models import Check, Event
from opscenter.base.reasons import Forbidden
from opscenter.engine import advance
from opscenter.operations import checked, force_rerun
from opscenter.operations.door import apply
from opscenter.operations.models import Operation
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, Workspace
from tests.operations.at_once import at_once
from tests.operations.guarded import Guarded, check_of, checks_of, say, status_of, trail
from tests.operations.lattice import states, wrongs, yesterday

pytestmark = pytest.mark.django_db
RERUN, KILL = "pre-rerun-instance", "pre-kill-instance"
DONE, FAILED, WAITS, RUNS, READY = State.SUCCESS, State.FAILURE, State.NOT_RUN, State.RUNNING, State.WAIT_RESOURCE


def line(cast: Guarded, *given: State, workspaces: dict[int, Workspace] | None = None) -> list[TaskInstance]:
    """Instances of yesterday's business date, each waiting for the one before it."""
    made: list[TaskInstance] = []
    for n, state in enumerate(given):
        where = (workspaces or {}).get(n, cast.workspace)
        task = cast.task(f"t{n}", workspace=where)
        one = cast.instance(task, state, upstream=made[-1:], bizdate=yesterday(), attempt=1)
        TaskInstance.objects.filter(pk=one.pk).update(workspace=where)
        made.append(one)
    for one in made:
        edges = InstanceEdge.objects.filter(downstream=one)
        edges.filter(upstream__state=DONE).update(met=True)
        TaskInstance.objects.filter(pk=one.pk).update(unmet=edges.filter(met=False).count())
    return made


def force(cast: Guarded, start: TaskInstance, *others: Workspace, **changes: Any) -> Operation:
    arguments = {"start": "self", "workspaces": [cast.workspace.pk, *(one.pk for one in others)], "cross_day": False}
    return cast.ask("force_rerun", [start], by=cast.admin, arguments=arguments | changes)


def elsewhere(cast: Guarded) -> Workspace:
    """Another workspace of the tenant, which the same person administers."""
    made = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=made, user=cast.admin, roles=["role_project_admin"])
    return made


def asked(operation: Operation) -> dict[tuple[str, int], list[int]]:
    """Extension point and workspace -> the instances that the message names."""
    events = Event.objects.filter(operation=operation.pk)
    return {(one.point, one.workspace_id): one.message["data"]["taskIds"] for one in events}


def told(operation: Operation) -> dict[int, str | bool | None]:
    """Instance -> whether it was done, or the code of why not."""
    return {
        one.object_id: one.reason["code"] if one.reason else one.done for one in operation.targets.order_by("object_id")
    }


def runs(one: TaskInstance) -> None:
    TaskInstance.objects.filter(pk=one.pk).update(state=RUNS)
    Attempt.objects.create(instance=one, number=1, state=Attempt.State.RUNNING, claimed_at=one.scheduled_at)


def test_nothing_happens_before_the_verdict_and_all_of_it_after(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE, FAILED)
    operation = force(cast, made[0])
    ids = [one.pk for one in made]
    assert status_of(operation) == "checking"
    assert asked(operation) == {(RERUN, cast.workspace.pk): ids}
    assert told(operation) == dict.fromkeys(ids), "what it reaches is shown while it waits"
    assert states(made) == [DONE, DONE, FAILED]
    say(check_of(operation), "OK")
    assert status_of(operation) == "applied"
    assert (states(made), told(operation)) == ([READY, WAITS, WAITS], dict.fromkeys(ids, True))
    assert wrongs() == []
    assert [code for code, _by in trail(operation)] == ["operation.ask", "instance.force_rerun"]


def test_a_rejection_blocks_all_of_it(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE, RUNS)
    operation = force(cast, made[0])
    say(check_of(operation), "FAIL", "not during the closing")
    assert status_of(operation) == "blocked"
    assert told(operation) == {one.pk: "operation.blocked" for one in made}
    assert states(made) == [DONE, RUNS]


def test_what_runs_is_asked_about_at_the_point_of_stopping(cast: Guarded) -> None:
    cast.extension("reruns", points=[RERUN])
    cast.extension("stops", points=[KILL])
    made = line(cast, DONE, RUNS, WAITS)
    Attempt.objects.create(instance=made[1], number=1, state="running", claimed_at=made[1].scheduled_at)
    operation = force(cast, made[0])
    here = cast.workspace.pk
    assert asked(operation) == {(RERUN, here): [one.pk for one in made], (KILL, here): [made[1].pk]}
    reruns, stops = checks_of(operation)
    say(stops, "OK")
    assert (status_of(operation), Attempt.objects.get().stop_requested_at) == ("checking", None)
    say(reruns, "OK")
    assert status_of(operation) == "running"
    assert Attempt.objects.get().stop_requested_at is not None
    advance.finish([made[1].pk], {RUNS}, FAILED)
    force_rerun.run()
    assert (status_of(operation), states(made)) == ("applied", [READY, WAITS, WAITS])


def test_who_guards_stops_alone_is_not_asked_where_nothing_runs(cast: Guarded) -> None:
    cast.extension(points=[KILL])
    made = line(cast, DONE, DONE)
    assert force(cast, made[0]).status == "applied"
    assert not Event.objects.exists()


def test_the_extensions_of_each_workspace_are_asked_about_what_lies_there(cast: Guarded) -> None:
    other = elsewhere(cast)
    cast.extension("ours", points=[RERUN])
    cast.extension("theirs", workspace=other, test_workspace=other, points=[RERUN, KILL])
    made = line(cast, DONE, DONE, RUNS, workspaces={1: other, 2: other})
    operation = force(cast, made[0], other)
    here, there = cast.workspace.pk, other.pk
    assert asked(operation) == {
        (RERUN, here): [made[0].pk],
        (RERUN, there): [made[1].pk, made[2].pk],
        (KILL, there): [made[2].pk],
    }
    assert {one.message["data"].get("listenerProjectId") for one in Event.objects.filter(workspace=other)} == {there}
    for one in checks_of(operation)[:2]:
        say(one, "OK")
    assert (status_of(operation), states(made)) == ("checking", [DONE, DONE, RUNS])
    for one in checks_of(operation)[2:]:
        say(one, "OK")
    assert (status_of(operation), states(made)) == ("running", [READY, WAITS, RUNS])


def test_workspaces_that_are_not_chosen_are_not_asked(cast: Guarded) -> None:
    other = elsewhere(cast)
    cast.extension("theirs", workspace=other, test_workspace=other, points=[RERUN])
    made = line(cast, DONE, DONE, workspaces={1: other})
    assert force(cast, made[0]).status == "applied"
    assert states(made) == [READY, DONE]


def test_node_types_count_in_each_workspace_by_itself(cast: Guarded) -> None:
    other = elsewhere(cast)
    rule = f"extension.fileType.DIDE_SHELL.{RERUN}.enabled=false"
    cast.extension("theirs", workspace=other, test_workspace=other, points=[RERUN], parameters=rule)
    made = line(cast, DONE, DONE, workspaces={1: other})
    assert force(cast, made[0], other).status == "applied"


def test_who_does_not_administer_a_workspace_is_told_so_before_anybody_is_asked(cast: Guarded) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    cast.extension(points=[RERUN])
    made = line(cast, DONE)
    with pytest.raises(Forbidden):
        force(cast, made[0], other)
    assert not Event.objects.exists()


# what changes while they are asked


def test_what_came_downstream_meanwhile_is_left_alone_where_somebody_guards_it(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE)
    operation = force(cast, made[0])
    late = cast.instance(cast.task("late"), DONE, bizdate=yesterday(), attempt=1)
    InstanceEdge.objects.create(upstream=made[1], downstream=late, met=True, bizdate=late.bizdate)
    say(check_of(operation), "OK")
    assert status_of(operation) == "partly"
    assert told(operation) == {made[0].pk: True, made[1].pk: True, late.pk: "force_rerun.not_asked"}
    assert states([*made, late]) == [READY, WAITS, DONE]
    again = force(cast, made[0])
    assert told(again) == {made[0].pk: "operation.state"}


def test_what_ceased_to_be_downstream_is_left_alone(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE)
    operation = force(cast, made[0])
    InstanceEdge.objects.all().delete()
    TaskInstance.objects.update(unmet=0)
    say(check_of(operation), "OK")
    assert told(operation) == {made[0].pk: True, made[1].pk: "force_rerun.not_downstream"}
    assert (status_of(operation), states(made)) == ("partly", [READY, DONE])


@pytest.mark.parametrize(("is_guarded", "then"), [(True, "force_rerun.runs"), (False, None)])
def test_what_began_to_run_meanwhile_is_stopped_only_where_nobody_guards_that(
    cast: Guarded, is_guarded: bool, then: str | None
) -> None:
    cast.extension(points=[RERUN, KILL] if is_guarded else [RERUN])
    made = line(cast, DONE, DONE, DONE)
    operation = force(cast, made[0])
    runs(made[1])
    say(check_of(operation), "OK")
    assert told(operation) == {made[0].pk: True, made[1].pk: then, made[2].pk: True}
    assert (Attempt.objects.get().stop_requested_at is None) is is_guarded
    assert states(made) == [READY, RUNS, WAITS]
    assert status_of(operation) == ("partly" if is_guarded else "running")
    advance.finish([made[1].pk], {RUNS}, DONE if is_guarded else FAILED)
    force_rerun.run()
    assert states(made) == ([READY, DONE, READY] if is_guarded else [READY, WAITS, WAITS])


def test_who_administers_a_workspace_no_longer_gets_a_result_not_an_error_for_the_extension(cast: Guarded) -> None:
    other = elsewhere(cast)
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE, workspaces={1: other})
    operation = force(cast, made[0], other)
    Member.objects.filter(workspace=other).delete()
    say(check_of(operation), "OK")
    assert (status_of(operation), states(made)) == ("refused", [DONE, DONE])
    assert told(operation) == dict.fromkeys([one.pk for one in made], "permission.missing")


def test_another_one_that_runs_when_the_verdict_comes_goes_first(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made, others = line(cast, DONE, DONE), line(cast, DONE, RUNS)
    first, second = force(cast, made[0]), force(cast, others[0])
    say(check_of(second), "OK")
    assert status_of(second) == "running"
    say(check_of(first), "OK")
    assert status_of(first) == "refused"
    assert set(told(first).values()) == {"force_rerun.busy"}


def test_cancelled_while_it_is_checked_nothing_is_done(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE)
    operation = force(cast, made[0])
    checked.cancel(cast.actor(cast.admin), cast.workspace, operation.pk)
    assert (status_of(operation), states(made)) == ("cancelled", [DONE, DONE])
    assert set(told(operation).values()) == {"operation.cancelled"}


def test_more_than_a_worker_would_take_at_once_is_done_with_the_verdict_all_the_same(
    cast: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opscenter.operations.jobs.MOST", 1)
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE, DONE)
    operation = force(cast, made[0])
    say(check_of(operation), "OK")
    assert (status_of(operation), states(made)) == ("applied", [READY, WAITS, WAITS])


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_meanwhile_nothing_guarded_is_done_that_was_not_asked_about(cast: Guarded, seed: int) -> None:
    rng = random.Random(seed)
    other = elsewhere(cast)
    guards: dict[tuple[str, int], bool] = {}
    for name, where in (("ours", cast.workspace), ("theirs", other)):
        points = [point for point in (RERUN, KILL) if rng.random() < 0.7]
        guards |= {(point, where.pk): True for point in points}
        cast.extension(name, workspace=where, test_workspace=where, points=points or ["freeze-node"])
    made = line(cast, DONE)
    for n in range(8):
        where = rng.choice((cast.workspace, other))
        one = cast.instance(
            cast.task(f"r{n}", workspace=where),
            rng.choice((DONE, FAILED, RUNS)),
            bizdate=yesterday(),
            attempt=1,
        )
        TaskInstance.objects.filter(pk=one.pk).update(workspace=where)
        for up in rng.sample(made, min(len(made), rng.randint(1, 2))):
            InstanceEdge.objects.create(upstream=up, downstream=one, met=up.state == DONE, bizdate=one.bizdate)
        TaskInstance.objects.filter(pk=one.pk).update(
            unmet=InstanceEdge.objects.filter(downstream=one, met=False).count()
        )
        if one.state == RUNS:
            runs(one)
        made.append(one)
    before = states(made)
    operation = force(cast, made[0], other)
    messages = asked(operation)
    if operation.status == "checking":
        assert states(made) == before and not Attempt.objects.filter(stop_requested_at__isnull=False).exists()
        for one in rng.sample(made[1:], 3):  # these begin to run, or end
            one.refresh_from_db()
            if one.state == RUNS:
                advance.finish([one.pk], {RUNS}, FAILED)
            elif not Attempt.objects.filter(instance=one).exists():
                runs(one)
        for check in checks_of(operation):
            say(check, "OK")
    stopped = set(Attempt.objects.filter(stop_requested_at__isnull=False).values_list("instance_id", flat=True))
    by_id = {one.pk: one for one in TaskInstance.objects.filter(pk__in=[one.pk for one in made])}
    done = {pk for pk, result in told(operation).items() if result is True}
    for point, ids in ((KILL, stopped), (RERUN, done)):
        for pk in ids:
            place = (point, by_id[pk].workspace_id)
            if place in guards and messages:
                assert pk in messages.get(place, []), (point, pk)
    for _ in range(4):
        advance.finish(sorted(stopped), {RUNS}, FAILED)
        force_rerun.run()
    assert status_of(operation) in ("applied", "partly")
    assert wrongs() == []


@pytest.mark.django_db(transaction=True)
def test_a_verdict_and_a_cancel_at_once_leave_all_of_it_or_nothing() -> None:
    cast = Guarded()
    cast.extension(points=[RERUN])
    made = line(cast, DONE, DONE)
    for _ in range(6):
        InstanceEdge.objects.update(met=True)
        TaskInstance.objects.update(state=DONE, unmet=0)
        operation = force(cast, made[0])
        (check,) = checks_of(operation)
        at_once(
            partial(say, check, "OK"), partial(checked.cancel, cast.actor(cast.admin), cast.workspace, operation.pk)
        )
        status = status_of(operation)
        assert status in ("applied", "cancelled")
        assert states(made) == ([READY, WAITS] if status == "applied" else [DONE, DONE])
        assert Check.objects.get(pk=check.pk).state != Check.State.CHECKING


def test_a_client_token_names_the_same_request(cast: Guarded) -> None:
    cast.extension(points=[RERUN])
    made = line(cast, DONE)
    arguments = {"start": "self", "workspaces": [cast.workspace.pk], "cross_day": False}
    ask: dict[str, Any] = {"arguments": arguments, "client_token": "once"}
    first = apply("force_rerun", cast.actor(cast.admin), cast.workspace, "Prod", [made[0].pk], **ask)
    assert apply("force_rerun", cast.actor(cast.admin), cast.workspace, "Prod", [made[0].pk], **ask) == first
