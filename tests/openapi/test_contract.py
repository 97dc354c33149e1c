"""Every answer has the names and types of the contract, and every operation reads the contract's parameters."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opscenter.openapi import middleware  # noqa: F401  registers the operations
from opscenter.openapi.fields import Request
from opscenter.openapi.registry import all_operations
from opscenter.production.models import Attempt, LogChunk, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import State
from tests.cast import BIZDATE, MIDNIGHT, Cast
from tests.openapi.wire import V2020, V2024, Wire

CONTRACT: dict[tuple[str, str], dict[str, Any]] = {
    (path.stem, name): operation
    for path in (Path(__file__).parent / "contract").glob("*.json")
    for name, operation in json.loads(path.read_text()).items()
}
MISSING_IN_ANSWERS = {"ErrorCode", "ErrorMessage"}
"""Of the 2020 API: what fails is an HTTP error, so successes never carry these."""


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def test_each_operation_is_in_the_contract() -> None:
    assert {(o.version, o.action) for o in all_operations()} == set(CONTRACT)


@pytest.mark.parametrize("key", sorted(CONTRACT), ids="-".join)
def test_parameters(key: tuple[str, str]) -> None:
    """What we read is documented, and what is documented as required is required here."""
    request: Request = next(o.request for o in all_operations() if (o.version, o.action) == key)()
    documented = {field["name"]: field for field in CONTRACT[key]["request"]}
    assert set(request.fields) <= set(documented)
    required = {name for name, field in documented.items() if field.get("required")}
    assert required <= {name for name, field in request.fields.items() if field.required}


def problems(value: Any, fields: list[dict[str, Any]], path: str = "") -> Iterator[str]:
    """Where an answer is not of the shape."""
    known = {field["name"]: field for field in fields}
    for name, inner in value.items():
        if name not in known:
            yield f"{path}{name}: not in the contract"
        else:
            yield from wrong_type(inner, known[name], f"{path}{name}")


def wrong_type(value: Any, field: dict[str, Any], path: str) -> Iterator[str]:
    kind, fields = field["type"], field.get("fields")
    if kind == "Dict[str, object]":
        for key, inner in value.items():
            yield from problems(inner, fields or [], f"{path}[{key}].")
    elif kind.startswith("List["):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for inner in value:
            yield from wrong_type(inner, {**field, "type": kind[5:-1]}, f"{path}[]")
    elif kind == "object":
        yield from problems(value, fields or [], f"{path}.")
    else:
        expected: type = {"int": int, "str": str, "bool": bool}[kind]
        if type(value) is not expected:
            yield f"{path}: {value!r} is not {kind}"
        elif isinstance(value, int) and not abs(value) < (2**31 if field.get("gotype") == "int32" else 2**53):
            yield f"{path}: {value!r} is too large"


@pytest.fixture
def instance(cast: Cast) -> TaskInstance:
    """A shell instance in the middle of a small graph, rerun once, with a log."""
    workflow = cast.workflow()
    upstream = cast.task("gate", "http_trigger", workflow=workflow)
    task = cast.task("report", upstream=[upstream], workflow=workflow, version={"parameters": "day=$bizdate"})
    gate = cast.instance(upstream, State.SUCCESS)
    now = datetime.now(UTC)
    made = cast.instance(
        task, State.FAILURE, upstream=[gate], attempt=2, started_at=now, finished_at=now, waiting_resource_at=now
    )
    for number, state in ((1, "lost"), (2, "failure")):
        attempt = Attempt.objects.create(
            instance=made, number=number, state=state, claimed_at=now, started_at=now, host="h1",
            parameters={"day": "20261120"}, version=task.version,
        )  # fmt: skip
        LogChunk.objects.create(attempt=attempt, seq=0, bizdate=BIZDATE, text=f"run {number}\n")
    cast.instance(cast.task("mail", upstream=[task], workflow=workflow), State.NOT_RUN, upstream=[made])
    return made


def calls(cast: Cast, instance: TaskInstance) -> dict[tuple[str, str], dict[str, Any]]:
    """One good call of each operation, in an order in which each succeeds."""
    gate = instance.upstream_edges.get().upstream
    one, many = {"InstanceId": instance.pk, "ProjectEnv": "PROD"}, {"Ids": [instance.pk], "Comment": "because"}
    project, day = cast.workspace.pk, ms(MIDNIGHT) - 86_400_000
    smoke = {"Type": "SmokeTest", "ProjectId": project, "Name": "try", "WorkflowId": 1} | {
        "DefaultRunProperties": {"RootTaskIds": [instance.task.number]},
        "Periods": {"BizDates": [{"StartBizDate": "2026-11-20", "EndBizDate": "2026-11-20"}]},
    }
    trigger = {"TaskId": gate.task.number, "TriggerTime": ms(gate.scheduled_at)}
    run = {"NodeId": gate.task.number, "CycleTime": ms(gate.scheduled_at), "BizDate": day, "AppId": project}
    return {
        (V2024, "GetProject"): {"Id": project},
        (V2024, "ListProjects"): {"Names": [cast.workspace.name]},
        (V2024, "GetTask"): {"Id": instance.task.number},
        (V2024, "ListTasks"): {"ProjectId": project},
        (V2024, "ListTaskInstances"): {"ProjectId": project, "Bizdate": day},
        (V2024, "GetTaskInstance"): {"Id": instance.pk},
        (V2024, "GetTaskInstanceLog"): {"Id": instance.pk},
        (V2024, "ListUpstreamTaskInstances"): {"Id": instance.pk},
        (V2024, "ListDownstreamTaskInstances"): {"Id": instance.pk},
        (V2024, "TriggerSchedulerTaskInstance"): trigger,
        (V2024, "RerunTaskInstances"): many | {"UseLatestConfig": True},
        (V2024, "SuspendTaskInstances"): many,
        (V2024, "ResumeTaskInstances"): many,
        (V2024, "StopTaskInstances"): many,
        (V2024, "SetSuccessTaskInstances"): many,
        (V2024, "CreateWorkflowInstances"): smoke,
        (V2020, "GetInstance"): one,
        (V2020, "ListInstances"): {"ProjectId": project, "ProjectEnv": "PROD"},
        (V2020, "GetInstanceLog"): one,
        (V2020, "RunTriggerNode"): run,
        (V2020, "RestartInstance"): one,
        (V2020, "SuspendInstance"): one,
        (V2020, "ResumeInstance"): one,
        (V2020, "StopInstance"): one,
        (V2020, "SetSuccessInstance"): one,
        (V2020, "RunSmokeTest"): {
            "NodeId": instance.task.number, "ProjectEnv": "PROD", "Bizdate": "2026-11-20 00:00:00", "Name": "try",
        },
    }  # fmt: skip


def test_answers(wire: Wire, cast: Cast, instance: TaskInstance) -> None:
    """Every operation once, each answer held against the contract down to the last field."""
    good = calls(cast, instance)
    answers = {}
    for (version, action), params in good.items():
        answers[(version, action)] = wire.call(action, version, **params)
    operation_id = answers[(V2024, "CreateWorkflowInstances")]["OperationId"]
    result = wire.call("GetCreateWorkflowInstancesResult", OperationId=operation_id)
    answers[(V2024, "GetCreateWorkflowInstancesResult")] = result
    assert set(answers) == set(CONTRACT)
    found = [
        f"{key[1]}: {problem}" for key, body in answers.items() for problem in problems(body, CONTRACT[key]["response"])
    ]
    assert found == []
    for key, body in answers.items():
        documented = {field["name"] for field in CONTRACT[key]["response"]}
        assert documented - set(body) <= MISSING_IN_ANSWERS, key
    made = WorkflowInstance.objects.get(pk=result["Result"]["WorkflowInstanceIds"][0])
    assert (made.type, made.bizdate) == ("SmokeTest", BIZDATE)


def test_the_checker_finds_what_is_wrong() -> None:
    fields = CONTRACT[(V2024, "GetTaskInstance")]["response"]
    body = {"RequestId": 1, "Nonsense": 1, "TaskInstance": {"Id": "1", "RunNumber": 2**31, "Tags": {}}}
    assert sorted(problem.split(":")[0] for problem in problems(body, fields)) == [
        "Nonsense",
        "RequestId",
        "TaskInstance.Id",
        "TaskInstance.RunNumber",
        "TaskInstance.Tags",
    ]
