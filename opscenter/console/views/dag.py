"""The DAG of a task and of an instance: its neighbours around it, and theirs as far as one asks."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from opscenter.console import dag_parts, instance_parts, live
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial
from opscenter.console.filters import query_string
from opscenter.console.instance_rows import is_live
from opscenter.console.views.tasks import task_crumb
from opscenter.production import graph, selectors
from opscenter.production.models import Task, TaskInstance


@in_workspace
@require_safe
def task_dag(request: ConsoleRequest, number: int) -> HttpResponse:
    """What a task waits for and what waits for it."""
    found = get_object_or_404(selectors.tasks(request.user, request.workspace, request.environment), number=number)
    crumbs = [task_crumb(request, found), (found.name, here(request, "task", number=number))]
    return _answer(request, found, found.name, crumbs)


@in_workspace
@require_safe
def instance_dag(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The same of an instance; its states keep themselves up to date."""
    found = get_object_or_404(selectors.instances(request.user, request.workspace, request.environment), pk=pk)
    crumbs = [
        *instance_parts.crumbs(request, found, instance_parts.backfill_of(found)),
        (found.task.name, here(request, "instance", pk=pk)),
    ]
    return _answer(request, found, found.task.name, crumbs)


def _answer(request: ConsoleRequest, centre: Task | TaskInstance, name: str, crumbs: list[Any]) -> HttpResponse:
    asked = dag_parts.wanted(request.GET)
    found = graph.around(request.user, centre, asked)
    context: dict[str, Any] = {
        "name": name,
        "crumbs": crumbs,
        "is_task": isinstance(centre, Task),
        "up_url": dag_parts.address(asked, up=asked.up + 1) if found.has_more_up else "",
        "down_url": dag_parts.address(asked, down=asked.down + 1) if found.has_more_down else "",
        "reset_url": request.path if request.GET.keys() - {"live"} else "",
        **dag_parts.drawing(request, found, asked),
    }
    if isinstance(centre, TaskInstance):
        context["every"] = live.QUICK if is_live(list(found.nodes.values())) else live.SLOW
        context["poll_url"] = request.path + query_string(
            {name: request.GET.getlist(name) for name in ("up", "down", "parents", "children") if name in request.GET}
            | {"live": "1"}
        )
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/dag/graph.html", context)
    return live.whole(request, "console/dag/page.html", context)
