"""A walk over all operations of the API, as everybody: nothing is open by omission."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.db import transaction

from extensions.models import Check
from opscenter.openapi import middleware  # noqa: F401  registers the operations
from opscenter.openapi.registry import ApiOperation, all_operations
from opscenter.openapi.signature import Sent
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill, Task, TaskInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, Workspace, WorkspaceRole
from opscenter.workspaces.roles import OWNABLE, ROLES, Permission, granted
from tests.cast import Cast
from tests.openapi.good_calls import LATER, calls, rerun_instance
from tests.openapi.guards import Guard
from tests.openapi.signer import stamp
from tests.openapi.wire import V2024, Answer, Wire, send

Key = tuple[str, str]
OPERATIONS: dict[Key, ApiOperation] = {(one.version, one.action): one for one in all_operations()}
FOR_EXTENSIONS = {"UpdateWorkbenchEventResult", "CallbackExtension", "GetExtension", "GetOptionValueForProject"}
NO_ROLE_DECIDES = FOR_EXTENSIONS | {"ListExtensions"}
"""Whose permission is None: who may is tested below, and in test_verdicts."""
LISTS_OF_ONES_OWN = {"ListProjects": "Projects", "ListExtensions": "Extensions"}
BEFORE: dict[str, dict[str, Any]] = {
    "StopTaskInstances": {"state": State.WAIT_RESOURCE},
    "StopInstance": {"state": State.WAIT_RESOURCE},
    "ResumeTaskInstances": {"frozen": True},
    "ResumeInstance": {"frozen": True},
}
"""How the instance must be for the call to succeed; else it is failed."""


@dataclass
class Scene:
    """A small production, and one good call of each operation on it."""

    cast: Cast
    guard: Guard
    instance: TaskInstance
    calls: dict[Key, dict[str, Any]]

    def answer(self, wire: Wire, key: Key) -> Answer:
        """What comes back; nothing stays of it."""
        with transaction.atomic():
            TaskInstance.objects.filter(pk=self.instance.pk).update(**BEFORE.get(key[1], {}))
            answer = wire.try_call(key[1], key[0], **self.calls[key])
            transaction.set_rollback(True)
        return answer


@pytest.fixture
def scene(cast: Cast) -> Scene:
    guard, instance = Guard(cast), rerun_instance(cast)
    good = calls(cast, instance, guard)
    for later, first in LATER.items():
        made = Wire(cast.admin).call(first[1], **good[first])
        good[later] = {"OperationId": made["OperationId"]}
    TaskInstance.objects.filter(workflow_instance__type="ManualWorkflow").update(state=State.FAILURE)
    return Scene(cast, guard, instance, good)


def outcome(key: Key, answer: Answer) -> Any:
    """done, nothing (of the kind is known to the caller), or the permission that is missing, or else the code."""
    if answer.status == 403 and answer.code == "ResourceNotAuthorized.Api":
        return answer.body["AccessDeniedDetail"]["AuthAction"]
    if answer.status == 404:
        return "nothing"
    if answer.status != 200:
        return answer.code
    if key[1] in LISTS_OF_ONES_OWN:
        return "done" if answer.body["PagingInfo"]["TotalCount"] else "nothing"
    if "SuccessInfo" in answer.body:
        [entry] = answer.body["SuccessInfo"].values()
        lacking = re.search(r"You lack the permission .* \(([a-z.]+)\)", entry["Message"])
        unknown = "There is no" in entry["Message"]
        return "done" if entry["Success"] else lacking[1] if lacking else "nothing" if unknown else entry["Message"]
    return "done"


def differing(scene: Scene, wire: Wire, expected: Callable[[ApiOperation], Any]) -> dict[str, tuple[Any, Any]]:
    """The operations whose outcome is not the expected one, with both."""
    found = {}
    for key, operation in OPERATIONS.items():
        came, wanted = outcome(key, scene.answer(wire, key)), expected(operation)
        if came != wanted:
            found["-".join(key)] = (came, wanted)
    return found


def test_each_operation_says_what_it_needs(scene: Scene) -> None:
    assert {one.action for one in OPERATIONS.values() if one.permission is None} == NO_ROLE_DECIDES
    assert {one.action for one in OPERATIONS.values() if one.answers_checks} == FOR_EXTENSIONS
    assert set(scene.calls) == set(OPERATIONS)


@pytest.mark.parametrize("own", [False, True], ids=["of others", "own"])
@pytest.mark.parametrize("role", ROLES)
def test_members(scene: Scene, role: str, own: bool) -> None:
    """Each role does what its permissions say, to its own tasks and to those of others, and nothing else."""
    user = scene.cast.user("somebody", role)
    if own:
        Task.objects.update(owner=user)
        Backfill.objects.update(created_by=user)

    def expected(operation: ApiOperation) -> str:
        if operation.action in ("UpdateWorkbenchEventResult", "CallbackExtension"):
            return "Forbidden.Check.ForeignKey"
        needed = operation.permission or Permission.VIEW
        return "done" if granted([role], needed, own=own) else needed.value

    assert differing(scene, Wire(user), expected) == {}


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("own", [False, True], ids=["of others", "own"])
def test_members_with_a_role_of_the_workspaces_own(scene: Scene, half: int, own: bool) -> None:
    """Half of the permissions everywhere; of the rest, what can be, for own tasks. Between the halves all are tried."""
    everywhere = {Permission.VIEW, *list(Permission)[half::2]}
    role = WorkspaceRole.objects.create(
        workspace=scene.cast.workspace, code="role_custom_1", name="Half of it", modified_by=scene.cast.owner,
        grants=sorted(everywhere), own_only=sorted(OWNABLE - everywhere),
    )  # fmt: skip
    user = scene.cast.user("somebody", role.code)
    if own:
        Task.objects.update(owner=user)
        Backfill.objects.update(created_by=user)

    def expected(operation: ApiOperation) -> str:
        if operation.action in ("UpdateWorkbenchEventResult", "CallbackExtension"):
            return "Forbidden.Check.ForeignKey"
        needed = operation.permission or Permission.VIEW
        may = needed in everywhere or (own and needed in OWNABLE)
        return "done" if may else needed.value

    assert differing(scene, Wire(user), expected) == {}


def test_strangers(scene: Scene) -> None:
    """To people of other tenants there is nothing, whatever they call."""
    assert differing(scene, Wire(scene.cast.stranger), lambda operation: "nothing") == {}


def test_colleagues(scene: Scene) -> None:
    """An administrator of another workspace of the tenant: of the tenant's, only online extensions are known."""
    cast = scene.cast
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    colleague = cast.user("colleague")
    Member.objects.create(workspace=elsewhere, user=colleague, roles=["role_project_owner"])
    listed = Wire(colleague).call("ListProjects")["PagingInfo"]["Projects"]
    assert [project["Id"] for project in listed] == [elsewhere.pk]

    def expected(operation: ApiOperation) -> str:
        if operation.action in ("UpdateWorkbenchEventResult", "CallbackExtension"):
            return "Forbidden.Check.ForeignKey"
        known = {"GetExtension", "ListExtensions"}
        return "done" if operation.action in known else "nothing"

    scene.calls[(V2024, "ListProjects")] = {"Names": [cast.workspace.name]}
    assert differing(scene, Wire(colleague), expected) == {}


@pytest.mark.parametrize("role", [None, "role_project_owner"])
def test_keys_of_extensions(scene: Scene, role: str | None) -> None:
    """They answer checks and see their extension, and do nothing else, whatever their owner may do."""
    if role:
        Member.objects.create(workspace=scene.cast.workspace, user=scene.guard.owner, roles=[role])

    def expected(operation: ApiOperation) -> str:
        return "done" if operation.action in FOR_EXTENSIONS else "Forbidden.AccessKey.Scope"

    wire = scene.guard.narrow_wire()
    assert differing(scene, wire, expected) == {}
    refused = scene.answer(wire, (V2024, "UpdateTask"))
    assert refused.status == 403
    assert refused.message == (
        "This access key was made for an extension: it may call only CallbackExtension, GetExtension, "
        "GetOptionValueForProject, UpdateWorkbenchEventResult, not UpdateTask."
    )
    assert wire.try_call("NoSuchAction").code == "InvalidApi.NotFound"


def test_the_owner_of_an_extension(scene: Scene) -> None:
    """With a key of their own they answer and read what is theirs; in the workspace they are nobody."""

    def expected(operation: ApiOperation) -> str:
        return "done" if operation.action in NO_ROLE_DECIDES else "nothing"

    assert differing(scene, scene.guard.wire(), expected) == {}


def test_without_a_signature(scene: Scene) -> None:
    counts = Operation.objects.count(), AuditEntry.objects.count(), Check.objects.filter(state="checking").count()
    for version, action in OPERATIONS:
        named = {"host": "127.0.0.1", "x-acs-action": action, "x-acs-version": version, "x-acs-date": stamp()}
        for query in (f"Action={action}&Version={version}", ""):
            answer = send(Sent("POST", query, named, b""))
            assert (answer.status, answer.code) == (400, "MissingAccessKeyId"), action
    signed = Wire(scene.cast.admin).sign("UpdateTask", form={"Id": "1"})
    unsigned = replace(signed, headers={**signed.headers, "x-acs-action": "DeleteEverything"})
    assert send(unsigned).code == "SignatureDoesNotMatch"
    assert counts == (
        Operation.objects.count(),
        AuditEntry.objects.count(),
        Check.objects.filter(state="checking").count(),
    )
