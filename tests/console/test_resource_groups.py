"""The page of resource groups: use, queue, workers or the lack of them, and what each person may do."""

from typing import Any

import pytest

from opscenter.base import heartbeat
from opscenter.base.models import Process
from opscenter.production.models import ResourceGroup
from opscenter.production.rules.states import State
from opscenter.workspaces.models import User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    made = Cast()
    User.objects.filter(pk=made.owner.pk).update(is_tenant_admin=True)
    return made


def rows(cast: Cast, user: User) -> dict[str, Any]:
    answer = as_user(user).get(url(cast, "group_list"))
    assert answer.status_code == 200
    return {row["use"].group.name: row for row in answer.context["rows"]}


def post(cast: Cast, user: User, view: str, data: Any = None, **kwargs: Any) -> Any:
    return as_user(user).post(url(cast, view, **kwargs), data or {})


def test_it_warns_of_a_group_that_nobody_serves_until_a_worker_does(cast: Cast) -> None:
    page = as_user(cast.visitor).get(url(cast, "group_list")).content.decode()
    assert "No live worker serves “default”." in page
    assert "manage.py worker --resource-group default" in page
    heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 4})
    page = as_user(cast.visitor).get(url(cast, "group_list")).content.decode()
    assert "No live worker" not in page
    assert "× 4" in page


def test_it_leads_to_what_runs_and_to_what_waits(cast: Cast) -> None:
    running = cast.instance(cast.task("running"), State.RUNNING)
    waiting = cast.instance(cast.task("waiting"), State.WAIT_RESOURCE)
    row = rows(cast, cast.visitor)["default"]
    assert row["oldest_url"] == url(cast, "instance", pk=waiting.pk)
    for link, instance in (("running_url", running), ("waiting_url", waiting)):
        shown = as_user(cast.visitor).get(row[link]).context["rows"]
        assert [one.pk for one in shown] == [instance.pk]


def test_others_of_the_tenant_are_shown_to_who_may_associate_them_alone(cast: Cast) -> None:
    ResourceGroup.objects.create(tenant=cast.tenant, name="spare")
    assert list(rows(cast, cast.admin)) == ["default", "spare"]
    assert list(rows(cast, cast.owner)) == ["default", "spare"]
    assert list(rows(cast, cast.operator)) == ["default"]


def test_a_group_is_added_associated_changed_and_dissociated(cast: Cast) -> None:
    done = post(cast, cast.owner, "group_add", {"name": "fast", "slots": "3", "description": "for <hurry>"})
    assert done["Location"] == url(cast, "group_list")
    assert "for &lt;hurry&gt;" in as_user(cast.admin).get(url(cast, "group_list")).content.decode()
    assert post(cast, cast.admin, "group_associate", name="fast").status_code == 302
    assert rows(cast, cast.operator)["fast"]["use"].is_usable
    post(cast, cast.owner, "group_edit", {"slots": "5", "description": ""}, name="fast")
    assert ResourceGroup.objects.get(name="fast").slots == 5
    assert post(cast, cast.admin, "group_dissociate", name="fast").status_code == 302
    assert "fast" not in rows(cast, cast.operator)
    trail = as_user(cast.admin).get(url(cast, "audit_list")).content.decode()
    for words in ("Added the resource group", "3 slots", "Slots: “3” → “5”", "Associated the resource group"):
        assert words in trail


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "default", "slots": "3"}, "There is a resource group “default” already"),
        ({"name": "a b", "slots": "3"}, "letters, digits"),
        ({"name": "fast", "slots": "-1"}, "greater than or equal to 0"),
        ({"name": "fast", "slots": "x"}, "whole number"),
    ],
)
def test_wrong_values_are_told_at_their_fields(cast: Cast, data: dict[str, str], told: str) -> None:
    answer = post(cast, cast.owner, "group_add", data)
    assert answer.status_code == 422
    assert told in answer.content.decode()


def test_what_cannot_be_done_is_disabled_and_says_why(cast: Cast) -> None:
    cast.task("nightly")
    row = rows(cast, cast.admin)["default"]
    assert "nightly" in row["step_why_not"]
    assert "administrators of the tenant" in row["edit_why_not"]
    assert "workspace.manage" in rows(cast, cast.visitor)["default"]["step_why_not"]
    assert post(cast, cast.admin, "group_dissociate", name="default").status_code == 409
    assert post(cast, cast.admin, "group_add", {"name": "fast", "slots": "3"}).status_code == 403
    assert post(cast, cast.admin, "group_associate", name="none").status_code == 404
    assert not ResourceGroup.objects.filter(name="fast").exists()


def test_the_page_refreshes_itself_and_says_nothing_when_nothing_changed(cast: Cast) -> None:
    part = as_user(cast.visitor).get(url(cast, "group_list"), headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    again = {"HX-Request": "true", "HX-PTag": part["HX-PTag"]}
    assert as_user(cast.visitor).get(url(cast, "group_list"), headers=again).status_code == 304
