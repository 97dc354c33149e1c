"""Deliveries: messages on their way to extensions. The table is the outbox: rows are written in the transaction that
opens the checks, and the courier sends what is due (at least once; ``webhook-id`` stays the same)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from extensions.models import Check, Delivery, Extension
from opscenter.base import clock, notify
from opscenter.base.reasons import Refused, sentence


def enqueue(checks: Sequence[Check], *, is_replay: bool = False) -> list[Delivery]:
    """Send these checks' messages, as soon as the transaction commits."""
    now = clock.now()
    made = Delivery.objects.bulk_create(
        Delivery(of_check=check, extension=check.extension, is_replay=is_replay, due_at=now, created_at=now)
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
    extension, check = delivery.extension, delivery.of_check
    if extension.status == Extension.Status.DISABLED:
        raise Refused("delivery.disabled", extension=extension.name)
    if extension.gone_at is not None:
        raise Refused("delivery.gone", extension=extension.name)
    if check.deliveries.filter(is_replay=True, status=Delivery.Status.PENDING).exists():
        raise Refused("delivery.replay_under_way")
    return enqueue([check], is_replay=True)[0]


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
