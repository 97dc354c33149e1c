"""Resource groups: listed, looked at, associated with workspaces. Their id on the wire is their name."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from opscenter.openapi import finding
from opscenter.openapi.fields import Integer, Items, Request, Structure, Text, Word
from opscenter.openapi.paging import Paged, SortBy, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import given, milliseconds
from opscenter.operations import resource_groups
from opscenter.operations.actor import Actor
from opscenter.production.models import ResourceGroup
from opscenter.workspaces.roles import Permission

TYPE = "CommonV2"
"""General-purpose; there is no other type here."""
_TYPES = (TYPE, "ExclusiveDataIntegration", "ExclusiveScheduler", "ExclusiveDataService")
_STATUS = "Normal"
_STATUSES = (
    _STATUS,
    *("Stop", "Deleted", "Creating", "CreateFailed", "Updating", "UpdateFailed", "Deleting", "DeleteFailed", "Timeout"),
)
_SORTED = {
    "Id": "name",
    "Name": "name",
    "Remark": "description",
    "Type": "pk",
    "Status": "pk",
    "Spec": "slots",
    "CreateUser": "created_by",
    "CreateTime": "created_at",
}


class GetResourceGroup(Request):
    Id = Text()


class Tag(Structure):
    Key = Text(required=False)
    Value = Text(required=False)


class ListResourceGroups(Paged):
    ProjectId = Integer(required=False)
    Name = Text(required=False)
    ResourceGroupTypes = Items(Word(*_TYPES), required=False)
    Statuses = Items(Word(*_STATUSES), required=False)
    PaymentType = Word("PrePaid", "PostPaid", required=False)
    AliyunResourceGroupId = Text(required=False)
    AliyunResourceTags = Items(Tag(), required=False)
    SortBy = SortBy(_SORTED, "CreateTime Asc")


class Association(Request):
    ProjectId = Integer()
    ResourceGroupId = Text()


@operation("2024-05-18", "GetResourceGroup", GetResourceGroup, Permission.VIEW)
def get_resource_group(actor: Actor, args: Args) -> Args:
    visible = resource_groups.visible_to(actor.user).select_related("created_by")
    group = visible.filter(name=args["Id"]).first()
    if group is None:
        raise resource_groups.unknown(args["Id"])
    return {"ResourceGroup": _shape(group), "Success": True}


@operation("2024-05-18", "ListResourceGroups", ListResourceGroups, Permission.VIEW)
def list_resource_groups(actor: Actor, args: Args) -> Args:
    """With ProjectId those associated with the workspace; else all that the caller may know of."""
    found: QuerySet[ResourceGroup]
    if args["ProjectId"] is not None:
        found = ResourceGroup.objects.usable_in(finding.workspace(actor, args["ProjectId"]))
    else:
        found = resource_groups.visible_to(actor.user)
    if args["Name"]:
        found = found.filter(name__icontains=args["Name"])
    # every group here is general-purpose and in service, is paid for by nobody, and has no tag of the cloud
    fits = TYPE in (args["ResourceGroupTypes"] or [TYPE]) and _STATUS in (args["Statuses"] or [_STATUS])
    if not fits or args["PaymentType"] or args["AliyunResourceGroupId"] or args["AliyunResourceTags"]:
        found = found.none()
    ordered = found.select_related("created_by").order_by(*args["SortBy"])
    return {"PagingInfo": page(ordered, args, "ResourceGroupList", _shapes), "Success": True}


@operation("2024-05-18", "AssociateProjectToResourceGroup", Association, Permission.MANAGE_WORKSPACE)
def associate(actor: Actor, args: Args) -> Args:
    workspace = resource_groups.workspace_of(actor, args["ProjectId"])
    resource_groups.associate(actor, workspace, args["ResourceGroupId"])
    return {"Success": True}


@operation("2024-05-18", "DissociateProjectFromResourceGroup", Association, Permission.MANAGE_WORKSPACE)
def dissociate(actor: Actor, args: Args) -> Args:
    workspace = resource_groups.workspace_of(actor, args["ProjectId"])
    resource_groups.dissociate(actor, workspace, args["ResourceGroupId"])
    return {"Success": True}


def _shapes(groups: Sequence[ResourceGroup]) -> list[dict[str, Any]]:
    return [_shape(group) for group in groups]


def _shape(group: ResourceGroup) -> dict[str, Any]:
    return given(
        {
            "Id": group.name,
            "Name": group.name,
            "Remark": group.description,
            "ResourceGroupType": TYPE,
            "Spec": {"Amount": group.slots, "Standard": "slot"},
            "Status": _STATUS,
            "CreateTime": milliseconds(group.created_at),
            "CreateUser": str(group.created_by.uid) if group.created_by else None,
        }
    )
