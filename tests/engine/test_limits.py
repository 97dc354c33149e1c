"""Maximum parallel instances of a task: whoever starts runs keeps to it, and holds up nothing else."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from opscenter.base import clock, sql
from opscenter.base.reasons import say
from opscenter.engine import advance, attempts, claim, http_calls, limits
from opscenter.engine.attempts import Outcome
from opscenter.production.explaining import explain_instance
from opscenter.production.models import Attempt, ResourceGroup, Task, TaskInstance
from opscenter.production.rules.states import State
from tests.engine.graphs import Scene
from tests.engine.runs import WORKER

pytestmark = pytest.mark.django_db
LIVE = (State.CLAIMED, State.RUNNING)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def limited(scene: Scene, most: int, count: int, **fields: Any) -> list[int]:
    """Ready shell instances of a task of which so many may run at once."""
    return [one.pk for one in scene.instances(scene.task("shell", max_parallel=most), count, **fields)]


def plain(scene: Scene, count: int, **fields: Any) -> list[int]:
    return [one.pk for one in scene.instances(scene.task("shell"), count, **fields)]


def claimed(free: int = 100) -> list[int]:
    return [one.instance for one in claim.claim(WORKER, free)]


def ended(*ids: int) -> None:
    TaskInstance.objects.filter(pk__in=ids).update(state=State.SUCCESS)


def at_once(*work: Callable[[], None]) -> None:
    """Run these in threads that begin together; their errors are ours."""
    start = threading.Barrier(len(work))
    errors: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            start.wait(timeout=20)
            one()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


@pytest.mark.parametrize(
    ("most", "running", "free", "taken"), [(2, 0, 9, 2), (2, 1, 9, 1), (2, 2, 9, 0), (1, 3, 9, 0), (9, 0, 2, 2)]
)
def test_so_many_of_its_instances_run_at_once(scene: Scene, most: int, running: int, free: int, taken: int) -> None:
    ids = limited(scene, most, 5)
    TaskInstance.objects.filter(pk__in=ids[:running]).update(state=State.RUNNING)
    assert claimed(free) == ids[running : running + taken]


def test_what_ends_makes_room(scene: Scene) -> None:
    ids = limited(scene, 2, 4)
    assert (claimed(), claimed()) == (ids[:2], [])
    ended(ids[0])
    assert claimed() == [ids[2]]
    ended(ids[1], ids[2])
    assert claimed() == [ids[3]]


def test_a_full_task_holds_up_nothing_behind_it(scene: Scene) -> None:
    first = limited(scene, 1, 50, priority=8)
    behind, other = plain(scene, 2), limited(scene, 1, 2)
    assert claimed(2) == [first[0], behind[0]]
    assert claimed() == sorted([behind[1], other[0]], key=[*behind, *other].index)


def test_priorities_hold_within_a_limited_task_and_beside_it(scene: Scene) -> None:
    ids = limited(scene, 2, 4)
    low, high = ids[:2], ids[2:]
    TaskInstance.objects.filter(pk__in=high).update(priority=7)
    (urgent,), (idle,) = plain(scene, 1, priority=8), plain(scene, 1, priority=3)
    assert [claimed(1) for _ in range(4)] == [[urgent], [high[0]], [high[1]], [idle]]
    ended(high[0])
    assert claimed() == [low[0]]


def test_slots_and_maximum_hold_together(scene: Scene) -> None:
    small = ResourceGroup.objects.create(tenant=scene.tenant, name="small", slots=3)
    one, two = limited(scene, 2, 5, resource_group=small, priority=5), limited(scene, 2, 5, resource_group=small)
    plain(scene, 5, resource_group=small)
    assert claimed() == [*one[:2], two[0]]
    assert claimed() == []


def test_instances_in_several_groups_share_the_maximum(scene: Scene) -> None:
    other = ResourceGroup.objects.create(tenant=scene.tenant, name="other")
    ids = limited(scene, 3, 10)
    TaskInstance.objects.filter(pk__in=ids[::2]).update(resource_group=other)
    assert len(claimed()) == 3
    assert claimed() == []


def test_a_frozen_one_is_neither_started_nor_counted(scene: Scene) -> None:
    ids = limited(scene, 1, 2)
    TaskInstance.objects.filter(pk=ids[0]).update(frozen=True)
    assert claimed() == [ids[1]]


def test_a_claim_given_back_makes_room(scene: Scene) -> None:
    first, then = limited(scene, 1, 2)
    assert claimed() == [first]
    assert claim.give_back(first, 1)
    assert claimed() == [first]
    ended(first)
    assert claimed() == [then]


def test_a_child_that_ends_a_run_takes_the_next_of_its_task_and_no_other_too(scene: Scene) -> None:
    first, then, last = limited(scene, 1, 3)
    claimed()
    running = attempts.start(first, 1, worker=WORKER, pid=1, host="here")
    assert running is not None
    done = Outcome(Attempt.State.SUCCESS)
    _wave, taken = attempts.end_and_take(running, done, [], worker=WORKER, groups=None)
    assert taken is not None and taken.instance == then
    assert claimed() == []
    _wave, taken = attempts.end_and_take(taken, done, [], worker=WORKER, groups=None)
    assert taken is not None and taken.instance == last


def test_what_becomes_ready_is_marked_by_its_tasks_maximum(scene: Scene) -> None:
    now = clock.now()
    marks = {}
    for node_type, most in (("shell", 1), ("shell", None), ("virtual", 1), ("http", 1), ("http", None)):
        task = scene.task(node_type, max_parallel=most)
        (one,) = scene.instances(task, 1, state=State.WAIT_TIME, limited=False, not_before=now - timedelta(hours=1))
        advance.place([one.pk], {State.WAIT_TIME})
        one.refresh_from_db()
        marks[node_type, most] = one.limited
    assert marks == {
        ("shell", 1): True, ("shell", None): False, ("virtual", 1): False, ("http", 1): True, ("http", None): False
    }  # fmt: skip


@pytest.mark.parametrize(("before", "after", "taken"), [(None, 2, 1), (1, None, 4), (1, 3, 2), (3, 1, 0)])
def test_a_maximum_that_is_set_changed_or_removed_counts_at_once(
    scene: Scene, before: int | None, after: int | None, taken: int
) -> None:
    task = scene.task("shell", max_parallel=before)
    ids = [one.pk for one in scene.instances(task, 5)]
    assert claimed(1) == ids[:1]
    Task.objects.filter(pk=task.pk).update(max_parallel=after)
    limits.changed([task])
    assert len(claimed()) == taken


def test_calls_of_http_nodes_keep_to_it(scene: Scene) -> None:
    task = scene.task("http", "{}", max_parallel=2)
    low, *rest, high = scene.instances(task, 5)
    TaskInstance.objects.filter(pk=high.pk).update(priority=8)
    (other,) = scene.instances(scene.task("http", "{}"), 1)
    assert http_calls.start_ready() == 3
    assert running() == {high.pk, low.pk, other.pk}
    assert http_calls.start_ready() == 0
    ended(high.pk)
    assert http_calls.start_ready() == 1
    assert running() == {low.pk, rest[0].pk, other.pk}


def running() -> set[int]:
    return set(TaskInstance.objects.filter(state=State.RUNNING).values_list("pk", flat=True))


def live_by_task() -> Counter[int]:
    return Counter(TaskInstance.objects.filter(state__in=LIVE).values_list("task_id", flat=True))


def test_claims_and_children_at_once_never_exceed_it_and_starve_nobody(transactional_db: None) -> None:
    scene = Scene()
    scene.group.slots = 9
    scene.group.save()
    other = ResourceGroup.objects.create(tenant=scene.tenant, name="other", slots=50)
    tasks = [scene.task("shell", max_parallel=most) for most in (1, 3, None)]
    made = [one.pk for task in tasks for one in scene.instances(task, 24)]
    TaskInstance.objects.filter(pk__in=made[::2]).update(resource_group=other)
    most = {task.pk: task.max_parallel or 1000 for task in tasks}
    run: list[int] = []
    seen_over: list[object] = []

    def watch() -> None:
        found = live_by_task()
        seen_over.extend((pk, n) for pk, n in found.items() if n > most[pk])

    def work() -> None:
        idle = 0
        while idle < 40 and len(run) < len(made):
            mine = [
                attempts.start(one.instance, one.attempt, worker=WORKER, pid=1, host="")
                for one in claim.claim(WORKER, 2)
            ]
            watch()
            idle = 0 if mine else idle + 1
            while mine:
                current = mine.pop()
                assert current is not None
                run.append(current.instance)
                done = Outcome(Attempt.State.SUCCESS)
                _wave, taken = attempts.end_and_take(current, done, [], worker=WORKER, groups=None)
                watch()
                if taken is not None:
                    mine.append(taken)

    at_once(work, work, work, work)
    assert not seen_over
    assert sorted(run) == sorted(made)


def test_couriers_at_once_never_exceed_it(transactional_db: None) -> None:
    scene = Scene()
    task = scene.task("http", "{}", max_parallel=3)
    scene.instances(task, 20)

    def look() -> None:
        for _ in range(5):
            http_calls.start_ready()

    at_once(look, look, look, look)
    assert live_by_task() == {task.pk: 3}


def test_a_task_whose_row_somebody_holds_delays_no_claim(transactional_db: None) -> None:
    scene = Scene()
    held = limited(scene, 5, 2, priority=8)
    (free,) = plain(scene, 1)
    let_go, locked = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Task.objects.select_for_update(no_key=True).get(max_parallel=5)
            locked.set()
            assert let_go.wait(20)

    def take() -> None:
        assert locked.wait(20)
        assert claimed() == [free]
        let_go.set()

    at_once(hold, take)
    assert claimed() == held


def test_a_long_queue_of_a_full_task_is_passed_by_index(scene: Scene) -> None:
    """What a claim reads of a task that is full does not grow with its queue."""
    limited(scene, 1, 3000, priority=8)
    (behind,) = plain(scene, 1)
    claimed(1)
    sql.rows("ANALYZE production_taskinstance", {})
    found = claim.ready(1, None)
    assert found is not None
    with connection.cursor() as cursor:
        for setting in ("seqscan", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{setting} = off")
    plan = sql.rows(f"EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) {found.query}", found.values)[0][0][0]["Plan"]
    assert max(_read(plan, "production_taskinstance")) <= 3, plan
    assert claimed() == [behind]


def _read(plan: Any, table: str) -> list[float]:
    """Rows read of a table, by each part of a plan."""
    own = [plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)] if plan.get("Relation Name") == table else []
    return own + [rows for part in plan.get("Plans", ()) for rows in _read(part, table)]


def test_who_waits_for_it_is_told_which_runs_it_waits_for(scene: Scene) -> None:
    first, then, last = limited(scene, 2, 3)
    waiting = TaskInstance.objects.select_related("task", "resource_group").get(pk=last)
    assert _parallel(waiting) == ("explain.parallel_free", 0, [])
    assert claimed() == [first, then]
    assert _parallel(waiting) == ("explain.parallel_full", 2, [first, then])
    headline = explain_instance(waiting).headline
    assert str(first) in say(headline.code, headline.params)
    Task.objects.update(max_parallel=None)
    waiting = TaskInstance.objects.select_related("task", "resource_group").get(pk=last)
    assert "parallel" not in {one.code for one in explain_instance(waiting).conditions}


def _parallel(instance: TaskInstance) -> tuple[str, int, list[int]]:
    (found,) = [one.reason for one in explain_instance(instance).conditions if one.code == "parallel"]
    return found.code, found.params["running"], [run["id"] for run in found.params["runs"]]
