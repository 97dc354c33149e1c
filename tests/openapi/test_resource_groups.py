"""Resource groups on the wire, by the official client."""

from typing import Any

import pytest

from opscenter.production.models import ResourceGroup, Task
from opscenter.workspaces.models import Member, User, Workspace
from tests.cast import Cast
from tests.openapi.wire import Wire

pytestmark = pytest.mark.django_db


@pytest.fixture
def groups(cast: Cast) -> dict[str, ResourceGroup]:
    fast = ResourceGroup.objects.create(
        tenant=cast.tenant, name="fast", slots=3, description="for hurry", created_by=cast.admin
    )
    return {"default": cast.group, "fast": fast}


def names(wire: Wire, **params: Any) -> list[str]:
    return [one["Name"] for one in wire.call("ListResourceGroups", **params)["PagingInfo"]["ResourceGroupList"]]


def test_one_tells_its_slots(cast: Cast, groups: dict[str, ResourceGroup]) -> None:
    groups["fast"].associations.create(workspace=cast.workspace)
    group = Wire(cast.visitor).call("GetResourceGroup", Id="fast")["ResourceGroup"]
    assert (group["Id"], group["Spec"], group["Status"]) == ("fast", {"Amount": 3, "Standard": "slot"}, "Normal")
    assert (group["Remark"], group["CreateUser"]) == ("for hurry", str(cast.admin.uid))


def test_a_list_is_of_a_workspace_or_of_all_that_the_caller_may_know(cast: Cast, groups: Any) -> None:
    wire = Wire(cast.visitor)
    assert names(wire) == names(wire, ProjectId=cast.workspace.pk) == ["default"]
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.visitor, roles=["role_project_guest"])
    groups["fast"].associations.create(workspace=other)
    assert names(wire, SortBy="Name Desc") == ["fast", "default"]
    assert names(wire, ProjectId=other.pk) == ["fast"]
    assert names(wire, Name="AS") == ["fast"]
    for nothing in ({"ResourceGroupTypes": ["ExclusiveScheduler"]}, {"Statuses": ["Stop"]}, {"PaymentType": "PrePaid"}):
        assert names(wire, **nothing) == []


def test_a_group_of_no_workspace_of_mine_is_not_there(cast: Cast, groups: Any) -> None:
    answer = Wire(cast.admin).try_call("GetResourceGroup", Id="fast")
    assert (answer.status, answer.code) == (404, "Invalid.ResourceGroup.NotExist")
    User.objects.filter(pk=cast.admin.pk).update(is_tenant_admin=True)
    cast.admin.refresh_from_db()
    assert Wire(cast.admin).call("GetResourceGroup", Id="fast")["ResourceGroup"]["Name"] == "fast"
    assert Wire(cast.stranger).try_call("GetResourceGroup", Id="fast").status == 404


def test_association_and_its_refusal(cast: Cast, groups: Any) -> None:
    wire = Wire(cast.admin)
    named: dict[str, Any] = {"ProjectId": cast.workspace.pk, "ResourceGroupId": "fast"}
    assert wire.call("AssociateProjectToResourceGroup", **named)["Success"] is True
    assert names(wire, ProjectId=cast.workspace.pk) == ["default", "fast"]
    task = cast.task("nightly", resource_group=groups["fast"])
    answer = wire.try_call("DissociateProjectFromResourceGroup", **named)
    assert (answer.status, answer.code) == (409, "Invalid.ResourceGroup.InUse")
    assert "nightly" in answer.message
    Task.objects.filter(pk=task.pk).update(status=Task.Status.OFFLINE)
    assert wire.call("DissociateProjectFromResourceGroup", **named)["Success"] is True
    assert wire.try_call("AssociateProjectToResourceGroup", **named | {"ResourceGroupId": "none"}).status == 404
    assert Wire(cast.operator).try_call("AssociateProjectToResourceGroup", **named).status == 403
