"""Running tasks now: one on its page, or several selected ones, as smoke tests."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from opscenter.base import clock
from opscenter.base.reasons import Invalid
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted
from opscenter.console.filters import latest_bizdate
from opscenter.console.questions import ask, back_url
from opscenter.console.run_forms import SmokeTestForm
from opscenter.console.run_parts import run_why_not
from opscenter.console.views.tasks import task_of
from opscenter.operations import smoke_test
from opscenter.production import parameter_values, selectors
from opscenter.production.models import Task
from opscenter.workspaces.roles import Permission


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def run_now(request: ConsoleRequest, number: int) -> HttpResponse:
    """Ask for a business date and a time, and run the task at once; leads to the new instance."""
    found = task_of(request, number)
    form = _form(request, [found])
    if request.method == "POST" and form.is_valid() and (families := _run(request, form, [found])):
        messages.success(request, _("%(task)s was started.") % {"task": found.name})
        return go(request, here(request, "instance", pk=families[0].task_instances.get().pk))
    context = {
        "title": _("Run %(task)s now?") % {"task": found.name},
        "text": _(
            "One test instance is made and starts at once; it waits for no upstream, and nothing waits for it. The "
            "business date and the time give the scheduling parameters their values."
        ),
        "notice": _notice([found]),
        "verb": _("Run now"),
        "form": form,
        "back": here(request, "task", number=number),
        "action_url": request.path,
    }
    return ask(request, context)


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def run_many(request: ConsoleRequest) -> HttpResponse:
    """The same for the tasks ``id``, a test instance of each; those that cannot be run are left out, with the reason."""
    values = request.POST if request.method == "POST" else request.GET
    chosen = _tasks(request, values.getlist("id"))
    left = [{"name": one.name, "why": why} for one in chosen if (why := run_why_not(request, one))]
    able = [one for one in chosen if not run_why_not(request, one)]
    form = _form(request, able)
    back = back_url(request, values.get("next", ""))
    if request.method == "POST" and able and form.is_valid() and (made := _run(request, form, able)):
        words = ngettext("%(n)s test was started.", "%(n)s tests were started.", len(made)) % {"n": len(made)}
        messages.success(request, words)
        return go(request, here(request, "test_instance_list"))
    verb = ngettext("Run %(n)s task now", "Run %(n)s tasks now", len(able)) % {"n": len(able)}
    context = {
        "title": _("%(verb)s?") % {"verb": verb},
        "text": _(
            "A test instance of each is made and starts at once; they wait for no upstream, not for one another, and "
            "nothing waits for them."
        )
        if able
        else _("None of the chosen tasks can be run now."),
        "notice": _notice(able),
        "verb": verb,
        "names": [{"name": one.name, "note": str(one.number)} for one in able],
        "left": left,
        "left_words": ngettext("%(n)s task stays as it is", "%(n)s tasks stay as they are", len(left))
        % {"n": len(left)},
        "ids": [one.pk for one in able],
        "form": form,
        "back": back,
        "action_url": request.path,
    }
    return ask(request, context)


def _tasks(request: ConsoleRequest, texts: Sequence[str]) -> list[Task]:
    ids = {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19}
    if not 0 < len(ids) <= smoke_test.MOST or len(ids) < len(set(texts)):
        raise Invalid("operation.count_task", most=smoke_test.MOST, given=len(texts))
    found = selectors.tasks(request.user, request.workspace, request.environment).filter(pk__in=ids)
    tasks = list(found.select_related("version", "workspace__tenant", "resource_group").order_by("name", "pk"))
    if not tasks:
        raise Invalid("operation.count_task", most=smoke_test.MOST, given=0)
    return tasks


def _form(request: ConsoleRequest, tasks: Sequence[Task]) -> SmokeTestForm:
    """Filled in with yesterday, and the first time of day of a single task's schedule."""
    if request.method == "POST":
        return SmokeTestForm(request.POST)
    bizdate = latest_bizdate(clock.now(), request.workspace.tenant.time_zone)
    at = parameter_values.first_time_of_day(tasks[0]).isoformat() if len(tasks) == 1 else "00:00:00"
    return SmokeTestForm(initial={"bizdate": bizdate, "at": at})


def _run(request: ConsoleRequest, form: SmokeTestForm, tasks: Sequence[Task]) -> list[Any]:
    """The runs that were made; none, with an error in the form, where something in it does not fit the tasks."""
    data = form.cleaned_data
    try:
        return smoke_test.run_all_now(
            actor(request),
            tasks,
            bizdate=data["bizdate"],
            at=data["at"],
            parameters=data["parameters"],
            comment=data["comment"],
        )
    except Invalid as error:
        form.add_error(error.reason.params.get("field", "bizdate"), str(error))
        return []


def _notice(tasks: Sequence[Task]) -> str:
    has_code = any(task.type.has_code for task in tasks)
    return _("It does real work: whatever the code writes, it writes.") if has_code else ""
