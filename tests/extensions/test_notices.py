"""Deliveries of regular events: one after the other about one thing, apart from checks, given up in the end, sent again."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from extensions import endpoints, lifecycle, notices, outbox, outcomes
from extensions.courier import request
from extensions.models import Delivery, Extension
from extensions.notices import Notice
from extensions.outbox import Lane
from opscenter.base import clock
from opscenter.base.outbound import Line
from opscenter.base.reasons import Forbidden, NotFound, Refused, say
from opscenter.operations import extension_messages, extensions
from opscenter.workspaces.models import AuditEntry
from tests.extensions.receiver import Receiver
from tests.operations.guarded import Guarded, check_of

pytestmark = pytest.mark.django_db
POINT = "freeze-instance"
PLENTY = 100


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


def listener(cast: Guarded, url: str = "http://127.0.0.1:9/", **facts: Any) -> Extension:
    made = cast.extension(facts.pop("name", "listener"), points=[POINT], webhook_url=url, **facts)
    lifecycle.new_secret(made)
    return made


@transaction.atomic
def tell(cast: Guarded, *subjects: str) -> None:
    for number, subject in enumerate(subjects):
        notices.tell(cast.workspace, "Prod", [Notice(POINT, {"number": number}, subject)])


def claimed() -> list[outbox.Parcel]:
    _now, waiting = outbox.waiting(Lane.NOTICES)
    return outbox.claim({one.extension: PLENTY for one in waiting}, Lane.NOTICES)


def subjects(parcels: list[outbox.Parcel]) -> list[str]:
    found = Delivery.objects.in_bulk([one.claim.delivery for one in parcels])
    return [found[one.claim.delivery].subject for one in parcels]


def send() -> None:
    """Make the requests that are due now."""
    results = [request(parcel, 5.0, Line(0.0)) for parcel in claimed()]
    outcomes.record(results)


def hurry() -> None:
    Delivery.objects.filter(status="pending").update(due_at=clock.now())


class TestOrder:
    def test_one_thing_at_a_time_and_many_things_at_once(self, cast: Guarded) -> None:
        listener(cast)
        tell(cast, "i1", "i1", "i2", "i1", "i3")
        assert subjects(claimed()) == ["i1", "i2", "i3"]
        assert claimed() == [], "the others wait for theirs"

    def test_the_next_follows_when_one_has_arrived(self, cast: Guarded) -> None:
        with Receiver() as receiver:
            listener(cast, receiver.url)
            tell(cast, "i1", "i1", "i1")
            for _ in range(3):
                send()
            assert [got.message["data"]["number"] for got in receiver.wait(3, 5)] == [0, 1, 2]

    def test_what_fails_holds_back_what_follows(self, cast: Guarded) -> None:
        with Receiver(500, *[200] * 3) as receiver:
            listener(cast, receiver.url)
            tell(cast, "i1", "i1", "i2")
            send()
            first, second, other = Delivery.objects.order_by("pk")
            assert (first.status, second.status, other.status) == ("pending", "pending", "delivered")
            assert first.due_at is not None and first.due_at > clock.now()
            assert second.due_at is not None and second.due_at >= first.due_at
            tell(cast, "i1")
            latest = Delivery.objects.latest("pk")
            assert latest.due_at is not None and latest.due_at >= first.due_at, "a new one is not due before it either"
            hurry()
            for _ in range(3):
                send()
            assert [got.message["id"] for got in receiver.got if got.message["id"] != str(other.event_id)] == [
                str(one.event_id) for one in (first, first, second, latest)
            ]

    def test_each_extension_has_its_own_order(self, cast: Guarded) -> None:
        listener(cast, name="a")
        listener(cast, name="b")
        tell(cast, "i1", "i1")
        assert len(claimed()) == 2


class TestLanes:
    def test_checks_and_regular_events_do_not_see_each_other(self, cast: Guarded) -> None:
        made = cast.extension(points=["freeze-node", POINT])
        lifecycle.new_secret(made)
        cast.freeze(cast.task())
        tell(cast, "w1")
        for lane, count in ((Lane.CHECKS, 1), (Lane.NOTICES, 1)):
            _now, waiting = outbox.waiting(lane)
            parcels = outbox.claim({one.extension: PLENTY for one in waiting}, lane)
            assert len(parcels) == count
            assert bool(parcels[0].token) is (lane is Lane.CHECKS)

    def test_there_is_nothing_to_answer_in_it(self, cast: Guarded) -> None:
        with Receiver() as receiver:
            listener(cast, receiver.url)
            tell(cast, "w1")
            send()
            (got,) = receiver.wait(1, 5)
        assert "callbackUrl" not in got.message["data"] and "callbackToken" not in got.message["data"]
        assert got.message["type"] == "dataworks:InstanceChange:FreezeInstance"


class TestEnd:
    def test_it_is_given_up_after_three_days(self, cast: Guarded) -> None:
        with Receiver(500) as receiver:
            listener(cast, receiver.url)
            tell(cast, "i1")
            send()
            assert Delivery.objects.get().status == "pending"
            Delivery.objects.update(created_at=clock.now() - outcomes.NOTICE_FOR - timedelta(minutes=1))
            hurry()
            send()
            assert Delivery.objects.get().status == "failed"

    def dying(self, cast: Guarded, url: str, **facts: Any) -> Extension:
        """One that has done nothing but fail for long."""
        made = listener(cast, url)
        values = {
            "failing_since": clock.now() - endpoints.DEAD_AFTER,
            "failures": endpoints.LEAST_FAILURES - 1,
        } | facts
        Extension.objects.filter(pk=made.pk).update(**values)
        return made

    def test_after_days_of_failures_alone_nothing_is_sent(self, cast: Guarded) -> None:
        with Receiver(500) as receiver:
            made = self.dying(cast, receiver.url)
            tell(cast, "i1", "i2")
            send()
        made.refresh_from_db()
        assert made.gone_at is not None and made.gone_reason is not None
        assert made.gone_reason["code"] == "delivery.dead"
        assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
        entry = AuditEntry.objects.get(action="extension.stopped")
        assert (entry.face, entry.workspace, entry.object_name) == ("system", cast.workspace, made.name)
        tell(cast, "i3")
        assert Delivery.objects.latest("pk").status == "failed"

    @pytest.mark.parametrize(
        "facts",
        [{"failing_since": None}, {"failures": 0}, {"failures": 0, "failing_since": None}],
        ids=["not long", "not often", "neither"],
    )
    def test_not_before_both_long_and_often(self, cast: Guarded, facts: dict[str, Any]) -> None:
        with Receiver(500) as receiver:
            made = self.dying(cast, receiver.url, **facts)
            tell(cast, "i1")
            send()
        made.refresh_from_db()
        assert made.gone_at is None and made.failing_since is not None
        assert made.failures == facts.get("failures", endpoints.LEAST_FAILURES - 1) + 1

    def test_a_success_starts_anew(self, cast: Guarded) -> None:
        with Receiver() as receiver:
            made = self.dying(cast, receiver.url)
            tell(cast, "i1")
            send()
        made.refresh_from_db()
        assert (made.failing_since, made.failures, made.gone_at) == (None, 0, None)


@pytest.fixture
def stopped(cast: Guarded) -> Extension:
    made = listener(cast)
    Extension.objects.filter(pk=made.pk).update(
        gone_at=clock.now(), gone_reason={"code": "delivery.dead", "params": {"since": "2026-01-01", "failures": 12}}
    )
    tell(cast, "i1", "i1", "i2")
    made.refresh_from_db()
    return made


class TestAgain:
    def test_its_owner_resumes_and_sends_what_was_missed_in_order(self, cast: Guarded, stopped: Extension) -> None:
        owner = cast.actor(stopped.owner)
        since = clock.now() - timedelta(hours=1)
        with pytest.raises(Refused) as caught:
            extension_messages.replay_since(owner, stopped.code, since)
        assert caught.value.reason.code == "delivery.dead"
        assert "2026-01-01" in say(caught.value.reason.code, caught.value.reason.params)
        extensions.resume(owner, stopped.code)
        assert AuditEntry.objects.filter(action="extension.resume").exists()
        assert extension_messages.replay_since(owner, stopped.code, since) == 3
        assert subjects(claimed()) == ["i1", "i2"]
        assert extension_messages.replay_since(owner, stopped.code, since) == 0, "they are on their way"
        assert AuditEntry.objects.filter(action="extension.replay_since").count() == 1

    def test_only_what_never_arrived_or_all(self, cast: Guarded, stopped: Extension) -> None:
        owner, since = cast.actor(stopped.owner), clock.now() - timedelta(hours=1)
        extensions.resume(owner, stopped.code)
        first, *_others = Delivery.objects.order_by("pk")
        Delivery.objects.filter(pk=first.pk).update(status="delivered")
        assert extension_messages.replay_since(owner, stopped.code, since) == 2
        Delivery.objects.filter(is_replay=True).update(status="delivered")
        assert extension_messages.replay_since(owner, stopped.code, since) == 0
        assert extension_messages.replay_since(owner, stopped.code, since, only_undelivered=False) == 3
        assert extension_messages.replay_since(owner, stopped.code, clock.now()) == 0

    def test_not_more_than_so_many_at_a_time(
        self, cast: Guarded, stopped: Extension, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("extensions.deliveries.MOST_REPLAYED", 2)
        owner = cast.actor(stopped.owner)
        extensions.resume(owner, stopped.code)
        with pytest.raises(Refused) as caught:
            extension_messages.replay_since(owner, stopped.code, clock.now() - timedelta(hours=1))
        assert caught.value.reason.code == "delivery.too_many"

    def test_of_others_workspaces_nothing(self, cast: Guarded, stopped: Extension) -> None:
        extensions.resume(cast.actor(stopped.owner), stopped.code)
        since = clock.now() - timedelta(hours=1)
        with pytest.raises(NotFound):
            extension_messages.replay_since(cast.actor(cast.visitor), stopped.code, since)
        assert extension_messages.replay_since(cast.actor(cast.admin), stopped.code, since) == 3

    def test_resuming_is_left_to_its_owner(self, cast: Guarded, stopped: Extension) -> None:
        with pytest.raises(Forbidden):
            extensions.resume(cast.actor(cast.admin), stopped.code)
        extensions.resume(cast.actor(stopped.owner), stopped.code)
        with pytest.raises(Refused):
            extensions.resume(cast.actor(stopped.owner), stopped.code)

    def test_a_check_is_not_waited_for_meanwhile(self, cast: Guarded, stopped: Extension) -> None:
        Extension.objects.update(points=["freeze-node"])
        operation = cast.freeze(cast.task())
        assert operation.status == "blocked"
        assert (check_of(operation).reason or {})["code"] == "check.unreachable"
