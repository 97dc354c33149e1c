"""Chores: big jobs beside the instances that a worker runs."""

import time
from typing import Any

import pytest
from django.db import transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from opscenter.engine import chores
from opscenter.engine.broker import InstanceBroker
from opscenter.engine.children import Roster, Worker
from tests.engine.graphs import Scene

pytestmark = pytest.mark.django_db(transaction=True)
done: list[int] = []


def note(number: int) -> None:
    done.append(number)


def count_down(number: int) -> None:
    left = [number]

    def step() -> bool:
        time.sleep(0.01)
        left[0] -= 1
        return left[0] > 0

    chores.in_slices(step, count_down, number - 1)


def broker(children: int = 1) -> InstanceBroker:
    return InstanceBroker(Worker(1, None, Roster(children)), children)


def taken(one: InstanceBroker) -> list[tuple[str, str]]:
    """What a look that does not wait finds."""
    return one._take()


def called(package: tuple[str, str]) -> tuple[str, Any]:
    task = SignedPackage.loads(package[1])
    return task["func"].__name__, task["args"]


def test_a_chore_is_queued_with_the_transaction_that_asks_for_it() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        chores.queue(note, 1)
        1 / 0  # noqa: B018
    assert not OrmQ.objects.exists()


def test_a_chore_is_taken_although_all_children_are_busy() -> None:
    one = broker()
    one._worker.roster.enter()
    chores.queue(note, 1)
    assert [called(package) for package in taken(one)] == [("note", (1,))]


def test_a_chore_and_an_instance_are_taken_together() -> None:
    scene = Scene("chores")
    scene.instances(scene.task("shell", "true"), 1)
    chores.queue(note, 1)
    one = broker()
    names = [called(package)[0] for package in taken(one)]
    assert sorted(names) == ["note", "run_attempt"]


def test_one_chore_at_a_time_and_the_next_when_it_is_acknowledged() -> None:
    one = broker()
    chores.queue(note, 1)
    chores.queue(note, 2)
    ((first, _),) = taken(one)
    assert taken(one) == []
    one.acknowledge(first)
    assert [called(package) for package in taken(one)] == [("note", (2,))]
    assert OrmQ.objects.count() == 1


def test_a_chore_that_never_ended_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "RETRY", 0.05)
    monkeypatch.setattr("django_q.conf.Conf.RETRY", 0.05)
    chores.queue(note, 1)
    one, another = broker(), broker()
    assert taken(one)
    assert taken(another) == []
    another._chores_seen = 0.0
    time.sleep(0.06)
    assert [called(package) for package in taken(another)] == [("note", (1,))]
    one._chores_seen = another._chores_seen = 0.0
    time.sleep(0.06)
    assert [called(package) for package in taken(one)] == [("note", (1,))]  # nor does it keep its place for ever


def test_a_job_whose_slice_is_over_goes_on_as_another_chore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "SLICE", 0.0)
    count_down(3)
    assert [called(package) for package in taken(broker())] == [("count_down", (2,))]


def test_a_job_that_is_done_within_its_slice_queues_nothing() -> None:
    count_down(3)
    assert not OrmQ.objects.exists()
