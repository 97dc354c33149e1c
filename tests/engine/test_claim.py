"""Claims: by priority, no more than there are free children and free slots, whoever else claims at the same moment."""

import threading
from typing import Any

import pytest
from django.db import connection

from opscenter.engine import claim
from opscenter.production.models import Attempt, ResourceGroup, TaskInstance, Transition
from opscenter.production.rules.states import State
from tests.engine.graphs import Scene
from tests.engine.runs import WORKER

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def ready(scene: Scene, count: int, **fields: Any) -> list[int]:
    """Ids of ready shell instances, in the order of their scheduled times."""
    return [instance.pk for instance in scene.instances(scene.task("shell"), count, **fields)]


def claimed(free: int = 100, groups: list[int] | None = None) -> list[int]:
    return [one.instance for one in claim.claim(WORKER, free, groups)]


def state(pk: int) -> State:
    return State(TaskInstance.objects.values_list("state", flat=True).get(pk=pk))


def test_a_claim_is_an_attempt_with_a_number_a_lease_and_a_worker(scene: Scene) -> None:
    (pk,) = ready(scene, 1)
    assert claim.claim(WORKER, 1) == [claim.Claim(pk, 1)]
    attempt = Attempt.objects.get()
    assert (attempt.instance_id, attempt.number, attempt.state, attempt.worker) == (pk, 1, "claimed", WORKER)
    assert attempt.lease_until is not None
    assert abs(attempt.lease_until - attempt.claimed_at - claim.START_WITHIN).total_seconds() < 0.1
    assert (state(pk), claimed()) == (State.CLAIMED, [])


@pytest.mark.parametrize("free", [0, 1, 3])
def test_never_more_than_asked_for(scene: Scene, free: int) -> None:
    ids = ready(scene, 5)
    assert claimed(free) == ids[:free]


def test_priority_goes_before_time_over_all_groups(scene: Scene) -> None:
    early, late = ready(scene, 2)
    (urgent,) = ready(scene, 1, priority=8)
    other = ResourceGroup.objects.create(tenant=scene.tenant, name="other")
    (elsewhere,) = ready(scene, 1, priority=5, resource_group=other)
    assert [claimed(1), claimed(1), claimed(1), claimed(1)] == [[urgent], [elsewhere], [early], [late]]


def test_only_what_is_ready_not_frozen_and_needs_a_worker(scene: Scene) -> None:
    (wanted,) = ready(scene, 1)
    ready(scene, 1, frozen=True)
    ready(scene, 1, needs_worker=False)
    for other in set(State) - {State.WAIT_RESOURCE}:
        ready(scene, 1, state=other)
    assert claimed() == [wanted]


def test_a_group_gives_its_slots_and_no_more_and_holds_up_no_other(scene: Scene) -> None:
    small = ResourceGroup.objects.create(tenant=scene.tenant, name="small", slots=2)
    in_small = ready(scene, 4, resource_group=small, priority=8)
    (outside,) = ready(scene, 1)
    assert claimed() == [*in_small[:2], outside]
    TaskInstance.objects.filter(pk=in_small[0]).update(state=State.RUNNING)
    assert claimed() == []
    TaskInstance.objects.filter(pk=in_small[0]).update(state=State.SUCCESS)
    assert claimed() == [in_small[2]]


def test_a_group_whose_slots_were_taken_away_gives_none(scene: Scene) -> None:
    ready(scene, 1, state=State.RUNNING)
    ready(scene, 1)
    ResourceGroup.objects.update(slots=0)
    assert claimed() == []


def test_a_worker_of_some_groups_takes_nothing_of_the_others(scene: Scene) -> None:
    other = ResourceGroup.objects.create(tenant=scene.tenant, name="other")
    ready(scene, 2)
    mine = ready(scene, 2, resource_group=other)
    assert claimed(groups=[]) == []
    assert claimed(groups=claim.group_ids(["other"])) == mine


def test_four_claimers_at_once_keep_to_the_slots_and_never_share(transactional_db: None) -> None:
    scene = Scene()
    scene.group.slots = 7
    scene.group.save()
    other = ResourceGroup.objects.create(tenant=scene.tenant, name="other", slots=30)
    ready(scene, 40)
    ready(scene, 40, resource_group=other)
    start = threading.Barrier(4)
    taken: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            start.wait(timeout=20)
            for _ in range(12):
                found = claimed(3)
                assert len(found) <= 3
                taken.extend(found)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(taken) == len(set(taken)) == 37
    live = TaskInstance.objects.filter(state=State.CLAIMED)
    assert (live.filter(resource_group=scene.group).count(), live.filter(resource_group=other).count()) == (7, 30)
    assert set(Attempt.objects.values_list("number", flat=True)) == {1}


def test_a_claim_given_back_costs_no_attempt(scene: Scene) -> None:
    (pk,) = ready(scene, 1)
    claimed()
    assert claim.give_back(pk, 1)
    assert (state(pk), Attempt.objects.count()) == (State.WAIT_RESOURCE, 0)
    assert Transition.objects.latest("pk").reason == {"code": "attempt.not_started", "params": {}}
    assert not claim.give_back(pk, 1)
    assert claim.claim(WORKER, 1) == [claim.Claim(pk, 1)]


def test_what_was_started_or_claimed_anew_is_not_given_back(scene: Scene) -> None:
    (pk,) = ready(scene, 1, attempt=4)
    assert claim.claim(WORKER, 1) == [claim.Claim(pk, 5)]
    assert not claim.give_back(pk, 4)
    TaskInstance.objects.filter(pk=pk).update(state=State.RUNNING)
    assert not claim.give_back(pk, 5)
    assert (state(pk), Attempt.objects.count()) == (State.RUNNING, 1)
