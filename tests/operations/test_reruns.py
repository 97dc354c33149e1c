"""Reruns with chosen downstream, and dependencies that are removed: what follows what, and that nothing is lost in races."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.base.reasons import Invalid
from opscenter.engine import advance
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.rules.states import LIVE, State
from opscenter.production.transitions import transition
from tests.engine.graphs import Scene
from tests.operations.at_once import at_once
from tests.operations.lattice import join, lattice, states, wrongs, yesterday
from tests.operations.test_instances import do, staffed, told

DONE, FAILED, WAITS, RUNS, READY = State.SUCCESS, State.FAILURE, State.NOT_RUN, State.RUNNING, State.WAIT_RESOURCE
CHAIN = [(0, 1), (1, 2)]


@pytest.fixture
def scene(db: None) -> Scene:
    return staffed()


def rerun(scene: Scene, start: TaskInstance, *below: TaskInstance) -> Operation:
    return do(scene, "rerun_downstream", start, *below, arguments={"start": [start.pk]})


def remove(scene: Scene, below: TaskInstance, *above: TaskInstance) -> Operation:
    return do(scene, "remove_dependencies", below, arguments={"upstream": [one.pk for one in above]})


# rerun with chosen downstream


def test_the_chosen_ones_run_again_one_after_the_other(scene: Scene) -> None:
    made = lattice(scene, [DONE, DONE, DONE], CHAIN)
    assert rerun(scene, made[0], made[1]).status == "applied"
    assert states(made) == [READY, WAITS, DONE]
    advance.finish([made[0].pk], {READY}, DONE)
    assert states(made) == [DONE, READY, DONE]
    assert wrongs() == []


def test_a_gap_is_refused_and_what_is_below_it_too(scene: Scene) -> None:
    made = lattice(scene, [DONE] * 4, [*CHAIN, (2, 3)])
    operation = rerun(scene, made[0], made[2], made[3])
    assert told(operation) == {
        made[0].pk: None, made[2].pk: "rerun_downstream.gap", made[3].pk: "rerun_downstream.gap"
    }  # fmt: skip
    assert states(made) == [READY, DONE, DONE, DONE]


@pytest.mark.parametrize(
    ("below", "refused", "becomes"),
    [
        (State.NOT_RUN, None, WAITS),
        (State.WAIT_TIME, None, WAITS),
        (State.WAIT_RESOURCE, None, WAITS),
        (State.FAILURE, None, WAITS),
        (State.RUNNING, "operation.state", RUNS),
    ],
)
def test_what_has_not_started_waits_and_what_runs_is_left_alone(
    scene: Scene, below: State, refused: str | None, becomes: State
) -> None:
    made = lattice(scene, [DONE, below], [(0, 1)])
    assert told(rerun(scene, made[0], made[1])) == {made[0].pk: None, made[1].pk: refused}
    assert states(made) == [READY, becomes]


def test_it_starts_from_one_that_has_not_run_yet(scene: Scene) -> None:
    """What ran behind it, before it was itself rerun, comes after it again."""
    made = lattice(scene, [READY, DONE], [])
    InstanceEdge.objects.create(upstream=made[0], downstream=made[1], met=True, bizdate=yesterday())
    assert rerun(scene, made[0], made[1]).status == "applied"
    assert states(made) == [READY, WAITS]
    assert wrongs() == []


def test_another_day_is_no_part_of_the_run(scene: Scene) -> None:
    (first,) = lattice(scene, [DONE], [])
    (next_day,) = lattice(scene, [DONE], [], bizdate=yesterday() + timedelta(days=1))
    join([first, next_day], [(0, 1)])
    assert told(rerun(scene, first, next_day)) == {first.pk: None, next_day.pk: "rerun_downstream.gap"}


def test_where_the_start_is_refused_nothing_below_is_rerun(scene: Scene) -> None:
    made = lattice(scene, [RUNS, DONE], [(0, 1)])
    assert set(told(rerun(scene, made[0], made[1])).values()) == {"operation.state", "rerun_downstream.gap"}
    assert states(made) == [RUNS, DONE]


@pytest.mark.parametrize("start", [None, [], "all", [True], ["1"], [0]])
def test_starts_that_are_none(scene: Scene, start: Any) -> None:
    made = lattice(scene, [DONE], [])
    with pytest.raises(Invalid):
        do(scene, "rerun_downstream", made[0], arguments={"start": start})


# removed dependencies


def test_what_waits_for_nothing_else_moves_on(scene: Scene) -> None:
    made = lattice(scene, [RUNS, RUNS, WAITS], [(0, 2), (1, 2)])
    assert told(remove(scene, made[2], made[0])) == {made[2].pk: None}
    assert states(made)[2] is WAITS
    assert told(remove(scene, made[2], made[0])) == {made[2].pk: "dependencies.none"}
    remove(scene, made[2], made[0], made[1])
    assert states(made)[2] is READY
    assert wrongs() == [] and not InstanceEdge.objects.exists()


def test_others_keep_their_dependency(scene: Scene) -> None:
    made = lattice(scene, [RUNS, WAITS, WAITS], [(0, 1), (0, 2)])
    remove(scene, made[1], made[0])
    assert states(made) == [RUNS, READY, WAITS]


def test_a_failed_one_does_not_wait_for_it_when_it_is_rerun(scene: Scene) -> None:
    made = lattice(scene, [RUNS, FAILED], [(0, 1)])
    remove(scene, made[1], made[0])
    assert states(made) == [RUNS, FAILED]
    do(scene, "rerun", made[1])
    assert states(made) == [RUNS, READY]


# races


@pytest.mark.parametrize("attempt", range(8))
def test_a_dependency_is_removed_while_its_upstream_ends(transactional_db: None, attempt: int) -> None:
    scene = staffed()
    made = lattice(scene, [RUNS, RUNS, WAITS], [(0, 2), (1, 2)])
    answers = at_once(
        lambda: advance.finish([made[0].pk], {RUNS}, DONE),
        lambda: remove(scene, made[2], made[0]),
        lambda: advance.finish([made[1].pk], {RUNS}, DONE),
    )
    assert not [answer for answer in answers if isinstance(answer, BaseException)]
    assert states(made) == [DONE, DONE, READY]
    assert wrongs() == []


@pytest.mark.parametrize("attempt", range(8))
def test_what_is_rerun_while_an_upstream_ends_is_not_stranded(transactional_db: None, attempt: int) -> None:
    scene = staffed()
    made = lattice(scene, [RUNS, FAILED, DONE], [(0, 1), (1, 2)])
    InstanceEdge.objects.filter(downstream=made[2]).update(met=True)
    TaskInstance.objects.filter(pk=made[2].pk).update(unmet=0)
    at_once(
        lambda: advance.finish([made[0].pk], {RUNS}, DONE),
        lambda: rerun(scene, made[1], made[2]),
    )
    assert states(made) == [DONE, READY, WAITS]
    assert wrongs() == []


@pytest.mark.parametrize("attempt", range(8))
def test_an_upstream_is_rerun_while_what_waits_for_it_gets_ready(transactional_db: None, attempt: int) -> None:
    scene = staffed()
    made = lattice(scene, [DONE, RUNS, WAITS], [(0, 2), (1, 2)])
    at_once(
        lambda: do(scene, "rerun", made[0]),
        lambda: advance.finish([made[1].pk], {RUNS}, DONE),
        lambda: remove(scene, made[2], made[1]),
    )
    assert states(made) == [READY, DONE, WAITS]
    assert wrongs() == []


# whatever is done


def end(scene: Scene, made: list[TaskInstance], chosen: list[int], after: State) -> None:
    """Those among the chosen that are ready run and end."""
    ids = [made[index].pk for index in chosen]
    started = [row.id for row in transition(ids, {READY}, RUNS)]
    running = [one.pk for one in TaskInstance.objects.filter(pk__in=[*started, *ids], state=RUNS)]
    advance.finish(running, {RUNS}, after)


def perform(scene: Scene, made: list[TaskInstance], step: str, chosen: list[int]) -> None:
    picked = [made[index] for index in chosen]
    match step:
        case "succeed" | "fail":
            end(scene, made, chosen, DONE if step == "succeed" else FAILED)
        case "start":
            transition([one.pk for one in picked], {READY}, RUNS)
        case "rerun_downstream":
            rerun(scene, picked[0], *picked[1:])
        case "remove_dependencies":
            remove(scene, picked[0], *picked)
        case "force_rerun":
            arguments = {"start": "self", "workspaces": [scene.workspace.pk], "cross_day": False}
            do(scene, "force_rerun", *picked, arguments=arguments)
        case _:
            do(scene, step, *picked)


STEPS = (
    "succeed", "fail", "start", "rerun", "rerun_downstream", "remove_dependencies", "stop", "set_success", "force_rerun"
)  # fmt: skip


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_counts_and_edges_agree_whatever_is_done_in_whatever_order(data: st.DataObject) -> None:
    """And nothing is stranded: in the end everything can be brought to succeed."""
    from opscenter.operations import force_rerun

    size = data.draw(st.integers(2, 7))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] < pair[1])
    edges = data.draw(st.lists(pairs, unique=True, max_size=12))
    scene = staffed(f"lattice-{Operation.objects.count()}-{TaskInstance.objects.count()}")
    below = {b for _a, b in edges}
    made = lattice(scene, [WAITS if index in below else READY for index in range(size)], edges)
    steps = st.tuples(
        st.sampled_from(STEPS), st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True)
    )
    for step, chosen in data.draw(st.lists(steps, max_size=14)):
        perform(scene, made, step, chosen)
        assert wrongs() == [], step
    for _round in range(5 * size):  # everybody works until all is done
        advance.finish([one.pk for one in made], LIVE, FAILED, reason={"code": "attempt.stopped", "params": {}})
        force_rerun.run()
        failed = [one for one, state in zip(made, states(made), strict=True) if state is FAILED]
        if failed:
            do(scene, "set_success", *failed)
        end(scene, made, list(range(size)), DONE)
        assert wrongs() == []
    assert set(states(made)) == {DONE}
    assert not Operation.objects.filter(status="running").exists()
