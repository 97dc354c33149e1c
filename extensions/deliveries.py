"""Deliveries: messages on their way to extensions. The table is the outbox: rows are written in the transaction that
opens the checks, and the courier sends what is due (at least once; ``webhook-id`` stays the same)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from extensions.models import Check, Delivery, Extension
from opscenter.base import clock, notify
from opscenter.base.reasons import Reason, Refused, sentence

MOST_REPLAYED = 10_000
"""Messages that are sent again at a time."""


def enqueue(checks: Sequence[Check], *, is_replay: bool = False) -> list[Delivery]:
    """Send these checks' messages, as soon as the transaction commits."""
    now = clock.now()
    made = Delivery.objects.bulk_create(
        Delivery(
            event_id=check.event_id,
            of_check=check,
            extension=check.extension,
            is_replay=is_replay,
            due_at=now,
            created_at=now,
        )
        for check in checks
    )
    if made:
        notify.notify(notify.COURIER)
    return made


def replay(delivery: Delivery) -> Delivery:
    """Send its message once more: the same id and the same bytes, whether or not its check is over. A few tries.

    Raises:
        Refused: the extension is disabled, its endpoint is gone, or a replay of the message is under way.
    """
    refuse_unsent(delivery.extension)
    under_way = Delivery.objects.filter(event=delivery.event_id, extension=delivery.extension_id, is_replay=True)
    if under_way.filter(status=Delivery.Status.PENDING).exists():
        raise Refused("delivery.replay_under_way")
    now = clock.now()
    made = Delivery.objects.create(
        event_id=delivery.event_id,
        of_check=delivery.of_check,
        extension=delivery.extension,
        subject=delivery.subject,
        is_replay=True,
        due_at=now,
        created_at=now,
    )
    notify.notify(notify.NOTICES if delivery.of_check_id is None else notify.COURIER)
    return made


def refuse_unsent(extension: Extension) -> None:
    """Raises Refused if nothing is sent to the extension now."""
    if extension.status == Extension.Status.DISABLED:
        raise Refused("delivery.disabled", extension=extension.name)
    if extension.gone_at is not None:
        reason = gone_reason(extension)
        raise Refused(reason.code, **reason.params)


def gone_reason(extension: Extension) -> Reason:
    """Why nothing is sent to an extension whose endpoint is gone, or has failed for days."""
    kept = extension.gone_reason or {"code": "delivery.gone", "params": {}}
    return Reason(kept["code"], {**kept["params"], "extension": extension.name})


def replay_since(found: "QuerySet[Delivery]", extension: Extension, since: datetime, *, only_undelivered: bool) -> int:
    """Send the messages of these deliveries again that were first sent since then, in their order; how many they are.

    Args:
        only_undelivered: leave out messages that have arrived once.

    Raises:
        Refused: nothing is sent to the extension now, or they are more than ``MOST_REPLAYED``.
    """
    refuse_unsent(extension)
    theirs = Delivery.objects.filter(event=OuterRef("event"), extension=extension)
    wanted = found.filter(extension=extension, created_at__gte=since, is_replay=False).exclude(
        Exists(theirs.filter(status=Delivery.Status.PENDING))
    )
    if only_undelivered:
        wanted = wanted.exclude(Exists(theirs.filter(status=Delivery.Status.DELIVERED)))
    rows = list(wanted.order_by("pk").values_list("event", "of_check", "subject")[: MOST_REPLAYED + 1])
    if len(rows) > MOST_REPLAYED:
        raise Refused("delivery.too_many", most=MOST_REPLAYED)
    now = clock.now()
    Delivery.objects.bulk_create(
        (
            Delivery(
                event_id=event,
                of_check_id=check,
                extension=extension,
                subject=subject,
                is_replay=True,
                due_at=now,
                created_at=now,
            )
            for event, check, subject in rows
        ),
        batch_size=1000,
    )
    if rows:
        notify.notify(notify.COURIER)
        notify.notify(notify.NOTICES)
    return len(rows)


def end_pending(checks: Iterable[Check]) -> None:
    """The checks are over: what was not delivered yet is not needed any more. Replays go on: somebody wants to see them."""
    Delivery.objects.filter(of_check__in=list(checks), is_replay=False, status=Delivery.Status.PENDING).update(
        status=Delivery.Status.ENDED, due_at=None, finished_at=clock.now()
    )


@sentence("delivery.disabled")
def _disabled(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” is disabled: nothing is sent to it.") % params


@sentence("delivery.gone")
def _gone(params: Mapping[str, Any]) -> str:
    return (
        _("The endpoint of “%(extension)s” answered 410 Gone: nothing is sent to it until its URL is saved again.")
        % params
    )


@sentence("delivery.dead")
def _dead(params: Mapping[str, Any]) -> str:
    return (
        _(
            "The endpoint of “%(extension)s” has done nothing but fail since %(since)s (%(failures)s requests): nothing is "
            "sent to it until somebody resumes sending."
        )
        % params
    )


@sentence("delivery.too_many")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("These are more than %(most)s messages. Choose a later time, and send the rest after that.") % params


@sentence("delivery.replay_under_way")
def _replay_under_way(params: Mapping[str, Any]) -> str:
    return _("This message is being sent again already.")


@sentence("delivery.unsigned")
def _unsigned(params: Mapping[str, Any]) -> str:
    return _("The message could not be signed: no signing secret of the extension can be read.")


@sentence("delivery.abandoned")
def _abandoned(params: Mapping[str, Any]) -> str:
    return _("Opscenter was stopped while it waited for the answer; the message is sent again.")


@sentence("delivery.broken")
def _broken(params: Mapping[str, Any]) -> str:
    return _("Opscenter could not make the request; its log says why.")
