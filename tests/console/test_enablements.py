"""The extensions of a workspace: what they get is said before they get it."""

import json

import pytest

from extensions.envelope import body_for
from extensions.models import Check, Extension
from opscenter.operations.door import apply
from opscenter.workspaces.models import Workspace
from tests.console.extension_pages import page
from tests.console.visits import as_user, url
from tests.operations.guards import Troupe, actor_of, enabled, registered, with_status

Status = Extension.Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Troupe:
    return Troupe()


@pytest.fixture
def guard(cast: Troupe) -> Extension:
    return registered(cast, owner=cast.keeper)


def test_the_authorization_lists_exactly_what_is_sent(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    other = registered(cast, owner=cast.keeper, name="Other", points=["freeze-node", "unfreeze-node"])
    answer = as_user(cast.admin).get(url(cast, "enablement_enable", code=other.code))
    listed = {field.path: str(field.words) for field in answer.context["details"]["fields"]}
    apply("freeze_task", actor_of(cast.admin), cast.workspace, "Prod", [cast.task().pk])
    sent = json.loads(body_for(Check.objects.get()))
    data = sent.pop("data")
    assert set(listed) == set(sent) | {f"data.{name}" for name in data}
    assert all(listed.values()), "each is explained"
    text = answer.content.decode()
    for call in ("UpdateWorkbenchEventResult", "CallbackExtension", "callbackUrl"):
        assert call in text


def test_enabling_needs_the_tick_and_keeps_the_settings(cast: Troupe, guard: Extension) -> None:
    client, address = as_user(cast.admin), url(cast, "enablement_enable", code=guard.code)
    form = {"verdict": "advisory", "answer_limit": "30", "silence": "pass"}
    answer = client.post(address, form)
    assert answer.status_code == 422 and "agrees" in answer.context["form"].errors
    assert not guard.enablements.exists()
    assert client.post(address, form | {"agrees": "on"}).status_code == 302
    made = guard.enablements.get()
    assert (made.is_enabled, made.is_mandatory, made.answer_limit, made.silence_blocks) == (True, False, 30, False)
    assert client.post(address, form | {"agrees": "on"}).status_code == 409
    settings = url(cast, "enablement_settings", code=guard.code)
    for limit in ("4", "3601", "x", ""):
        assert client.post(settings, form | {"answer_limit": limit}).status_code == 422, limit
    assert client.post(settings, {"verdict": "mandatory", "answer_limit": "60", "silence": "block"}).status_code == 302
    assert "mandatory · 1 min · no answer blocks" in page(cast, "visitor", "enablement_list")
    disable = url(cast, "enablement_disable", code=guard.code)
    assert client.get(disable).status_code == 200 and client.post(disable).status_code == 302
    assert client.get(settings).status_code == 404
    made.refresh_from_db()
    assert not made.is_enabled


def test_the_list_of_a_workspace(cast: Troupe, guard: Extension) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    foreign = registered(cast, owner=cast.keeper, name="Tested elsewhere")
    Extension.objects.filter(pk=foreign.pk).update(test_workspace=elsewhere)
    text = page(cast, "visitor", "enablement_list")
    assert "Guard" in text and "Tested elsewhere" not in text and "Not enabled" in text
    assert "extension.manage" in text, "every disabled button says why"
    assert url(cast, "enablement_enable", code=guard.code) not in text
    assert url(cast, "extension", code=guard.code) not in text, "a visitor may not see its details"
    text = page(cast, "admin", "enablement_list")
    assert url(cast, "enablement_enable", code=guard.code) in text and url(cast, "extension", code=guard.code) in text
    enabled(cast, guard)
    with_status(guard, Status.DISABLED)
    assert "Enabled, not in effect" in page(cast, "visitor", "enablement_list")
    Extension.objects.filter(pk=guard.pk).update(tenant=Troupe("rivals").tenant)
    guard.enablements.all().delete()
    assert "No extension may be enabled here" in page(cast, "visitor", "enablement_list")
