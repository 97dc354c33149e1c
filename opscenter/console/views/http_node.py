"""HTTP nodes, written in the browser: a new one in a workflow, the next version of a draft, and one try of its request."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, say
from opscenter.base.secrets import SecretUnreadable
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted
from opscenter.console.dialogs import ask
from opscenter.console.filters import latest_bizdate
from opscenter.console.http_forms import POLL, HttpNodeForm
from opscenter.operations import drafts, http_try
from opscenter.operations.permits import missing
from opscenter.production.node_types import HTTP
from opscenter.workspaces.roles import Permission
from workflows.definitions import NodeDefinition
from workflows.models import Node, Workflow

_LAYOUT: dict[str, tuple[str, ...]] = {
    "node": ("name", "description", "upstream"),
    "request": ("method url", "headers params", "api_key_header api_key token", "drop_api_key drop_token", "body"),
    "rule": ("success",),
    "runtime": (
        "run_status",
        "rerun_times rerun_interval",
        "timeout request_timeout",
        "safe_to_repeat",
        "cron",
        "parameters",
    ),
}
_POLLING = ("interval", "statuses other_statuses")


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.DEVELOP)
def add(request: ConsoleRequest, pk: int) -> HttpResponse:
    """A new HTTP node of a draft workflow."""
    workflow = get_object_or_404(Workflow, workspace=request.workspace, pk=pk)
    nodes = Node.objects.filter(workflow=workflow).order_by("name").values_list("source_id", "name")
    form = HttpNodeForm(request.POST if request.method == "POST" else None, upstream=list(nodes))
    if request.method == "POST" and form.is_valid() and (saved := _save(request, form, workflow=workflow)):
        messages.success(request, _("%(name)s was added to the drafts.") % {"name": saved.name})
        return go(request, here(request, "workflow_http_node", pk=saved.pk))
    return _page(request, form, workflow, None)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.DEVELOP)
def edit(request: ConsoleRequest, pk: int) -> HttpResponse:
    """A draft HTTP node; saving makes its next version."""
    node = _node(request, pk)
    form = HttpNodeForm(
        request.POST if request.method == "POST" else None, before=NodeDefinition.from_json(node.definition)
    )
    if request.method == "POST":
        node.version = _version(request, node)
        if form.is_valid() and (saved := _save(request, form, node=node, workflow=node.workflow)):
            text = _("%(name)s was saved as version %(version)s. Production changes when it is published.")
            messages.success(request, text % {"name": saved.name, "version": saved.version})
            return go(request, request.path)
    return _page(request, form, node.workflow, node)


def _save(request: ConsoleRequest, form: HttpNodeForm, **place: Any) -> Node | None:
    """The saved node; None when the form tells why not."""
    try:
        return drafts.save_node(actor(request), request.workspace, form.definition(), **place)
    except (Forbidden, NotFound):
        raise
    except Invalid as error:
        form.refuse(error)
    except Refused as error:
        form.add_error(None, str(error))
    return None


def _node(request: ConsoleRequest, pk: int) -> Node:
    found = Node.objects.select_related("workflow", "owner", "workspace__tenant", "modified_by")
    return get_object_or_404(found, workspace=request.workspace, pk=pk, node_type=HTTP.code)


def _version(request: ConsoleRequest, node: Node) -> int:
    """The version that the form was opened with."""
    text = request.POST.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else node.version


def _page(request: ConsoleRequest, form: HttpNodeForm, workflow: Workflow | None, node: Node | None) -> HttpResponse:
    back = here(request, "workflow_loose_nodes") if workflow is None else here(request, "workflow", pk=workflow.pk)
    context = {
        "form": form,
        "node": node,
        "groups": {name: _rows(form, rows) for name, rows in _LAYOUT.items()},
        "polling": _rows(form, (_POLLING[0], *(_prefixed(row) for row in _LAYOUT["request"]), _POLLING[1])),
        "workflow_name": workflow.name if workflow is not None else _("Nodes outside workflows"),
        "back": back,
        "try_url": here(request, "workflow_http_node_try", pk=node.pk) if node is not None else "",
        "try_why_not": _why_not_try(request, node),
    }
    return render(request, "console/authoring/http_node.html", context, status=422 if form.errors else 200)


def _prefixed(row: str) -> str:
    return " ".join(POLL + name for name in row.split())


def _rows(form: HttpNodeForm, rows: tuple[str, ...]) -> list[list[Any]]:
    """The fields that the form has, in rows."""
    found = [[form[name] for name in row.split() if name in form.fields] for row in rows]
    return [row for row in found if row]


def _why_not_try(request: ConsoleRequest, node: Node | None) -> str:
    if node is None:
        return _("Save the node first: what is tried is the saved draft.")
    if not http_try.may_try(request.member, node):
        return say("permission.missing", missing(Permission.TEST_TASK, request.member))
    return ""


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.TEST_TASK, own=True)
def try_it(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Send the request of the saved draft once, after a question, and show what came of it."""
    node = _node(request, pk)
    if not http_try.may_try(request.member, node):
        raise Forbidden("permission.missing", **missing(Permission.TEST_TASK, request.member))
    bizdate = latest_bizdate(clock.now(), request.workspace.tenant.time_zone)
    words: dict[str, Any] = {
        "title": _("Try the request of %(name)s?") % {"name": node.name},
        "verb": _("Send it once"),
        "back": here(request, "workflow_http_node", pk=pk),
    }
    if request.method == "GET":
        text = _(
            "The saved draft's request is sent once from here, with the parameters of the business date %(bizdate)s, and "
            "waits at most %(seconds)s seconds. It does real work: whatever the service does with it, it does. Nothing is "
            "polled."
        )
        return ask(request, text=text % {"bizdate": bizdate, "seconds": round(http_try.LONGEST)}, **words)
    try:
        tried = http_try.try_request(actor(request), node, request.environment, bizdate)
    except (Forbidden, NotFound, Http404):
        raise
    except SecretUnreadable:
        raise Refused("http.secret") from None
    words |= {"title": _("Tried %(name)s") % {"name": node.name}, "verb": _("Send it again")}
    details = {"tried": tried, "why": say(tried.reason.code, tried.reason.params) if tried.reason else ""}
    return ask(request, part="console/authoring/http_tried.html", details=details, **words)
