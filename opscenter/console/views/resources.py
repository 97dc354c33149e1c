"""Files that nodes name: listed, uploaded, downloaded, deleted."""

from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from opscenter.base import blobs
from opscenter.base.reasons import Invalid, NotFound
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, permitted, why_not
from opscenter.console.dialogs import ask
from opscenter.console.forms import ResourceForm, refuse
from opscenter.operations import resources
from opscenter.production.models import Resource, ResourceVersion
from opscenter.workspaces.roles import Permission


@require_GET
@in_workspace
def show_list(request: ConsoleRequest) -> HttpResponse:
    """The resources, each with its latest version and the tasks that name it."""
    latest = ResourceVersion.objects.filter(resource=OuterRef("pk")).order_by("-number").values("pk")[:1]
    found = Resource.objects.filter(workspace=request.workspace, deleted_at=None).annotate(latest=Subquery(latest))
    query = request.GET.get("q", "").replace("\0", "").strip()
    if query:
        found = found.filter(name__icontains=query)
    rows = _rows(request, list(found.order_by("name")))
    context = {
        "rows": rows,
        "query": query,
        "upload_url": here(request, "resource_upload"),
        "why_not": why_not(request, Permission.MANAGE_RESOURCES),
    }
    return render(request, "console/resources/list.html", context)


def _rows(request: ConsoleRequest, found: list[Any]) -> list[dict[str, Any]]:
    """Each resource (annotated with the id of its latest version) with what the list shows of it."""
    versions = ResourceVersion.objects.select_related("uploaded_by", "blob").defer("blob__content")
    by_id = versions.in_bulk([resource.latest for resource in found])
    users = resources.users_of_resources(request.workspace) if found else {}
    return [
        {
            "resource": resource,
            "version": by_id[resource.latest],
            "tasks": users.get(resource.name, []),
            "url": here(request, "resource", pk=resource.pk),
            "reference": resources.reference(resource.name),
        }
        for resource in found
    ]


@require_GET
@in_workspace
def show(request: ConsoleRequest, pk: int) -> HttpResponse:
    """One resource: its versions, the tasks that name it, the line to copy."""
    resource = resources.find(request.workspace, pk)
    versions = resource.versions.select_related("uploaded_by", "blob").defer("blob__content").order_by("-number")
    context = {
        "resource": resource,
        "versions": [
            (version, here(request, "resource_download", pk=pk, number=version.number)) for version in versions
        ],
        "tasks": resources.tasks_naming(request.workspace, resource.name),
        "reference": resources.reference(resource.name),
        "upload_url": here(request, "resource_upload") + f"?name={resource.pk}",
        "delete_url": here(request, "resource_delete", pk=pk),
        "list_url": here(request, "resource_list"),
        "why_not": why_not(request, Permission.MANAGE_RESOURCES),
    }
    return render(request, "console/resources/show.html", context)


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_RESOURCES)
def upload(request: ConsoleRequest) -> HttpResponse:
    """A new resource, or a new version of one."""
    name = _name_of(request, request.GET.get("name", ""))
    form = ResourceForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        initial={"name": name},
    )
    if request.method == "POST" and form.is_valid():
        try:
            version, is_new = _store(request, form)
        except Invalid as error:
            refuse(form, error)
        else:
            messages.success(request, _uploaded(version, is_new))
            return go(request, here(request, "resource", pk=version.resource_id))
    return ask(
        request,
        title=_("Upload a new version of %(name)s") % {"name": name} if name else _("Upload a resource"),
        verb=_("Upload"),
        back=here(request, "resource_list"),
        form=form,
        has_file=True,
    )


def _name_of(request: ConsoleRequest, pk: str) -> str:
    """The name of the resource that gets a new version; empty for a new one."""
    if not (pk.isascii() and pk.isdigit() and len(pk) < 16):
        return ""
    return resources.find(request.workspace, int(pk)).name


def _store(request: ConsoleRequest, form: ResourceForm) -> tuple[ResourceVersion, bool]:
    file = form.cleaned_data["file"]
    if file.size > resources.LARGEST:  # before it is read into memory
        raise Invalid("resource.large", field="file", most=resources.LARGEST // 1024**2)
    return resources.upload(actor(request), request.workspace, form.cleaned_data["name"], file.read())


def _uploaded(version: ResourceVersion, is_new: bool) -> str:
    values = {"name": version.resource.name, "version": version.number}
    if is_new:
        return _("%(name)s is stored as version %(version)s. Runs that start from now on use it.") % values
    return _("%(name)s has exactly this content already, as version %(version)s.") % values


@require_GET
@in_workspace
def download(request: ConsoleRequest, pk: int, number: int) -> HttpResponse:
    """The bytes of one version, as a file to keep; never shown by the browser itself."""
    resource = resources.find(request.workspace, pk)
    version = resource.versions.filter(number=number).first()
    if version is None:
        raise NotFound("resource.unknown")
    return HttpResponse(
        blobs.get(version.blob_id),
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": content_disposition_header(as_attachment=True, filename=resource.name)
            or "attachment",
            "Content-Security-Policy": "sandbox",
        },
    )


@require_http_methods(["GET", "POST"])
@in_workspace
@permitted(Permission.MANAGE_RESOURCES)
def delete(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Take a resource away, after a question."""
    if request.method == "POST":
        gone = resources.delete(actor(request), request.workspace, pk)
        messages.success(request, _("%(name)s was deleted.") % {"name": gone.name})
        return go(request, here(request, "resource_list"))
    resource = resources.find(request.workspace, pk)
    return ask(
        request,
        title=_("Delete %(name)s?") % {"name": resource.name},
        text=_("Nodes can no longer name it. What past runs used stays in their records."),
        names=[{"name": resource.name, "note": ""}],
        verb=_("Delete resource"),
        back=here(request, "resource", pk=pk),
        irreversible=True,
    )
