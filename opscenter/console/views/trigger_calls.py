"""The trigger calls of a workspace: every call left a receipt, and all of them are listed here."""

from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from opscenter.console import live, paging, receipt_parts
from opscenter.console.access import ConsoleRequest, here, in_workspace
from opscenter.console.filters import DatedFilters, query_string
from opscenter.production import selectors
from opscenter.production.models import Task, TriggerCommand
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.workspaces.models import Workspace

ORDER = paging.Order()
STRAY = "unknown"
"""Scope of the calls that named no task known to their caller."""
_LONGEST_NUMBER = 18


class CallFilters(DatedFilters):
    """Filters of trigger calls; all of them are in the address."""

    q = forms.CharField(label=gettext_lazy("Task: name or id"), max_length=255, required=False)
    status = forms.ChoiceField(label=gettext_lazy("Status"), required=False)

    def __init__(self, query: QueryDict, workspace: Workspace) -> None:
        super().__init__(query, workspace)
        self.offer("status", _("Any status"), TriggerCommand.Status.choices)
        self.dress()

    def narrowed(self, found: "QuerySet[TriggerCommand]", tasks: "QuerySet[Task]") -> "QuerySet[TriggerCommand]":
        """Calls that fit; the form must be valid.

        Args:
            tasks: among which names are looked up.
        """
        data = self.cleaned_data
        if data["status"]:
            found = found.filter(status=data["status"])
        if text := data["q"]:
            number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None
            named = Q(task_number__in=tasks.filter(name__icontains=text).order_by().values("number"))
            found = found.filter(named if number is None else named | Q(task_number=number))
        return self.between(found, "received_at")


@in_workspace
@require_safe
def call_list(request: ConsoleRequest) -> HttpResponse:
    """The calls to tasks of the environment, the latest first; or those that named no task known to their caller."""
    of_no_task = request.GET.get("scope") == STRAY
    filters = CallFilters(request.GET, request.workspace)
    context: dict[str, Any] = {
        "filters": filters,
        "of_no_task": of_no_task,
        "tabs": _tabs(of_no_task),
        "is_narrowed": any(request.GET.get(name) for name in filters.fields),
        "triggers_url": here(request, "task_list") + query_string({"type": HTTP_TRIGGER.code}),
        "clear_url": f"?scope={STRAY}" if of_no_task else request.path,
    }
    if not filters.is_valid():
        return live.whole(request, "console/trigger_calls/list.html", context, status=422)
    tasks = selectors.tasks(request.user, request.workspace, request.environment)
    found = (
        selectors.stray_receipts(request.user, request.environment)
        if of_no_task
        else selectors.receipts(request.user, request.workspace, request.environment)
    )
    page = paging.page(filters.narrowed(found, tasks), ORDER, request.GET)
    context |= {"page": page, "receipts": receipt_parts.with_tasks(request, page.rows)}
    return live.whole(request, "console/trigger_calls/list.html", context)


def _tabs(of_no_task: bool) -> list[dict[str, Any]]:
    scopes = [(_("This workspace"), "?", False), (_("Unknown tasks"), f"?scope={STRAY}", True)]
    return [
        {"label": label, "url": url, "active": is_stray == of_no_task, "count": None} for label, url, is_stray in scopes
    ]
