"""An endpoint that nothing is sent to any more: its owner is told on every page, resumes, and sends what was missed."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from extensions import notices
from extensions.models import Delivery, Extension
from extensions.notices import Notice
from opscenter.base import clock
from tests.console.extension_pages import page
from tests.console.visits import as_user, url
from tests.operations.guards import Troupe, enabled, registered

pytestmark = pytest.mark.django_db
DEAD = {"code": "delivery.dead", "params": {"since": "2026-01-02T03:04+00:00", "failures": 321}}


@pytest.fixture
def cast() -> Troupe:
    return Troupe()


@pytest.fixture
def dead(cast: Troupe) -> Extension:
    made = enabled(cast, registered(cast, cast.keeper, points=["freeze-instance"]))
    Extension.objects.update(gone_at=clock.now(), gone_reason=DEAD)
    notices.tell(cast.workspace, "Prod", [Notice("freeze-instance", {"taskIds": [n]}, "w") for n in range(3)])
    made.refresh_from_db()
    return made


def test_its_owner_is_told_on_every_page_and_others_are_not(cast: Troupe, dead: Extension) -> None:
    assert "nothing but fail since 2026-01-02T03:04+00:00 (321 requests)" in page(cast, "keeper", "instance_list")
    assert "nothing but fail" not in page(cast, "operator", "instance_list")
    assert "nothing is sent" in page(cast, "keeper", "extension_list")
    assert "Resume sending" in page(cast, "keeper", "extension", code=dead.code)


def test_it_is_resumed_by_a_person(cast: Troupe, dead: Extension) -> None:
    address = url(cast, "extension_resume", code=dead.code)
    assert as_user(cast.admin).post(address).status_code == 403
    assert as_user(cast.keeper).get(address).status_code == 200
    dead.refresh_from_db()
    assert dead.gone_at is not None, "asking does nothing"
    assert as_user(cast.keeper).post(address).status_code == 302
    dead.refresh_from_db()
    assert (dead.gone_at, dead.gone_reason, dead.failing_since, dead.failures) == (None, None, None, 0)
    assert as_user(cast.keeper).post(address).status_code == 409


def test_what_was_missed_is_sent_again(cast: Troupe, dead: Extension) -> None:
    client, address = as_user(cast.keeper), url(cast, "extension_send_again", code=dead.code)
    since = (clock.now() - timedelta(hours=1)).astimezone(ZoneInfo(cast.tenant.time_zone)).strftime("%Y-%m-%dT%H:%M")
    form = {"since_at": since, "only_undelivered": "on"}
    answer = client.post(address, form)
    assert answer.status_code == 422 and "321 requests" in str(answer.context["form"].errors)
    client.post(url(cast, "extension_resume", code=dead.code))
    assert client.post(address, form).status_code == 302
    assert Delivery.objects.filter(is_replay=True, status="pending").count() == 3
    text = client.get(url(cast, "extension", code=dead.code) + "?view=deliveries").content.decode()
    assert "3 messages are sent again." in text and text.count("replay") >= 3


@pytest.mark.parametrize("since", ["", "yesterday"])
def test_a_moment_that_is_none_is_refused(cast: Troupe, dead: Extension, since: str) -> None:
    answer = as_user(cast.keeper).post(url(cast, "extension_send_again", code=dead.code), {"since_at": since})
    assert answer.status_code == 422 and "since_at" in answer.context["form"].errors


def test_one_that_is_failing_is_warned_of(cast: Troupe) -> None:
    made = registered(cast, cast.keeper)
    Extension.objects.update(failing_since=clock.now() - timedelta(days=2), failures=7)
    text = page(cast, "keeper", "extension", code=made.code)
    assert "The last 7 requests to its endpoint failed" in text and "After 5 days" in text


def test_a_delivery_without_a_check_has_its_page(cast: Troupe, dead: Extension) -> None:
    one = Delivery.objects.earliest("pk")
    text = page(cast, "keeper", "extension_delivery", code=dead.code, pk=one.pk)
    assert "&quot;eventCode&quot;: &quot;freeze-instance&quot;" in text and "callbackToken" not in text


def test_a_test_of_a_regular_event_leads_to_its_delivery(cast: Troupe) -> None:
    made = registered(cast, cast.keeper, points=["dag-status-changes"])
    answer = as_user(cast.keeper).post(
        url(cast, "extension_send_test", code=made.code), {"point": "dag-status-changes"}
    )
    delivery = Delivery.objects.get()
    assert answer["Location"] == url(cast, "extension_delivery", code=made.code, pk=delivery.pk)
    assert delivery.event.message["data"]["isTest"] is True
