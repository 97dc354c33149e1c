"""Leases: what nobody starts goes back, what nobody renews is lost, and neither sooner than its time."""

import os
from datetime import timedelta

import pytest

from opscenter.base import clock
from opscenter.engine import attempts, claim, due
from opscenter.engine.run import run_attempt
from opscenter.production.models import Attempt
from opscenter.production.rules.states import State
from tests.engine.graphs import PAST, Scene
from tests.engine.runs import WORKER, code_of, shell

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run_out() -> None:
    """Every lease ran out long ago."""
    Attempt.objects.filter(lease_until__isnull=False).update(lease_until=PAST)


def found() -> list[tuple[int, str]]:
    return list(Attempt.objects.order_by("instance", "number").values_list("number", "state"))


def test_without_attempts_there_is_nothing_to_wait_for(scene: Scene) -> None:
    assert due.run_leases() is None


def test_a_lease_that_holds_is_left_alone_and_is_the_next_moment(scene: Scene) -> None:
    claimed, running = shell(scene, "true"), shell(scene, "true")
    claim.claim(WORKER, 2)
    attempts.start(running.pk, 1, pid=os.getpid(), host="here")
    next_moment = due.run_leases()
    assert found() == [(1, "claimed"), (1, "running")]
    assert next_moment == Attempt.objects.get(instance=claimed).lease_until
    assert next_moment is not None and next_moment - clock.now() < claim.START_WITHIN


def test_a_claim_that_nobody_started_goes_back_and_its_late_start_does_nothing(scene: Scene) -> None:
    instance = shell(scene, "true")
    (taken,) = claim.claim(WORKER, 1)
    run_out()
    assert due.run_leases() is None
    instance.refresh_from_db()
    assert (instance.state, instance.attempt, found()) == (State.WAIT_RESOURCE, 0, [])
    run_attempt(taken.instance, taken.attempt)
    instance.refresh_from_db()
    assert (instance.state, found()) == (State.WAIT_RESOURCE, [])
    assert claim.claim(WORKER, 1) == [taken]


def test_a_run_that_nobody_renews_is_lost_and_made_again(scene: Scene) -> None:
    instance = shell(scene, "true")
    claim.claim(WORKER, 1)
    running = attempts.start(instance.pk, 1, pid=os.getpid(), host="here")
    assert running is not None
    run_out()
    due.run_leases()
    instance.refresh_from_db()
    assert (instance.state, code_of(instance), found()) == (State.WAIT_RESOURCE, "attempt.lost", [(1, "lost")])
    (again,) = claim.claim(WORKER + 1, 1)
    run_attempt(again.instance, again.attempt)
    assert attempts.end(running, attempts.Outcome(Attempt.State.FAILURE, 1), []) is None
    instance.refresh_from_db()
    assert (instance.state, found()) == (State.SUCCESS, [(1, "lost"), (2, "success")])


def test_a_lease_renewed_at_the_last_moment_holds(scene: Scene) -> None:
    instance = shell(scene, "true")
    claim.claim(WORKER, 1)
    running = attempts.start(instance.pk, 1, pid=os.getpid(), host="here")
    assert running is not None
    assert not attempts.lose(running.id, if_expired=True)
    run_out()
    assert attempts.lose(running.id, if_expired=True)
    assert found() == [(1, "lost")]


def test_a_worker_renews_its_own_running_attempts_only(scene: Scene) -> None:
    mine, theirs, _ = (shell(scene, "true") for _ in range(3))
    claim.claim(WORKER, 3)
    attempts.start(mine.pk, 1, worker=WORKER, pid=1, host="here")
    attempts.start(theirs.pk, 1, worker=WORKER + 1, pid=1, host="there")
    run_out()
    attempts.renew(WORKER)
    renewed = Attempt.objects.get(lease_until__gt=clock.now())
    assert renewed.instance == mine and renewed.lease_until is not None
    assert timedelta() <= attempts.LEASE - (renewed.lease_until - clock.now()) < timedelta(seconds=2)
    assert set(Attempt.objects.exclude(pk=renewed.pk).values_list("lease_until", flat=True)) == {PAST}
    due.run_leases()
    states = dict(Attempt.objects.values_list("instance", "state"))
    assert states == {mine.pk: "running", theirs.pk: "lost"}


def test_many_leases_that_ran_out_are_closed_in_one_pass(scene: Scene) -> None:
    made = [shell(scene, "true") for _ in range(6)]
    claim.claim(WORKER, 6)
    for instance in made[:3]:
        attempts.start(instance.pk, 1, pid=1, host="here")
    run_out()
    due.run_leases()
    assert found() == [(1, "lost")] * 3
    for instance in made:
        instance.refresh_from_db()
    assert {instance.state for instance in made} == {State.WAIT_RESOURCE}
    assert [instance.attempt for instance in made] == [1, 1, 1, 0, 0, 0]


def test_an_ended_attempt_has_no_lease(scene: Scene) -> None:
    instance = shell(scene, "true")
    (taken,) = claim.claim(WORKER, 1)
    run_attempt(taken.instance, taken.attempt)
    assert Attempt.objects.get(instance=instance).lease_until is None
    assert due.run_leases() is None


def test_what_a_stopped_worker_hands_over_is_not_counted_as_lost(scene: Scene) -> None:
    instance = shell(scene, "true", rerun_times=1)
    for number in range(1, attempts.LOST_LIMIT + 2):
        claim.claim(WORKER, 1)
        running = attempts.start(instance.pk, number, pid=os.getpid(), host="here")
        assert running is not None
        assert attempts.lose(running.id, handed_over=True)
        instance.refresh_from_db()
        assert (instance.state, code_of(instance)) == (State.WAIT_RESOURCE, "attempt.handed_over")
    assert {state for _, state in found()} == {"handed"}
    assert instance.reruns_left == 1


@pytest.mark.parametrize(
    ("version", "stop", "state", "code"),
    [
        ({"rerun_mode": "AllDenied"}, False, "lost", "attempt.worker_stopped"),
        ({}, True, "stopped", "attempt.stopped"),
    ],
)
def test_what_may_not_start_again_is_not_handed_over(
    scene: Scene, version: dict[str, str], stop: bool, state: str, code: str
) -> None:
    instance = shell(scene, "true", **version)
    claim.claim(WORKER, 1)
    running = attempts.start(instance.pk, 1, pid=os.getpid(), host="here")
    assert running is not None
    if stop:
        Attempt.objects.update(stop_requested_at=clock.now())
    attempts.lose(running.id, handed_over=True)
    instance.refresh_from_db()
    assert (instance.state, code_of(instance), found()) == (State.FAILURE, code, [(1, state)])
