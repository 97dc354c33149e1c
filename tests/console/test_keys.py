"""One's own access keys: the secret is seen once, and nowhere else."""

import pytest
from django.urls import reverse

from opscenter.operations import access_keys as operation
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, AuditEntry
from tests.cast import Cast
from tests.console.visits import as_user

pytestmark = pytest.mark.django_db
CREATE = "console:key_create"


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_the_secret_is_shown_once_and_kept_by_nobody(
    cast: Cast, headers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    client = as_user(cast.visitor)
    answer = client.post(reverse(CREATE), {"description": "<b>nightly</b>"}, headers=headers)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    key = AccessKey.objects.get(user=cast.visitor)
    secret = access_keys.secret_of(key)
    assert secret in answer.content.decode()
    profile = client.get(reverse("console:profile")).content.decode()
    assert key.key_id in profile
    assert "&lt;b&gt;nightly" in profile
    assert "<b>nightly" not in profile
    entry = AuditEntry.objects.get(action="access_key.create")
    printed = capsys.readouterr()
    for place in (profile, str(entry.params), key.secret, printed.out, printed.err, str(client.session.items())):
        assert secret not in place


def test_revoking_asks_first_and_ends_the_key(cast: Cast) -> None:
    key, _ = access_keys.create(cast.admin, "job")
    client = as_user(cast.admin)
    address = reverse("console:key_revoke", kwargs={"pk": key.pk})
    assert "Revoke this access key?" in client.get(address).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    assert client.post(address).status_code == 302
    key.refresh_from_db()
    first = key.revoked_at
    assert first is not None
    client.post(address)
    key.refresh_from_db()
    assert key.revoked_at == first
    assert AuditEntry.objects.filter(action="access_key.revoke").count() == 1


def test_keys_of_others_do_not_exist(cast: Cast) -> None:
    key, _ = access_keys.create(cast.admin)
    client = as_user(cast.owner)
    address = reverse("console:key_revoke", kwargs={"pk": key.pk})
    assert client.get(address).status_code == 404
    assert client.post(address).status_code == 404
    assert key.key_id not in client.get(reverse("console:profile")).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None


def test_too_many_keys_are_refused(cast: Cast) -> None:
    for _ in range(operation.MOST_ACTIVE):
        access_keys.create(cast.admin)
    answer = as_user(cast.admin).post(reverse(CREATE), {"description": "kept"})
    assert answer.status_code == 422
    assert "20 active access keys" in answer.content.decode()
    assert 'value="kept"' in answer.content.decode()
    assert AccessKey.objects.count() == operation.MOST_ACTIVE


def test_a_long_description_is_refused_at_its_field(cast: Cast) -> None:
    answer = as_user(cast.admin).post(reverse(CREATE), {"description": "x" * 201})
    assert answer.status_code == 422
    assert "description" in answer.context["form"].errors
    assert not AccessKey.objects.exists()
