"""Resource groups: what runs and waits on each, who serves it, and which of them the workspace uses."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from opscenter.base.reasons import Invalid, say
from opscenter.console import live
from opscenter.console.access import (
    ConsoleRequest,
    actor,
    go,
    here,
    in_workspace,
    is_partial,
    permitted,
    why_no_tenant_admin,
    why_not,
)
from opscenter.console.dialogs import ask
from opscenter.console.filters import ALL_DATES, query_string
from opscenter.console.forms import refuse
from opscenter.console.group_forms import GroupForm
from opscenter.operations import resource_groups
from opscenter.operations.actor import Actor
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.production import groups
from opscenter.production.models import ResourceGroup
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission


@require_safe
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """The groups that the workspace uses; for who may associate them, the others of the tenant, too."""
    may = resource_groups.may_associate(request.user, request.workspace)
    found = ResourceGroup.objects.filter(tenant=request.workspace.tenant)
    if not may:
        found = found.usable_in(request.workspace)
    uses = groups.uses(list(found.order_by("name")), request.workspace)
    admin = why_no_tenant_admin(request)
    missing = "" if may else why_not(request, Permission.MANAGE_WORKSPACE)
    rows = [_row(request, one, missing, admin) for one in sorted(uses, key=lambda one: not one.is_usable)]
    context = {
        "rows": rows,
        "add_url": here(request, "group_add"),
        "add_why_not": admin,
        "poll_url": request.path,
        "every": live.SLOW,
    }
    if is_partial(request):
        return live.fragment(request, "console/groups/table.html", context)
    return live.whole(request, "console/groups/list.html", context)


def _row(request: ConsoleRequest, use: groups.GroupUse, missing: str, admin: str) -> dict[str, Any]:
    name = use.group.name
    in_use = ""
    if use.tasks:
        tasks = resource_groups.users(request.workspace, use.group)
        in_use = say("resource_group.in_use", resource_groups.in_use(use.group, request.workspace, tasks))
    listed = {"bizdate": ALL_DATES, "group": name}
    instances = here(request, "instance_list")
    return {
        "use": use,
        "running_url": instances + query_string({**listed, "state": "running"}),
        "waiting_url": instances + query_string({**listed, "state": "wait_resource"}),
        "oldest_url": here(request, "instance", pk=use.queue.oldest) if use.queue.oldest else "",
        "edit_url": here(request, "group_edit", name=name),
        "edit_why_not": admin,
        "step_url": here(request, "group_dissociate" if use.is_usable else "group_associate", name=name),
        "step_why_not": missing or (in_use if use.is_usable else ""),
    }


@require_http_methods(["GET", "POST"])
@in_workspace
def add(request: ConsoleRequest) -> HttpResponse:
    """A new group of the tenant, for its administrators."""
    require_tenant_admin(actor(request))
    form = GroupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            group = resource_groups.create(actor(request), workspace=request.workspace, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(
                request, _("%(name)s was added. Associate it with the workspaces that shall use it.") % {"name": group}
            )
            return go(request, here(request, "group_list"))
    return _ask(request, form, title=_("Add a resource group"), verb=_("Add resource group"))


@require_http_methods(["GET", "POST"])
@in_workspace
def edit(request: ConsoleRequest, name: str) -> HttpResponse:
    """Its slots, for the tenant's administrators."""
    require_tenant_admin(actor(request))
    group = resource_groups.find(request.workspace.tenant_id, name)
    form = GroupForm(request.POST if request.method == "POST" else None, group=group)
    if request.method == "POST" and form.is_valid():
        resource_groups.update(actor(request), name, workspace=request.workspace, **form.cleaned_data)
        messages.success(request, _("%(name)s was changed.") % {"name": group})
        return go(request, here(request, "group_list"))
    text = _("What runs goes on. With fewer slots nothing starts until enough of it has ended.")
    return _ask(request, form, title=_("Change %(name)s") % {"name": group}, verb=_("Save resource group"), text=text)


def _ask(request: ConsoleRequest, form: GroupForm, **words: Any) -> HttpResponse:
    return ask(request, form=form, back=here(request, "group_list"), **words)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def associate(request: ConsoleRequest, name: str) -> HttpResponse:
    """Let the workspace's tasks run on a group."""
    return _step(
        request,
        name,
        resource_groups.associate,
        title=_("Associate %(name)s with this workspace?"),
        text=_("Nodes that name it can then be published here. It shares its slots with the other workspaces."),
        verb=_("Associate"),
        done=_("Nodes of this workspace may now run on %(name)s."),
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def dissociate(request: ConsoleRequest, name: str) -> HttpResponse:
    """Take a group away from the workspace, after a question."""
    return _step(
        request,
        name,
        resource_groups.dissociate,
        title=_("Dissociate %(name)s from this workspace?"),
        text=_("Nodes that name it cannot be published here until it is associated again."),
        verb=_("Dissociate"),
        done=_("This workspace no longer uses %(name)s."),
    )


def _step(
    request: ConsoleRequest,
    name: str,
    take: Callable[[Actor, Workspace, str], ResourceGroup],
    *,
    title: str,
    text: str,
    verb: str,
    done: str,
) -> HttpResponse:
    """Ask, then change whether the workspace uses the group."""
    if request.method == "POST":
        group = take(actor(request), request.workspace, name)
        messages.success(request, done % {"name": group})
        return go(request, here(request, "group_list"))
    group = resource_groups.find(request.workspace.tenant_id, name)
    return ask(request, title=title % {"name": group}, text=text, verb=verb, back=here(request, "group_list"))
