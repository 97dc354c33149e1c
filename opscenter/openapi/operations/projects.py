"""Workspaces, which the 2024 API calls projects."""

from django.db.models import Prefetch, QuerySet

from opscenter.openapi import finding, shapes
from opscenter.openapi.fields import Boolean, Integer, Items, Request, Structure, Text, Word
from opscenter.openapi.paging import Paged, page
from opscenter.openapi.registry import Args, operation
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import Member, Workspace
from opscenter.workspaces.roles import OWNER, Permission

_STATUSES = (
    "Available",
    *("Initializing", "InitFailed", "Forbidden", "Deleting", "DeleteFailed", "Frozen", "Updating", "UpdateFailed"),
)


class GetProject(Request):
    Id = Integer()


class Tag(Structure):
    Key = Text(required=False)
    Value = Text(required=False)


class ListProjects(Paged):
    Ids = Items(Integer(), required=False)
    Names = Items(Text(), required=False)
    Status = Word(*_STATUSES, required=False)
    DevEnvironmentEnabled = Boolean(required=False)
    DevRoleDisabled = Boolean(required=False)
    PaiTaskEnabled = Boolean(required=False)
    AliyunResourceGroupId = Text(required=False)
    AliyunResourceTags = Items(Tag(), required=False)


@operation("2024-05-18", "GetProject", GetProject, Permission.VIEW)
def get_project(actor: Actor, args: Args) -> Args:
    workspace = finding.workspace(actor, args["Id"])
    return {"Project": shapes.project(_with_owners(Workspace.objects.filter(pk=workspace.pk)).get())}


@operation("2024-05-18", "ListProjects", ListProjects, Permission.VIEW)
def list_projects(actor: Actor, args: Args) -> Args:
    """The workspaces that the caller is a member of."""
    found = _filtered(Workspace.objects.visible_to(actor.user), args)
    return {"PagingInfo": page(_with_owners(found).order_by("-pk"), args, "Projects", shapes.projects)}


def _filtered(found: QuerySet[Workspace], args: Args) -> QuerySet[Workspace]:
    if args["Ids"]:
        found = found.filter(pk__in=args["Ids"])
    if args["Names"]:
        found = found.filter(name__in=args["Names"])
    for name, mode_if_true in (
        ("DevEnvironmentEnabled", Workspace.Mode.STANDARD),
        ("DevRoleDisabled", Workspace.Mode.BASIC),
    ):
        if args[name] is not None:
            found = found.filter(mode=mode_if_true) if args[name] else found.exclude(mode=mode_if_true)
    # every workspace here is available, without PAI, and in no group and with no tag of the cloud's resource manager
    nothing_fits = args["Status"] not in (None, "Available") or args["PaiTaskEnabled"]
    if nothing_fits or args["AliyunResourceGroupId"] or args["AliyunResourceTags"]:
        return found.none()
    return found


def _with_owners(found: QuerySet[Workspace]) -> QuerySet[Workspace]:
    owners = Member.objects.filter(roles__contains=[OWNER]).select_related("user")
    return found.prefetch_related(Prefetch("members", owners))
