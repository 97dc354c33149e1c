"""Parameters that tasks share: the global ones and those of the workspace; and what expressions give."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Invalid
from opscenter.console import parameter_parts as parts
from opscenter.console.access import (
    ConsoleRequest,
    actor,
    go,
    here,
    in_workspace,
    is_partial,
    permitted,
    why_no_tenant_admin,
    why_not,
)
from opscenter.console.dialogs import ask
from opscenter.console.forms import refuse
from opscenter.console.live import as_part
from opscenter.console.parameter_forms import ParameterForm, TryForm
from opscenter.operations import parameters
from opscenter.operations.workspaces import require_tenant_admin
from opscenter.production.parameter_values import shared, users_of
from opscenter.production.rules.levels import Level
from opscenter.workspaces.roles import Permission


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """What all tasks of the tenant, and all of this environment of the workspace, may use."""
    rows = list(shared(request.workspace, request.environment).select_related("modified_by"))
    own = [row for row in rows if row.workspace_id is not None]
    hidden = {row.name for row in own}
    missing = {
        Level.WORKSPACE: why_not(request, Permission.MANAGE_WORKSPACE),
        Level.GLOBAL: why_no_tenant_admin(request),
    }
    found = {Level.WORKSPACE: own, Level.GLOBAL: [row for row in rows if row.workspace_id is None]}
    context = {
        "tabs": parts.tabs(request, "parameter_list"),
        "levels": [
            {
                "code": level.value,
                "rows": [_row(request, level, row, hidden) for row in found[level]],
                "add_url": here(request, "parameter_add" if level is Level.WORKSPACE else "parameter_global_add"),
                "why_not": missing[level],
            }
            for level in (Level.WORKSPACE, Level.GLOBAL)
        ],
    }
    return render(request, "console/parameters/list.html", context)


def _row(request: ConsoleRequest, level: Level, row: Any, hidden: set[str]) -> dict[str, Any]:
    return {
        "parameter": row,
        "is_hidden": level is Level.GLOBAL and row.name in hidden,
        "edit_url": _url(request, level, "edit", row.pk),
        "delete_url": _url(request, level, "delete", row.pk),
    }


def _url(request: ConsoleRequest, level: Level, what: str, pk: int) -> str:
    prefix = "parameter" if level is Level.WORKSPACE else "parameter_global"
    return here(request, f"{prefix}_{what}", pk=pk)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def add(request: ConsoleRequest) -> HttpResponse:
    """A new parameter of the workspace in this environment."""
    return _add(request, Level.WORKSPACE, _("Add a workspace parameter"))


@require_http_methods(["GET", "POST"])
@in_workspace
def global_add(request: ConsoleRequest) -> HttpResponse:
    """A new parameter of the tenant."""
    require_tenant_admin(actor(request))
    return _add(request, Level.GLOBAL, _("Add a global parameter"))


def _add(request: ConsoleRequest, level: Level, title: str) -> HttpResponse:
    form = ParameterForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = parameters.create(actor(request), request.workspace, request.environment, level, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("%(name)s was added.") % {"name": made.name})
            return go(request, here(request, "parameter_list"))
    return _ask(request, form, title=title, verb=_("Add parameter"))


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def edit(request: ConsoleRequest, pk: int) -> HttpResponse:
    """What a parameter of the workspace means."""
    return _edit(request, Level.WORKSPACE, pk)


@require_http_methods(["GET", "POST"])
@in_workspace
def global_edit(request: ConsoleRequest, pk: int) -> HttpResponse:
    """What a global parameter means."""
    require_tenant_admin(actor(request))
    return _edit(request, Level.GLOBAL, pk)


def _edit(request: ConsoleRequest, level: Level, pk: int) -> HttpResponse:
    one = parameters.find(request.workspace, request.environment, level, pk)
    form = ParameterForm(request.POST if request.method == "POST" else None, parameter=one)
    if request.method == "POST" and form.is_valid():
        try:
            parameters.update(actor(request), request.workspace, request.environment, level, pk, **form.cleaned_data)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("%(name)s was changed. Runs that start from now on use it.") % {"name": one})
            return go(request, here(request, "parameter_list"))
    return _ask(request, form, title=_("Change %(name)s") % {"name": one}, verb=_("Save parameter"))


def _ask(request: ConsoleRequest, form: ParameterForm, **words: Any) -> HttpResponse:
    text = _("Everybody in the workspace can read it, and logs may show it: passwords and keys do not belong here.")
    return ask(request, text=text, form=form, back=here(request, "parameter_list"), **words)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_WORKSPACE)
def delete(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Remove a parameter of the workspace, after a question."""
    return _delete(request, Level.WORKSPACE, pk)


@require_http_methods(["GET", "POST"])
@in_workspace
def global_delete(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Remove a global parameter, after a question."""
    require_tenant_admin(actor(request))
    return _delete(request, Level.GLOBAL, pk)


def _delete(request: ConsoleRequest, level: Level, pk: int) -> HttpResponse:
    if request.method == "POST":
        gone = parameters.delete(actor(request), request.workspace, request.environment, level, pk)
        messages.success(request, _("%(name)s was deleted.") % {"name": gone.name})
        return go(request, here(request, "parameter_list"))
    one = parameters.find(request.workspace, request.environment, level, pk)
    return ask(
        request,
        title=_("Delete %(name)s?") % {"name": one},
        text=_("Code that names it is then run as it is written, without a value in its place."),
        names=[{"name": one.name, "note": one.expression}],
        warnings=parts.uses(request, users_of(one)),
        verb=_("Delete parameter"),
        back=here(request, "parameter_list"),
        irreversible=True,
    )


@require_GET
@in_workspace
def try_out(request: ConsoleRequest) -> HttpResponse:
    """What expressions give for a task and a date; with htmx the answers alone, as one types."""
    start = TryForm.start(request.workspace.tenant.time_zone)
    asked = request.GET.copy()
    asked.setdefault("bizdate", str(start["bizdate"]))  # a link may name a task alone
    form = TryForm(asked if request.GET else None, initial=start)
    context = {"form": form, "tabs": parts.tabs(request, "parameter_try"), **parts.answers(request, form)}
    if is_partial(request):
        return as_part(render(request, "console/parameters/answers.html", context))
    context["tasks"] = parts.tasks(request)
    return render(request, "console/parameters/try.html", context, status=422 if form.errors else 200)
