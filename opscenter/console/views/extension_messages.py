"""Messages to an extension, one by one: a test message and its three legs, a delivery with its tries, sending again."""

import json

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from extensions.envelope import shown_of
from extensions.models import Check, Delivery, DeliveryTry
from extensions.points import POINTS
from opscenter.base.reasons import Invalid
from opscenter.console import extension_log as log
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial
from opscenter.console.dialogs import ask
from opscenter.console.extension_forms import TestMessageForm
from opscenter.console.extension_looks import of_delivery
from opscenter.console.forms import refuse
from opscenter.operations import extension_messages
from opscenter.operations.extension_permits import (
    checks_visible_to,
    deliveries_visible_to,
    find,
    require_change,
)

AT_ONCE = 0.5
"""Seconds between refreshes while somebody waits for a test message."""


@require_http_methods(["GET", "POST"])
@in_workspace
def send_test(request: ConsoleRequest, code: str) -> HttpResponse:
    """Send a test message, then show what becomes of it."""
    extension = find(actor(request), code)
    require_change(actor(request), extension)
    form = TestMessageForm(request.POST if request.method == "POST" else None, points=extension.points)
    if request.method == "POST" and form.is_valid():
        try:
            address = _sent(request, code, form.cleaned_data["point"])
        except Invalid as error:
            refuse(form, error)
        else:
            return go(request, address)
    return ask(
        request,
        title=_("Send “%(extension)s” a test message?") % {"extension": extension},
        text=_(
            "A real message about a task of its test workspace “%(workspace)s”, marked as a test. Nothing is done to the "
            "task, whatever the verdict."
        )
        % {"workspace": extension.test_workspace},
        verb=_("Send test message"),
        back=here(request, "extension", code=code),
        form=form,
    )


def _sent(request: ConsoleRequest, code: str, point: str) -> str:
    """Send it; the page that shows what becomes of it."""
    if point in POINTS and POINTS[point].is_regular:
        delivered = extension_messages.tell_test(actor(request), code, point)
        return here(request, "extension_delivery", code=code, pk=delivered.pk)
    return here(request, "extension_test", code=code, pk=extension_messages.send_test(actor(request), code, point).pk)


@require_safe
@in_workspace
def test(request: ConsoleRequest, code: str, pk: int) -> HttpResponse:
    """A test message's three legs, live: sent, handled, verdict."""
    extension = find(actor(request), code)
    found = checks_visible_to(actor(request), extension).filter(event__operation=None)
    check = get_object_or_404(found.select_related("event", "extension"), pk=pk)
    delivery = check.deliveries.order_by("-pk").first()
    last = DeliveryTry.objects.filter(delivery=delivery).order_by("-number").first() if delivery else None
    is_open = check.state == Check.State.CHECKING or (
        delivery is not None and delivery.status == Delivery.Status.PENDING
    )
    every = AT_ONCE if log.is_young(check) else live.QUICK
    context = {
        "extension": extension,
        "check": check,
        "legs": log.legs(check, delivery, last),
        "crumbs": _crumbs(request, code, extension.name),
        "poll_url": f"{request.path}?live=1",
        "every": every if is_open else None,
        "again_url": here(request, "extension_send_test", code=code),
        "why_not": log.why_no_change(request, extension),
        "delivery_url": here(request, "extension_delivery", code=code, pk=delivery.pk) if delivery else "",
    }
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/extensions/legs.html", context)
    return live.whole(request, "console/extensions/test.html", context)


def _crumbs(request: ConsoleRequest, code: str, name: str) -> list[tuple[str, str]]:
    return [(_("Extensions"), here(request, "extension_list")), (name, here(request, "extension", code=code))]


@require_safe
@in_workspace
def delivery(request: ConsoleRequest, code: str, pk: int) -> HttpResponse:
    """One delivery: what was sent, and what came back at each try. A drawer beside the log, or a page."""
    extension = find(actor(request), code)
    found = deliveries_visible_to(actor(request), extension).select_related(
        "event", "of_check__event", "extension__owner"
    )
    one = get_object_or_404(found, pk=pk)
    context = {
        "extension": extension,
        "delivery": one,
        "look": of_delivery(one),
        "body": json.dumps(shown_of(one), indent=2, ensure_ascii=False),
        "tries": log.tries(one),
        "crumbs": [
            *_crumbs(request, code, extension.name),
            (_("Deliveries"), here(request, "extension", code=code) + "?view=deliveries"),
        ],
        "replay_url": here(request, "extension_replay", code=code, pk=pk),
        "why_not": log.replay_why_not(request, one),
        "title": _("Delivery %(number)s") % {"number": pk},
        "page_url": here(request, "extension_delivery", code=code, pk=pk),
        "body_template": "console/extensions/delivery_body.html",
    }
    template = "components/drawer.html" if is_partial(request) else "console/extensions/delivery.html"
    return render(request, template, context)


@require_http_methods(["GET", "POST"])
@in_workspace
def replay(request: ConsoleRequest, code: str, pk: int) -> HttpResponse:
    """Send a message again, after a question."""
    extension = find(actor(request), code)
    one = get_object_or_404(
        deliveries_visible_to(actor(request), extension).select_related("event", "of_check__event", "extension__owner"),
        pk=pk,
    )
    if request.method == "POST":
        made = extension_messages.replay(actor(request), pk)
        messages.success(request, _("The message is on its way again (delivery %(number)s).") % {"number": made.pk})
        return go(request, here(request, "extension", code=code) + "?view=deliveries")
    return ask(
        request,
        title=_("Send this message again?"),
        text=_(
            "The same message with the same id, whatever has become of its check. An extension that has answered it "
            "already should know it again by its id."
        ),
        names=[{"name": str(one.event_id), "note": extension.name}],
        verb=_("Send again"),
        back=here(request, "extension", code=code) + "?view=deliveries",
    )
