"""Every answer has the names and types of the contract, and every operation reads the contract's parameters."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opscenter.openapi import middleware  # noqa: F401  registers the operations
from opscenter.openapi.fields import Request
from opscenter.openapi.registry import all_operations
from opscenter.production.models import TaskInstance, WorkflowInstance
from tests.cast import BIZDATE, Cast
from tests.openapi.good_calls import LATER, VERDICTS, calls, rerun_instance
from tests.openapi.guards import Guard
from tests.openapi.wire import V2020, V2024, Wire

CONTRACT: dict[tuple[str, str], dict[str, Any]] = {
    (path.stem, name): operation
    for path in (Path(__file__).parent / "contract").glob("*.json")
    for name, operation in json.loads(path.read_text()).items()
}
MISSING_IN_ANSWERS = {"ErrorCode", "ErrorMessage"}
"""Of the 2020 API: what fails is an HTTP error, so successes never carry these."""

_TEXT = {"type": "str"}
_OPERATION = [{"name": name, **_TEXT} for name in ("OperationId", "Status", "Message")]
OURS: dict[tuple[str, str], list[dict[str, Any]]] = {
    (V2024, "UpdateTask"): _OPERATION,
    (V2020, "UpdateNodeRunMode"): _OPERATION,
    (V2020, "RunCycleDagNodes"): _OPERATION,
    (V2020, "UpdateNodeOwner"): _OPERATION,
    (V2020, "OfflineNode"): _OPERATION,
    (V2024, "DeleteTask"): _OPERATION,
    (V2024, "BatchUpdateTasks"): [
        {
            "name": "SuccessInfo",
            "type": "Dict[str, object]",
            "fields": [
                {"name": "Success", "type": "bool"},
                {"name": "Message", **_TEXT},
                {"name": "OperationId", **_TEXT},
            ],
        }
    ],
}
"""What we answer beyond the contract; official clients drop what they do not know."""


@pytest.fixture
def instance(cast: Cast) -> TaskInstance:
    return rerun_instance(cast)


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


def test_answers(wire: Wire, cast: Cast, instance: TaskInstance, guard: Guard) -> None:
    """Every operation once, each answer held against the contract down to the last field."""
    good = calls(cast, instance, guard)
    answers = {}
    for (version, action), params in good.items():
        caller = guard.wire() if (version, action) in VERDICTS else wire
        answers[(version, action)] = caller.call(action, version, **params)
    for later, first in LATER.items():
        answers[later] = wire.call(later[1], OperationId=answers[first]["OperationId"])
    result = answers[(V2024, "GetCreateWorkflowInstancesResult")]
    assert set(answers) == set(CONTRACT)
    found = [
        f"{key[1]}: {problem}"
        for key, body in answers.items()
        for problem in problems(body, CONTRACT[key]["response"] + OURS.get(key, []))
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
