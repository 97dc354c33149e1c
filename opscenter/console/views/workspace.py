"""A workspace's own page, and new workspaces."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Invalid
from opscenter.console.access import (
    ConsoleRequest,
    SignedInRequest,
    actor,
    go,
    here,
    in_workspace,
    permitted,
    signed_in,
    why_not,
)
from opscenter.console.dialogs import ask
from opscenter.console.forms import NewWorkspaceForm, WorkspaceSettingsForm, refuse
from opscenter.engine.generate import root_output
from opscenter.operations import workspaces
from opscenter.production.models import ResourceGroup, Task
from opscenter.workspaces.roles import Permission


@require_GET
@in_workspace
def show(request: ConsoleRequest) -> HttpResponse:
    """What the workspace is, and what programs need to know of it."""
    workspace = request.workspace
    context = {
        "endpoint": urlsplit(settings.PUBLIC_URL).netloc,
        "root_output": root_output(workspace),
        "root": Task.objects.filter(workspace=workspace, environment=request.environment, is_root=True).first(),
        "group": ResourceGroup.objects.filter(tenant=workspace.tenant, name=ResourceGroup.DEFAULT).first(),
        "edit_url": here(request, "workspace_edit"),
        "edit_why_not": why_not(request, Permission.MANAGE_WORKSPACE),
    }
    return render(request, "console/workspace/show.html", context)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def edit(request: ConsoleRequest) -> HttpResponse:
    """Its settings."""
    workspace = request.workspace
    initial = {name: getattr(workspace, name) for name in WorkspaceSettingsForm.base_fields}
    form = WorkspaceSettingsForm(request.POST if request.method == "POST" else None, initial=initial)
    back = here(request, "workspace")
    if request.method == "POST" and form.is_valid():
        workspaces.update(actor(request), workspace, **form.cleaned_data)
        messages.success(request, _("The settings were saved."))
        return go(request, back)
    return ask(request, title=_("Workspace settings"), verb=_("Save settings"), back=back, form=form)


@require_http_methods(["GET", "POST"])
@signed_in
def create(request: SignedInRequest) -> HttpResponse:
    """A new workspace, for administrators of the tenant."""
    workspaces.require_tenant_admin(actor(request))
    form = NewWorkspaceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            workspace = workspaces.create(actor(request), **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("The workspace was created. You are its owner."))
            place = {"workspace_id": workspace.pk, "env": "prod"}
            return go(request, reverse("console:workspace", kwargs=place))
    return ask(request, title=_("New workspace"), verb=_("Create workspace"), back=reverse("console:home"), form=form)
