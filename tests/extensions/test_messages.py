"""What the messages of each extension point say of their own: names, types, values (spec/extensions.md 4.2, 4.3, 4.12)."""

import json
from datetime import date
from typing import Any

import pytest
from django.db import transaction

from extensions import lifecycle
from extensions.envelope import Backfill, backfill, body_for, nodes
from extensions.models import Check, Enablement, Extension
from extensions.points import POINTS
from opscenter.base.reasons import NotFound
from opscenter.operations import checked
from opscenter.operations.asking import ask
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.reach import Question
from opscenter.workspaces.models import Member, Workspace
from tests.operations.guarded import Guarded, checks_of, say, status_of

pytestmark = pytest.mark.django_db
COMMON = {"extensionBizName": str, "callbackUrl": str, "callbackToken": str, "blockBusiness": bool}
"""What we add, or send always."""
UNDEPLOY = {
    "eventCode": "undeploy-node",
    "operator": "1918273645546735",
    "projectId": 12056,
    "tenantId": 283780110656,
    "nodeIds": [700002160],
    "extensionBizId": "9f2c61d07b3e4a57",
}
BACKFILL = {
    "eventCode": "backfill-data",
    "name": "P_dws_order_day_20260302_101500",
    "rootNodeId": 700002271,
    "rootNodeProjectId": 12056,
    "includeNodeIds": [700002271, 700002272],
    "excludeNodeIds": [700002273],
    "useMultipleTimePeriods": True,
    "multipleTimePeriods": '[{"bizBeginTime":"2026-02-01","bizEndTime":"2026-02-07"}]',
    "isParallel": False,
    "parallelGroup": 1,
    "startFutureInstanceImmediately": False,
    "order": "asc",
    "operator": "1918273645546735",
    "projectId": 12056,
    "tenantId": 283780110656,
    "extensionBizId": "9f2c61d07b3e4a58",
}
"""The documented samples."""
ASKED = Backfill(
    name="P_dws_order_day_20260302_101500",
    root=700002271,
    root_workspace=12056,
    include=[700002271, 700002272],
    exclude=[700002273],
    periods=[(date(2026, 2, 1), date(2026, 2, 7))],
)


@pytest.fixture
def cast() -> Guarded:
    return Guarded()


@transaction.atomic
def asked(cast: Guarded, point: str, data: dict[str, Any], *workspaces: Workspace) -> Operation:
    """An operation on a task that waits for whoever listens at a point in these workspaces."""
    listeners = lifecycle.held_listeners(workspaces or [cast.workspace], point)
    operation = Operation.objects.create(
        code="freeze_task",
        workspace=cast.workspace,
        environment="Prod",
        actor=cast.operator,
        face="console",
        params={"tasks": [task := cast.task(point).pk]},
        status=Operation.Status.CHECKING,
    )
    OperationTarget.objects.create(operation=operation, object_type="task", object_id=task, open_code="freeze_task")
    names = ["dws_order_day", "ads"]
    ask(operation, [Question(point, listeners, data, names)], names)
    return operation


def sent(operation: Operation) -> dict[str, Any]:
    """The message to the first extension, as it goes over the wire."""
    return dict(json.loads(body_for(checks_of(operation)[0])))


@pytest.mark.parametrize(
    ("sample", "data"), [(UNDEPLOY, nodes([700002160])), (BACKFILL, backfill(ASKED))], ids=["undeploy", "backfill"]
)
def test_every_member_has_its_documented_name_and_type(
    cast: Guarded, sample: dict[str, Any], data: dict[str, Any]
) -> None:
    point = POINTS[sample["eventCode"]]
    cast.extension(points=[point.code])
    message = sent(asked(cast, point.code, data))
    assert message["type"] == point.type
    ours = {name: type(message["data"].pop(name)) for name in COMMON}
    assert ours == COMMON
    assert {name: type(value) for name, value in message["data"].items()} == {
        name: type(value) for name, value in sample.items()
    }
    own = {"operator", "projectId", "tenantId", "extensionBizId"}
    assert {name: value for name, value in message["data"].items() if name not in own} == {
        name: value for name, value in sample.items() if name not in own
    }


def test_periods_are_json_text_and_their_days_dates() -> None:
    data = backfill(
        Backfill(
            "n",
            1,
            2,
            [1],
            [],
            [(date(2026, 2, 1), date(2026, 2, 1)), (date(2026, 3, 1), date(2026, 3, 9))],
            3,
            True,
            True,
        )
    )
    assert json.loads(data["multipleTimePeriods"]) == [
        {"bizBeginTime": "2026-02-01", "bizEndTime": "2026-02-01"},
        {"bizBeginTime": "2026-03-01", "bizEndTime": "2026-03-09"},
    ]
    assert (data["isParallel"], data["parallelGroup"]) == (True, 3)
    assert (data["startFutureInstanceImmediately"], data["order"]) == (True, "desc")


class TestOverSeveralWorkspaces:
    """One event for each workspace whose extensions listen; the operation waits for all of them."""

    @pytest.fixture
    def other(self, cast: Guarded) -> Workspace:
        other = Workspace.objects.create(tenant=cast.tenant, name="second")
        cast.extension("here", points=["backfill-data"])
        cast.extension("there", points=["backfill-data"], workspace=other)
        return other

    def checks(self, cast: Guarded, other: Workspace) -> tuple[Operation, list[Check]]:
        operation = asked(cast, "backfill-data", backfill(ASKED), cast.workspace, other)
        return operation, checks_of(operation)

    def test_each_is_told_where_it_was_asked_for_and_in_which_workspace_it_listens(
        self, cast: Guarded, other: Workspace
    ) -> None:
        _operation, (here, there) = self.checks(cast, other)
        assert (here.event.workspace, there.event.workspace) == (cast.workspace, other)
        first, second = (json.loads(body_for(check))["data"] for check in (here, there))
        assert first["projectId"] == second["projectId"] == cast.workspace.pk
        assert "listenerProjectId" not in first
        assert second["listenerProjectId"] == other.pk
        assert first["extensionBizId"] != second["extensionBizId"]

    def test_it_goes_on_when_all_have_passed(self, cast: Guarded, other: Workspace) -> None:
        operation, (here, there) = self.checks(cast, other)
        say(here, "OK")
        assert status_of(operation) == "checking"
        say(there, "OK")
        assert status_of(operation) == "applied"

    def test_one_fail_blocks_it(self, cast: Guarded, other: Workspace) -> None:
        operation, (here, there) = self.checks(cast, other)
        say(there, "FAIL", "not in my house")
        assert status_of(operation) == "blocked"
        here.refresh_from_db()
        assert here.state == "ended"

    def test_who_manages_extensions_in_the_other_may_pass_its_check(self, cast: Guarded, other: Workspace) -> None:
        """Both are asked where the operation was asked for; each check is its own workspace's to pass."""
        Extension.objects.update(allows_mark_passed=True)
        _operation, (_here, there) = self.checks(cast, other)
        Member.objects.create(workspace=other, user=cast.operator, roles=["role_project_admin"])
        with pytest.raises(NotFound):
            checked.mark_passed(cast.actor(cast.admin), cast.workspace, there.pk, "")
        checked.mark_passed(cast.actor(cast.operator), cast.workspace, there.pk, "agreed")
        there.refresh_from_db()
        assert there.state == "passed"

    def test_an_extension_that_both_have_enabled_answers_for_each(self, cast: Guarded, other: Workspace) -> None:
        Enablement.objects.create(extension=Extension.objects.get(name="here"), workspace=other, is_enabled=True)
        operation, found = self.checks(cast, other)
        assert sorted((one.extension.name, one.event.workspace_id) for one in found) == sorted(
            [("here", cast.workspace.pk), ("here", other.pk), ("there", other.pk)]
        )
        for check in found:
            assert status_of(operation) == "checking"
            say(check, "OK")
        assert status_of(operation) == "applied"
