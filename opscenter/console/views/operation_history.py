"""The history of operations: what was asked for in an environment, by whom, and what became of it."""

from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from opscenter.console import live, paging
from opscenter.console.access import ConsoleRequest, here, in_workspace, permitted
from opscenter.console.filters import MINE, DatedFilters, people, query_string
from opscenter.console.open_checks import open_checks
from opscenter.console.operation_rows import rows_of
from opscenter.console.operation_words import RUNS, WORDS, name_of
from opscenter.operations.models import Operation, OperationTarget
from opscenter.production.models import Backfill, Task, TaskInstance
from opscenter.workspaces.models import AuditEntry, User, Workspace
from opscenter.workspaces.roles import Permission

ORDER = paging.Order()
_LONGEST_NUMBER = 18


class OperationFilters(DatedFilters):
    """Filters of the history; all of them are in the address."""

    q = forms.CharField(label=gettext_lazy("Object: name or id"), max_length=255, required=False)
    type = forms.ChoiceField(label=gettext_lazy("Operation"), required=False)
    operator = forms.ChoiceField(label=gettext_lazy("Operator"), required=False)
    status = forms.ChoiceField(label=gettext_lazy("Status"), required=False)
    face = forms.ChoiceField(label=gettext_lazy("Through"), required=False)

    def __init__(self, query: QueryDict, user: User, workspace: Workspace) -> None:
        super().__init__(query, workspace)
        self.user = user
        self.offer("type", _("Any operation"), [(code, name_of(code)) for code in (*WORDS, *RUNS)])
        self.offer("operator", _("Any operator"), [(MINE, _("Me")), *_operators(query, workspace)])
        self.offer("status", _("Any status"), Operation.Status.choices)
        self.offer("face", _("Any way"), AuditEntry.Face.choices)
        self.dress()

    def narrowed(self, found: "QuerySet[Operation]") -> "QuerySet[Operation]":
        """Operations that fit everything but the object; the form must be valid."""
        data = self.cleaned_data
        if data["type"]:
            found = found.filter(code=data["type"])
        if data["operator"]:
            uid = self.user.uid if data["operator"] == MINE else int(data["operator"])
            found = found.filter(actor__uid=uid)
        if data["face"]:
            found = found.filter(face=data["face"])
        if data["status"]:
            found = found.filter(status=data["status"])
        return self.between(found, "at")


def _operators(query: QueryDict, workspace: Workspace) -> list[tuple[int, str]]:
    """Members, and who is asked for besides: a row's operator may have left, or not be among those that are shown. Of
    others than operators nobody learns the name."""
    found = people(workspace)
    asked = query.get("operator", "")
    if asked.isascii() and asked.isdigit() and len(asked) <= _LONGEST_NUMBER and int(asked) not in dict(found):
        operated = Operation.objects.filter(actor=OuterRef("pk"), workspace=workspace)
        others = User.objects.filter(Exists(operated), tenant=workspace.tenant_id, uid=int(asked))
        found += [(one.uid, str(one)) for one in others]
    return found


@in_workspace
@permitted(Permission.VIEW_AUDIT)
@require_safe
def operation_list(request: ConsoleRequest) -> HttpResponse:
    """The operations of the environment, the latest first. Index: operation_history."""
    filters = OperationFilters(request.GET, request.user, request.workspace)
    kept = [name for name in request.GET if name not in ("before", "after")]
    context: dict[str, Any] = {
        "filters": filters,
        "is_narrowed": bool(kept),
        "clear_url": request.path,
        "tasks_url": here(request, "task_list"),
        "csv_url": here(request, "operation_history_csv")
        + query_string({name: request.GET.getlist(name) for name in kept}),
    }
    if not filters.is_valid():
        return live.whole(request, "console/operations/list.html", context, status=422)
    page = paging.page(history(request, filters), ORDER, request.GET)
    context |= {"page": page, "rows": rows_of(request, page.rows), "zone": request.workspace.tenant.time_zone}
    return live.whole(request, "console/operations/list.html", context)


def history(request: ConsoleRequest, filters: OperationFilters) -> "QuerySet[Operation]":
    """The operations that the filters ask for; the form must be valid."""
    found = Operation.objects.filter(workspace=request.workspace, environment=request.environment)
    found = filters.narrowed(found.select_related("actor"))
    text = filters.cleaned_data["q"]
    return found.filter(_about(text)) if text else found


def _about(text: str) -> Q:
    """Operations on tasks of this name or id, on their instances, on the instance of this id, on backfills of this name, or
    of this id themselves.

    Asked target by target, the latest operations first: the targets' index, then primary keys.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None
    named = Q(name__icontains=text)
    if number is not None:
        named |= Q(number=number)
    instances = TaskInstance.objects.filter(pk=OuterRef("object_id"))
    of_task = Q(Exists(Task.objects.filter(named, pk=OuterRef("object_id"))))
    of_instance = Q(Exists(instances.filter(task__in=Task.objects.filter(named))))
    about = Q(object_type="task") & of_task | Q(object_type="instance") & of_instance
    jobs = Backfill.objects.filter(name__icontains=text, pk=OuterRef("object_id"))
    about |= Q(object_type="backfill") & Q(Exists(jobs))
    if number is not None:
        about |= Q(object_type="instance", object_id=number)
    found = Q(Exists(OperationTarget.objects.filter(about, operation=OuterRef("pk"))))
    return found | Q(pk=number) if number is not None else found


@in_workspace
@require_safe
def open_list(request: ConsoleRequest) -> HttpResponse:
    """The top bar's list of operations that are being checked, while there are any; and word of those that ended."""
    return open_checks(request)
