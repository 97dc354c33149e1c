"""“All that match”: what a list's filters find, as the object of an operation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import Invalid, sentence
from opscenter.console.access import ConsoleRequest
from opscenter.console.filters import ALL_DATES, InstanceFilters, TaskFilters, query_string
from opscenter.operations import bulk
from opscenter.operations.jobs import MOST
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, OperationSpec
from opscenter.production import listings, selectors
from opscenter.production.models import Task, WorkflowInstance

INSTANCE_LISTS = {
    "instance_list": (WorkflowInstance.Type.NORMAL,),
    "test_instance_list": (WorkflowInstance.Type.SMOKE_TEST,),
    "backfill_instance_list": (WorkflowInstance.Type.BACKFILL,),
    "manual_instance_list": (WorkflowInstance.Type.MANUAL, WorkflowInstance.Type.MANUAL_WORKFLOW),
}
"""Lists of instances, by the name of their address, and the kinds of run that they show."""
TASK_LISTS = {"task_list": Task.Trigger.SCHEDULER, "manual_task_list": Task.Trigger.MANUAL}
"""Lists of tasks, and how those are triggered."""
_PAGING = ("before", "after", "shown")


@dataclass(frozen=True)
class Matching:
    """What an operation is done to, found when it is done.

    Attributes:
        found: the objects, as far as the asker may see them.
        asked: how they were chosen, kept with the operation.
        hidden: fields of a form that asks for the same again.
    """

    found: "QuerySet[Any]"
    asked: dict[str, Any]
    hidden: list[tuple[str, str]]

    def count(self) -> int:
        """How many there are now; no more than one over the most that are allowed is counted."""
        return self.found.order_by().values("pk")[: bulk.LARGEST + 1].count()

    def able(self, spec: OperationSpec) -> int | None:
        """How many are in a state that allows it; None where states alone do not tell."""
        if spec.object_type != "instance" or not spec.states:
            return None
        able = self.found.filter(state__in=spec.states)
        return (able if spec.frozen is None else able.filter(frozen=spec.frozen)).order_by().count()


def fields(request: ConsoleRequest, bizdate: str | None = None) -> dict[str, str]:
    """What a list's form carries so that all that match can be chosen.

    Args:
        bizdate: the date that the list shows where its address names none.
    """
    match = request.resolver_match
    assert match is not None and match.url_name is not None
    query: dict[str, Any] = {name: request.GET.getlist(name) for name in request.GET if name not in _PAGING}
    query = query if bizdate is None else {"bizdate": [bizdate], **query}
    return {"list": match.url_name, "filter": query_string(query).removeprefix("?")}


def chosen(request: ConsoleRequest, spec: OperationSpec) -> Matching | None:
    """What the request chose by a filter, or as the rest of a large operation; None when it names objects one by one.

    Raises:
        Invalid: the filters cannot be read.
        Http404: no such list, or no such operation.
    """
    values = request.POST if request.method == "POST" else request.GET
    if values.get("all") == "1":
        if not spec.on_all:
            raise Invalid("matching.not_for_all", operation=spec.code)
        return _filtered(request, spec, values.get("list", ""), values.get("filter", ""))
    again = values.get("again", "")
    if not again:
        return None
    if not (again.isascii() and again.isdigit() and len(again) < 19):
        raise Http404
    same = Operation.objects.filter(workspace=request.workspace, environment=request.environment, code=spec.code)
    left = bulk.left_by(get_object_or_404(same, pk=int(again)))
    if left.count() <= MOST:
        return None
    everything = (selectors.tasks if spec.object_type == "task" else selectors.instances)(*_place(request))
    found = everything.filter(pk__in=left.values("object_id"))
    return Matching(found, {"again": int(again)}, [("again", again)])


def _place(request: ConsoleRequest) -> tuple[Any, Any, str]:
    return request.user, request.workspace, request.environment


def _filtered(request: ConsoleRequest, spec: OperationSpec, view: str, text: str) -> Matching:
    query = QueryDict(text)
    found: QuerySet[Any]
    if view in TASK_LISTS and spec.object_type == "task":
        tasks = TaskFilters(query, *_place(request), TASK_LISTS[view])
        found = listings.tasks(*_place(request), _valid(tasks).wanted())
    elif view in INSTANCE_LISTS and spec.object_type == "instance":
        instances = InstanceFilters(query, *_place(request), default_bizdate=None)
        found = listings.instances(*_place(request), INSTANCE_LISTS[view], _valid(instances).wanted())
    else:
        raise Http404
    return Matching(
        found,
        {"list": view, "filter": text},
        [("all", "1"), ("list", view), ("filter", text)],
    )


def _valid(filters: Any) -> Any:
    if not filters.is_valid():
        raise Invalid(
            "matching.filters", problem=" ".join(str(one) for some in filters.errors.values() for one in some)
        )
    return filters


def shown_bizdate(filters: InstanceFilters) -> str | None:
    """The business date a list shows, for an address that names none."""
    value = filters["bizdate"].value()
    return ALL_DATES if filters.is_all_dates else str(value) if value else None


def words(spec: OperationSpec, count: int, able: int | None) -> str:
    """How many match, and how many of them allow it as things are."""
    text = ngettext(
        "%(n)s object matches now. Those that match when you confirm are done by a worker in the background; the "
        "operation's page shows how far it is, and each one's result.",
        "%(n)s objects match now. Those that match when you confirm are done by a worker in the background; the "
        "operation's page shows how far it is, and each one's result.",
        count,
    ) % {"n": count}
    if able is None or able == count:
        return text
    more = ngettext(
        "%(n)s of them is in a state that allows it; the others stay as they are.",
        "%(n)s of them are in a state that allows it; the others stay as they are.",
        able,
    ) % {"n": able}
    return f"{text} {more}"


@sentence("matching.not_for_all")
def _not_for_all(params: Mapping[str, Any]) -> str:
    return _("“%(operation)s” is asked for the instances that you select, not for all that match. Select them.") % {
        "operation": OPERATIONS[params["operation"]].name
    }


@sentence("operation.no_ids")
def _no_ids(params: Mapping[str, Any]) -> str:
    return _("These are no ids. Ask for the operation once more.")


@sentence("matching.filters")
def _filters(params: Mapping[str, Any]) -> str:
    return str(params["problem"])
