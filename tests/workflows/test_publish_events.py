"""Publishing tells subscribers which tasks were deployed, and which were changed."""

import pytest

from extensions.models import Delivery
from opscenter.workspaces.models import Workspace
from tests.workflows.cast import Cast, document, node
from tests.workflows.test_publish import release, task
from tests.workflows.test_publish_freezes import guard


def told() -> list[tuple[str, str]]:
    """Event and task of each message, in their order."""
    found = Delivery.objects.order_by("pk").values_list("event__message__data", flat=True)
    return [(data["eventCode"], data["nodeName"]) for data in found]


def test_new_and_changed_tasks_of_production(cast: Cast) -> None:
    guard(cast, "node-change-created", "node-change-updated", "node-change-deleted")
    release(cast, document(node("a")))
    assert told() == [("node-change-created", "a")]
    release(cast, document(node("a", script={"content": "echo", "runtime": {"command": "DIDE_SHELL"}}), node("b")))
    assert sorted(told()[1:]) == [("node-change-created", "b"), ("node-change-updated", "a")]
    event = Delivery.objects.latest("pk").event
    assert event.message["data"]["operator"] == str(cast.owner.user.uid)
    assert {one.subject for one in Delivery.objects.all()} == {f"t{task(name).number}" for name in ("a", "b")}


@pytest.mark.parametrize("mode", Workspace.Mode.values)
def test_once_whatever_the_mode(cast: Cast, mode: str) -> None:
    Workspace.objects.filter(pk=cast.workspace.pk).update(mode=mode)
    cast.workspace.refresh_from_db()
    guard(cast, "node-change-created")
    release(cast, document(node("a")))
    assert told() == [("node-change-created", "a")]
