"""Auto triggered tasks: the list, a task's page, and running one now."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from opscenter.base import clock
from opscenter.base.reasons import Invalid, say
from opscenter.console import live, matching, paging, parameter_parts
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted
from opscenter.console.cron_words import in_words
from opscenter.console.filters import TaskFilters, latest_bizdate, query_string
from opscenter.console.instance_rows import rows_of
from opscenter.console.operation_parts import batch_buttons, buttons
from opscenter.console.operation_rows import freezes_of, history_of, open_operation
from opscenter.console.override_forms import AssignmentsField
from opscenter.console.questions import CommentForm, ask
from opscenter.engine.generate import isolated_on
from opscenter.operations import smoke_test
from opscenter.operations.permits import missing
from opscenter.production import listings, parameter_values, selectors
from opscenter.production.models import Environment, Task
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
        "actions": [*frame.get("actions", ()), *batch_buttons(request, "task"), *_backfill_button(request, trigger)],
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
    found = _task(request, number)
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


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def run_now(request: ConsoleRequest, number: int) -> HttpResponse:
    """Ask for a business date and a time, and run the task at once; leads to the new instance."""
    found = _task(request, number)
    form = RunForm(request.POST) if request.method == "POST" else RunForm(initial=_defaults(request, found))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            family = smoke_test.run_now(
                actor(request),
                found,
                bizdate=data["bizdate"],
                at=data["at"],
                parameters={"tasks": {str(number): data["parameters"]}},
                comment=data["comment"],
            )
        except Invalid as error:
            form.add_error(error.reason.params.get("field", "bizdate"), str(error))
        else:
            messages.success(request, _("%(task)s was started.") % {"task": found.name})
            return go(request, here(request, "instance", pk=family.task_instances.get().pk))
    context = {
        "title": _("Run %(task)s now?") % {"task": found.name},
        "text": _(
            "One test instance is made and starts at once; it waits for no upstream, and nothing waits for it. The "
            "business date and the time give the scheduling parameters their values."
        ),
        "notice": _("It does real work: whatever the code writes, it writes.") if found.type.has_code else "",
        "verb": _("Run now"),
        "form": form,
        "back": here(request, "task", number=number),
        "action_url": request.path,
    }
    return ask(request, context)


class RunForm(CommentForm):
    """For when to pretend that the task runs."""

    bizdate = forms.DateField(
        label=gettext_lazy("Business date"),
        input_formats=["%Y-%m-%d"],
        validators=[MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2199, 12, 31))],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text=gettext_lazy("The day whose data the run is for; the scheduled day is the day after."),
    )
    at = forms.TimeField(
        label=gettext_lazy("Scheduled time of day"),
        widget=forms.TimeInput(format="%H:%M:%S", attrs={"type": "time", "step": "1"}),
        help_text=gettext_lazy("It is not waited for."),
    )
    parameters = AssignmentsField(
        gettext_lazy("Of this run alone, before those that are deployed: name=value other='two words'")
    )
    field_order = ("bizdate", "at", "parameters", "comment")


def _task(request: ConsoleRequest, number: int) -> Task:
    found = selectors.tasks(request.user, request.workspace, request.environment)
    one = get_object_or_404(found.select_related("version__published_by", "modified_by"), number=number)
    one.workspace = request.workspace
    return one


def _defaults(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    """Yesterday, and the first time of day of the task's schedule."""
    bizdate = latest_bizdate(clock.now(), request.workspace.tenant.time_zone)
    return {"bizdate": bizdate, "at": parameter_values.first_time_of_day(found).isoformat()}


def _schedule(found: Task) -> dict[str, str]:
    text = found.version.cron if found.version is not None else ""
    return {"words": in_words(text), "cron": text} if text else {}


def _run_why_not(request: ConsoleRequest, found: Task) -> str:
    if not request.member.may(Permission.TEST_TASK, own=found.owner_id == request.user.pk):
        return say("permission.missing", missing(Permission.TEST_TASK, request.member))
    if found.status != Task.Status.ONLINE:
        return say("task.offline", {"task": found.name})
    return ""


def task_crumb(request: ConsoleRequest, found: Task) -> tuple[str, str]:
    """The list that the task is in."""
    if found.trigger == Task.Trigger.MANUAL:
        return _("Manual tasks"), here(request, "manual_task_list")
    return _("Tasks"), here(request, "task_list")


def _backfill_button(request: ConsoleRequest, trigger: Task.Trigger) -> list[dict[str, Any]]:
    """Of the batch bar of scheduled tasks; it leads to the dialog, which is a page of its own."""
    if trigger == Task.Trigger.MANUAL:
        return []
    may = request.member.may(Permission.TEST_TASK, own=True)
    return [
        {
            "label": _("Backfill"),
            "icon": "rewind",
            "key": "b",
            "url": here(request, "backfill_new"),
            "why_not": "" if may else say("permission.missing", missing(Permission.TEST_TASK, request.member)),
        }
    ]


def _way_to_run(request: ConsoleRequest, found: Task) -> dict[str, Any]:
    """The list that the task is in, and the button that runs it."""
    is_manual = found.trigger == Task.Trigger.MANUAL
    manually = here(request, "manual_task_run") + query_string({"id": [found.pk]})
    return {
        "crumbs": [task_crumb(request, found)],
        "run_label": _("Run") if is_manual else _("Run now"),
        "run_url": manually if is_manual else here(request, "task_run", number=found.number),
        "run_why_not": _run_why_not(request, found),
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
