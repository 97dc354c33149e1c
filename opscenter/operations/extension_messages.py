"""Messages sent by hand: one to test an extension, and one that was sent before."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from extensions import checks, deliveries, envelope
from extensions.models import Check, Delivery, Enablement, Event, Extension
from extensions.points import POINTS, About
from opscenter.base import clock, notify
from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.extension_permits import (
    change_refusal,
    deliveries_visible_to,
    locked,
    managed_by,
    require_change,
)
from opscenter.operations.extensions import record
from opscenter.production.models import Environment, Task, TaskInstance
from opscenter.workspaces.models import Workspace

MOST_TESTS = 10
"""Test messages of an extension that wait for an answer at a time."""


@transaction.atomic
def send_test(actor: Actor, code: str, point: str) -> Check:
    """Send a message as the extension point would, of a task in the test workspace; its verdict decides nothing.

    ``data`` says ``"isTest": true``; everything else is as in earnest: signature, retries, answer limit, verdict.

    Raises:
        NotFound, Forbidden: neither its owner nor an administrator of the tenant.
        Invalid: the extension does not listen to the extension point.
        Refused: it is disabled, or too many test messages wait for their answers.
    """
    extension = _testable(actor, code, point, is_regular=False)
    open_tests = Check.objects.filter(extension=extension, state=Check.State.CHECKING, event__operation=None)
    if open_tests.count() >= MOST_TESTS:
        raise Refused("extension.too_many_tests", most=MOST_TESTS)
    workspace = Workspace.objects.select_related("tenant").get(pk=extension.test_workspace_id)
    data, name = _sample(point, workspace)
    listener = _listener(extension, workspace)
    event = checks.open_event(
        point,
        workspace,
        Environment.PROD,
        actor.user,
        [listener],
        data | {"isTest": True},
        operation=None,
        about=name,
    )
    record(actor, "extension.test", extension, {"point": point})
    return event.checks.select_related("extension").get()


@transaction.atomic
def tell_test(actor: Actor, code: str, point: str) -> Delivery:
    """Tell the extension, and nobody else, of a regular event about nothing; there is nothing to answer.

    Raises:
        NotFound, Forbidden, Invalid: as ``send_test``.
        Refused: nothing is sent to it.
    """
    extension = _testable(actor, code, point, is_regular=True)
    deliveries.refuse_unsent(extension)
    workspace = Workspace.objects.select_related("tenant").get(pk=extension.test_workspace_id)
    now = clock.now()
    event = Event(point=point, tenant=workspace.tenant, workspace=workspace, environment=Environment.PROD, at=now)
    event.operator = actor.user
    event.message = envelope.envelope(event, envelope.sample(event) | {"isTest": True})
    event.save(force_insert=True)
    made = Delivery.objects.create(event=event, extension=extension, subject="test", due_at=now, created_at=now)
    notify.notify(notify.NOTICES)
    record(actor, "extension.test", extension, {"point": point})
    return made


def _testable(actor: Actor, code: str, point: str, *, is_regular: bool) -> Extension:
    """The extension, locked, if the actor may test it at this point."""
    extension = locked(actor, code)
    require_change(actor, extension)
    if point not in extension.points or point not in POINTS or POINTS[point].is_regular is not is_regular:
        raise Invalid("extension.point_unbound", field="point", extension=extension.name, point=point[:64])
    if extension.status == Extension.Status.DISABLED:
        raise Refused("delivery.disabled", extension=extension.name)
    return extension


def _sample(point: str, workspace: Workspace) -> tuple[dict[str, Any], str]:
    """What a test message says of its own: about some task of the workspace, its latest instance, or its backfill."""
    found = Task.objects.filter(workspace=workspace, environment=Environment.PROD, status=Task.Status.ONLINE)
    task = found.exclude(is_root=True).order_by("pk").first()
    numbers, name = ([task.number], task.name) if task else ([], "")
    match POINTS[point].about:
        case About.TASKS:
            return envelope.nodes(numbers), name
        case About.INSTANCES:
            latest = TaskInstance.objects.filter(task=task).order_by("-bizdate", "-pk").first() if task else None
            return envelope.instances([latest.pk] if latest else []), name
        case About.BACKFILL:
            day = clock.now().date() - timedelta(days=1)
            asked = envelope.Backfill(
                name=f"P_{name}_{clock.now():%Y%m%d_%H%M%S}",
                root=task.number if task else 0,
                root_workspace=workspace.pk,
                include=numbers,
                exclude=[],
                periods=[(day, day)],
            )
            return envelope.backfill(asked), asked.name
        case _:
            raise AssertionError(f"{point} is a regular point")


def _listener(extension: Extension, workspace: Workspace) -> Enablement:
    """The extension as the test workspace has enabled it; as by default where it has not."""
    found = Enablement.objects.filter(extension=extension, workspace=workspace).first()
    listener = found or Enablement(extension=extension, workspace=workspace)
    listener.extension = extension
    return listener


@transaction.atomic
def replay(actor: Actor, delivery_id: int) -> Delivery:
    """Send a message again as it was, whatever has become of its check; its ``webhook-id`` stays the same.

    Raises:
        NotFound: no such delivery, or the actor may not send it again.
        Refused: the extension is disabled or gone, or a replay of the message is under way.
    """
    found = Delivery.objects.filter(pk=delivery_id, extension__tenant=actor.user.tenant_id)
    delivery = found.select_related("event__workspace__tenant", "of_check", "extension__owner").first()
    if delivery is None or not may_replay(actor, delivery.extension, delivery.event.workspace_id):
        raise NotFound("delivery.unknown", delivery=delivery_id)
    event = delivery.event
    Event.objects.select_for_update(no_key=True).get(pk=event.pk)  # two replays at once would both look first
    made = deliveries.replay(delivery)
    record(actor, "extension.replay", delivery.extension, {"message": str(event.pk)}, event.workspace)
    return made


@transaction.atomic
def replay_since(actor: Actor, code: str, since: datetime, *, only_undelivered: bool = True) -> int:
    """Send an extension's messages again that were first sent since a moment, in their order; how many they are.

    Of workspaces in which the actor may send them again; those that are on their way are left out.

    Args:
        only_undelivered: not those that have arrived once.

    Raises:
        NotFound: no such extension for the actor.
        Refused: nothing is sent to it now, or these are too many at a time.
    """
    extension = locked(actor, code)
    found = deliveries_visible_to(actor, extension)
    count = deliveries.replay_since(found, extension, since, only_undelivered=only_undelivered)
    if count:
        params = {"since": since.isoformat(timespec="seconds"), "count": count}
        record(actor, "extension.replay_since", extension, params)
    return count


def may_replay(actor: Actor, extension: Extension, workspace_id: int) -> bool:
    """Whether the actor may send a message about this workspace to the extension again.

    Its owner may, administrators of the tenant, and who manages extensions in the workspace.
    """
    return change_refusal(actor, extension) is None or managed_by(actor.user).filter(pk=workspace_id).exists()


@sentence("delivery.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no delivery %(delivery)s that you may send again.") % params


@sentence("extension.point_unbound")
def _point_unbound(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” does not listen to “%(point)s”.") % params


@sentence("extension.too_many_tests")
def _too_many_tests(params: Mapping[str, Any]) -> str:
    return _("%(most)s test messages wait for their answers already. Answer them first.") % params
