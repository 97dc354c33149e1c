"""Manually triggered tasks and workflows: the lists, and running them for a business date."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, Refused, say
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted, why_not
from opscenter.console.filters import latest_bizdate, query_string
from opscenter.console.questions import ask, back_url
from opscenter.console.run_forms import ManualRunForm
from opscenter.console.views.tasks import listing
from opscenter.operations import manual_run
from opscenter.operations.permits import missing
from opscenter.production import selectors
from opscenter.production.models import ProductionWorkflow, Task, WorkflowInstance
from opscenter.workspaces.roles import Permission


@in_workspace
@require_safe
def task_list(request: ConsoleRequest) -> HttpResponse:
    """The manually triggered tasks of the environment."""
    may = request.member.may(Permission.TEST_TASK, own=True)
    run = {
        "label": _("Run"),
        "icon": "play",
        "key": "",
        "url": here(request, "manual_task_run"),
        "why_not": "" if may else say("permission.missing", missing(Permission.TEST_TASK, request.member)),
    }
    return listing(request, Task.Trigger.MANUAL, tabs=_tabs(request, "tasks"), actions=[run])


@in_workspace
@require_safe
def workflow_list(request: ConsoleRequest) -> HttpResponse:
    """The workflows of manually triggered tasks, each with its latest run."""
    found = _workflows(request).select_related("owner").order_by("name", "pk")
    runs = WorkflowInstance.objects.in_bulk([one.latest for one in found if one.latest])
    rows = [
        {
            "workflow": one,
            "tasks": one.online,
            "latest": runs.get(one.latest),
            "run_url": here(request, "manual_task_workflow_run", number=one.number),
            "why_not": _why_not(request, one),
            "tasks_url": here(request, "manual_task_list") + query_string({"workflow": one.number}),
            "instances_url": here(request, "manual_instance_list") + query_string({"workflow": one.number}),
        }
        for one in found
    ]
    context = {
        "rows": rows,
        "tabs": _tabs(request, "workflows"),
        "import_url": here(request, "workflow_import"),
        "import_why_not": why_not(request, Permission.DEVELOP),
    }
    return live.whole(request, "console/manual/workflows.html", context)


def _workflows(request: ConsoleRequest) -> "QuerySet[Any]":
    """Those of the environment with a manually triggered task online; ``latest`` is the id of the latest run."""
    of_manual = Q(tasks__trigger=Task.Trigger.MANUAL, tasks__status=Task.Status.ONLINE)
    runs = Q(workflowinstance__type=WorkflowInstance.Type.MANUAL_WORKFLOW)
    return ProductionWorkflow.objects.filter(
        of_manual, workspace=request.workspace, environment=request.environment
    ).annotate(online=Count("tasks", filter=of_manual, distinct=True), latest=Max("workflowinstance", filter=runs))


def _why_not(request: ConsoleRequest, workflow: ProductionWorkflow) -> str:
    """Who may run only what they own may run a workflow whose tasks are all theirs."""
    others = workflow.tasks.filter(status=Task.Status.ONLINE).exclude(owner=request.user)
    own = not request.member.may(Permission.TEST_TASK) and not others.exists()
    return (
        ""
        if request.member.may(Permission.TEST_TASK, own=own)
        else say("permission.missing", missing(Permission.TEST_TASK, request.member))
    )


def _tabs(request: ConsoleRequest, view: str) -> list[dict[str, Any]]:
    pages = {"tasks": (_("Tasks"), "manual_task_list"), "workflows": (_("Workflows"), "manual_task_workflows")}
    return [
        {"label": label, "url": here(request, name), "active": code == view, "count": None}
        for code, (label, name) in pages.items()
    ]


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def run_tasks(request: ConsoleRequest) -> HttpResponse:
    """Ask for a business date, and run the tasks ``id`` in one run."""
    texts = (request.POST if request.method == "POST" else request.GET).getlist("id")
    if (
        not texts
        or len(texts) > 1000
        or not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts)
    ):
        raise Invalid("operation.count_task", most=1000, given=len(texts))
    found = selectors.tasks(request.user, request.workspace, request.environment)
    tasks = list(
        found.filter(pk__in=[int(text) for text in texts]).select_related("workspace__tenant").order_by("name")
    )
    if not tasks:
        raise Invalid("manual_run.tasks")
    names = [{"name": task.name, "note": str(task.number)} for task in tasks]
    title = (
        _("Run %(task)s?") % {"task": tasks[0].name} if len(tasks) == 1 else _("Run %(n)s tasks?") % {"n": len(tasks)}
    )
    context = {
        "title": title,
        "text": _(
            "One run with an instance of each is made and starts at once. Tasks of one workflow run in its order; the "
            "business date gives the scheduling parameters their values."
        ),
        "names": names if len(tasks) > 1 else [],
        "ids": [task.pk for task in tasks],
    }
    return _run(request, context, lambda values: manual_run.run_tasks(actor(request), tasks, **values))


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def run_workflow(request: ConsoleRequest, number: int) -> HttpResponse:
    """Ask for a business date, and run a whole workflow."""
    found: ProductionWorkflow = get_object_or_404(_workflows(request), number=number)
    context = {
        "title": _("Run %(workflow)s?") % {"workflow": found.name},
        "text": _(
            "One run of all its tasks is made and starts at once, in the order of the workflow. The business date gives the "
            "scheduling parameters their values."
        ),
    }
    return _run(request, context, lambda values: manual_run.run_workflow(actor(request), found, **values))


def _run(
    request: ConsoleRequest, context: dict[str, Any], run: Callable[[dict[str, Any]], WorkflowInstance]
) -> HttpResponse:
    """The question, and what was asked for; leads to the instances of the run."""
    bizdate = latest_bizdate(clock.now(), request.workspace.tenant.time_zone)
    form = ManualRunForm(request.POST) if request.method == "POST" else ManualRunForm(initial={"bizdate": bizdate})
    if request.method == "POST" and form.is_valid():
        try:
            family = run({name: form.cleaned_data[name] for name in ("bizdate", "parameters", "comment")})
        except Forbidden:
            raise
        except Refused as error:
            form.add_error("parameters" if error.reason.params.get("field") == "parameters" else None, str(error))
        else:
            messages.success(request, _("%(task)s was started.") % {"task": family.name})
            return go(request, here(request, "manual_instance_list") + query_string({"run": family.pk}))
    asked = (request.POST if request.method == "POST" else request.GET).get("next", "")
    back = back_url(request, asked)
    return ask(request, context | {"verb": _("Run"), "form": form, "back": back, "action_url": request.path})
