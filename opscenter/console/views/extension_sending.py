"""Sending to an extension: taken up again after its endpoint was gone or dead, and what it missed sent once more."""

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from opscenter.base.reasons import Refused
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace
from opscenter.console.dialogs import ask
from opscenter.console.extension_forms import SendAgainForm
from opscenter.operations import extension_messages, extensions
from opscenter.operations.extension_permits import find, require_change


@require_http_methods(["GET", "POST"])
@in_workspace
def resume(request: ConsoleRequest, code: str) -> HttpResponse:
    """Send messages to it again, after a question."""
    extension = find(actor(request), code)
    require_change(actor(request), extension)
    back = here(request, "extension", code=code)
    if request.method == "POST":
        extensions.resume(actor(request), code)
        messages.success(request, _("Messages are sent to “%(extension)s” again.") % {"extension": extension})
        return go(request, back)
    return ask(
        request,
        title=_("Resume sending to “%(extension)s”?") % {"extension": extension},
        text=_("New messages are sent to it again. Those that it missed can be sent from its deliveries."),
        verb=_("Resume sending"),
        back=back,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
def send_again(request: ConsoleRequest, code: str) -> HttpResponse:
    """Send all messages since a moment once more."""
    extension = find(actor(request), code)
    zone = request.workspace.tenant.time_zone
    form = SendAgainForm(request.POST if request.method == "POST" else None, zone=zone)
    back = here(request, "extension", code=code) + "?view=deliveries"
    if request.method == "POST" and form.is_valid():
        try:
            count = extension_messages.replay_since(
                actor(request), code, form.since(), only_undelivered=form.cleaned_data["only_undelivered"]
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            words = ngettext("%(n)s message is sent again.", "%(n)s messages are sent again.", count) % {"n": count}
            messages.success(request, words if count else _("There was nothing to send again."))
            return go(request, back)
    return ask(
        request,
        title=_("Send messages to “%(extension)s” again?") % {"extension": extension},
        text=_(
            "Each with the same id and the same content as before, in their order. Those about workspaces whose "
            "extensions you do not manage are left out."
        ),
        verb=_("Send again"),
        back=back,
        form=form,
    )
