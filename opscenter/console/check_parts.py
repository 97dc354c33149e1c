"""Checks of an operation as cards: plain values, so that what a card shows and whether it changed are the same question."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from extensions.models import Check, Delivery, DeliveryTry, Extension
from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, actor, here, why_not
from opscenter.console.templatetags.looks import Look, of_check
from opscenter.console.templatetags.ui import duration
from opscenter.operations.extension_messages import may_replay
from opscenter.operations.extension_permits import managed_by
from opscenter.operations.models import Operation
from opscenter.operations.permits import missing
from opscenter.workspaces.roles import Permission

_WAYS = {"api": gettext_lazy("API"), "callback": gettext_lazy("callback URL")}


@dataclass(frozen=True)
class Button:
    """Of a card; ``is_post``: it is done without a question."""

    label: str
    url: str
    icon: str
    why_not: str
    is_post: bool = False


@dataclass(frozen=True)
class Sent:
    """How the message's way to the extension stands: words, the moment that they are about, when it is tried again."""

    words: str
    at: datetime | None
    again_at: datetime | None = None
    is_failed: bool = False


@dataclass(frozen=True)
class Card:
    """One extension's check.

    Attributes:
        limit: seconds from its opening to the end of its answer limit, as progress reports have extended it.
        words: what the extension says.
        verdict: what it answered, by which way, after how long.
        why: why it ended, where it did not end by an answer.
        links: the extension's own pages, as (label, address).
    """

    pk: int
    name: str
    is_open: bool
    is_mandatory: bool
    is_failed: bool
    look: Look
    opened_at: datetime
    limit: int
    words: str
    verdict: str
    why: str
    progress: int | None
    progress_words: str
    progress_at: datetime | None
    sent: Sent | None
    links: tuple[tuple[str, str], ...]
    buttons: tuple[Button, ...]


def checks_of(operation: Operation) -> list[Check]:
    """The checks of an operation, those that decide first. Index: the events' operation."""
    found = Check.objects.filter(event__operation=operation.pk).select_related("extension", "event")
    return list(found.order_by("-is_mandatory", "extension__name", "pk"))


def cards_of(request: ConsoleRequest, operation: Operation, query: str = "") -> list[Card]:
    """The cards of an operation's check panel; ``query`` is carried along by the buttons' addresses."""
    checks = checks_of(operation)
    sent = _sent_of([check.pk for check in checks if check.state == Check.State.CHECKING])
    return [_card(request, check, sent.get(check.pk), query) for check in checks]


def elapsed(cards: Sequence[Card]) -> dict[int, float]:
    """Seconds since each open check was opened; apart from the cards, since it alone always changes."""
    now = clock.now()
    return {card.pk: max(0.0, round((now - card.opened_at).total_seconds(), 1)) for card in cards if card.is_open}


def links_of(extension: Extension) -> tuple[tuple[str, str], ...]:
    """The pages an extension names for those that it blocks; only those that are web addresses."""
    pages = ((_("Details"), extension.detail_url), (_("Documentation"), extension.help_url))
    return tuple((label, url) for label, url in pages if urlsplit(url).scheme in ("http", "https"))


def _card(request: ConsoleRequest, check: Check, sent: Sent | None, query: str) -> Card:
    is_open = check.state == Check.State.CHECKING
    return Card(
        pk=check.pk,
        name=check.extension.name,
        is_open=is_open,
        is_mandatory=check.is_mandatory,
        is_failed=check.state == Check.State.FAILED,
        look=of_check(check),
        opened_at=check.opened_at,
        limit=round((check.due_at - check.opened_at).total_seconds()) if check.due_at else 0,
        words=check.words,
        verdict=_verdict(check),
        why="" if check.verdict or not check.reason else say(check.reason["code"], check.reason["params"]),
        progress=check.progress if is_open else None,
        progress_words=check.progress_words if is_open else "",
        progress_at=check.progress_at if is_open else None,
        sent=sent,
        links=links_of(check.extension),
        buttons=_buttons(request, check, query) if is_open else (),
    )


def _verdict(check: Check) -> str:
    if not check.verdict or check.ended_at is None:
        return ""
    return _("Answered %(verdict)s after %(time)s, by %(way)s") % {
        "verdict": check.verdict,
        "time": duration(check.ended_at - check.opened_at),
        "way": _WAYS.get(check.answered_via, check.answered_via),
    }


def _buttons(request: ConsoleRequest, check: Check, query: str) -> tuple[Button, ...]:
    lacks = manager_why_not(request, check)
    may_send = not lacks or may_replay(actor(request), check.extension, check.event.workspace_id)
    denied = ""
    if not check.extension.allows_mark_passed:
        denied = say("check.no_mark_passed", {"extension": check.extension.name})
    place = {"pk": check.event.operation, "check": check.pk}
    return (
        Button(
            _("Send again"),
            here(request, "operation_send_again", **place),
            "rotate-ccw",
            "" if may_send else lacks,
            True,
        ),
        Button(_("Mark as passed"), here(request, "operation_mark_passed", **place) + query, "check", lacks or denied),
    )


def manager_why_not(request: ConsoleRequest, check: Check) -> str:
    """Why the reader does not manage the check's extension where it is asked, which may be in another workspace."""
    if check.event.workspace_id == request.workspace.pk:
        return why_not(request, Permission.MANAGE_EXTENSIONS)
    if managed_by(request.user).filter(pk=check.event.workspace_id).exists():
        return ""
    return say("permission.missing", missing(Permission.MANAGE_EXTENSIONS))


def _sent_of(checks: Sequence[int]) -> dict[int, Sent]:
    """How the latest delivery of each check stands."""
    if not checks:
        return {}
    latest = list(Delivery.objects.filter(of_check__in=checks).order_by("of_check", "-pk").distinct("of_check"))
    tries = DeliveryTry.objects.filter(delivery__in=latest).order_by("delivery", "-number").distinct("delivery")
    last = {one.delivery_id: one for one in tries}
    return {one.of_check_id: _sent(one, last.get(one.pk)) for one in latest if one.of_check_id is not None}


def _sent(delivery: Delivery, last: DeliveryTry | None) -> Sent:
    if delivery.status == Delivery.Status.DELIVERED:
        return Sent(_("Message delivered"), delivery.finished_at)
    if delivery.status == Delivery.Status.FAILED:
        words = _("The message cannot be delivered: %(why)s") % {"why": _answer(last)}
        return Sent(words, delivery.finished_at, is_failed=True)
    if last is None:
        return Sent(_("Message under way"), delivery.created_at)
    tries = ngettext("tried %(n)s time", "tried %(n)s times", last.number) % {"n": last.number}
    words = _("Message not delivered yet, %(tries)s: %(why)s") % {"tries": tries, "why": _answer(last)}
    is_waiting = last.number >= delivery.tries  # else it is being sent, and due_at is when that counts as lost
    return Sent(words, last.at, delivery.due_at if is_waiting else None, is_failed=True)


def _answer(last: DeliveryTry | None) -> str:
    if last is None:
        return _("it was not tried")
    if last.reason:
        return say(last.reason["code"], last.reason.get("params", {}))
    return _("the endpoint answered %(status)s") % {"status": last.status}
