"""Retention: whole old days go, with all that hangs on them; what somebody still needs stays."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from extensions.models import Check, Delivery, DeliveryTry, Event, Extension
from opscenter.base import clock
from opscenter.engine import retention
from opscenter.production.models import (
    Attempt,
    InstanceEdge,
    LogChunk,
    TaskInstance,
    Transition,
    TriggerCommand,
    WorkflowInstance,
)
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Tenant, Workspace
from tests.engine.graphs import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def old(scene: Scene, days: int, count: int = 1, **fields: Any) -> list[TaskInstance]:
    """Instances that ended that many days ago, with an attempt, its log, and a transition each."""
    at: datetime = clock.now() - timedelta(days=days)
    day = at.date()
    scene.family = WorkflowInstance.objects.create(
        workspace=scene.workspace, environment="Prod", type="Manual", name="run", bizdate=day
    )
    values: dict[str, Any] = {"bizdate": day, "state": State.SUCCESS, "state_at": at, "scheduled_at": at}
    made = [scene.instances(scene.task("shell"), 1, **(values | fields))[0] for _ in range(count)]
    for one in made:
        attempt = Attempt.objects.create(instance=one, number=1, state="success", claimed_at=at)
        LogChunk.objects.create(attempt=attempt, seq=0, bizdate=day, text="said")
        Transition.objects.create(instance=one, bizdate=day, at=at, before=4, after=6, attempt=1)
    return made


def sweep() -> None:
    """A whole round of the scheduler's."""
    due, began = retention.Sweep(), clock.now()
    while (again := due.run()) is not None and again < began + retention.EVERY:
        pass


def left() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (TaskInstance, Attempt, LogChunk, Transition, WorkflowInstance))


def test_an_old_day_goes_with_all_that_hangs_on_it(scene: Scene) -> None:
    families = WorkflowInstance.objects.count()
    old(scene, 92, count=3)
    (kept,) = old(scene, 20)
    sweep()
    assert left() == (1, 1, 1, 1, families + 1)
    assert TaskInstance.objects.get() == kept


def test_logs_go_earlier_than_instances(scene: Scene) -> None:
    old(scene, 32)
    sweep()
    assert left()[:4] == (1, 1, 0, 1)


def test_the_last_day_that_is_kept_is_whole(scene: Scene) -> None:
    scene.workspace.keep_instances = 10
    scene.workspace.save()
    old(scene, 10)
    old(scene, 11)
    sweep()
    assert TaskInstance.objects.count() == 1


def test_a_day_with_one_that_has_not_ended_stays_whole(scene: Scene) -> None:
    old(scene, 92, count=2)
    old(scene, 92, state=State.WAIT_TRIGGER)
    sweep()
    assert left()[0] == 3


def test_a_rerun_of_yesterday_keeps_its_day(scene: Scene) -> None:
    old(scene, 92, state_at=clock.now() - timedelta(days=1))
    sweep()
    assert left()[:3] == (1, 1, 1)


@pytest.mark.parametrize(
    ("state", "met", "stays"), [(State.NOT_RUN, True, 2), (State.SUCCESS, False, 2), (State.SUCCESS, True, 1)]
)
def test_what_an_instance_of_another_day_needs_stays(scene: Scene, state: State, met: bool, stays: int) -> None:
    (upstream,) = old(scene, 92)
    (downstream,) = old(scene, 20, state=state)
    InstanceEdge.objects.create(upstream=upstream, downstream=downstream, met=met, bizdate=downstream.bizdate)
    sweep()
    assert TaskInstance.objects.count() == stays
    assert InstanceEdge.objects.count() == stays - 1


def receipt(scene: Scene, days: int, **fields: object) -> TriggerCommand:
    values = {"tenant": scene.tenant, "workspace": scene.workspace, "task_number": 1, "environment": "Prod"}
    values |= {"caller": scene.user, "face": "api", "status": "fired", "reason": {}}
    made = TriggerCommand.objects.create(**(values | fields))
    TriggerCommand.objects.filter(pk=made.pk).update(received_at=clock.now() - timedelta(days=days))
    return made


def test_receipts_have_a_time_of_their_own_and_outlive_their_instance(scene: Scene) -> None:
    (instance,) = old(scene, 92)
    gone, kept = receipt(scene, 92), receipt(scene, 80, instance=instance)
    held = receipt(scene, 92, status="held")
    sweep()
    assert set(TriggerCommand.objects.all()) == {kept, held}
    kept.refresh_from_db()
    assert kept.instance is None
    assert gone not in TriggerCommand.objects.all()


def test_receipts_of_no_workspace_are_kept_as_long_as_any_of_the_tenant_keeps_its_own(scene: Scene) -> None:
    other = Workspace.objects.create(tenant=scene.tenant, name="longer", keep_receipts=100)
    gone, kept = receipt(scene, 102, workspace=None), receipt(scene, 95, workspace=None)
    rival = Tenant.objects.create(name="rival", time_zone="UTC")
    elsewhere = receipt(scene, 300, workspace=None, tenant=rival)
    sweep()
    assert set(TriggerCommand.objects.all()) == {kept, elsewhere}
    Workspace.objects.filter(pk=other.pk).update(keep_receipts=90)
    sweep()
    assert set(TriggerCommand.objects.all()) == {elsewhere}, f"{gone} and then the other went"


def test_every_batch_is_in_the_audit_trail_and_none_is_bigger(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    day = old(scene, 92, count=3)[0].bizdate.isoformat()
    sweep()
    entries = AuditEntry.objects.filter(action="retention.remove").order_by("pk")
    assert [entry.params for entry in entries] == [
        {"kind": "instances", "count": 2, "environment": "Prod", "day": day},
        {"kind": "instances", "count": 1, "environment": "Prod", "day": day},
    ]
    assert {(entry.actor, entry.face, entry.workspace) for entry in entries} == {(None, "system", scene.workspace)}


def test_other_workspaces_are_left_alone_by_a_command_for_one(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    other = Scene("other")
    old(scene, 92)
    old(other, 92)
    call_command("retention", workspace=other.workspace.pk)
    assert capsys.readouterr().out.endswith("Removed: 1\n")
    assert TaskInstance.objects.get().workspace == scene.workspace


def test_a_preview_removes_nothing_and_says_what_would_go(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    day = old(scene, 92, count=2)[0].bizdate
    before = left()
    call_command("retention", preview=True)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"scene ({scene.workspace.pk}): 2 instances of {day} in Prod"
    assert said[-1].startswith("To remove: ")
    assert left() == before


@pytest.mark.parametrize(
    ("check", "delivery", "stays"), [("passed", "delivered", 0), ("checking", "ended", 1), ("ended", "pending", 1)]
)
def test_messages_to_extensions_go_once_nothing_waits_on_them(
    scene: Scene, check: str, delivery: str, stays: int
) -> None:
    at = clock.now() - timedelta(days=32)
    extension = Extension.objects.create(
        tenant=scene.tenant, owner=scene.user, name="x", webhook_url="u", points=[], test_workspace=scene.workspace
    )
    event = Event.objects.create(
        point="p", tenant=scene.tenant, workspace=scene.workspace, environment="Prod", operator=scene.user,
        message={}, at=at,
    )  # fmt: skip
    asked = Check.objects.create(
        event=event,
        extension=extension,
        is_mandatory=True,
        silence_blocks=True,
        answer_limit=1,
        opened_at=at,
        state=check,
    )
    sent = Delivery.objects.create(event=asked.event, of_check=asked, extension=extension, status=delivery)
    DeliveryTry.objects.create(delivery=sent, number=1, at=at, url="u")
    sweep()
    assert [model.objects.count() for model in (Event, Check, Delivery, DeliveryTry)] == [stays] * 4
