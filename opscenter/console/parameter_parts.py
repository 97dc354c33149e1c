"""The parts of pages that show parameters, as plain values for their templates."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Reason, say
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.drafts import Finding
from opscenter.console.parameter_forms import TryForm
from opscenter.production import parameter_values, selectors
from opscenter.production.models import Task
from opscenter.production.names import LEVELS
from opscenter.production.parameter_values import Parameters, first_time_of_day, planned
from opscenter.production.rules import preview

TASKS_LISTED = 500
USES_SHOWN = 20


def tabs(request: ConsoleRequest, view: str) -> list[dict[str, Any]]:
    """The two pages of parameters."""
    labels = {"parameter_list": _("Shared parameters"), "parameter_try": _("Try an expression")}
    return [
        {"label": label, "url": here(request, name), "active": name == view, "count": None}
        for name, label in labels.items()
    ]


def table(found: Parameters) -> dict[str, Any]:
    """Parameters as rows of a table: name, expression, value or error, level, and what it hides."""
    rows = [
        {
            "name": one.parameter.name,
            "expression": one.parameter.expression,
            "value": one.value,
            "error": _say(one.error),
            "level": LEVELS[one.parameter.level],
            "is_own": one.parameter.level.value == "node",
            "hides": [(LEVELS[level], expression) for level, expression in one.parameter.hides],
        }
        for one in found.rows
    ]
    return {"rows": rows, "is_pinned": found.is_pinned, "error": _say(found.error)}


def _say(reason: Reason | None) -> str:
    return "" if reason is None else say(reason.code, reason.params)


def uses(request: ConsoleRequest, tasks: Sequence[Task]) -> list[Finding]:
    """Tasks that use a parameter; of other workspaces only how many."""
    mine = [task for task in tasks if task.workspace_id == request.workspace.pk]
    found = [
        Finding(f"{task.name} ({task.number})", str(task.get_environment_display()), _("Its code uses the parameter."))
        for task in mine[:USES_SHOWN]
    ]
    if rest := len(tasks) - len(found):
        found.append(Finding("", _("Tasks"), _("Further tasks whose code uses it: %(n)s.") % {"n": rest}))
    return found


def answers(request: ConsoleRequest, form: TryForm) -> dict[str, Any]:
    """What the form's expressions give; of a form that was not sent yet, what it starts with."""
    values = form.initial
    if form.is_bound:
        if not form.is_valid():
            return {"answers": [], "built_ins": [], "context": None}
        values = form.cleaned_data
    task = _task(request, form, values.get("task"))
    if form.errors:
        return {"answers": [], "built_ins": [], "context": None}
    return _evaluated(values["text"], task, values["bizdate"], values.get("at"))


def _evaluated(text: str, task: Task | None, bizdate: date, at: time | None) -> dict[str, Any]:
    context = planned(task, bizdate, at or first_time_of_day(task))
    return {
        "context": context,
        "scheduled": datetime.isoformat(context.scheduled_local, " "),
        "answers": [{"answer": one, "error": _say(one.error)} for one in preview.preview(text, context)],
        "built_ins": preview.built_ins(context),
        "chosen": task,
        "of_task": table(parameter_values.of_task(task, context)) if task is not None else None,
    }


def _task(request: ConsoleRequest, form: TryForm, number: int | None) -> Task | None:
    if number is None:
        return None
    found = selectors.tasks(request.user, request.workspace, request.environment).select_related("workspace__tenant")
    task = found.filter(number=number).first()
    if task is None:
        form.add_error("task", _("This environment has no task %(number)s.") % {"number": number})
    return task


def tasks(request: ConsoleRequest) -> list[tuple[int, str]]:
    """Numbers and names to choose from."""
    found = selectors.tasks(request.user, request.workspace, request.environment).filter(is_root=False)
    return list(found.order_by("name", "number").values_list("number", "name")[:TASKS_LISTED])
