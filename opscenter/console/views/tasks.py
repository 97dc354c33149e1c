"""Auto triggered tasks: the list, a task's page, and running one now."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.console import live, matching, paging, parameter_parts, receipt_parts
from opscenter.console.access import ConsoleRequest, here, in_workspace, is_partial, why_not
from opscenter.console.cron_words import in_words
from opscenter.console.filters import TaskFilters, latest_bizdate, query_string
from opscenter.console.instance_rows import rows_of
from opscenter.console.operation_parts import batch_buttons, buttons
from opscenter.console.operation_rows import freezes_of, history_of, open_operation
from opscenter.console.run_parts import run_why_not
from opscenter.engine.generate import isolated_on
from opscenter.operations.permits import missing
from opscenter.production import listings, parameter_values, selectors
from opscenter.production.models import Environment, Task
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.workspaces.roles import Permission

ORDER = paging.Order(number="number")
LATEST_SHOWN = 8
VIEWS = ("overview", "history", "code", "versions")
VERSIONS_SHOWN = 100


@in_workspace
@require_safe
def task_list(request: ConsoleRequest) -> HttpResponse:
    """The auto triggered tasks of the environment."""
    return listing(request, Task.Trigger.SCHEDULER)


def listing(request: ConsoleRequest, trigger: Task.Trigger, **frame: Any) -> HttpResponse:
    """The tasks of the environment that are triggered in this way.

    Args:
        frame: more for the template; ``actions`` stand in the batch bar before the operations.
    """
    filters = TaskFilters(request.GET, request.user, request.workspace, request.environment, trigger)
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in ("before", "after")}
    context: dict[str, Any] = {
        "filters": filters,
        "is_narrowed": bool(kept),
        "clear_url": request.path,
        "import_url": here(request, "workflow_import"),
        "import_why_not": why_not(request, Permission.DEVELOP),
        "is_manual": trigger == Task.Trigger.MANUAL,
        **frame,
    }
    if not filters.is_valid():
        return live.whole(request, "console/tasks/list.html", context, status=422)
    found = listings.tasks(request.user, request.workspace, request.environment, filters.wanted())
    page = paging.page(found, ORDER, request.GET)
    freezes = freezes_of(request, page.rows)
    rows = [
        {"task": one, "owner": str(one.owner), "schedule": _schedule(one), "freeze": freezes.get(one.pk)}
        for one in page.rows
    ]
    context |= {
        "actions": [*frame.get("actions", ()), *batch_buttons(request, "task"), *_run_buttons(request, trigger)],
        "matching": matching.fields(request),
        "zone": request.workspace.tenant.time_zone,
    }
    return live.whole(request, "console/tasks/list.html", {**context, "page": page, "rows": rows})


@in_workspace
@require_safe
def task(request: ConsoleRequest, number: int) -> HttpResponse:
    """One task: its properties and neighbours, what was done to it, its code, or its versions.

    While extensions are asked about it the page keeps itself up to date, by ``live``.
    """
    view = request.GET.get("view", VIEWS[0])
    if view not in VIEWS:
        raise Http404
    found = task_of(request, number)
    asked = {name: request.GET[name] for name in ("view", "version") if name in request.GET}
    waiting = open_operation(request, found)
    context = {
        "task": found,
        "schedule": _schedule(found),
        "view": view,
        "part": f"console/tasks/{view}.html",
        "tabs": _tabs(view),
        **_way_to_run(request, found),
        "backfill_url": here(request, "backfill_new") + query_string({"tasks": number}),
        "actions": buttons(request, found),
        "freeze": freezes_of(request, [found]).get(found.pk),
        "waiting": waiting,
        "poll_url": request.path + query_string({**asked, "live": "1"}),
        "every": 1 if waiting else None,
        "zone": request.workspace.tenant.time_zone,
        **_PARTS[view](request, found),
    }
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/tasks/live.html", context)
    return live.whole(request, "console/tasks/page.html", context)


def task_of(request: ConsoleRequest, number: int) -> Task:
    """The task with this number, if the reader may see it; else 404."""
    found = selectors.tasks(request.user, request.workspace, request.environment)
    one = get_object_or_404(found.select_related("version__published_by", "modified_by"), number=number)
    one.workspace = request.workspace
    return one


def _schedule(found: Task) -> dict[str, str]:
    text = found.version.cron if found.version is not None else ""
    return {"words": in_words(text), "cron": text} if text else {}


def task_crumb(request: ConsoleRequest, found: Task) -> tuple[str, str]:
    """The list that the task is in."""
    if found.trigger == Task.Trigger.MANUAL:
        return _("Manual tasks"), here(request, "manual_task_list")
    return pgettext("navigation", "Tasks"), here(request, "task_list")


def _run_buttons(request: ConsoleRequest, trigger: Task.Trigger) -> list[dict[str, Any]]:
    """Of the batch bar of scheduled tasks: runs of them besides the schedule."""
    if trigger == Task.Trigger.MANUAL:
        return []
    may = request.member.may(Permission.TEST_TASK, own=True)
    refusal = "" if may else say("permission.missing", missing(Permission.TEST_TASK, request.member))
    ways = [
        (_("Run now"), "flask-conical", "", "task_run_many"),
        (_("Backfill"), "rewind", "b", "backfill_new"),  # its dialog is a page of its own
    ]
    return [
        {"label": label, "icon": icon, "key": key, "url": here(request, view), "why_not": refusal}
        for label, icon, key, view in ways
    ]


def _way_to_run(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    """The list that the task is in, and the button that runs it."""
    is_manual = found.trigger == Task.Trigger.MANUAL
    manually = here(request, "manual_task_run") + query_string({"id": [found.pk]})
    return {
        "crumbs": [task_crumb(request, found)],
        "run_label": _("Run") if is_manual else _("Run now"),
        "run_url": manually if is_manual else here(request, "task_run", number=found.number),
        "run_why_not": run_why_not(request, found),
    }


def _tabs(view: str) -> list[dict[str, Any]]:
    labels = {"overview": _("Overview"), "history": _("History"), "code": _("Code"), "versions": _("Versions")}
    return [
        {"label": label, "url": "?" if code == VIEWS[0] else f"?view={code}", "active": code == view, "count": None}
        for code, label in labels.items()
    ]


def _overview(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    instances = list(
        selectors.instances(request.user, request.workspace, request.environment)
        .filter(task=found)
        .order_by("-scheduled_at", "-pk")[:LATEST_SHOWN]
    )
    of_mine = Task.objects.visible_to(request.user)
    values = parameter_values.planned(
        found,
        latest_bizdate(clock.now(), request.workspace.tenant.time_zone),
        parameter_values.first_time_of_day(found),
    )
    online = Task.Status.ONLINE
    return {
        "parameters": parameter_parts.table(parameter_values.of_task(found, values)),
        "parameters_for": values,
        "try_url": here(request, "parameter_try") + query_string({"task": found.number, "bizdate": values.bizdate}),
        "isolated": _isolated(found),
        "outputs": found.outputs.order_by("name"),
        "upstream": _linked(request, of_mine, Task.objects.filter(dependents__task=found)),
        "downstream": _linked(request, of_mine, Task.objects.filter(dependencies__upstream=found, status=online)),
        "rows": rows_of(instances, request.workspace.tenant.time_zone),
        "instances_url": _instances_url(request, found),
        "is_trigger": found.type is HTTP_TRIGGER,
        "receipts": receipt_parts.of_task(request, found) if found.type is HTTP_TRIGGER else [],
        "calls_url": here(request, "trigger_call_list") + query_string({"q": found.number}),
    }


def _isolated(found: Task) -> str:
    day = isolated_on(found)
    if day is None:
        return ""
    return _("It has no instances on %(day)s: none of the tasks that it depends on has any.") % {"day": day}


def _instances_url(request: ConsoleRequest, found: Task) -> str:
    if found.trigger == Task.Trigger.MANUAL:
        return here(request, "manual_instance_list") + query_string({"task": found.number})
    if found.environment == Environment.DEV:  # nothing is scheduled there
        return here(request, "test_instance_list") + query_string({"task": found.number})
    return here(request, "instance_list") + query_string({"bizdate": "all", "task": found.number})


def _linked(request: ConsoleRequest, visible: Any, tasks: Any) -> list[dict[str, Any]]:
    """Neighbouring tasks; one of a workspace that is not the reader's is told by name alone."""
    found = list(tasks.select_related("workspace").distinct().order_by("name", "number")[:200])
    known = set(visible.filter(pk__in=[one.pk for one in found]).values_list("pk", flat=True))
    return [
        {"task": one, "is_known": one.pk in known, "is_here": one.workspace_id == request.workspace.pk} for one in found
    ]


def _history(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    return {"entries": history_of(request, found)}


def _code(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    asked = request.GET.get("version", "")
    if not asked:
        return {"version": found.version}
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise Http404
    return {"version": get_object_or_404(found.versions.select_related("published_by"), number=int(asked))}


def _versions(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    versions = found.versions.select_related("published_by").defer("content").order_by("-number")[:VERSIONS_SHOWN]
    return {"versions": [{"version": one, "words": in_words(one.cron)} for one in versions]}


_PARTS = {"overview": _overview, "history": _history, "code": _code, "versions": _versions}
