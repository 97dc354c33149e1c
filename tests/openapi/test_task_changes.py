"""Freezing and unfreezing tasks by both versions, with and without extensions that are asked first."""

from datetime import timedelta
from typing import Any

import pytest

from extensions.models import Check, Event
from opscenter.base import clock
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import Member, Workspace
from tests.cast import Cast, usable_group
from tests.openapi.guards import Guard, call_back
from tests.openapi.wire import V2020, Answer, Wire

PAUSE, NORMAL = {"Trigger": {"Recurrence": "Pause"}}, {"Trigger": {"Recurrence": "Normal"}}


def update(wire: Wire, task: Task, **params: Any) -> Answer:
    return wire.try_call("UpdateTask", Id=task.number, **params)


def run_mode(wire: Wire, task: Task, kind: int, environment: str = "PROD") -> Answer:
    named = {"NodeId": task.number, "ProjectEnv": environment, "SchedulerType": kind}
    return wire.try_call("UpdateNodeRunMode", V2020, **named)


def recurrence(wire: Wire, task: Task) -> str:
    return wire.call("GetTask", Id=task.number, ProjectEnv=task.environment)["Task"]["Trigger"]["Recurrence"]


# one task


def test_freeze_and_unfreeze(wire: Wire, cast: Cast) -> None:
    task = cast.task()
    frozen = update(wire, task, **PAUSE)
    done = Operation.objects.get()
    told = {"OperationId": str(done.pk), "Status": "Applied"}
    assert frozen.body == {"Success": True, "RequestId": frozen.body["RequestId"]} | told
    assert (done.code, done.actor, done.face, done.environment) == ("freeze_task", cast.admin, "api", "Prod")
    shown = wire.call("GetTask", Id=task.number)["Task"]
    assert (shown["Trigger"]["Recurrence"], shown["ModifyUser"]) == ("Pause", str(cast.admin.uid))
    assert update(wire, task, **NORMAL).body["Status"] == "Applied"
    assert recurrence(wire, task) == "Normal"


def test_by_the_older_api(wire: Wire, cast: Cast) -> None:
    task = cast.task()
    frozen = run_mode(wire, task, 2)
    assert (frozen.status, frozen.body["Success"], recurrence(wire, task)) == (200, True, "Pause")
    assert run_mode(wire, task, 0).body["Success"] is True
    assert recurrence(wire, task) == "Normal"
    assert run_mode(wire, task, 1).code == run_mode(wire, task, 3).code == "InvalidSchedulerType"
    assert wire.try_call("UpdateNodeRunMode", V2020, NodeId=task.number, SchedulerType=2).code == "MissingProjectEnv"


def test_the_environment(wire: Wire, cast: Cast, guard: Guard) -> None:
    """Production unless told otherwise; nobody is asked about Dev."""
    prod = cast.task()
    dev = cast.task(environment="Dev", number=prod.number)
    assert update(wire, dev, EnvType="DEV", **PAUSE).body["Status"] == "Applied"
    assert (recurrence(wire, prod), recurrence(wire, dev)) == ("Normal", "Pause")
    assert run_mode(wire, dev, 0, "dev").body["Status"] == "Applied"
    assert update(wire, prod, **PAUSE).body["Status"] == "Checking"
    assert Event.objects.count() == 1


@pytest.mark.parametrize(("kind", "params"), [(2, PAUSE), (0, NORMAL)])
def test_what_is_so_already_needs_no_operation(
    wire: Wire, cast: Cast, guard: Guard, kind: int, params: dict[str, Any]
) -> None:
    task = cast.task(recurrence=params["Trigger"]["Recurrence"])
    for answer in (update(wire, task, **params), run_mode(wire, task, kind)):
        assert answer.body == {"Success": True, "RequestId": answer.body["RequestId"]}
    assert not Operation.objects.exists()


def test_a_dry_run_is_thawed_to_a_dry_run(wire: Wire, cast: Cast) -> None:
    task = cast.task(recurrence="Skip")
    assert update(wire, task, **PAUSE).status == update(wire, task, **NORMAL).status == 200
    assert recurrence(wire, task) == "Skip"


@pytest.mark.parametrize(("before", "wanted"), [("Normal", "Skip"), ("Pause", "Skip"), ("Skip", "Normal")])
def test_dry_runs_are_published(wire: Wire, cast: Cast, before: str, wanted: str) -> None:
    answer = update(wire, cast.task(recurrence=before), Trigger={"Recurrence": wanted})
    assert (answer.status, answer.code) == (400, "InvalidTrigger.Recurrence")
    assert "published" in answer.message


def test_whole_tasks_are_taken(wire: Wire, cast: Cast) -> None:
    """As GetTask answers it, with the forms in which clients send it, and nothing changed but the recurrence."""
    up = cast.task("up")
    task = cast.task(
        "down", upstream=[up], description="daily\n", version={"parameters": "a=$bizdate", "rerun_interval": 60}
    )
    whole = wire.call("GetTask", Id=task.number)["Task"]
    whole["Trigger"]["Recurrence"] = "Pause"
    whole["Trigger"]["Cron"] = "0 0 0 * * ?"
    [dependency] = whole["Dependencies"]
    dependency["UpstreamTaskId"] = int(dependency["UpstreamTaskId"])
    params = {name: value for name, value in whole.items() if name not in ("ProjectEnv", "Id")}
    answer = wire.try_call(
        "UpdateTask",
        Id=task.number,
        **(params | {"Tags": [], "DataSource": {"Name": ""}, "Timeout": "0", "Inputs": {"Variables": [{}]}}),
    )
    assert answer.status == 200, answer.body
    assert recurrence(wire, task) == "Pause"
    assert update(wire, task, RerunInterval=60_000).status == 200, "the unit that is documented for this call"
    assert update(wire, task, RerunInterval=61).code == "InvalidRerunInterval"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"Name": "other"}, "Name"),
        ({"Description": "other"}, "Description"),
        ({"Timeout": 0}, "Timeout"),
        ({"RerunMode": "AllDenied"}, "RerunMode"),
        ({"RerunTimes": 3}, "RerunTimes"),
        ({"InstanceMode": "Immediately"}, "InstanceMode"),
        ({"ClientUniqueCode": "Task_1"}, "ClientUniqueCode"),
        ({"DataSource": {"Name": "odps"}}, "DataSource"),
        ({"RuntimeResource": {"Image": "i-1"}}, "RuntimeResource.Image"),
        ({"Script": {"Content": "echo 2"}}, "Script.Content"),
        ({"Script": {"Parameters": "a=1"}}, "Script.Parameters"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "Tags"),
        ({"Dependencies": [{"Type": "Normal", "UpstreamTaskId": 5}]}, "Dependencies"),
        ({"Outputs": {"TaskOutputs": [{"Output": "x.y"}]}}, "Outputs.TaskOutputs"),
        ({"Inputs": {"Variables": [{"Type": "System", "Name": "a"}]}}, "Inputs.Variables"),
        ({"Trigger": {"Recurrence": "Pause", "Cron": "00 30 00 * * ?"}}, "Trigger.Cron"),
        ({"Trigger": {"Recurrence": "Pause", "Cron": "every day"}}, "Trigger.Cron"),
        ({"Trigger": {"Recurrence": "Pause", "Type": "Manual"}}, "Trigger.Type"),
        ({"Trigger": {"Recurrence": "Pause", "EndTime": "2027-01-01 00:00:00"}}, "Trigger.EndTime"),
        ({"Trigger": {"Recurrence": "Pause", "CycleType": "NotDaily"}}, "Trigger.CycleType"),
        ({"Trigger": {"recurrence": "Pause"}}, "Trigger.recurrence"),
    ],
)
def test_what_only_publishing_changes_is_named(wire: Wire, cast: Cast, given: dict[str, Any], named: str) -> None:
    task = cast.task(version={"timeout": 3600})
    answer = update(wire, task, **(PAUSE | given))
    assert (answer.status, answer.code) == (400, f"Invalid{named}")
    assert "publish" in answer.message
    batch = wire.call("BatchUpdateTasks", Tasks=[{"Id": task.number} | PAUSE | given])["SuccessInfo"]
    assert batch[str(task.number)]["Success"] is False
    assert named in batch[str(task.number)]["Message"]
    assert recurrence(wire, task) == "Normal"
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MissingTrigger.Recurrence"),
        ({"Tags": "[]", "Trigger": "{}"}, "MissingTrigger.Recurrence"),
        ({"Trigger": "Pause"}, "InvalidTrigger"),
        ({"Trigger": {"Recurrence": "Frozen"}}, "InvalidTrigger.Recurrence"),
        ({"EnvType": "Test"} | PAUSE, "InvalidEnvType"),
        ({"Script": "echo"} | PAUSE, "InvalidScript"),
        ({"Script": '{"a":' * 900 + "1" + "}" * 900} | PAUSE, "InvalidScript.a"),
        ({"Tags": "[" * 900 + "]" * 900} | PAUSE, "InvalidTags"),
        ({"Tags": "[" * 90_000} | PAUSE, "InvalidTags"),
    ],
)
def test_malformed(wire: Wire, cast: Cast, params: dict[str, Any], code: str) -> None:
    answer = update(wire, cast.task(), **params)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("freeze", [lambda w, t: update(w, t, **PAUSE), lambda w, t: run_mode(w, t, 2)])
def test_who_may(cast: Cast, freeze) -> None:
    foreign, own = cast.task("foreign"), cast.task("own", owner=cast.developer)
    for who in (cast.visitor, cast.deployer, cast.developer):
        answer = freeze(Wire(who), foreign)
        assert (answer.status, answer.code) == (403, "ResourceNotAuthorized.Api")
        assert answer.body["AccessDeniedDetail"]["AuthAction"] == "task.operate"
    stranger = freeze(Wire(cast.stranger), foreign)
    assert (stranger.status, stranger.code) == (404, "Invalid.Task.NotExist")
    assert freeze(Wire(cast.developer), own).status == freeze(Wire(cast.operator), foreign).status == 200
    for who in (cast.visitor, cast.developer):
        assert freeze(Wire(who), foreign).status == 403, "also where there is nothing to do"


def test_the_root_and_offline_tasks(wire: Wire, cast: Cast) -> None:
    root, gone = cast.task("root", "virtual", is_root=True), cast.task("gone", status="Offline")
    answer = update(wire, root, **PAUSE)
    assert (answer.status, answer.code) == (409, "Invalid.Task.Root")
    assert update(wire, gone, **PAUSE).code == run_mode(wire, gone, 2).code == "Invalid.Task.NotExist"


# owner and resource group


def test_owner_and_resource_group_by_the_newer_api(wire: Wire, cast: Cast) -> None:
    """With the recurrence in one call; each is an operation of its own."""
    usable_group(cast.workspace, "night")
    task = cast.task()
    answer = update(wire, task, Owner=str(cast.developer.uid), RuntimeResource={"ResourceGroupId": "night"}, **PAUSE)
    assert answer.body["Status"] == "Applied", answer.body
    assert [one.code for one in Operation.objects.order_by("pk")] == [
        "freeze_task", "set_owner_task", "set_resource_group_task",
    ]  # fmt: skip
    shown = wire.call("GetTask", Id=task.number)["Task"]
    assert shown["Owner"] == str(cast.developer.uid)
    assert (shown["RuntimeResource"], shown["Trigger"]["Recurrence"]) == ({"ResourceGroupId": "night"}, "Pause")
    whole = {name: value for name, value in shown.items() if name not in ("ProjectEnv", "Id", "Dependencies")}
    assert update(wire, task, **whole).status == 200
    assert Operation.objects.count() == 3, "it was so already"


def test_several_changes_are_made_together_or_not_at_all(wire: Wire, cast: Cast) -> None:
    root = cast.task("root", "virtual", is_root=True)
    answer = update(wire, root, Owner=str(cast.developer.uid), **PAUSE)
    assert (answer.status, answer.code) == (409, "Invalid.Task.Root")
    root.refresh_from_db()
    assert root.owner == cast.owner and not Operation.objects.exists()
    assert update(wire, root, Owner=str(cast.developer.uid)).status == 200


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Owner": "1"}, "InvalidOwner"),
        ({"Owner": "somebody"}, "InvalidOwner"),
        ({"Owner": "9" * 30}, "InvalidOwner"),
        ({"RuntimeResource": {"ResourceGroupId": "nowhere"}}, "InvalidRuntimeResource.ResourceGroupId"),
    ],
)
def test_what_cannot_be_is_named(wire: Wire, cast: Cast, given: dict[str, Any], code: str) -> None:
    task = cast.task()
    answer = update(wire, task, **(PAUSE | given))
    assert (answer.status, answer.code) == (400, code)
    assert recurrence(wire, task) == "Normal" and not Operation.objects.exists()


def test_only_members_become_owners(wire: Wire, cast: Cast) -> None:
    task, colleague = cast.task(), cast.user("colleague")
    named = {"NodeId": task.number, "ProjectEnv": "PROD"}
    for uid in (colleague.uid, cast.stranger.uid, 5):
        answer = wire.try_call("UpdateNodeOwner", V2020, UserId=str(uid), **named)
        assert (answer.status, answer.code) == (400, "InvalidUserId")
    for _ in range(2):  # the second time it is so already
        assert wire.call("UpdateNodeOwner", V2020, UserId=str(cast.operator.uid), **named)["Success"] is True
    task.refresh_from_db()
    assert (task.owner, task.modified_by, Operation.objects.count()) == (cast.operator, cast.admin, 1)


def test_what_owners_may_do_moves_with_the_task(cast: Cast) -> None:
    task = cast.task(owner=cast.developer)
    mine = Wire(cast.developer)
    named = {"NodeId": task.number, "ProjectEnv": "PROD"}
    assert mine.call("UpdateNodeOwner", V2020, UserId=str(cast.operator.uid), **named)["Success"] is True
    answer = mine.try_call("UpdateNodeOwner", V2020, UserId=str(cast.developer.uid), **named)
    assert (answer.status, answer.body["AccessDeniedDetail"]["AuthAction"]) == (403, "task.operate")


def test_batches_of_owners_and_groups(wire: Wire, guard: Guard) -> None:
    cast = guard.cast
    usable_group(cast.workspace, "night")
    tasks = [cast.task(name) for name in "abc"]
    owner, group = {"Owner": str(cast.developer.uid)}, {"RuntimeResource": {"ResourceGroupId": "night"}}
    items: list[Any] = [
        {"Id": tasks[0].number} | owner | group,
        {"Id": tasks[1].number} | owner | PAUSE,
        {"Id": tasks[2].number, "Owner": "5"} | group,
    ]
    info = wire.call("BatchUpdateTasks", Tasks=items)["SuccessInfo"]
    assert [entry["Success"] for entry in info.values()] == [True, True, False]
    assert "Waits for the verdict of Guard" in info[str(tasks[1].number)]["Message"]
    assert "Owner" in info[str(tasks[2].number)]["Message"]
    codes = {one.code: one.params["tasks"] for one in Operation.objects.all()}
    assert codes == {
        "set_owner_task": [tasks[0].pk, tasks[1].pk],
        "set_resource_group_task": [tasks[0].pk],
        "freeze_task": [tasks[1].pk],
    }
    now = Task.objects.select_related("owner", "resource_group").in_bulk()
    assert [now[task.pk].owner for task in tasks] == [cast.developer, cast.developer, cast.owner]
    assert [now[task.pk].resource_group.name for task in tasks] == ["night", "default", "default"]


# undeploying


@pytest.mark.parametrize("by", ["OfflineNode", "DeleteTask"])
def test_undeploy(wire: Wire, cast: Cast, by: str) -> None:
    up = cast.task("up")
    down = cast.task("down", upstream=[up])

    def call(task: Task) -> Answer:
        if by == "DeleteTask":
            return wire.try_call(by, Id=task.number)
        return wire.try_call(by, V2020, NodeId=task.number, ProjectId=cast.workspace.pk)

    refused = call(up)
    assert (refused.status, refused.code) == (409, "Invalid.Task.Downstream")
    assert "“down”" in refused.message
    done = call(down)
    assert (done.body["Success"], done.body["Status"]) == ("true" if by == "OfflineNode" else True, "Applied")
    assert wire.try_call("GetTask", Id=down.number).code == call(down).code == "Invalid.Task.NotExist"
    assert call(up).status == 200
    assert set(Task.objects.values_list("status", flat=True)) == {"Offline"}


def test_undeploy_names_the_workspace_and_the_environment(wire: Wire, cast: Cast) -> None:
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.admin, roles=["role_project_admin"])
    prod = cast.task()
    dev = cast.task(environment="Dev", number=prod.number)
    wrong = wire.try_call("OfflineNode", V2020, NodeId=prod.number, ProjectId=other.pk)
    assert (wrong.status, wrong.code) == (404, "Invalid.Task.NotExist")
    assert wire.call("DeleteTask", Id=prod.number, ProjectEnv="Dev")["Success"] is True
    assert [Task.objects.get(pk=one.pk).status for one in (prod, dev)] == ["Online", "Offline"]


def test_undeploying_under_check(wire: Wire, cast: Cast) -> None:
    guard = Guard(cast)
    type(guard.extension).objects.update(points=["undeploy-node"])
    answer = wire.try_call("DeleteTask", Id=cast.task().number)
    assert (answer.body["Success"], answer.body["Status"]) == (True, "Checking")
    assert call_back(Check.objects.get(), {"result": "OK"}).status == 200
    assert Task.objects.get().status == "Offline"


# under check


def test_under_check(wire: Wire, guard: Guard) -> None:
    Guard(guard.cast, "Auditor")
    Guard(guard.cast, "Watcher", is_mandatory=False)
    task = guard.cast.task()
    answer = update(wire, task, **PAUSE)
    done = Operation.objects.get()
    assert (answer.status, answer.body["Success"], answer.body["Status"]) == (200, True, "Checking")
    assert answer.body["Message"] == f"Waits for the verdict of Auditor, Guard; operation {done.pk}."
    assert (answer.body["OperationId"], recurrence(wire, task)) == (str(done.pk), "Normal")
    again = update(wire, task, **PAUSE)
    assert (again.status, again.code) == (409, "Invalid.Operation.Open")
    assert f"operation {done.pk}" in again.message
    assert run_mode(Wire(guard.cast.operator), task, 2).code == "Invalid.Operation.Open"
    for check in Check.objects.filter(is_mandatory=True):
        assert call_back(check, {"result": "OK"}).status == 200
    assert recurrence(wire, task) == "Pause"


def test_asked_and_decided_at_once(wire: Wire, cast: Cast) -> None:
    """Advice is not waited for; an extension that cannot be reached blocks before the call is answered."""
    task = cast.task()
    Guard(cast, "Watcher", is_mandatory=False)
    assert update(wire, task, **PAUSE).body["Status"] == "Applied"
    gone = Guard(cast, "Gone")
    type(gone.extension).objects.filter(pk=gone.extension.pk).update(gone_at=clock.now())
    answer = update(wire, task, **NORMAL)
    assert (answer.status, answer.code) == (409, "Invalid.Operation.Blocked")
    assert "“Gone” blocked it" in answer.message
    batch = wire.call("BatchUpdateTasks", Tasks=[{"Id": task.number} | NORMAL])["SuccessInfo"]
    assert "“Gone” blocked it" in batch[str(task.number)]["Message"]
    assert recurrence(wire, task) == "Pause"


# many tasks


def test_batch(wire: Wire, cast: Cast) -> None:
    free, frozen, also, root = (
        cast.task("free"),
        cast.task("frozen", recurrence="Pause"),
        cast.task("also"),
        cast.task("root", "virtual", is_root=True),
    )
    dev = cast.task("dev", environment="Dev")
    tasks: list[dict[str, Any]] = [
        {"Id": free.number} | PAUSE,
        {"Id": str(also.number), "EnvType": "PROD", "Tags": []} | PAUSE,
        {"Id": frozen.number} | PAUSE,
        {"Id": root.number} | PAUSE,
        {"Id": dev.number, "EnvType": "Dev"} | PAUSE,
        {"Id": 12345} | PAUSE,
        {"Id": cast.task("nothing").number},
    ]
    info = wire.call("BatchUpdateTasks", Tasks=tasks, Comment="month end")["SuccessInfo"]
    assert [entry["Success"] for entry in info.values()] == [True, True, True, False, True, False, False]
    assert list(info) == [str(task["Id"]) for task in tasks]
    first, second = Operation.objects.order_by("pk")
    assert info[str(free.number)] == {"Success": True, "Message": "", "OperationId": str(first.pk)}
    assert info[str(frozen.number)] == {"Success": True, "Message": ""}
    assert "root node" in info[str(root.number)]["Message"]
    assert info["12345"]["Message"] == "There is no task 12345 in Prod, or you are not a member of its workspace."
    assert "Trigger.Recurrence" in list(info.values())[-1]["Message"]
    assert (first.params["tasks"], second.params["tasks"]) == ([free.pk, also.pk, root.pk], [dev.pk])
    assert {first.comment, second.comment} == {"month end"}
    assert set(Task.objects.filter(recurrence="Pause")) == {free, frozen, also, dev}


def test_batch_is_one_operation_for_what_belongs_together(wire: Wire, guard: Guard) -> None:
    """By workspace, environment and what is done: one event tells the extension of all."""
    cast = guard.cast
    other = Workspace.objects.create(tenant=cast.tenant, name="other")
    Member.objects.create(workspace=other, user=cast.admin, roles=["role_project_admin"])
    freeze = [cast.task(name) for name in "abc"]
    thaw = [cast.task(name, recurrence="Pause") for name in "de"]
    elsewhere = cast.task("f", workspace=other)
    tasks: list[Any] = [{"Id": task.number} | PAUSE for task in (*freeze, elsewhere)]
    tasks += [{"Id": task.number} | NORMAL for task in thaw]
    info = wire.call("BatchUpdateTasks", Tasks=tasks)["SuccessInfo"]
    operations = {one.code: one for one in Operation.objects.filter(workspace=cast.workspace)}
    assert Operation.objects.count() == 3
    told = [event.message["data"]["nodeIds"] for event in Event.objects.order_by("at")]
    assert told == [[task.number for task in freeze], [task.number for task in thaw]]
    waits = f"Waits for the verdict of Guard; operation {operations['unfreeze_task'].pk}."
    assert info[str(thaw[0].number)] == {
        "Success": True,
        "Message": waits,
        "OperationId": str(operations["unfreeze_task"].pk),
    }
    assert info[str(elsewhere.number)]["Message"] == ""
    again = wire.call("BatchUpdateTasks", Tasks=tasks[:1])["SuccessInfo"][str(freeze[0].number)]
    assert again["Success"] is False
    assert f"operation {operations['freeze_task'].pk}" in again["Message"]


def test_batch_by_permission(cast: Cast) -> None:
    own, foreign, frozen = cast.task("own", owner=cast.developer), cast.task("foreign"), cast.task(recurrence="Pause")
    tasks = [{"Id": task.number} | PAUSE for task in (own, foreign, frozen)]
    info = Wire(cast.developer).call("BatchUpdateTasks", Tasks=tasks)["SuccessInfo"]
    assert [entry["Success"] for entry in info.values()] == [True, False, False]
    assert "task.operate" in info[str(foreign.number)]["Message"]
    refused = Wire(cast.visitor).try_call("BatchUpdateTasks", Tasks=tasks)
    assert (refused.status, refused.code) == (403, "ResourceNotAuthorized.Api")
    stranger = Wire(cast.stranger).call("BatchUpdateTasks", Tasks=tasks)["SuccessInfo"]
    assert {entry["Success"] for entry in stranger.values()} == {False}
    assert set(Task.objects.filter(recurrence="Pause")) == {own, frozen}


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        ([], "MissingTasks"),
        ("x", "InvalidTasks"),
        ([5], "InvalidTasks.1"),
        ([PAUSE], "MissingTasks.1.Id"),
        ([{"Id": 1}, {"Id": "x"}], "InvalidTasks.2.Id"),
        ([{"Id": 1, "EnvType": "x"}], "InvalidTasks.1.EnvType"),
        ([{"Id": 1, "Trigger": {"Recurrence": "x"}}], "InvalidTasks.1.Trigger.Recurrence"),
        ([{"Id": 1}, {"Id": 1, "EnvType": "Dev"}], "InvalidTasks"),
        ([{"Id": number} for number in range(1001)], "InvalidTasks"),
    ],
)
def test_malformed_batches(wire: Wire, tasks: Any, code: str) -> None:
    answer = wire.try_call("BatchUpdateTasks", Tasks=tasks)
    assert (answer.status, answer.code) == (400, code)


def test_batches_cost_no_query_a_task(wire: Wire, cast: Cast, django_assert_max_num_queries) -> None:
    tasks = [{"Id": cast.task(f"t{number}").number, "Timeout": 0} | PAUSE for number in range(30)]
    with django_assert_max_num_queries(40):
        info = wire.call("BatchUpdateTasks", Tasks=tasks)["SuccessInfo"]
    assert all(entry["Success"] for entry in info.values())


# logs


def test_logs_of_a_task(wire: Wire, guard: Guard) -> None:
    cast = guard.cast
    task, other = cast.task(), cast.task("other")

    def logs(**params: Any) -> list[tuple[str, str]]:
        body = wire.call("ListTaskOperationLogs", Id=task.number, **params)
        return [(entry["OperationContent"], entry["User"]) for entry in body["PagingInfo"]["OperationLogs"]]

    assert logs() == []
    check = guard.asked(task, by=cast.operator)
    guard.asked(other)
    assert logs() == [("Freeze (Checking)", str(cast.operator.uid))]
    call_back(check, {"result": "FAIL", "message": "Not at night"})
    assert logs()[0][0] == "Freeze (Blocked): The extension “Guard” blocked it: Not at night"
    call_back(guard.asked(task), {"result": "OK"})
    assert logs()[0][0] == "Freeze (Applied)"
    wire.call("BatchUpdateTasks", Tasks=[{"Id": task.number} | NORMAL], Comment="all is well")
    assert logs(PageSize=1) == [("Unfreeze (Checking): all is well", str(cast.admin.uid))]
    assert len(logs()) == 3
    entry = wire.call("ListTaskOperationLogs", Id=task.number, PageSize=1)["PagingInfo"]["OperationLogs"][0]
    newest = Operation.objects.latest("pk")
    assert (entry["OperationSeq"], entry["ObjectType"], entry["TaskId"]) == (newest.pk, "Task", task.number)
    assert entry["CreateTime"] == round(newest.at.timestamp() * 1000)

    def ms(days: int) -> int:
        return round((clock.now() - timedelta(days=days)).timestamp() * 1000)

    Operation.objects.filter(pk=newest.pk).update(at=newest.at - timedelta(days=31))
    assert (len(logs()), len(logs(Date=ms(31))), logs(Date=ms(1))) == (2, 1, [])
    refused = wire.try_call("ListTaskOperationLogs", Id=task.number, Date=ms(32))
    assert (refused.status, refused.code) == (400, "InvalidDate")


def test_what_a_member_is_refused_is_logged(cast: Cast) -> None:
    """Refused as such, though the operation as a whole was done in part."""
    own, foreign = cast.task("own", owner=cast.developer), cast.task("root", "virtual", is_root=True)
    tasks = [{"Id": task.number} | PAUSE for task in (own, foreign)]
    Wire(cast.owner).call("BatchUpdateTasks", Tasks=tasks)
    logs = Wire(cast.operator).call("ListTaskOperationLogs", Id=foreign.number)["PagingInfo"]["OperationLogs"]
    assert logs[0]["OperationContent"].startswith("Freeze (Refused): “root” is the workspace's root node")
