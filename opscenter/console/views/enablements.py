"""Management Center > Extensions: which extensions are asked about operations in this workspace, and what that means."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from extensions import lifecycle
from extensions.models import Check
from opscenter.base.reasons import Invalid
from opscenter.console import extension_parts as parts
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted, why_not
from opscenter.console.dialogs import ask
from opscenter.console.extension_forms import EnableForm, SettingsForm, initial_of
from opscenter.console.forms import refuse
from opscenter.console.message_fields import CALLS, fields_of
from opscenter.operations import enablements
from opscenter.operations.enablements import Settings
from opscenter.operations.extension_permits import visible_to
from opscenter.workspaces.roles import Permission


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """Every extension that may be enabled in the workspace."""
    missing = why_not(request, Permission.MANAGE_EXTENSIONS)
    context = {
        "rows": parts.enablement_rows(request, missing, visible_to(actor(request))),
        "mine_url": here(request, "extension_list"),
    }
    return render(request, "console/extensions/enablements.html", context)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_EXTENSIONS)
def enable(request: ConsoleRequest, code: str) -> HttpResponse:
    """Enable an extension, after the data authorization."""
    extension = get_object_or_404(lifecycle.effective_in(request.workspace).select_related("owner"), code=code)
    form = EnableForm(
        request.POST if request.method == "POST" else None, initial=initial_of(Settings()), extension=extension
    )
    back = here(request, "enablement_list")
    if request.method == "POST" and form.is_valid():
        try:
            enablements.enable(
                actor(request), request.workspace, code, form.settings(), has_agreed=form.cleaned_data["agrees"]
            )
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("“%(extension)s” is enabled now.") % {"extension": extension})
            return go(request, back)
    details: dict[str, Any] = {
        "extension": extension,
        "points": parts.point_names(extension),
        "fields": fields_of(extension, request.workspace, request.user),
        "calls": CALLS,
    }
    return ask(
        request,
        title=_("Extension data authorization"),
        text=_("Enable “%(extension)s” in the workspace “%(workspace)s”?")
        % {"extension": extension, "workspace": request.workspace},
        verb=_("Enable"),
        back=back,
        form=form,
        part="console/extensions/authorization.html",
        details=details,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_EXTENSIONS)
def settings(request: ConsoleRequest, code: str) -> HttpResponse:
    """Change what the workspace decides about an extension."""
    enablement = enablements.find(request.workspace, code)
    form = SettingsForm(
        request.POST if request.method == "POST" else None,
        initial=initial_of(enablement),
        extension=enablement.extension,
        values=enablement.option_values,
    )
    back = here(request, "enablement_list")
    if request.method == "POST" and form.is_valid():
        try:
            enablements.change(actor(request), request.workspace, code, form.settings())
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(
                request, _("The settings of “%(extension)s” were changed.") % {"extension": enablement.extension}
            )
            return go(request, back)
    return ask(
        request,
        title=_("Settings of “%(extension)s”") % {"extension": enablement.extension},
        text=_("They hold for operations asked for from now on; checks that are open stay as they are."),
        verb=_("Save settings"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_EXTENSIONS)
def disable(request: ConsoleRequest, code: str) -> HttpResponse:
    """Disable an extension in the workspace, after a question."""
    extension = enablements.find(request.workspace, code).extension
    back = here(request, "enablement_list")
    if request.method == "POST":
        count = enablements.disable(actor(request), request.workspace, code)
        ended = ngettext("%(n)s open check ended as passed.", "%(n)s open checks ended as passed.", count)
        text = _("“%(extension)s” is not asked here any more.") % {"extension": extension}
        messages.success(request, f"{text} {ended % {'n': count}}" if count else text)
        return go(request, back)
    waiting = Check.objects.filter(
        extension=extension, event__workspace=request.workspace, state=Check.State.CHECKING
    ).count()
    text = _("It is not asked about operations in this workspace any more.")
    if waiting:
        ending = ngettext(
            "%(n)s open check ends as passed, and what waited for it alone is carried out.",
            "%(n)s open checks end as passed, and operations that waited for them alone are carried out.",
            waiting,
        )
        text = f"{text} {ending % {'n': waiting}}"
    return ask(
        request,
        title=_("Disable “%(extension)s” in this workspace?") % {"extension": extension},
        text=text,
        verb=_("Disable"),
        back=back,
        irreversible=waiting > 0,
    )
