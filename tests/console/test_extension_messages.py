"""An extension's secrets, keys and messages on its pages: shown once, or not at all; followed live."""

from typing import Any

import pytest

from extensions import lifecycle
from extensions.models import Check, Delivery, DeliveryTry, Extension
from extensions.tokens import token_of
from opscenter.operations import extension_messages
from opscenter.operations.door import apply
from tests.console.extension_pages import PARTIAL, page
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


@pytest.mark.parametrize("headers", [{}, PARTIAL], ids=["page", "dialog"])
def test_secrets_and_keys_are_shown_once(cast: Troupe, guard: Extension, headers: dict[str, str]) -> None:
    client = as_user(cast.keeper)
    rotated = client.post(url(cast, "extension_rotate", code=guard.code), headers=headers)
    made = client.post(url(cast, "extension_key_create", code=guard.code), headers=headers)
    secret = lifecycle.valid_secrets(guard)[0]
    key = guard.keys.get().access_key
    assert secret in rotated.content.decode() and key.key_id in made.content.decode()
    for answer in (rotated, made):
        assert "no-store" in answer["Cache-Control"]
        shown = answer.context["secret"]
        assert shown in answer.content.decode()
        assert shown not in page(cast, "keeper", "extension", code=guard.code)
    text = page(cast, "keeper", "extension", code=guard.code)
    assert "In use" in text and "Still valid" in text and key.key_id in text
    revoke = url(cast, "extension_key_revoke", code=guard.code, pk=key.pk)
    assert client.get(revoke).status_code == 200 and client.post(revoke).status_code == 302
    assert "Revoked" in page(cast, "keeper", "extension", code=guard.code)
    assert client.get(url(cast, "extension_key_revoke", code=guard.code, pk=key.pk + 1)).status_code == 404


def _sent(cast: Troupe, guard: Extension) -> tuple[Check, Delivery, str]:
    answer = as_user(cast.keeper).post(url(cast, "extension_send_test", code=guard.code), {"point": "freeze-node"})
    check = Check.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == url(cast, "extension_test", code=guard.code, pk=check.pk)
    return check, check.deliveries.get(), answer["Location"]


def _tried(delivery: Delivery, number: int = 1, **values: Any) -> DeliveryTry:
    Delivery.objects.filter(pk=delivery.pk).update(tries=number)
    values = {"url": "https://guard.example.com/hook", "milliseconds": 12} | values
    return DeliveryTry.objects.create(delivery=delivery, number=number, at=delivery.created_at, **values)


def test_the_three_legs_of_a_test_message(cast: Troupe, guard: Extension) -> None:
    check, delivery, address = _sent(cast, guard)
    client = as_user(cast.keeper)

    def legs() -> list[tuple[str, str]]:
        return [(leg.look.tone, leg.sentence) for leg in client.get(address).context["legs"]]

    part = client.get(address + "?live=1", headers=PARTIAL)
    assert 'data-refresh="0.5"' in part.content.decode() and "<html" not in part.content.decode()
    again = client.get(address + "?live=1", headers=PARTIAL | {"HX-PTag": part["HX-PTag"]})
    assert again.status_code == 304
    assert [tone for tone, _ in legs()] == ["running", "not_run", "running"]
    _tried(delivery, reason={"code": "outbound.timeout", "params": {"host": "guard.example.com", "seconds": 15}})
    assert [tone for tone, _ in legs()] == ["failure", "not_run", "running"]
    assert "guard.example.com gave no whole answer" in legs()[0][1]
    _tried(delivery, 2, status=500)
    assert [tone for tone, _ in legs()] == ["success", "failure", "running"]
    _tried(delivery, 3, status=204)
    Delivery.objects.update(status=Delivery.Status.DELIVERED, due_at=None)
    assert [tone for tone, _ in legs()] == ["success", "success", "running"]
    Check.objects.update(progress=40, progress_words="still reading", progress_at=check.opened_at)
    assert "40 %" in legs()[2][1]
    Check.objects.update(
        state="failed",
        verdict="FAIL",
        words="not today",
        answered_via="api",
        ended_at=check.opened_at,
        reason={"code": "check.answered", "params": {}},
    )
    text = client.get(address).content.decode()
    assert [tone for tone, _ in legs()] == ["success", "success", "failure"]
    assert "not today" in text and "by the API" in text and "data-refresh" not in text.split('id="legs"')[1]


def test_silence_and_a_gone_endpoint_are_told_in_the_legs(cast: Troupe, guard: Extension) -> None:
    Extension.objects.update(gone_at=guard.created_at)
    check, _delivery, address = _sent(cast, guard)
    legs = as_user(cast.keeper).get(address).context["legs"]
    assert legs[0].sentence == "It was not sent." and "could not be delivered" in legs[2].sentence
    assert check.state != Check.State.CHECKING


def test_only_its_own_extension_points_are_tried(cast: Troupe, guard: Extension) -> None:
    answer = as_user(cast.keeper).post(url(cast, "extension_send_test", code=guard.code), {"point": "unfreeze-node"})
    assert answer.status_code == 422 and not Check.objects.exists()


@pytest.mark.parametrize("headers", [{}, PARTIAL], ids=["page", "drawer"])
def test_a_delivery_tells_all_but_the_token(cast: Troupe, guard: Extension, headers: dict[str, str]) -> None:
    check, delivery, _address = _sent(cast, guard)
    _tried(
        delivery,
        status=503,
        headers={"webhook-id": str(check.event_id)},
        answer_headers={"retry-after": "7"},
        answer_body="busy now",
    )
    _tried(delivery, 2, reason={"code": "outbound.timeout", "params": {"host": "guard.example.com", "seconds": 15}})
    answer = as_user(cast.keeper).get(url(cast, "extension_delivery", code=guard.code, pk=delivery.pk), headers=headers)
    text = answer.content.decode()
    for words in (
        "HTTP 503",
        "retry-after: 7",
        "busy now",
        "webhook-id",
        "No answer",
        "gave no whole answer",
        "isTest",
    ):
        assert words in text, words
    assert ("<html" in text) is not bool(headers)
    assert token_of(check) not in text and "***" in text


def test_sending_again(cast: Troupe, guard: Extension) -> None:
    check, delivery, _address = _sent(cast, guard)
    client, address = as_user(cast.keeper), url(cast, "extension_replay", code=guard.code, pk=delivery.pk)
    assert client.get(address).status_code == 200
    assert client.post(address).status_code == 302
    made = Delivery.objects.get(is_replay=True)
    assert made.of_check == check
    assert "replay" in page(cast, "keeper", "extension", "?view=deliveries", code=guard.code)
    assert client.post(address).status_code == 409, "one at a time"
    with_status(guard, Status.DISABLED)
    details = page(cast, "keeper", "extension_delivery", code=guard.code, pk=delivery.pk)
    assert address not in details and "is disabled: nothing is sent" in details


def test_the_logs_are_paged_and_refresh_themselves(cast: Troupe, guard: Extension) -> None:
    _sent(cast, guard)
    address = url(cast, "extension", code=guard.code)
    client = as_user(cast.keeper)
    for view in ("events", "deliveries"):
        part = client.get(f"{address}?view={view}&live=1", headers=PARTIAL)
        assert "<html" not in part.content.decode() and f'id="{view}"' in part.content.decode()
        assert (
            client.get(f"{address}?view={view}&live=1", headers=PARTIAL | {"HX-PTag": part["HX-PTag"]}).status_code
            == 304
        )
        assert client.get(f"{address}?view={view}&after=x").status_code == 422
    assert client.get(f"{address}?view=secrets").status_code == 404


def test_what_arrives_is_announced_and_moves_nothing(cast: Troupe, guard: Extension) -> None:
    first, _delivery, _address = _sent(cast, guard)
    client = as_user(cast.keeper)
    for view in ("events", "deliveries"):
        poll = client.get(url(cast, "extension", code=guard.code) + f"?view={view}").context["poll_url"]
        extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
        text = client.get(poll, headers=PARTIAL).content.decode()
        assert text.count("<tr>") == client.get(poll).content.decode().count("<tr>")
        assert "1 new" in text and str(first.event_id)[:8] in text
        assert "1 new" not in client.get(url(cast, "extension", code=guard.code) + f"?view={view}").content.decode()


def test_an_event_links_its_operation_for_members(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    operation = apply("freeze_task", actor_of(cast.admin), cast.workspace, "Prod", [cast.task("orders").pk])
    address = url(cast, "operation", pk=operation.pk)
    text = page(cast, "keeper", "extension", "?view=events", code=guard.code)
    assert address in text and "orders" in text and "Freeze" in text
