"""Whatever is sent, the answer is one that the face has written: no parameter of any operation makes an error of ours."""

import json
import random
from typing import Any

import pytest
from django.db import transaction
from rest_framework import serializers

from opscenter.openapi import fields
from opscenter.openapi.registry import all_operations
from tests.cast import Cast
from tests.openapi.good_calls import calls, rerun_instance
from tests.openapi.guards import Guard
from tests.openapi.wire import Answer, Wire

pytestmark = pytest.mark.django_db
NUMBERS = [0, -1, 2**53, 2**63 - 1, -(2**63), 2**63, 10**30, 1.5, "²", "٣", "1e3", " 7", "0x10", True]
TEXTS = ["a\0b", "\0", "x" * 1001, "x" * 70_000, "\ud800", "=1+1", "'; --", "%00", "\n", "null", ""]
SHAPES: list[Any] = ["[]", "[[", [], {}, [[1]], [{}], {"a": [1]}, [None], {"": {}}, [0] * 1001, [True], None]
DAYS = ["0001-01-01", "9999-12-31 00:00:00", "2026-02-30", "10000-01-01", 10**12, 253370764799999]
BAD: list[Any] = [*NUMBERS, *TEXTS, *SHAPES, *DAYS]


def something(field: Any, rng: random.Random, depth: int = 0) -> Any:
    """A value of the right shape, with something odd in it; or of another shape."""
    if depth > 3 or rng.random() < 0.15:
        return rng.choice(BAD)
    if isinstance(field, fields.Items):
        return [something(field.child, rng, depth + 1) for _ in range(rng.randint(1, 3))]
    if isinstance(field, serializers.Serializer):
        return {name: something(one, rng, depth + 1) for name, one in field.fields.items() if rng.random() < 0.6}
    if isinstance(field, fields.Word):
        return rng.choice([*field._words.values(), "no such word"])
    return rng.choice(BAD)


def answer(wire: Wire, action: str, version: str, params: dict[str, Any]) -> Answer:
    """What comes back; nothing stays of it. Half characters of text outside JSON cannot be sent."""
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    sent = {name: text.encode(errors="replace").decode() for name, text in form.items()}
    with transaction.atomic():
        came = wire.send(wire.sign(action, version, form=sent))
        transaction.set_rollback(True)
    return came


@pytest.mark.parametrize("seed", range(6))
def test_odd_values_of_any_parameter(cast: Cast, seed: int) -> None:
    rng = random.Random(seed)
    good = calls(cast, rerun_instance(cast), Guard(cast))
    wire = Wire(cast.owner)
    for one in all_operations():
        known = one.request().fields
        for _ in range(2):
            params = dict(good.get((one.version, one.action), {}))
            for name in rng.sample(list(known), min(len(known), rng.randint(1, 3))):
                params[name] = something(known[name], rng)
            if rng.random() < 0.2 and params:
                params.pop(rng.choice(list(params)))
            came = answer(wire, one.action, one.version, params)
            assert came.status < 500, (one.action, params, came.body)
            assert came.status == 200 or came.message, (one.action, params)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Owner": 5}, "Owner"),  # a number where text is documented is taken as text
        ({"Owner": [1]}, "Tasks.1.Owner"),
        ({"RuntimeResource": [[1]]}, "Tasks.1.RuntimeResource"),
        ({"RuntimeResource": "night"}, "Tasks.1.RuntimeResource"),
        ({"RuntimeResource": {"ResourceGroupId": "a\0b"}}, "Tasks.1.RuntimeResource.ResourceGroupId"),
        ({"RuntimeResource": {"ResourceGroupId": {"a": 1}}}, "Tasks.1.RuntimeResource.ResourceGroupId"),
        ({"Trigger": 1}, "Tasks.1.Trigger"),
    ],
)
def test_what_a_task_is_changed_to_is_read_with_its_type(
    wire: Wire, cast: Cast, change: dict[str, Any], named: str
) -> None:
    number = cast.task().number
    for action, params in (
        ("UpdateTask", {"Id": number, **change}),
        ("BatchUpdateTasks", {"Tasks": [{"Id": number, **change}]}),
    ):
        came = answer(wire, action, "2024-05-18", params)
        if came.status == 200:
            assert named in came.body["SuccessInfo"][str(number)]["Message"] or "account id" in str(came.body)
            continue
        expected = named if action == "BatchUpdateTasks" else named.removeprefix("Tasks.1.")
        assert (came.status, came.code) == (400, f"Invalid{expected}")
