"""The audit trail: who did what, when, through which door."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch
from django.utils.functional import Promise
from django.views.decorators.http import require_GET

from opscenter.console.access import ConsoleRequest, here, in_workspace, permitted
from opscenter.console.filters import midnight
from opscenter.console.forms import AuditFilterForm
from opscenter.console.paging import Order, page
from opscenter.operations.actions import ACTIONS
from opscenter.workspaces.models import AuditEntry
from opscenter.workspaces.roles import Permission

WHOLE_TENANT = "tenant"


@dataclass(frozen=True)
class Row:
    """An entry in words."""

    entry: AuditEntry
    action: Promise | str
    details: str
    object_url: str
    object_query: str


@require_GET
@in_workspace
@permitted(Permission.VIEW_AUDIT)
def show_list(request: ConsoleRequest) -> HttpResponse:
    """The workspace's entries; for the tenant's administrators also those that belong to no workspace."""
    form = AuditFilterForm(
        request.GET, actions=sorted(((code, str(action.name)) for code, action in ACTIONS.items()), key=lambda x: x[1])
    )
    is_valid = form.is_valid()
    of_tenant = request.GET.get("scope") == WHOLE_TENANT and request.user.is_tenant_admin
    entries = _entries(request, of_tenant)
    entries = _filtered(entries, request, form.cleaned_data)
    shown = page(entries, Order(), request.GET)
    context = {
        "form": form,
        "page": shown,
        "rows": [_row(request, entry) for entry in shown.rows],
        "of_tenant": of_tenant,
        "is_filtered": any(request.GET.get(name) for name in ("actor", "object", *form.fields)),
        "actor": request.GET.get("actor", ""),
        "object": request.GET.get("object", ""),
    }
    return render(request, "console/audit/list.html", context, status=200 if is_valid else 422)


def _entries(request: ConsoleRequest, of_tenant: bool) -> "QuerySet[AuditEntry]":
    entries = AuditEntry.objects.select_related("actor")
    if of_tenant:
        return entries.filter(tenant=request.workspace.tenant_id, workspace=None)
    return entries.filter(workspace=request.workspace)


def _filtered(
    entries: "QuerySet[AuditEntry]", request: ConsoleRequest, values: dict[str, Any]
) -> "QuerySet[AuditEntry]":
    """Restricted to what the address asks for; a filter that cannot be read is left out, and said."""
    if actor := _plain(request.GET.get("actor", "")):
        entries = entries.filter(actor__username__istartswith=actor)
    object_type, colon, object_id = _plain(request.GET.get("object", "")).partition(":")
    if colon:
        entries = entries.filter(object_type=object_type, object_id=object_id)
    if values.get("action"):
        entries = entries.filter(action=values["action"])
    if values.get("face"):
        entries = entries.filter(face=values["face"])
    zone = ZoneInfo(request.workspace.tenant.time_zone)
    if values.get("since"):
        entries = entries.filter(at__gte=midnight(values["since"], zone))
    if values.get("until") and values["until"] < dt.date.max:
        entries = entries.filter(at__lt=midnight(values["until"] + dt.timedelta(days=1), zone))
    return entries


def _plain(text: str) -> str:
    return text.replace("\0", "").strip()[:255]


def _row(request: ConsoleRequest, entry: AuditEntry) -> Row:
    action = ACTIONS.get(entry.action)
    return Row(
        entry=entry,
        action=action.name if action else entry.action,
        details=action.details(entry.params) if action else "",
        object_url=_object_url(request, entry),
        object_query=f"{entry.object_type}:{entry.object_id}",
    )


def _object_url(request: ConsoleRequest, entry: AuditEntry) -> str:
    """The page of what it was done to; empty when there is none."""
    number = entry.object_id
    try:
        match entry.object_type:
            case "task":
                return here(request, "task", number=number)
            case "operation":
                return here(request, "operation", pk=number)
            case "extension" if request.member.may(Permission.MANAGE_EXTENSIONS) or request.user.is_tenant_admin:
                return here(request, "extension", code=number)
            case "resource":
                return here(request, "resource", pk=number)
            case "data_source":
                return here(request, "data_source_list")
            case "parameter":
                return here(request, "parameter_list")
            case "workflow":
                return here(request, "workflow", pk=number)
            case "workspace":
                return here(request, "workspace")
            case "user" if entry.workspace_id is not None:
                return here(request, "member_list")
    except NoReverseMatch:
        return ""
    return ""
