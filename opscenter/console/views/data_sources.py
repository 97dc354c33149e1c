"""Databases that SQL nodes name: listed, added, changed, tested, deleted; each environment has its own."""

from typing import Any

from django.contrib import messages
from django.contrib.messages.storage.base import Message
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from opscenter.base.reasons import Invalid, say
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted, why_not
from opscenter.console.data_source_forms import FORMS, DataSourceForm
from opscenter.console.dialogs import ask
from opscenter.console.forms import refuse
from opscenter.engine.data_sources import sqlite_folder
from opscenter.operations import data_sources
from opscenter.production.models import DataSource, Task
from opscenter.workspaces.roles import Permission


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """The data sources of the environment, each with the tasks that run on it; never a password."""
    found = DataSource.objects.filter(workspace=request.workspace, environment=request.environment)
    tasks = data_sources.users(request.workspace, request.environment)
    missing = why_not(request, Permission.MANAGE_DATA_SOURCES)
    sources = found.defer("password").select_related("modified_by").order_by("name")
    context = {
        "rows": [_row(request, source, tasks.get(source.name, []), missing) for source in sources],
        "kinds": [(label, here(request, "data_source_add", kind=kind)) for kind, label in DataSource.Type.choices],
        "why_not": missing,
    }
    return render(request, "console/data_sources/list.html", context)


def _row(request: ConsoleRequest, source: DataSource, tasks: list[Task], missing: str) -> dict[str, Any]:
    in_use = say("data_source.in_use", data_sources.in_use(source, tasks)) if tasks else ""
    return {
        "source": source,
        "tasks": tasks,
        "edit_url": here(request, "data_source_edit", pk=source.pk),
        "test_url": here(request, "data_source_test", pk=source.pk),
        "delete_url": here(request, "data_source_delete", pk=source.pk),
        "delete_why_not": missing or in_use,
    }


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_DATA_SOURCES)
def add(request: ConsoleRequest, kind: str) -> HttpResponse:
    """A new data source."""
    if kind not in FORMS:
        raise Http404
    form = FORMS[kind](request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            source = data_sources.create(
                actor(request), request.workspace, request.environment, type=kind, **form.values()
            )
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("%(name)s was added.") % {"name": source.name})
            return go(request, here(request, "data_source_list"))
    label = DataSource.Type(kind).label
    title = _("Add a data source: %(type)s") % {"type": label}
    return _ask(request, kind, form, title=title, verb=_("Add data source"))


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_DATA_SOURCES)
def edit(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Where a data source leads."""
    source = data_sources.find(request.workspace, request.environment, pk)
    form = FORMS[source.type](request.POST if request.method == "POST" else None, source=source)
    if request.method == "POST" and form.is_valid():
        try:
            data_sources.update(actor(request), request.workspace, request.environment, pk, **form.values())
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _("%(name)s was changed. Runs that start from now on use it.") % {"name": source})
            return go(request, here(request, "data_source_list"))
    return _ask(request, source.type, form, title=_("Change %(name)s") % {"name": source}, verb=_("Save data source"))


def _ask(request: ConsoleRequest, kind: str, form: DataSourceForm, **words: Any) -> HttpResponse:
    text = ""
    if kind == DataSource.Type.SQLITE:
        text = _("The file lies on the workers' host in %(folder)s.") % {"folder": sqlite_folder(request.workspace)}
    return ask(request, text=text, form=form, back=here(request, "data_source_list"), **words)


@require_POST
@in_workspace
@permitted(Permission.MANAGE_DATA_SOURCES)
def test(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Try to connect, and say what answered."""
    source, server = data_sources.test(actor(request), request.workspace, request.environment, pk)
    text = _("%(name)s answers: %(server)s.") % {"name": source.name, "server": server}
    if is_partial(request):
        return render(request, "components/toast.html", {"message": Message(messages.SUCCESS, text)})
    messages.success(request, text)
    return go(request, here(request, "data_source_list"))


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_DATA_SOURCES)
def delete(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Forget a data source, after a question."""
    if request.method == "POST":
        gone = data_sources.delete(actor(request), request.workspace, request.environment, pk)
        messages.success(request, _("%(name)s was deleted.") % {"name": gone.name})
        return go(request, here(request, "data_source_list"))
    source = data_sources.find(request.workspace, request.environment, pk)
    return ask(
        request,
        title=_("Delete %(name)s?") % {"name": source.name},
        text=_("Its password is forgotten. The database itself is not touched."),
        names=[{"name": source.name, "note": source.place}],
        verb=_("Delete data source"),
        back=here(request, "data_source_list"),
        irreversible=True,
    )
