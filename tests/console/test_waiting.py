"""Why many instances wait: grouped by what is to blame, with counts that hold, and the way to those that it holds up."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.production import explaining, holdups, listings, roots
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance, WorkflowInstance
from opscenter.production.rules.remedies import Cause, Remedy
from opscenter.production.rules.states import WAITING, State
from opscenter.workspaces.models import Member
from tests.cast import BIZDATE, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
DAY: dict[str, Any] = {"bizdate": BIZDATE.isoformat()}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def waiting(cast: Cast, name: str, *upstream: TaskInstance, **fields: Any) -> TaskInstance:
    return cast.instance(cast.task(name), State.NOT_RUN, upstream=upstream, **fields)


def told(cast: Cast, day: date | None = BIZDATE, **wanted: Any) -> holdups.HoldUps:
    asked = listings.InstanceFilter(bizdate=day, **wanted)
    found = listings.instances(cast.visitor, cast.workspace, "Prod", [WorkflowInstance.Type.NORMAL], asked)
    return holdups.holdups(found, cast.tenant, "Prod", day, clock.now())


def counts(found: holdups.HoldUps) -> dict[str, int]:
    return {one.culprit.name if one.culprit else f"{one.cause} {one.group}".strip(): one.count for one in found.reasons}


def test_forty_wait_and_all_because_of_one(cast: Cast) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    middle = waiting(cast, "middle", load)
    for number in range(39):
        waiting(cast, f"leaf_{number}", middle)
    found = told(cast)
    assert (found.waiting, counts(found), found.others, found.is_capped) == (40, {"load": 40}, 0, False)
    html = as_user(cast.operator).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert "40 instances wait because of" in html
    assert f'href="{url(cast, "instance", pk=load.pk)}"' in html
    assert f"id={load.pk}" in html  # Rerun, right here
    assert "Who can rerun, unfreeze, stop or set it to succeeded: acme-owner, acme-admin, acme-operator." in html
    assert f"held_by={load.pk}" in html


def test_a_diamond_is_counted_once_and_two_culprits_are_both_told(cast: Cast) -> None:
    top = cast.instance(cast.task("top"), State.FAILURE)
    gate = cast.instance(cast.task("gate", "http_trigger"), State.WAIT_TRIGGER)
    left, right = waiting(cast, "left", top), waiting(cast, "right", top)
    bottom = waiting(cast, "bottom", left, right)
    waiting(cast, "both", bottom, gate)
    found = told(cast)
    assert counts(found) == {"top": 4, "gate": 1, "untriggered": 1}
    assert found.waiting == 5, "an instance with two culprits waits once"


def test_what_is_frozen_in_the_middle_is_to_blame_for_what_comes_after_it(cast: Cast) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    frozen = waiting(cast, "frozen_one", load, frozen=True)
    waiting(cast, "last", frozen)
    assert counts(told(cast)) == {"load": 1, "frozen_one": 1, "frozen": 1}


def test_what_goes_on_by_itself_is_to_blame_for_nothing(cast: Cast) -> None:
    running = cast.instance(cast.task("running"), State.RUNNING)
    later = cast.instance(cast.task("later"), State.WAIT_TIME)
    waiting(cast, "after", waiting(cast, "next", running, later))
    found = told(cast)
    assert (counts(found), found.others) == ({"time": 1}, 2)
    (time,) = found.reasons
    assert time.at == later.not_before


def test_groups_without_worker_and_full_ones_are_to_blame_for_all_behind_them(cast: Cast) -> None:
    ready = cast.instance(cast.task("ready"), State.WAIT_RESOURCE)
    waiting(cast, "after", waiting(cast, "next", ready))
    found = told(cast)
    assert counts(found) == {"unserved default": 3}
    assert (found.reasons[0].own, found.reasons[0].held) == (1, 2)
    heartbeat.register(Process.Kind.WORKER, {"groups": None})
    found = told(cast)
    assert (counts(found), found.others) == ({"starting default": 1}, 2)
    cast.group.slots = 1
    cast.group.save()
    cast.instance(cast.task("holder"), State.RUNNING)
    assert counts(told(cast)) == {"full default": 3}


def test_a_task_at_its_maximum_holds_up_its_own_instances_and_not_the_group(cast: Cast) -> None:
    heartbeat.register(Process.Kind.WORKER, {"groups": None})
    task = cast.task("limited", max_parallel=1)
    cast.instance(task, State.RUNNING, limited=True)
    for day in (1, 2):
        cast.instance(
            task, State.WAIT_RESOURCE, limited=True, period=day, scheduled_at=clock.now() - timedelta(days=day)
        )
    cast.instance(cast.task("free"), State.WAIT_RESOURCE)
    found = told(cast)
    assert [(one.cause, one.task, one.group, one.own) for one in found.reasons] == [
        (Cause.PARALLEL, (task.number, "limited"), "", 2),
        (Cause.STARTING, None, "default", 1),
    ]
    html = as_user(cast.operator).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert "2 instances of “limited” wait for other runs of the task to end." in html
    assert f"task={task.number}" in html


def test_calls_wait_for_no_worker_but_for_a_courier(cast: Cast) -> None:
    call = cast.instance(cast.task("call", "http"), State.WAIT_RESOURCE)
    after = waiting(cast, "after", call)
    found = told(cast)
    assert (counts(found), found.others) == ({"uncalled": 1}, 1)
    html = as_user(cast.operator).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert "1 HTTP node is ready, but no courier is alive." in html and "Start a courier." in html
    html = as_user(cast.operator).get(url(cast, "instance", pk=call.pk)).content.decode()
    assert "A courier sends its request, and no courier is running." in html
    assert "Whoever runs Opscenter on its hosts can do that." in html
    condition = next(one for one in explaining.explain_instance(call).conditions if one.code == "resources")
    assert condition.remedies == (Remedy("start_courier"),)
    assert [one.cause for one in roots.blocking([after.pk])[after.pk]] == [Cause.UNCALLED]
    heartbeat.register(Process.Kind.COURIER)
    assert counts(told(cast)) == {"starting": 1}
    assert [one.cause for one in roots.blocking([after.pk])[after.pk]] == [Cause.STARTING]


def test_an_upstream_whose_task_is_at_its_maximum_is_said_to_wait_for_that(cast: Cast) -> None:
    task = cast.task("limited", max_parallel=1)
    cast.instance(task, State.RUNNING, limited=True)
    next_one = cast.instance(task, State.WAIT_RESOURCE, limited=True, scheduled_at=clock.now())
    after = waiting(cast, "after", next_one)
    assert [one.cause for one in roots.blocking([after.pk])[after.pk]] == [Cause.PARALLEL]


def test_an_instance_does_not_wait_for_itself(cast: Cast) -> None:
    heartbeat.register(Process.Kind.WORKER, {"groups": None})
    instance = cast.instance(cast.task("limited", max_parallel=1), State.WAIT_RESOURCE, limited=True)
    TaskInstance.objects.update(state=State.CLAIMED)  # a worker takes it after the page has read its row
    assert explaining.explain_instance(instance).headline.code == "explain.run_next"


def test_what_runs_says_that_it_is_being_stopped_or_that_nobody_notices_its_workers_end(cast: Cast) -> None:
    task = cast.task("long")
    instance = cast.instance(task, State.RUNNING, attempt=1)
    attempt = Attempt.objects.create(
        instance=instance, number=1, state="running", version=task.version, claimed_at=clock.now(),
        lease_until=clock.now() + timedelta(minutes=1),
    )  # fmt: skip

    def headline() -> str:
        return explaining.explain_instance(instance).headline.code

    assert headline() == "explain.running"
    Attempt.objects.filter(pk=attempt.pk).update(stop_requested_at=clock.now())
    assert headline() == "explain.stopping"
    Attempt.objects.filter(pk=attempt.pk).update(lease_until=clock.now() - timedelta(minutes=1))
    assert headline() == "explain.running_lost"
    heartbeat.register(Process.Kind.SCHEDULER)
    assert headline() == "explain.stopping"


def test_what_needs_nobody_says_when_no_scheduler_lets_it_pass(cast: Cast) -> None:
    stuck = cast.instance(
        cast.task("gate", "virtual"), State.WAIT_RESOURCE, state_at=clock.now() - timedelta(minutes=1)
    )
    page = url(cast, "instance", pk=stuck.pk)
    html = as_user(cast.operator).get(page).content.decode()
    assert "no scheduler is running that would let it pass" in html and "Start a scheduler." in html
    heartbeat.register(Process.Kind.SCHEDULER)
    assert "It starts within seconds." in as_user(cast.operator).get(page).content.decode()


def test_a_culprit_of_another_workspace_or_an_earlier_day_is_found_and_not_opened_to_strangers(cast: Cast) -> None:
    from opscenter.workspaces.models import Workspace

    theirs = Workspace.objects.create(tenant=cast.tenant, name="theirs")
    load = cast.instance(cast.task("their_load", workspace=theirs), State.FAILURE, bizdate=BIZDATE - timedelta(days=1))
    between = cast.instance(cast.task("their_step", workspace=theirs), State.NOT_RUN, upstream=[load])
    waiting(cast, "ours", between)
    assert counts(told(cast)) == {"their_load": 1}
    html = as_user(cast.operator).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert "their_load" in html
    assert f"/instances/{load.pk}/" not in html
    assert "another workspace" in html
    Member.objects.create(workspace=theirs, user=cast.operator, roles=["role_project_pe"])
    html = as_user(cast.operator).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert f"/w/{theirs.pk}/prod/instances/{load.pk}/" in html


def test_the_lists_own_filters_decide_what_is_counted(cast: Cast) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    waiting(cast, "mine", load, bizdate=BIZDATE)
    cast.instance(cast.task("other", owner=cast.developer), State.NOT_RUN, upstream=[load])
    waiting(cast, "tomorrow", load, bizdate=BIZDATE + timedelta(days=1))
    assert counts(told(cast)) == {"load": 2}
    assert counts(told(cast, owner=cast.developer.uid)) == {"load": 1}
    assert counts(told(cast, text="mine")) == {"load": 1}
    assert counts(told(cast, day=BIZDATE + timedelta(days=1))) == {"load": 1}
    assert counts(told(cast, text="100% of_none")) == {}


def test_the_list_shows_those_that_one_holds_up(cast: Cast) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    first = waiting(cast, "first", load)
    second = waiting(cast, "second", first)
    cast.instance(cast.task("free"), State.NOT_RUN)
    answer = as_user(cast.visitor).get(url(cast, "instance_list"), {**DAY, "held_by": load.pk})
    assert {row.pk for row in answer.context["rows"]} == {first.pk, second.pk}
    answer = as_user(cast.visitor).get(url(cast, "instance_list"), {**DAY, "group": "default", "state": "failure"})
    assert [row.pk for row in answer.context["rows"]] == [load.pk]
    for wrong in ("x", "-1", "9" * 30):
        assert as_user(cast.visitor).get(url(cast, "instance_list"), {"held_by": wrong}).status_code == 422


def test_counts_that_are_cut_say_so(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    for number in range(6):
        waiting(cast, f"leaf_{number}", load)
    monkeypatch.setattr(holdups, "MOST_STEPS", 4)
    found = told(cast)
    assert (counts(found), found.is_capped) == ({"load": 3}, True)
    html = as_user(cast.visitor).get(url(cast, "instance_waiting"), DAY).content.decode()
    assert "each number is at least what it says" in html


def test_more_culprits_than_are_walked_say_so(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdups, "MOST_CULPRITS", 2)
    for number in range(4):
        waiting(cast, f"leaf_{number}", cast.instance(cast.task(f"load_{number}"), State.FAILURE))
    assert told(cast).is_capped


def test_nothing_waits(cast: Cast) -> None:
    cast.instance(cast.task("done"), State.SUCCESS)
    assert told(cast).waiting == 0
    assert "Nothing waits" in as_user(cast.visitor).get(url(cast, "instance_waiting"), DAY).content.decode()


def test_the_line_above_the_list_tells_the_first_reason(cast: Cast) -> None:
    load = cast.instance(cast.task("load"), State.FAILURE)
    waiting(cast, "next", load)
    page = as_user(cast.visitor).get(url(cast, "instance_list"), DAY).content.decode()
    assert url(cast, "instance_waiting") in page
    line = as_user(cast.visitor).get(url(cast, "instance_waiting"), DAY, headers={"HX-Request": "true"})
    assert "<html" not in line.content.decode()
    assert "1 instance waits because of" in line.content.decode()
    assert as_user(cast.visitor).get(url(cast, "instance_waiting"), {"bizdate": "x"}).status_code == 422


GRAPHS = st.lists(
    st.tuples(
        st.sampled_from([State.NOT_RUN, State.FAILURE, State.SUCCESS, State.RUNNING, State.WAIT_TRIGGER]),
        st.booleans(),
        st.sets(st.integers(0, 7), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@given(graph=GRAPHS)
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_counts_are_those_of_walking_by_hand(cast: Cast, graph: list[tuple[State, bool, set[int]]]) -> None:
    InstanceEdge.objects.all().delete()
    TaskInstance.objects.all().delete()
    made: list[TaskInstance] = []
    upstream: dict[int, list[TaskInstance]] = {}
    for index, (state, frozen, above) in enumerate(graph):
        waits_for = [made[one] for one in above if one < index]
        is_open = any(one.state != State.SUCCESS for one in waits_for)
        state = State.NOT_RUN if is_open and state is not State.FAILURE else state
        made.append(cast.instance(cast.task(f"t{index}"), state, upstream=waits_for, frozen=frozen))
        upstream[made[-1].pk] = [one for one in waits_for if one.state != State.SUCCESS]

    def reached(instance: TaskInstance) -> set[int]:
        found: set[int] = set()
        todo = [instance.pk]
        while todo:
            for one in upstream[todo.pop()]:
                if one.pk not in found:
                    found.add(one.pk)
                    todo.append(one.pk)
        return found

    expected = {
        one.task.name: sum(
            one.pk in reached(other) for other in made if other.state == State.NOT_RUN and not other.frozen
        )
        for one in made
        if one.frozen or one.state in (State.FAILURE, State.WAIT_TRIGGER)
    }
    found = told(cast)
    got = {one.culprit.name: one.held for one in found.reasons if one.culprit}
    assert got == {name: count for name, count in expected.items() if count}
    assert found.waiting == sum(one.state in WAITING for one in made)


def test_each_reason_that_a_list_can_have_has_words(cast: Cast) -> None:
    from opscenter.console.holdup_parts import _LOOKS
    from opscenter.production.remedy_sentences import CAUSES

    assert set(_LOOKS) == set(CAUSES) == set(Cause)
