"""What operations are told beside their objects: read once at the door, stored, and in words afterwards."""

from datetime import timedelta
from typing import Any

import pytest

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import Invalid
from opscenter.engine import advance
from opscenter.engine.claim import claim
from opscenter.operations.arguments import arguments_of
from opscenter.operations.registry import arguments_in_words
from opscenter.production.models import ResourceGroup
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Tenant
from tests.cast import usable_group
from tests.engine.graphs import Scene
from tests.operations.test_instances import call, do, one, staffed, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return staffed()


@pytest.mark.parametrize(
    ("code", "arguments", "refused", "named"),
    [
        ("rerun", {"priority": 7}, "operation.argument_unknown", "priority"),
        ("set_priority", None, "operation.argument_missing", "priority"),
        ("set_priority", {"priority": 7, "sooner": True}, "operation.argument_unknown", "sooner"),
        ("set_priority", {"priority": 2}, "operation.priority", "1, 3, 5, 7, 8"),
        ("set_priority", {"priority": "7"}, "operation.priority", "1, 3, 5, 7, 8"),
        ("set_priority", {"priority": None}, "operation.priority", "1, 3, 5, 7, 8"),
        ("set_priority", {"priority": [7]}, "operation.priority", "1, 3, 5, 7, 8"),
        ("set_resource_group", {"resource_group": "of others"}, "operation.resource_group", "of others"),
        ("set_resource_group", {"resource_group": "nowhere"}, "operation.resource_group", "nowhere"),
        ("set_resource_group", {}, "operation.argument_missing", "resource_group"),
    ],
)
def test_wrong_arguments_are_an_error_that_names_them(
    scene: Scene, code: str, arguments: dict[str, Any] | None, refused: str, named: str
) -> None:
    ResourceGroup.objects.create(tenant=Tenant.objects.create(name="elsewhere"), name="of others")
    waits = one(scene)
    with pytest.raises(Invalid) as error:
        do(scene, code, waits, arguments=arguments)
    assert error.value.reason.code == refused
    assert named in str(error.value)


def test_they_are_stored_with_the_operation_and_told_in_words(scene: Scene) -> None:
    group = usable_group(scene.workspace, "night")
    waits = one(scene)
    done = do(scene, "set_resource_group", waits, arguments={"resource_group": "night"})
    assert arguments_of(done) == {"resource_group": "night", "resource_group_id": group.pk}
    assert arguments_in_words(done.code, arguments_of(done)) == "resource group “night”"
    assert arguments_of(do(scene, "freeze", waits)) == {}


def test_a_token_names_the_arguments_too(scene: Scene) -> None:
    waits = one(scene)
    first = do(scene, "set_priority", waits, arguments={"priority": 7}, client_token="t")
    assert do(scene, "set_priority", waits, arguments={"priority": 7}, client_token="t") == first
    with pytest.raises(Invalid, match="client token"):
        do(scene, "set_priority", waits, arguments={"priority": 8}, client_token="t")


def test_a_priority_and_a_group_count_for_the_next_claim_at_once(scene: Scene) -> None:
    night = usable_group(scene.workspace, "night", slots=1)
    first, second, third = one(scene), one(scene), one(scene)
    do(scene, "set_priority", third, arguments={"priority": 8})
    do(scene, "set_resource_group", second, arguments={"resource_group": "night"})
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 9})
    assert [one.instance for one in claim(worker.pk, 9, [night.pk])] == [second.pk]
    assert [one.instance for one in claim(worker.pk, 1)] == [third.pk]
    assert [one.instance for one in claim(worker.pk, 9)] == [first.pk]


def test_a_held_trigger_fires_once_its_group_is_one_with_a_worker(scene: Scene) -> None:
    """It waited for a group that nobody serves."""
    night = usable_group(scene.workspace, "night")
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": [night.pk], "children": 1})
    Process.objects.filter(pk=worker.pk).update(seen_at=clock.now() + timedelta(hours=1))
    gate = one(scene, State.WAIT_TRIGGER, "http_trigger")
    assert (call(scene, gate).status, state(gate)) == ("held", State.WAIT_RESOURCE)
    do(scene, "set_resource_group", gate, arguments={"resource_group": "night"})
    assert advance.drain() and state(gate) is State.SUCCESS
