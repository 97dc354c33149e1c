"""What extensions were sent and said: events with their checks, deliveries with their tries, a test message's legs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from extensions.deliveries import gone_reason
from extensions.models import Check, Delivery, DeliveryTry, Extension
from extensions.points import POINTS
from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.console import extension_looks
from opscenter.console.access import ConsoleRequest, actor, here
from opscenter.console.extension_parts import memberships, why_no_change
from opscenter.console.operation_words import name_of
from opscenter.console.templatetags.looks import Look, of_check
from opscenter.operations.extension_messages import may_replay
from opscenter.operations.models import Operation


@dataclass(frozen=True)
class EventRow:
    """A message to the extension, and what came of it.

    Attributes:
        what: the operation's name, empty for a test message.
        about: what it is done to.
        url: of the operation's page, or the test message's; empty where the reader is a stranger.
    """

    check: Check
    point: Promise | str
    what: str
    about: str
    url: str
    look: Look
    why: str
    took: timedelta | None

    @property
    def short_id(self) -> str:
        """The beginning of the message's id."""
        return short_id(self.check)


def event_rows(request: ConsoleRequest, extension: Extension, checks: Sequence[Check]) -> list[EventRow]:
    """The rows for checks of the extension, read with their events; three questions, however many there are."""
    operations = Operation.objects.in_bulk([one.event.operation for one in checks if one.event.operation])
    mine = memberships(request)
    return [_event_row(request, extension, check, operations, mine) for check in checks]


def _event_row(
    request: ConsoleRequest, extension: Extension, check: Check, operations: dict[int, Operation], mine: set[int]
) -> EventRow:
    event = check.event
    operation = operations.get(event.operation or 0)
    url = ""
    if event.operation is None:
        url = here(request, "extension_test", code=extension.code, pk=check.pk)
    elif operation is not None and operation.workspace_id in mine:
        url = operation_url(operation)
    return EventRow(
        check=check,
        point=POINTS[event.point].name if event.point in POINTS else event.point,
        what=name_of(operation.code) if operation is not None else "",
        about=event.message["data"].get("extensionBizName", ""),
        url=url,
        look=of_check(check),
        why=why_ended(check),
        took=check.ended_at - check.opened_at if check.ended_at else None,
    )


def operation_url(operation: Operation) -> str:
    """The operation's page; it may lie in another workspace than the one shown, and than the one whose extensions it asks."""
    place = {"workspace_id": operation.workspace_id, "env": operation.environment.lower(), "pk": operation.pk}
    return reverse("console:operation", kwargs=place)


def short_id(check: Check | Delivery) -> str:
    """The beginning of a message's id, for lists."""
    return f"{str(check.event_id)[:8]}…"


def why_ended(check: Check) -> str:
    """Why a check ended, where it did not end by an answer."""
    if check.verdict or not check.reason:
        return ""
    return say(check.reason["code"], check.reason["params"])


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery in the log.

    Attributes:
        answer: what the last request was answered with, or why it was not.
        again_at: when it is tried again.
    """

    delivery: Delivery
    url: str
    look: Look
    point: Promise | str
    answer: Look | None
    why: str
    milliseconds: int | None
    again_at: datetime | None

    @property
    def short_id(self) -> str:
        """The beginning of the message's id."""
        return short_id(self.delivery)


def delivery_rows(request: ConsoleRequest, extension: Extension, deliveries: Sequence[Delivery]) -> list[DeliveryRow]:
    """The rows for deliveries, read with their checks' events; one question more, however many there are."""
    tries = DeliveryTry.objects.filter(delivery__in=deliveries).order_by("delivery", "-number").distinct("delivery")
    last = {one.delivery_id: one for one in tries}
    return [_delivery_row(request, extension, one, last.get(one.pk)) for one in deliveries]


def _delivery_row(
    request: ConsoleRequest, extension: Extension, delivery: Delivery, last: DeliveryTry | None
) -> DeliveryRow:
    point = delivery.event.point
    return DeliveryRow(
        delivery=delivery,
        url=here(request, "extension_delivery", code=extension.code, pk=delivery.pk),
        look=extension_looks.of_delivery(delivery),
        point=POINTS[point].name if point in POINTS else point,
        answer=extension_looks.of_try(last) if last else None,
        why=_no_answer(last),
        milliseconds=last.milliseconds if last else None,
        again_at=_again_at(delivery, last),
    )


def _again_at(delivery: Delivery | None, last: DeliveryTry | None) -> datetime | None:
    """When it is tried again; while it is being sent, ``due_at`` is when that counts as lost."""
    if delivery is None or last is None or delivery.status != Delivery.Status.PENDING:
        return None
    return delivery.due_at if last.number >= delivery.tries else None


def _no_answer(last: DeliveryTry | None) -> str:
    return say(last.reason["code"], last.reason.get("params", {})) if last is not None and last.reason else ""


def tries(delivery: Delivery) -> list[dict[str, Any]]:
    """The requests of a delivery, the latest first."""
    return [
        {"request": one, "look": extension_looks.of_try(one), "why": _no_answer(one)}
        for one in delivery.requests.order_by("-number")
    ]


def replay_why_not(request: ConsoleRequest, delivery: Delivery) -> str:
    """Why the reader cannot send it again; empty when they can."""
    extension = delivery.extension
    if not may_replay(actor(request), extension, delivery.event.workspace_id):
        return why_no_change(request, extension)
    if extension.status == Extension.Status.DISABLED:
        return say("delivery.disabled", {"extension": extension.name})
    if extension.gone_at is not None:
        reason = gone_reason(extension)
        return say(reason.code, reason.params)
    return ""


@dataclass(frozen=True)
class Leg:
    """One of: sent, handled, verdict.

    Attributes:
        look: how it stands.
        words: what the extension says with its verdict.
        again_at: when it is tried again.
        limit_at: when the answer limit is over.
    """

    title: str
    look: Look
    sentence: str
    at: datetime | None = None
    words: str = ""
    again_at: datetime | None = None
    limit_at: datetime | None = None


_WAITS = ("not_run", "circle")
_MOVES = ("running", "running")


def legs(check: Check, delivery: Delivery | None, last: DeliveryTry | None) -> list[Leg]:
    """How far a message has come."""
    return [_sent(delivery, last), _handled(delivery, last), _verdict(check)]


def _leg(title: str, shape: tuple[str, str], sentence: str, **more: Any) -> Leg:
    return Leg(title, Look(*shape, title), sentence, **more)


def _sent(delivery: Delivery | None, last: DeliveryTry | None) -> Leg:
    title = _("Sent")
    if last is not None and last.status is not None:
        return _leg(title, ("success", "circle-check"), _("The request arrived."), at=last.at)
    if last is not None:
        return _leg(title, ("failure", "circle-x"), _no_answer(last), at=last.at, again_at=_again_at(delivery, last))
    if delivery is None or delivery.status != Delivery.Status.PENDING:
        return _leg(title, ("not_run", "circle-minus"), _("It was not sent."))
    return _leg(title, _MOVES, _("Under way."), at=delivery.created_at)


def _handled(delivery: Delivery | None, last: DeliveryTry | None) -> Leg:
    title = _("Handled")
    if last is None or last.status is None:
        return _leg(title, _WAITS, _("No HTTP answer yet."))
    took = {"status": last.status, "ms": last.milliseconds}
    if 200 <= last.status < 300:
        return _leg(title, ("success", "circle-check"), _("The endpoint answered %(status)s after %(ms)s ms.") % took)
    text = _("The endpoint answered %(status)s after %(ms)s ms; only 2xx says that the message has arrived.") % took
    hint = _hint(last.status)
    return _leg(title, ("failure", "circle-x"), f"{text} {hint}" if hint else text, again_at=_again_at(delivery, last))


def _hint(status: int) -> str:
    """Where a developer looks first."""
    if status in (401, 403):
        return _("It refuses the sender: does it have the signing secret that was made last, and the right time?")
    if status in (404, 405):
        return _("Look at the path of the webhook address: it takes a POST.")
    return _("Look at the program's own log.") if status >= 500 else ""


def _verdict(check: Check) -> Leg:
    title = _("Verdict")
    if check.state == Check.State.CHECKING:
        if check.progress_at is not None:
            text = _("It is at work: %(percent)s %%.") % {
                "percent": check.progress if check.progress is not None else "–"
            }
            return _leg(title, _MOVES, text, words=check.progress_words, limit_at=check.due_at)
        return _leg(title, _MOVES, _("Waiting for the answer."), limit_at=check.due_at)
    look = of_check(check)
    if not check.verdict:
        return Leg(title, look, why_ended(check), at=check.ended_at)
    took = round((check.ended_at - check.opened_at).total_seconds(), 1) if check.ended_at else 0
    ways = {"api": _("the API"), "callback": _("the callback URL")}
    text = _("%(verdict)s after %(seconds)s s, by %(way)s.") % {
        "verdict": check.verdict,
        "seconds": took,
        "way": ways.get(check.answered_via, check.answered_via),
    }
    return Leg(title, look, text, at=check.ended_at, words=check.words)


def is_young(check: Check) -> bool:
    """Whether somebody is likely to look on: the first minute after the message was sent."""
    return bool(clock.now() - check.opened_at < timedelta(minutes=1))
