"""Signatures: made by us, verified by the reference implementation."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import opscenter
from extensions import lifecycle
from extensions.envelope import body_for
from extensions.signing import headers_for
from tests.extensions.scene import Scene

OLD = "whsec_" + "b2xkIHNlY3JldCBvZiAyNCBieXRlcyEh"
NEW = "whsec_" + "bmV3IHNlY3JldCBvZiAyNCBieXRlcyEh"
ID = "5b0c32a5-7a51-4b5c-a1f5-3f6c0c2b9d10"
BODY = '{"data":{"reason":"冻结 “daily” – ça va? 🧊"}}'.encode()


def now() -> datetime:
    return datetime.now(UTC)


def test_the_headers_of_a_message():
    at = now()
    headers = headers_for(ID, at, BODY, [NEW])
    signature = headers.pop("webhook-signature")
    assert signature.startswith("v1,")
    assert headers == {
        "Content-Type": "application/json;charset=utf-8",
        "User-Agent": f"Opscenter/{opscenter.VERSION}",
        "webhook-id": ID,
        "webhook-timestamp": str(int(at.timestamp())),
    }


@pytest.mark.parametrize(
    "body", [b"", b"{}", BODY, b'{"a":"' + b"x" * 100_000 + b'"}'], ids=["", "{}", "unicode", "long"]
)
def test_the_reference_implementation_verifies(body):
    Webhook(NEW).verify(body, headers_for(ID, now(), body, [NEW]), json_parse=False)


def test_a_known_signature():
    """The example of the reference implementation's own tests."""
    headers = headers_for(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_rotated_both_verify():
    headers = headers_for(ID, now(), BODY, [NEW, OLD])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(BODY, headers)["data"]


@pytest.mark.parametrize(
    ("change", "body", "secret"),
    [
        ({}, BODY + b" ", NEW),
        ({}, BODY.replace(b"daily", b"Daily"), NEW),
        ({}, BODY, OLD),
        ({"webhook-id": ID[:-1] + "1"}, BODY, NEW),
        ({"webhook-timestamp": str(int(now().timestamp()) + 1)}, BODY, NEW),
        ({"webhook-signature": "v1,AAAA"}, BODY, NEW),
    ],
    ids=["body", "a letter", "secret", "id", "timestamp", "signature"],
)
def test_whatever_is_changed_is_noticed(change, body, secret):
    headers = headers_for(ID, now() - timedelta(seconds=5), BODY, [NEW]) | change
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_an_old_message_is_refused_by_receivers():
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(NEW).verify(BODY, headers_for(ID, now() - timedelta(minutes=6), BODY, [NEW]))


@pytest.mark.django_db
def test_an_extension_that_rotates_its_secret():
    """A day long, messages carry signatures of both; then the older one counts no more."""
    scene = Scene()
    extension = scene.extension("https://hooks.example.com/")
    check = scene.event().checks.get()
    old, new = scene.secrets[extension.pk], lifecycle.new_secret(extension)
    body = body_for(check)
    headers = headers_for(str(check.event_id), now(), body, lifecycle.valid_secrets(extension))
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)["id"] == str(check.event_id)
    extension.secrets.filter(expires_at__isnull=False).update(expires_at=now())
    headers = headers_for(str(check.event_id), now(), body, lifecycle.valid_secrets(extension))
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_the_version_is_that_of_the_package():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == opscenter.VERSION
