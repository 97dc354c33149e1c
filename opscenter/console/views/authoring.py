"""Drafts: imported from documents, looked at, published."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, say
from opscenter.console import drafts
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted, why_not
from opscenter.console.dialogs import ask
from opscenter.console.drafts import Draft, Finding
from opscenter.console.forms import ImportForm, PublishForm, refuse
from opscenter.console.parameter_forms import WorkflowParametersForm
from opscenter.console.workflow_parameters import of_workflow
from opscenter.operations import drafts as importing
from opscenter.operations import publish as publishing
from opscenter.operations import workflow_parameters
from opscenter.operations.publish_parameters import with_new_parameters, workflow_problems
from opscenter.workspaces.roles import Permission
from workflows.flowspec import BadDocument, Problem
from workflows.models import Node, Workflow

KEPT = 1_000_000
"""Characters of a refused file that come back in the form; a longer one has to be chosen again."""


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.DEVELOP)
def import_document(request: ConsoleRequest) -> HttpResponse:
    """A FlowSpec document becomes drafts; a refused one comes back with all that is wrong with it."""
    if request.method == "GET":
        return render(request, "console/authoring/import.html", {"form": ImportForm()})
    form = ImportForm(request.POST, request.FILES)
    problems: list[Finding] = []
    if form.is_valid():
        text = form.cleaned_data["text"]
        try:
            report = importing.import_document(actor(request), request.workspace, text)
        except BadDocument as error:
            problems = [_place(problem) for problem in error.problems]
        except (Forbidden, NotFound):
            raise
        except Refused as error:
            problems = [Finding("", "", str(error))]
        else:
            return _imported(request, report)
        if len(text) <= KEPT:
            form = ImportForm({"document": text})
    return render(request, "console/authoring/import.html", {"form": form, "problems": problems}, status=422)


def _place(problem: Problem) -> Finding:
    return Finding("", problem.path or _("the whole document"), say(problem.code, problem.params))


def _imported(request: ConsoleRequest, report: importing.ImportReport) -> HttpResponse:
    states = {node.pk: "new" for node in report.created} | {node.pk: "changed" for node in report.updated}
    context = {
        "report": report,
        "rows": [(node, states.get(node.pk, "unchanged")) for node in report.nodes],
        "warnings": [_place(problem) for problem in report.warnings],
        "drafts_url": _url_of(request, report.workflow),
        "import_url": here(request, "workflow_import"),
    }
    return render(request, "console/authoring/imported.html", context)


def _url_of(request: ConsoleRequest, workflow: Workflow | None) -> str:
    if workflow is None:
        return here(request, "workflow_loose_nodes")
    return here(request, "workflow", pk=workflow.pk)


@require_GET
@in_workspace
def workflow_list(request: ConsoleRequest) -> HttpResponse:
    """The draft workflows, and how much of each waits to be published."""
    found = list(drafts.workflows(request.workspace))
    context = {
        "rows": [(workflow, _url_of(request, workflow)) for workflow in found],
        "new_parameters": {workflow.pk for workflow in with_new_parameters(found)},
        "loose": Node.objects.filter(workspace=request.workspace, workflow=None).count(),
        "loose_url": here(request, "workflow_loose_nodes"),
        "import_url": here(request, "workflow_import"),
        "why_not": why_not(request, Permission.DEVELOP),
    }
    return render(request, "console/authoring/workflows.html", context)


@require_GET
@in_workspace
def workflow(request: ConsoleRequest, pk: int) -> HttpResponse:
    """A draft workflow with its nodes."""
    return _drafts_page(request, _workflow(request, pk))


@require_GET
@in_workspace
def loose_nodes(request: ConsoleRequest) -> HttpResponse:
    """The draft nodes that belong to no workflow."""
    return _drafts_page(request, None)


def _drafts_page(request: ConsoleRequest, workflow: Workflow | None) -> HttpResponse:
    rows = drafts.of(request.workspace, workflow)
    publish_url = here(request, "workflow_publish")
    missing = why_not(request, Permission.PUBLISH)
    pending = [draft for draft in rows if draft.state != "published"]
    new_parameters = bool(workflow and with_new_parameters([workflow]))
    query = QueryDict(mutable=True)
    query.setlist("id", [str(draft.node.pk) for draft in pending or rows])  # parameters go with any of the nodes
    context: dict[str, Any] = {
        "workflow": workflow,
        "rows": rows,
        "pending": pending,
        "problems": [
            *(drafts.finding(problem) for problem in workflow_problems([draft.node for draft in rows])),
            *(finding for draft in rows for finding in draft.problems),
        ],
        "warnings": [finding for draft in rows for finding in draft.warnings],
        "publish_url": f"{publish_url}?{query.urlencode()}",
        "new_parameters": new_parameters,
        "why_not_publish": missing
        or ("" if pending or new_parameters else _("Everything here is published as it is.")),
        "actions": [{"label": _("Publish"), "icon": "upload", "url": publish_url, "why_not": missing}],
        "list_url": here(request, "workflow_list"),
        "import_url": here(request, "workflow_import"),
        "why_not_import": why_not(request, Permission.DEVELOP),
    }
    if workflow is not None:
        context |= {
            "http_url": here(request, "workflow_http_node_add", pk=workflow.pk),
            "parameters": of_workflow(request, workflow, rows),
            "parameters_url": here(request, "workflow_parameters", pk=workflow.pk),
        }
    return render(request, "console/authoring/workflow.html", context)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.DEVELOP)
def change_parameters(request: ConsoleRequest, pk: int) -> HttpResponse:
    """The parameters of a draft workflow, all at once."""
    found = _workflow(request, pk)
    back = here(request, "workflow", pk=pk)
    form = WorkflowParametersForm(request.POST if request.method == "POST" else None, text=found.parameters)
    if request.method == "POST" and form.is_valid():
        given, before = form.cleaned_data["parameters"], form.cleaned_data["before"]
        try:
            workflow_parameters.save(actor(request), request.workspace, pk, given, before=before)
        except (Forbidden, NotFound):
            raise
        except Invalid as error:
            refuse(form, error)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            text = _("The parameters of %(name)s were saved. Production changes when one of its nodes is published.")
            messages.success(request, text % {"name": found.name})
            return go(request, back)
    return ask(
        request,
        title=_("Parameters of %(name)s") % {"name": found.name},
        text=_(
            "All nodes of the workflow may use them as ${name}. A node's own parameter of the same name goes before; they "
            "go before those of the workspace and the tenant. Passwords and keys do not belong here: everybody can read them."
        ),
        form=form,
        verb=_("Save parameters"),
        back=back,
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.PUBLISH)
def publish(request: ConsoleRequest) -> HttpResponse:
    """The drafts named by ``id`` become tasks, after a question; all of them or none."""
    chosen = _chosen(request)
    back = _url_of(request, chosen[0].node.workflow)
    form = PublishForm(request.POST if request.method == "POST" else None)
    refused: tuple[publishing.PublishProblem, ...] = ()
    if request.method == "POST" and form.is_valid():
        nodes = [draft.node for draft in chosen]
        try:
            report = publishing.publish(actor(request), request.workspace, nodes, form.cleaned_data["message"])
        except publishing.PublishRefused as error:
            refused = error.problems
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _published(report))
            return go(request, back)
    drafts.look_at(request.workspace, [draft for draft in chosen if draft.state != "published"])
    found = [drafts.finding(problem) for problem in refused]
    count = len(chosen)
    return ask(
        request,
        title=ngettext("Publish %(n)s node?", "Publish %(n)s nodes?", count) % {"n": count},
        text=_("They become tasks in production as they are saved now. All of them are published, or none."),
        names=[{"name": draft.node.name, "note": draft.state_name} for draft in chosen],
        problems=found or [finding for draft in chosen for finding in draft.problems],
        warnings=[finding for draft in chosen for finding in draft.warnings],
        is_refused=bool(refused),
        form=form,
        verb=ngettext("Publish %(n)s node", "Publish %(n)s nodes", count) % {"n": count},
        back=back,
    )


def _chosen(request: ConsoleRequest) -> list[Draft]:
    """The drafts that the address names; every one of them must exist here."""
    ids = [text for text in dict.fromkeys(request.GET.getlist("id")) if text.isascii() and text.isdigit()]
    found = Node.objects.filter(workspace=request.workspace, pk__in=[int(text) for text in ids if len(text) < 16])
    nodes = list(found.select_related("workflow", "workspace", "owner").order_by("name", "pk"))
    if not nodes or len(nodes) != len(set(request.GET.getlist("id"))):
        raise NotFound("draft.unknown")
    return [drafts.draft(node) for node in nodes]


def _published(report: publishing.PublishReport) -> str:
    count = len(report.tasks)
    changed = ", ".join(workflow.name for workflow in report.workflows)
    said = _("Parameters of the workflow were published: %(names)s.") % {"names": changed} if changed else ""
    if not count:
        return said or _("Production had all of it already; nothing was changed.")
    text = ngettext("%(n)s task was published.", "%(n)s tasks were published.", count) % {"n": count}
    if report.instances:
        made = ngettext("%(n)s instance of today was made.", "%(n)s instances of today were made.", report.instances)
        text += " " + made % {"n": report.instances}
    return f"{text} {said}".strip()


def _workflow(request: ConsoleRequest, pk: int) -> Workflow:
    found = Workflow.objects.select_related("owner", "modified_by").filter(workspace=request.workspace, pk=pk).first()
    if found is None:
        raise NotFound("workflow.unknown")
    return found
