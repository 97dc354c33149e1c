"""Regular events: from a change to the message that tells of it, in the order of the changes, as long as somebody listens."""

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from extensions import changes, lifecycle, notices
from extensions.changes import fan_out
from extensions.envelope import body_of
from extensions.models import Change, Delivery, Enablement, Event, Extension, Watch
from extensions.notices import Notice
from opscenter.base import clock
from opscenter.engine import advance, retention
from opscenter.operations import enablements, telling
from opscenter.operations import extensions as operations
from opscenter.operations.enablements import Settings
from opscenter.production.models import InstanceEdge, Task, TaskInstance, Transition, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.production.transitions import transition
from opscenter.workspaces.models import AuditEntry, Workspace
from tests.cast import MIDNIGHT
from tests.operations.guarded import Guarded, check_of, say

pytestmark = pytest.mark.django_db
STATUS, DAG = "instance-status-changes", "dag-status-changes"
INSTANCE_STATUS: dict[str, Any] = {  # spec/extensions.md 4.8
    "eventCode": "instance-status-changes",
    "taskId": 453000000169,
    "nodeId": 700002219,
    "dagId": 446000000330,
    "dagType": 0,
    "taskType": 0,
    "status": 6,
    "flowId": 1,
    "appId": 12056,
    "tenantId": 283780110656,
    "opCode": 31,
    "createTime": 1772380833000,
    "modifyTime": 1772384577000,
    "beginWaitTimeTime": 1772383000000,
    "beginWaitResTime": 1772383001000,
    "beginRunningTime": 1772383002000,
    "finishTime": 1772384576000,
}
PARTED: dict[str, Any] = {  # 4.6
    "eventCode": "delete-task-instance-dependencies",
    "upstreamTaskInstanceIds": [524000000035, 524000000098],
    "taskInstanceId": 524000000149,
    "appId": 12056,
    "tenantId": 283780110656,
    "blockBusiness": False,
    "operator": "1918273645546735",
    "operationTime": 1772417700123,
}
REMOVED: dict[str, Any] = {  # 4.7
    "eventCode": "expired-task-instances-deleted",
    "deletedTaskInstanceIds": [524000000035, 524000000498],
    "appId": 12056,
    "tenantId": 283780110656,
    "blockBusiness": False,
    "owner": "1918273645546735",
    "operationTime": 1772417700123,
}
DAG_STATUS: dict[str, Any] = {  # 4.9
    "eventCode": "dag-status-changes",
    "dagId": 500358972116,
    "dagName": "P_dws_order_day_20260302_101500",
    "dagType": 3,
    "status": 6,
    "bizDate": "2026-02-07 00:00:00",
    "createTime": "2026-03-02 10:15:01",
    "flowId": 1,
    "flowName": "ATCLOUD_FLOW",
    "operator": "1918273645546735",
    "projectEnv": "PROD",
    "projectId": 12056,
    "tenantId": 283780110656,
}
RERUN: dict[str, Any] = {  # 4.5
    "eventCode": "rerun-instance",
    "operator": "1918273645546735",
    "projectId": 12056,
    "projectType": "PROD",
    "taskIds": [523536569736, 523536569737],
    "tenantId": 283780110656,
}
NODE: dict[str, Any] = {  # 4.11
    "eventCode": "node-change-updated",
    "nodeId": 700002150,
    "nodeName": "dwd_order_day",
    "programType": "ODPS_SQL",
    "cronExpress": "00 20 00 * * ?",
    "schedulerType": "PAUSE",
    "ownerId": "1918273645546735",
    "operator": "1918273645546735",
    "priority": 1,
    "baselineId": 117801853,
    "repeatability": True,
    "blockBusiness": False,
    "createTime": 1760364549642,
    "modifyTime": 1772414104642,
    "projectId": 12056,
    "tenantId": 283780110656,
}


@pytest.fixture
def cast() -> Guarded:
    return Guarded(time_zone="Asia/Shanghai")


def subscribed(cast: Guarded, *points: str, **facts: Any) -> Extension:
    made = cast.extension(facts.pop("name", "listener"), points=list(points), **facts)
    lifecycle.watch(cast.tenant.pk)
    return made


def kinds(value: dict[str, Any]) -> dict[str, type]:
    return {name: type(member) for name, member in value.items()}


def told(point: str | None = None) -> list[dict[str, Any]]:
    """What was written to be sent, in its order: the ``data`` of each message."""
    while fan_out():
        pass
    found = Delivery.objects.order_by("pk").select_related("event")
    messages = [json.loads(body_of(one.event))["data"] for one in found]
    return [data for data in messages if point in (None, data["eventCode"])]


@transaction.atomic
def move(instance: TaskInstance, *states: State) -> None:
    for before, after in itertools.pairwise(states):
        assert transition([instance.pk], {before}, after)


# changes of status


class TestStatus:
    def test_nothing_is_noted_where_nobody_listens(self, cast: Guarded) -> None:
        cast.extension(points=["freeze-node"])
        lifecycle.watch(cast.tenant.pk)
        move(cast.instance(cast.task()), State.WAIT_RESOURCE, State.RUNNING)
        assert not Watch.objects.exists() and not Change.objects.exists()

    def test_every_change_is_told_in_its_order(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        instance = cast.instance(cast.task())
        move(instance, State.WAIT_RESOURCE, State.CLAIMED, State.RUNNING, State.FAILURE)
        assert [data["status"] for data in told(STATUS)] == [4, 5]
        assert not Change.objects.exists()
        assert {one.subject for one in Delivery.objects.all()} == {f"i{instance.pk}"}

    def test_the_message_is_as_documented(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        task = cast.task()
        instance = cast.instance(task, State.NOT_RUN, not_before=None)
        move(instance, State.NOT_RUN, State.WAIT_TIME, State.WAIT_RESOURCE, State.RUNNING, State.SUCCESS)
        *_others, last = told(STATUS)
        assert kinds(last) == kinds(INSTANCE_STATUS)
        instance.refresh_from_db()
        assert (last["taskId"], last["nodeId"], last["dagId"]) == (
            instance.pk,
            task.number,
            instance.workflow_instance_id,
        )
        assert (last["appId"], last["dagType"], last["flowId"]) == (cast.workspace.pk, 0, 1)
        assert instance.finished_at is not None and instance.started_at is not None
        assert last["finishTime"] == last["modifyTime"] == round(instance.finished_at.timestamp() * 1000)
        assert last["beginRunningTime"] == round(instance.started_at.timestamp() * 1000)

    def test_each_message_is_of_its_own_moment(self, cast: Guarded) -> None:
        """What came after a change is not in the message about it, however late that is made."""
        subscribed(cast, STATUS)
        instance = cast.instance(cast.task())
        move(instance, State.WAIT_RESOURCE, State.RUNNING)
        move(instance, State.RUNNING, State.SUCCESS)
        running, ended = told(STATUS)
        assert "finishTime" not in running and "finishTime" in ended
        assert running["modifyTime"] <= ended["modifyTime"]

    def test_a_wave_is_one_row(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        task = cast.task("v", "virtual")
        some = [cast.instance(task, period=n, scheduled_at=cast_time(n)) for n in range(5)]
        advance.finish([one.pk for one in some], {State.WAIT_RESOURCE}, State.SUCCESS)
        assert Change.objects.count() == 1
        assert [data["taskId"] for data in told(STATUS)] == [one.pk for one in some]

    @pytest.mark.parametrize("kind", list(Kind))
    def test_every_kind_of_instance_is_one_that_dataworks_knows(self, cast: Guarded, kind: Kind) -> None:
        subscribed(cast, STATUS)
        move(cast.instance(cast.task(), kind=kind), State.WAIT_RESOURCE, State.RUNNING)
        assert [data["taskType"] for data in told(STATUS)] == [3 if kind == 8 else kind]

    def test_development_is_not_told_of(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        move(cast.instance(cast.task(environment="Dev")), State.WAIT_RESOURCE, State.RUNNING)
        assert told() == []

    def test_what_is_undone_is_not_told(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        instance = cast.instance(cast.task())
        with transaction.atomic():
            move(instance, State.WAIT_RESOURCE, State.RUNNING)
            transaction.set_rollback(True)
        assert told() == []

    def test_node_types_can_be_left_out(self, cast: Guarded) -> None:
        subscribed(cast, STATUS, parameters=f"extension.fileType.6.{STATUS}.enabled=false")
        for node_type in ("shell", "python"):
            move(cast.instance(cast.task(node_type, node_type)), State.WAIT_RESOURCE, State.RUNNING)
        (only,) = told(STATUS)
        assert TaskInstance.objects.get(pk=only["taskId"]).node_type == "python"

    def test_all_who_listen_get_the_same_message(self, cast: Guarded) -> None:
        for name in ("a", "b"):
            subscribed(cast, STATUS, name=name)
        subscribed(cast, "freeze-node", name="c")
        move(cast.instance(cast.task()), State.WAIT_RESOURCE, State.RUNNING)
        told()
        assert Event.objects.count() == 1
        assert sorted(Delivery.objects.values_list("extension__name", flat=True)) == ["a", "b"]


def cast_time(minute: int) -> Any:
    return MIDNIGHT + timedelta(minutes=minute)


# workflow instances


class TestWorkflows:
    def family(self, cast: Guarded, kind: str = WorkflowInstance.Type.BACKFILL, count: int = 2) -> list[TaskInstance]:
        family = cast.run_family(kind=kind)
        WorkflowInstance.objects.filter(pk=family.pk).update(created_by=cast.operator)
        return [
            cast.instance(cast.task(f"t{n}"), State.NOT_RUN, workflow_instance=family, not_before=None)
            for n in range(count)
        ]

    def test_its_status_follows_from_its_instances(self, cast: Guarded) -> None:
        subscribed(cast, DAG)
        first, second = self.family(cast)
        statuses = []
        for one, states in (
            (first, (State.NOT_RUN, State.WAIT_RESOURCE)),
            (first, (State.WAIT_RESOURCE, State.RUNNING)),
            (first, (State.RUNNING, State.SUCCESS)),
            (second, (State.NOT_RUN, State.WAIT_RESOURCE, State.RUNNING)),
            (second, (State.RUNNING, State.FAILURE)),
            (second, (State.FAILURE, State.WAIT_RESOURCE)),
            (second, (State.WAIT_RESOURCE, State.RUNNING, State.SUCCESS)),
        ):
            move(one, *states)
            statuses.append([data["status"] for data in told(DAG)])
        assert [len(found) for found in statuses] == [0, 1, 1, 1, 2, 3, 4]
        assert statuses[-1] == [4, 5, 4, 6]

    def test_the_message_is_as_documented(self, cast: Guarded) -> None:
        subscribed(cast, DAG)
        (one,) = self.family(cast, count=1)
        move(one, State.NOT_RUN, State.WAIT_RESOURCE, State.RUNNING)
        (data,) = told(DAG)
        assert kinds(data) == kinds(DAG_STATUS)
        assert (data["dagType"], data["flowId"], data["flowName"]) == (3, 1, "ATCLOUD_FLOW")
        assert data["bizDate"] == f"{one.bizdate} 00:00:00"
        assert data["operator"] == str(cast.operator.uid)

    def test_the_daily_schedule_is_not_told_of(self, cast: Guarded) -> None:
        subscribed(cast, DAG)
        move(cast.instance(cast.task()), State.WAIT_RESOURCE, State.RUNNING)
        assert told() == []

    @pytest.mark.parametrize(
        ("kind", "number"), [("Manual", 1), ("SmokeTest", 2), ("SupplementData", 3), ("ManualWorkflow", 5)]
    )
    def test_every_kind_has_its_number(self, cast: Guarded, kind: str, number: int) -> None:
        subscribed(cast, DAG)
        (one,) = self.family(cast, kind, 1)
        move(one, State.NOT_RUN, State.WAIT_RESOURCE, State.RUNNING)
        assert [data["dagType"] for data in told(DAG)] == [number]
        assert len(WorkflowInstance.Type) == 5, "the scheduled ones are told of by their instances alone"


# operations


class TestOperations:
    def test_what_was_done_to_instances(self, cast: Guarded) -> None:
        subscribed(cast, "rerun-instance", "kill-instance")
        good, bad = (cast.instance(cast.task(str(state)), state) for state in (State.FAILURE, State.RUNNING))
        cast.ask("rerun", [good, bad])
        (data,) = told()
        assert kinds(data) == kinds(RERUN)
        assert (data["taskIds"], data["projectType"]) == ([good.pk], "PROD"), "what was refused is not told"
        assert data["operator"] == str(cast.operator.uid)

    def test_what_an_instance_waits_for_no_more(self, cast: Guarded) -> None:
        subscribed(cast, "delete-task-instance-dependencies")
        first, second, kept, below = (cast.instance(cast.task(str(n)), State.NOT_RUN) for n in range(4))
        for up in (first, second, kept):
            InstanceEdge.objects.create(upstream=up, downstream=below, bizdate=below.bizdate)
        cast.ask("remove_dependencies", [below], arguments={"upstream": [first.pk, second.pk]})
        (data,) = told()
        assert kinds(data) == kinds(PARTED)
        assert (data["taskInstanceId"], data["upstreamTaskInstanceIds"]) == (below.pk, [first.pk, second.pk])

    def test_what_retention_removed(self, cast: Guarded) -> None:
        subscribed(cast, "expired-task-instances-deleted")
        day = clock.now() - timedelta(days=400)
        mine, theirs = (cast.instance(cast.task(name), State.SUCCESS) for name in ("mine", "theirs"))
        Task.objects.filter(pk=theirs.task_id).update(owner=cast.developer)
        TaskInstance.objects.update(bizdate=day.date(), state_at=day)
        assert retention.remove_batch(retention.Old(cast.workspace, "instances", 2, "Prod", day.date())) == 2
        messages = told()
        assert [kinds(data) for data in messages] == [kinds(REMOVED)] * 2
        assert {data["owner"]: data["deletedTaskInstanceIds"] for data in messages} == {
            str(mine.task.owner.uid): [mine.pk],
            str(cast.developer.uid): [theirs.pk],
        }

    def test_in_development_too(self, cast: Guarded) -> None:
        subscribed(cast, "freeze-instance")
        one = cast.instance(cast.task(environment="Dev"), State.WAIT_TIME)
        cast.ask("freeze", [one], environment="Dev")
        assert [data["projectType"] for data in told()] == ["DEV"]

    def test_what_is_checked_is_told_when_it_is_done(self, cast: Guarded) -> None:
        cast.extension("guard", points=["pre-freeze-instance"])
        subscribed(cast, "freeze-instance")
        operation = cast.ask("freeze", [cast.instance(cast.task(), State.WAIT_TIME)])
        sent = Delivery.objects.filter(of_check=None)
        assert operation.status == "checking" and not sent.exists()
        say(check_of(operation), "OK")
        assert sent.count() == 1

    def test_a_frozen_task_is_a_changed_node(self, cast: Guarded) -> None:
        subscribed(cast, "node-change-updated")
        task = cast.task("dwd_order_day")
        cast.freeze(task)
        cast.unfreeze(task)
        frozen, thawed = told()
        assert kinds(frozen) == kinds(NODE)
        assert (frozen["schedulerType"], thawed["schedulerType"]) == ("PAUSE", "NORMAL")
        assert (frozen["nodeId"], frozen["programType"]) == (task.number, "DIDE_SHELL")

    def test_a_manual_task_says_so(self, cast: Guarded) -> None:
        subscribed(cast, "node-change-updated")
        task = cast.task(trigger=Task.Trigger.MANUAL)
        telling.of_tasks(telling.UPDATED, [task.pk], cast.operator)
        assert [data["schedulerType"] for data in told()] == ["MANUAL"]

    def test_tasks_of_production_alone(self, cast: Guarded) -> None:
        subscribed(cast, "node-change-deleted")
        tasks = [cast.task("a"), cast.task("b", environment="Dev")]
        telling.of_tasks(telling.DELETED, [one.pk for one in tasks], cast.operator)
        assert [data["nodeName"] for data in told()] == ["a"]


# who listens


class TestWatching:
    def test_the_engine_notes_as_long_as_somebody_listens(self, cast: Guarded) -> None:
        made = subscribed(cast, STATUS, is_enabled=False)
        boss = cast.actor(cast.admin)
        assert not Watch.objects.exists()
        enablements.enable(boss, cast.workspace, made.code, Settings(), has_agreed=True)
        assert Watch.objects.get().workspace == cast.workspace
        operations.take("disable", cast.actor(made.owner), made.code)
        assert not Watch.objects.exists()
        Extension.objects.update(status=Extension.Status.ONLINE)
        lifecycle.watch(cast.tenant.pk)
        assert Watch.objects.exists()
        enablements.disable(boss, cast.workspace, made.code)
        assert not Watch.objects.exists()

    def test_while_it_is_tested_in_its_test_workspace_alone(self, cast: Guarded) -> None:
        other = Workspace.objects.create(tenant=cast.tenant, name="second")
        made = subscribed(cast, STATUS, status=Extension.Status.TESTING)
        Enablement.objects.create(extension=made, workspace=other, is_enabled=True)
        lifecycle.watch(cast.tenant.pk)
        assert [one.workspace for one in Watch.objects.all()] == [cast.workspace]

    def test_what_was_noted_is_dropped_when_nobody_listens_any_more(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        move(cast.instance(cast.task()), State.WAIT_RESOURCE, State.RUNNING)
        Enablement.objects.update(is_enabled=False)
        assert told() == [] and not Change.objects.exists()

    def test_who_looks_does_so_again_only_while_somebody_listens(self, cast: Guarded) -> None:
        looker = changes.Changes()
        assert looker.run() is None
        subscribed(cast, STATUS)
        moment = looker.run()
        assert moment is not None and looker.run() == moment, "whoever wakes it before that wakes it in vain"


def test_what_is_sent_to_nobody_has_failed_and_can_be_sent_later(cast: Guarded) -> None:
    made = subscribed(cast, "freeze-instance", gone_at=clock.now())
    notices.tell(cast.workspace, "Prod", [Notice("freeze-instance", {"taskIds": [1]}, "w1")])
    delivery = Delivery.objects.get()
    assert (delivery.extension, delivery.status, delivery.due_at) == (made, "failed", None)
    assert not AuditEntry.objects.filter(action="extension.stopped").exists()
    assert not Transition.objects.exists()


class TestPace:
    """Changes stay in their rows while no listener has room for more messages."""

    def test_the_rows_wait_until_somebody_has_room(self, cast: Guarded) -> None:
        subscribed(cast, STATUS, name="a")
        subscribed(cast, STATUS, name="slow")
        instance = cast.instance(cast.task())
        for _ in range(changes.ROOM // 2):
            move(instance, State.WAIT_RESOURCE, State.RUNNING, State.WAIT_RESOURCE)
        assert len(told(STATUS)) == 2 * changes.ROOM
        move(instance, State.WAIT_RESOURCE, State.RUNNING)
        assert len(told(STATUS)) == 2 * changes.ROOM and Change.objects.count() == 1
        Delivery.objects.filter(extension__name="a").update(status="delivered")
        assert len(told(STATUS)) == 2 * changes.ROOM + 2, "the slow one holds back nobody"
        assert not Change.objects.exists()

    def test_one_whose_endpoint_is_gone_holds_back_nobody(self, cast: Guarded) -> None:
        subscribed(cast, STATUS, gone_at=clock.now())
        move(cast.instance(cast.task()), State.WAIT_RESOURCE, State.RUNNING)
        assert len(told(STATUS)) == 1

    def test_every_row_gets_its_turn(self, cast: Guarded) -> None:
        subscribed(cast, STATUS)
        task = cast.task("v", "virtual")
        some = [cast.instance(task, period=n, scheduled_at=cast_time(n)) for n in range(4)]
        for pair in (some[:2], some[2:]):
            advance.finish([one.pk for one in pair], {State.WAIT_RESOURCE}, State.SUCCESS)
        assert len(told(STATUS)) == 4
