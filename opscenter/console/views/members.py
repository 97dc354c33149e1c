"""Who is in the workspace, with which roles."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Invalid, NotFound, say
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
from opscenter.console.forms import AddMemberForm, NewUserForm, RolesForm, refuse
from opscenter.operations import members
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.workspaces.models import Member, User
from opscenter.workspaces.roles import Permission

SUGGESTIONS = 200
"""User names offered where one is typed."""


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """The members."""
    found = Member.objects.filter(workspace=request.workspace).select_related("user").order_by("user__username")
    missing = why_not(request, Permission.MANAGE_MEMBERS)
    rows = [_row(request, member, missing) for member in found]
    context = {
        "rows": rows,
        "add_url": here(request, "member_add"),
        "create_url": here(request, "member_create_user"),
        "roles_url": here(request, "member_roles"),
        "why_not": missing,
        "create_why_not": missing or why_no_tenant_admin(request),
    }
    return render(request, "console/members/list.html", context)


def _row(request: ConsoleRequest, member: Member, missing: str) -> dict[str, Any]:
    reason = members.why_not_removable(member, by=request.member)
    return {
        "member": member,
        "roles": [role.name for role in member.held_roles],
        "change_url": here(request, "member_change", uid=member.user.uid),
        "remove_url": here(request, "member_remove", uid=member.user.uid),
        "why_not": missing,
        "why_not_remove": missing or (say(reason, {"member": str(member.user)}) if reason else ""),
    }


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def add(request: ConsoleRequest) -> HttpResponse:
    """Make somebody of the tenant a member."""
    free = User.objects.filter(tenant=request.workspace.tenant_id, is_active=True)
    names = free.exclude(memberships__workspace=request.workspace).order_by("username")
    usernames = names.values_list("username", flat=True)[:SUGGESTIONS]
    form = AddMemberForm(request.POST if request.method == "POST" else None, usernames=usernames, by=request.member)
    back = here(request, "member_list")
    if request.method == "POST" and form.is_valid():
        try:
            member = members.add(
                actor(request), request.workspace, form.cleaned_data["username"], form.cleaned_data["roles"]
            )
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("%(member)s is a member now.") % {"member": member.user})
            return go(request, back)
    return ask(request, title=_("Add a member"), verb=_("Add member"), back=back, form=form)


@cache_control(no_store=True, private=True)
@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def create_user(request: ConsoleRequest) -> HttpResponse:
    """A new user of the tenant, as a member; the answer shows the first password, this once."""
    require_tenant_admin(actor(request))
    form = NewUserForm(request.POST if request.method == "POST" else None, by=request.member)
    back = here(request, "member_list")
    if request.method == "POST" and form.is_valid():
        try:
            member, password = members.create_user(actor(request), request.workspace, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            template = "console/members/created_dialog.html" if is_partial(request) else "console/members/created.html"
            return render(request, template, {"member": member, "secret": password, "back": back})
    return ask(
        request,
        title=_("New user"),
        text=_("An account in this tenant, which becomes a member of this workspace."),
        verb=_("Create user"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def change(request: ConsoleRequest, uid: int) -> HttpResponse:
    """Give a member other roles."""
    member = _member(request, uid)
    form = RolesForm(
        request.POST if request.method == "POST" else None, initial={"roles": member.roles}, by=request.member
    )
    back = here(request, "member_list")
    if request.method == "POST" and form.is_valid():
        try:
            members.change_roles(actor(request), request.workspace, uid, form.cleaned_data["roles"])
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("The roles of %(member)s were changed.") % {"member": member.user})
            return go(request, back)
    return ask(
        request,
        title=_("Roles of %(member)s") % {"member": member.user},
        text=_("They hold from the next thing that %(member)s does.") % {"member": member.user},
        verb=_("Save roles"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def remove(request: ConsoleRequest, uid: int) -> HttpResponse:
    """End a membership, after a question."""
    member = _member(request, uid)
    back = here(request, "member_list")
    if request.method == "POST":
        members.remove(actor(request), request.workspace, uid)
        messages.success(request, _("%(member)s is no member any more.") % {"member": member.user})
        return go(request, back if member.user_id != request.user.pk else "/")
    return ask(
        request,
        title=_("Remove %(member)s from the workspace?") % {"member": member.user},
        text=_(
            "They, and programs with their access keys, lose access at once. "
            "Tasks that they own stay theirs until somebody changes the owner."
        ),
        names=[{"name": member.user.username, "note": ", ".join(str(role.name) for role in member.held_roles)}],
        verb=_("Remove member"),
        back=back,
        irreversible=True,
    )


def _member(request: ConsoleRequest, uid: int) -> Member:
    member = Member.objects.select_related("user").filter(workspace=request.workspace, user__uid=uid).first()
    if member is None:
        raise NotFound("member.unknown", uid=uid)
    return member
