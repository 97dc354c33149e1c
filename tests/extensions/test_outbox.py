"""Claims and results: nothing is lost with a courier, and nothing that comes late does harm."""

from datetime import timedelta

import pytest

from extensions import checks, outbox, outcomes
from extensions.models import Delivery, DeliveryTry
from extensions.outbox import Fate
from opscenter.base.clock import now
from opscenter.base.reasons import Reason
from tests.extensions import post
from tests.extensions.receiver import Receiver
from tests.extensions.scene import Scene

pytestmark = pytest.mark.django_db
Status = Delivery.Status


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def receiver():
    with Receiver() as opened:
        yield opened


def test_a_claim_counts_as_lost_after_a_while(scene, receiver):
    extension = scene.extension(receiver.url)
    scene.event()
    claim = outbox.claim({extension.pk: 5})[0].claim
    assert claim.number == 1
    assert outbox.claim({extension.pk: 5}) == []
    delivery = Delivery.objects.get()
    assert abs(delivery.due_at - claim.at - outbox.LOST_AFTER) < timedelta(seconds=1)
    assert timedelta(seconds=outbox.TIMEOUT) < outbox.LOST_AFTER
    post.hurry()
    again = outbox.claim({extension.pk: 5})[0].claim
    assert (again.delivery, again.number) == (claim.delivery, 2)


def claimed_twice(scene: Scene, url: str) -> list[outbox.Parcel]:
    """The parcels of a delivery whose first claim was lost."""
    extension = scene.extension(url)
    scene.event()
    first = outbox.claim({extension.pk: 1})
    post.hurry()
    return first + outbox.claim({extension.pk: 1})


@pytest.mark.parametrize(
    ("fate", "after"),
    [(Fate.AGAIN, Status.PENDING), (Fate.HOPELESS, Status.PENDING), (Fate.DELIVERED, Status.DELIVERED)],
)
def test_the_late_answer_of_a_lost_try_counts_only_as_success(scene, receiver, fate, after):
    lost, live = claimed_twice(scene, receiver.url)
    due = Delivery.objects.get().due_at
    outcomes.record([outcomes.Result(lost, fate)])
    delivery = Delivery.objects.get()
    assert delivery.status == after
    assert delivery.due_at == (due if after == Status.PENDING else None)
    outcomes.record([outcomes.Result(live, Fate.AGAIN)])
    delivery.refresh_from_db()
    assert delivery.status == after


def test_a_result_that_is_recorded_twice_is_there_once(scene, receiver):
    lost, live = claimed_twice(scene, receiver.url)
    results = [outcomes.Result(lost, Fate.AGAIN), outcomes.Result(live, Fate.DELIVERED, status=200)]
    for _ in range(2):
        assert outcomes.record(results) == ([], [])
    assert list(DeliveryTry.objects.order_by("number").values_list("number", "status")) == [(1, None), (2, 200)]


def test_what_a_stopped_courier_gives_back_is_due_at_once(scene, receiver):
    extension = scene.extension(receiver.url)
    scene.event()
    (parcel,) = outbox.claim({extension.pk: 1})
    outcomes.record([outcomes.Result(parcel, Fate.AT_ONCE, reason=Reason("delivery.abandoned"))])
    assert [parcel.claim.number for parcel in outbox.claim({extension.pk: 1})] == [2]


def test_the_nearest_of_each_extension(scene, receiver):
    first, second = scene.extension(receiver.url, "a"), scene.extension(receiver.url, "b")
    assert outbox.waiting()[1] == []
    for _ in range(3):
        scene.event()
    soon = now() + timedelta(seconds=30)
    Delivery.objects.filter(extension=first).update(due_at=soon)
    at, waiting = outbox.waiting()
    assert [one.extension for one in waiting] == [second.pk, first.pk]
    assert waiting[0].due_at <= at < waiting[1].due_at == soon
    assert len(outbox.claim({first.pk: 9, second.pk: 2})) == 2


def test_checks_that_nobody_was_told_about(scene, receiver):
    """A courier died between the end of a delivery and what follows for its check."""
    receiver.answer(410)
    scene.extension(receiver.url)
    check = scene.event().checks.get()
    assert post.send() == [check.pk]
    assert outcomes.undeliverable() == [check.pk]
    checks.unreachable(check)
    assert outcomes.undeliverable() == []
