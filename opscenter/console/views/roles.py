"""What each role may do, and the roles of a workspace's own."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Invalid, NotFound, Reason, Refused, say
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted, why_not
from opscenter.console.dialogs import ask
from opscenter.console.forms import RoleForm, refuse
from opscenter.operations import roles
from opscenter.workspaces.models import WorkspaceRole
from opscenter.workspaces.roles import PERMISSION_NAMES, ROLES, Permission, Role


@require_GET
@in_workspace
def show(request: ConsoleRequest) -> HttpResponse:
    """The registry as a table, with the workspace's own roles; roles that may only look share a column."""
    readers = [role for role in ROLES.values() if role.grants == {Permission.VIEW} and not role.own_only]
    own = list(WorkspaceRole.objects.filter(workspace=request.workspace).order_by("name", "pk"))
    columns = [role for role in ROLES.values() if role not in readers[1:]] + [one.role for one in own]
    lacking = why_not(request, Permission.MANAGE_MEMBERS)
    context = {
        "columns": columns,
        "readers": readers,
        "matrix": [_line(permission, columns) for permission in Permission],
        "rows": [_row(request, one, lacking) for one in own],
        "create_url": here(request, "member_role_create"),
        "why_not": lacking,
    }
    return render(request, "console/members/roles.html", context)


def _line(permission: Permission, columns: list[Role]) -> dict[str, Any]:
    cells = ["yes" if permission in role.grants else "own" if permission in role.own_only else "" for role in columns]
    return {"name": PERMISSION_NAMES[permission], "code": permission.value, "cells": cells}


def _row(request: ConsoleRequest, role: WorkspaceRole, lacking: str) -> dict[str, Any]:
    return {
        "role": role,
        "members": [str(member.user) for member in roles.having(role)],
        "change_url": here(request, "member_role_change", pk=role.pk),
        "delete_url": here(request, "member_role_delete", pk=role.pk),
        "why_not": lacking or _says(roles.why_not_changeable(role, by=request.member)),
        "why_not_delete": lacking or _says(roles.why_not_deletable(role, by=request.member)),
    }


def _says(reason: Reason | None) -> str:
    return say(reason.code, reason.params) if reason else ""


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def create(request: ConsoleRequest) -> HttpResponse:
    """A new role."""
    form = RoleForm(request.POST if request.method == "POST" else None, by=request.member)
    back = here(request, "member_roles")
    if request.method == "POST" and form.is_valid():
        try:
            made = roles.create(actor(request), request.workspace, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("The role “%(role)s” can be given now.") % {"role": made})
            return go(request, back)
    return ask(
        request,
        title=_("New role"),
        text=_("A role of this workspace, beside the built-in ones. It allows nothing that you may not do yourself."),
        verb=_("Make role"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def change(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Other permissions, or another name."""
    role = _role(request, pk)
    if reason := roles.why_not_changeable(role, by=request.member):
        raise Refused(reason.code, **reason.params)
    form = RoleForm(request.POST if request.method == "POST" else None, by=request.member, role=role)
    back = here(request, "member_roles")
    if request.method == "POST" and form.is_valid():
        try:
            changed = roles.change(actor(request), request.workspace, pk, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("The role “%(role)s” was changed.") % {"role": changed})
            return go(request, back)
    return ask(
        request,
        title=_("Change the role “%(role)s”") % {"role": role},
        text=_("It holds for everybody who has the role, from the next thing that they do."),
        verb=_("Save role"),
        back=back,
        form=form,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_MEMBERS)
def delete(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Delete a role that nobody has, after a question."""
    role = _role(request, pk)
    back = here(request, "member_roles")
    if request.method == "POST":
        roles.delete(actor(request), request.workspace, pk)
        messages.success(request, _("The role “%(role)s” was deleted.") % {"role": role})
        return go(request, back)
    return ask(
        request,
        title=_("Delete the role “%(role)s”?") % {"role": role},
        text=_("Nobody has it. The audit trail keeps what it allowed."),
        verb=_("Delete role"),
        back=back,
        irreversible=True,
    )


def _role(request: ConsoleRequest, pk: int) -> WorkspaceRole:
    role = WorkspaceRole.objects.filter(workspace=request.workspace, pk=pk).first()
    if role is None:
        raise NotFound("role.unknown", role=pk)
    return role
