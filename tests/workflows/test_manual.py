"""Documents of manually triggered workflows: read, published, and kept apart from what runs by schedule."""

import json
from typing import Any

import pytest

from opscenter.production.models import Task, TaskDependency, TaskInstance
from tests.workflows.cast import Cast, document, node
from tests.workflows.test_publish import edges, problems, release, task
from tests.workflows.test_reader import warnings
from workflows import flowspec

pytestmark = pytest.mark.django_db


def by_hand(key: str, *upstream: str, **fields: Any) -> dict[str, Any]:
    return node(key, *upstream, trigger={"type": "Manual"}, **fields)


def of_kind(kind: str, text: str) -> str:
    return json.dumps(json.loads(text) | {"kind": kind})


def test_a_trigger_of_the_type_manual_is_read(cast: Cast) -> None:
    (read,) = flowspec.read(document(by_hand("a"))).nodes
    assert (read.trigger, read.cron) == ("Manual", "")
    assert warnings(document(by_hand("a"))) == []


@pytest.mark.parametrize("kind", ["ManualWorkflow", "ManualNode"])
def test_a_document_of_a_manual_kind_has_manual_nodes_alone(kind: str) -> None:
    """Whatever schedule its nodes name beside."""
    text = of_kind(kind, document(node("a"), by_hand("b", "a"), node("c", "b", trigger=None)))
    assert [(one.trigger, one.cron) for one in flowspec.read(text).nodes] == [("Manual", "")] * 3


def test_publishing_makes_tasks_without_instances_and_without_a_root(cast: Cast) -> None:
    text = of_kind("ManualWorkflow", document(node("a", "shop_root", instanceMode="Immediately"), by_hand("b", "a")))
    release(cast, text)
    assert {one.trigger for one in Task.objects.filter(is_root=False)} == {"Manual"}
    assert edges() == {("b", "a", "a")}
    assert not TaskInstance.objects.filter(task__is_root=False).exists()
    version = task("a").version
    assert version is not None and version.cron == ""


def test_publishing_again_keeps_them_so(cast: Cast) -> None:
    release(cast, document(by_hand("a"), by_hand("b", "a")))
    release(cast, document(by_hand("a"), by_hand("b", "a", priority=7)), "second")
    assert (task("b").priority, task("b").trigger, TaskDependency.objects.count()) == (7, "Manual", 1)


def test_a_task_keeps_its_trigger(cast: Cast) -> None:
    release(cast, document(by_hand("a")))
    assert problems(cast, document(node("a"))) == [("a", "trigger", "trigger_changed")]


def test_a_workflow_is_of_one_kind(cast: Cast) -> None:
    assert problems(cast, document(by_hand("a"), node("b"))) == [("b", "trigger", "mixed_triggers")]
    release(cast, document(by_hand("a")))
    assert problems(cast, document(by_hand("a"), node("c"))) == [("c", "trigger", "mixed_triggers")]


def test_manual_and_scheduled_nodes_do_not_wait_for_each_other(cast: Cast) -> None:
    release(cast, document(node("daily"), name="Daily", id="w0"))
    assert problems(cast, document(by_hand("a", "daily"))) == [("a", "dependencies", "manual_upstream")]
    release(cast, document(by_hand("a")))
    later = document(node("late", "a"), name="Late", id="w2")
    assert problems(cast, later) == [("late", "dependencies", "scheduled_on_manual")]


def test_manual_nodes_wait_for_nothing_outside_of_their_workflow(cast: Cast) -> None:
    release(cast, document(by_hand("a")))
    other = document(by_hand("x", "a"), name="Other", id="w2")
    assert problems(cast, other) == [("x", "dependencies", "manual_upstream")]


def test_a_manual_node_has_no_previous_cycle(cast: Cast) -> None:
    flow = [{"nodeId": "a", "depends": [{"type": "CrossCycleDependsOnSelf"}]}]
    assert problems(cast, document(by_hand("a"), flow=flow)) == [("a", "dependencies", "manual_previous")]
