"""The JSON Schemas of the messages: what is really sent is as they say, and nothing is sent that they do not name."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from extensions import changes, lifecycle
from extensions.envelope import Backfill, backfill, body_for, body_of
from extensions.models import Check, Delivery
from extensions.points import POINTS
from opscenter.base import clock
from opscenter.engine import retention
from opscenter.operations import telling
from opscenter.operations.asking import ask
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS
from opscenter.production.models import InstanceEdge, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.production.transitions import transition
from opscenter.workspaces.models import Workspace
from tests.operations.guarded import Guarded
from tests.operations.test_instance_checks import BEFORE
from tests.operations.test_instance_checks import ask as ask_for

pytestmark = pytest.mark.django_db
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
MOMENTS = ("beginWaitTimeTime", "beginWaitResTime", "beginRunningTime", "finishTime")
"""Left out while they have not come."""
FORMATS: dict[str, Any] = {"uuid": UUID, "date-time": datetime.fromisoformat, "uri": str}


def wrong(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Where a value is not as a schema says, in the words that ours use; with members that it does not name."""
    known = {"type", "const", "enum", "items", "properties", "required", "minimum", "maximum", "pattern", "format"}
    assert set(schema) <= known | {"description", "contentMediaType", "$schema", "$id", "title"}, path
    kind = schema.get("type")
    if kind and (type(value) is not TYPES[kind]):
        yield f"{path}: {value!r} is no {kind}"
        return
    allowed = [schema["const"]] if "const" in schema else schema.get("enum", [value])
    if not any(type(one) is type(value) and one == value for one in allowed):  # to JSON, true is not 1
        yield f"{path}: {value!r}"
    if ("minimum" in schema and value < schema["minimum"]) or ("maximum" in schema and value > schema["maximum"]):
        yield f"{path}: {value!r} is out of range"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r}"
    if "format" in schema:
        FORMATS[schema["format"]](value)
    if kind == "array":
        for one in value:
            yield from wrong(one, schema["items"], f"{path}[]")
    if kind == "object":
        yield from (f"{path}.{name} is missing" for name in schema["required"] if name not in value)
        yield from (f"{path}.{name} is not named" for name in value if name not in schema["properties"])
        for name, inner in schema["properties"].items():
            if name in value:
                yield from wrong(value[name], inner, f"{path}.{name}")


@pytest.fixture
def cast() -> Guarded:
    made = Guarded(time_zone="Asia/Shanghai")
    made.extension(points=list(POINTS))
    lifecycle.watch(made.tenant.pk)
    return made


def schema(code: str) -> dict[str, Any]:
    answer = Client().get(reverse("console:event_schema", kwargs={"code": code}))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/schema+json")
    found: dict[str, Any] = json.loads(answer.content)
    assert found["$id"].endswith(f"/schemas/events/{code}.json")
    return found


@transaction.atomic
def everything(cast: Guarded) -> None:
    """Something happens at every extension point and of every regular event."""
    for code, (state, frozen) in BEFORE.items():
        ask_for(cast, code, cast.instance(cast.task(code), state, frozen=frozen))
        dev = cast.instance(cast.task(code, environment="Dev"), state, frozen=frozen)
        ask_for(cast, code, dev, environment="Dev")
    cast.freeze(cast.task("a", node_type="virtual"))
    cast.unfreeze(cast.task("b", recurrence="Pause"))
    for event in (telling.CREATED, telling.UPDATED, telling.DELETED):
        telling.of_tasks(event, [cast.task(event).pk], cast.operator)
    one = cast.instance(cast.task("c"), State.NOT_RUN, kind_of_run=WorkflowInstance.Type.BACKFILL)
    for before, after in ((State.NOT_RUN, State.WAIT_RESOURCE), (State.WAIT_RESOURCE, State.RUNNING)):
        assert transition([one.pk], {before}, after)
    parted = cast.instance(cast.task("e"), State.NOT_RUN)
    InstanceEdge.objects.create(upstream=one, downstream=parted, bizdate=one.bizdate)
    cast.ask("remove_dependencies", [parted], arguments={"upstream": [one.pk]})
    day = clock.now() - timedelta(days=400)
    old = cast.instance(cast.task("f"), State.SUCCESS)
    TaskInstance.objects.filter(pk=old.pk).update(bizdate=day.date(), state_at=day)
    assert retention.remove_batch(retention.Old(cast.workspace, "instances", 1, "Prod", day.date())) == 1
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    periods = [(date(2026, 1, 1), date(2026, 1, 3))]
    asked = Backfill("P_c", one.task.number, cast.workspace.pk, [one.task.number], [], periods, groups=2)
    undeploy = cast.task("d")
    for point, data, workspace in (
        ("backfill-data", backfill(asked), elsewhere),
        ("undeploy-node", {"nodeIds": [undeploy.number]}, cast.workspace),
    ):
        operation = Operation.objects.create(
            code="freeze_task",
            workspace=workspace,
            environment="Prod",
            actor=cast.operator,
            face="console",
            status=Operation.Status.CHECKING,
        )
        ask(operation, point, lifecycle.listeners(cast.workspace, point), data, ["c"])


def messages() -> list[dict[str, Any]]:
    while changes.fan_out():
        pass
    found = [json.loads(body_for(check)) for check in Check.objects.select_related("event", "extension")]
    return found + [json.loads(body_of(one.event)) for one in Delivery.objects.filter(of_check=None)]


def test_what_is_sent_is_as_the_schemas_say(cast: Guarded) -> None:
    everything(cast)
    sent = messages()
    assert {message["data"]["eventCode"] for message in sent} == set(POINTS)
    for message in sent:
        assert list(wrong(message, schema(message["data"]["eventCode"]))) == []
    assert any("listenerProjectId" in message["data"] for message in sent)


OTHERS: dict[type, list[Any]] = {
    str: [5, True, None, ["x"], {}],
    int: ["5", 1.5, True, None, [5]],
    bool: ["true", 0, 1, None],
    list: ["[1]", "1,2", ["1"], [None], {}, None, 1],
    dict: ["{}", [], None],
}
"""Values of other kinds; what looks like a number or a list as well."""


def test_a_member_of_another_kind_or_none_at_all_is_noticed_in_every_message(cast: Guarded) -> None:
    everything(cast)
    tried = set()
    for message in messages():
        code = message["data"]["eventCode"]
        known = schema(code)
        for part, names in ((message, list(message)), (message["data"], list(message["data"]))):
            for name in names:
                right = part[name]
                for other in OTHERS[type(right)]:
                    part[name] = other
                    assert list(wrong(message, known)), (code, name, other)
                del part[name]
                if name not in ("listenerProjectId", *MOMENTS):
                    assert list(wrong(message, known)), (code, name)
                part[name] = right
        assert not list(wrong(message, known))
        tried.add(code)
    assert tried == set(POINTS)


@pytest.mark.parametrize("code", POINTS)
def test_every_member_is_described_and_the_types_are_those_of_the_envelope(code: str) -> None:
    found = schema(code)
    assert found["properties"]["type"]["const"] == POINTS[code].type
    assert found["properties"]["data"]["properties"]["eventCode"]["const"] == code
    members = found["properties"] | {}
    data = members.pop("data")["properties"]
    assert all(member.get("description") for member in [*members.values(), *data.values()])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"nodeIds": ["1"]}, "is no integer"),
        ({"operator": 5}, "is no string"),
        ({"blockBusiness": False}, "False"),
        ({"surprise": 1}, "is not named"),
        ({"projectId": None}, "is no integer"),
    ],
)
def test_a_message_that_is_not_so_would_be_noticed(cast: Guarded, change: dict[str, Any], complaint: str) -> None:
    cast.freeze(cast.task())
    (message,) = messages()
    assert not list(wrong(message, schema("freeze-node")))
    message["data"] |= change
    assert any(complaint in found for found in wrong(message, schema("freeze-node")))


def test_there_is_none_of_what_does_not_exist() -> None:
    assert Client().get("/schemas/events/no-such-event.json").status_code == 404
    assert {spec.point for spec in OPERATIONS.values() if spec.point} <= set(POINTS)
