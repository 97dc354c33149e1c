"""Resources: names, versions, who names them, deleting."""

import hashlib
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from opscenter.operations import resources as operation
from opscenter.production.models import Resource, ResourceVersion
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


def _upload(cast: Cast, user: User, name: str, content: bytes, *, given: str = "") -> Any:
    values = {"file": SimpleUploadedFile(name, content), "name": given}
    return as_user(user).post(url(cast, "resource_upload"), values)


def test_an_upload_can_be_listed_and_fetched_again(cast: Cast) -> None:
    content = bytes(range(256))
    answer = _upload(cast, cast.developer, "load.sh", content)
    resource = Resource.objects.get(name="load.sh", workspace=cast.workspace)
    assert answer["Location"] == url(cast, "resource", pk=resource.pk)
    client = as_user(cast.visitor)
    page = client.get(url(cast, "resource_list")).content.decode()
    assert hashlib.sha256(content).hexdigest() in page
    assert "##@resource_reference{&quot;load.sh&quot;}" in page
    got = client.get(url(cast, "resource_download", pk=resource.pk, number=1))
    assert got.content == content
    assert got["Content-Disposition"] == 'attachment; filename="load.sh"'
    assert got["Content-Type"] == "application/octet-stream"
    assert AuditEntry.objects.get(action="resource.upload").params["version"] == 1


def test_the_same_name_again_is_a_new_version_and_the_same_bytes_are_not(cast: Cast) -> None:
    _upload(cast, cast.developer, "a.txt", b"one")
    _upload(cast, cast.admin, "b.txt", b"two", given="a.txt")
    _upload(cast, cast.admin, "a.txt", b"two")
    versions = ResourceVersion.objects.filter(resource__name="a.txt").order_by("number")
    assert [(version.number, bytes(version.blob.content)) for version in versions] == [(1, b"one"), (2, b"two")]
    assert Resource.objects.count() == 1
    resource = Resource.objects.get()
    first = as_user(cast.visitor).get(url(cast, "resource_download", pk=resource.pk, number=1))
    assert first.content == b"one"


def test_an_empty_file_is_a_file(cast: Cast) -> None:
    assert _upload(cast, cast.developer, "empty", b"").status_code == 302


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", " x", 'q"q', "a\\b", "a\nb", "x" * 129, "a\0b"])
def test_a_bad_name_is_refused_at_its_field(cast: Cast, name: str) -> None:
    answer = _upload(cast, cast.developer, "fine.txt", b"x", given=name)
    if name == " x":  # forms strip spaces
        assert answer.status_code == 302
        return
    assert answer.status_code == 422
    assert "name" in answer.context["form"].errors
    assert not Resource.objects.exists()


def test_too_large_a_file_is_refused(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "LARGEST", 3)
    answer = _upload(cast, cast.developer, "big", b"four")
    assert answer.status_code == 422
    assert "file" in answer.context["form"].errors
    assert not Resource.objects.exists()


def test_a_name_of_markup_stays_text(cast: Cast) -> None:
    _upload(cast, cast.developer, "x", b"x", given="<img src=x onerror=alert(1)>")
    resource = Resource.objects.get()
    more: dict[str, Any]
    for view, more in (
        ("resource_list", {}),
        ("resource", {"pk": resource.pk}),
        ("resource_delete", {"pk": resource.pk}),
    ):
        assert "<img" not in as_user(cast.owner).get(url(cast, view, "prod", **more)).content.decode()


def test_what_tasks_name_cannot_be_deleted(cast: Cast) -> None:
    _upload(cast, cast.developer, "load.sh", b"x")
    resource = Resource.objects.get()
    task = cast.task("loads_orders", content='##@resource_reference{"load.sh"}\nsh load.sh')
    cast.task("other", content='##@resource_reference{"load.sh.bak"}')
    page = as_user(cast.visitor).get(url(cast, "resource", pk=resource.pk)).content.decode()
    assert "loads_orders" in page
    assert ">other<" not in page
    answer = as_user(cast.developer).post(url(cast, "resource_delete", pk=resource.pk))
    assert answer.status_code == 409
    assert "loads_orders" in answer.content.decode()
    cast.version(task, content="echo")
    assert as_user(cast.developer).post(url(cast, "resource_delete", pk=resource.pk)).status_code == 302
    resource.refresh_from_db()
    assert resource.deleted_at is not None
    assert as_user(cast.visitor).get(url(cast, "resource", pk=resource.pk)).status_code == 404
    assert "load.sh" not in as_user(cast.visitor).get(url(cast, "resource_list")).content.decode()


def test_a_deleted_name_may_come_back_with_the_next_version(cast: Cast) -> None:
    _upload(cast, cast.developer, "a.txt", b"one")
    resource = Resource.objects.get()
    as_user(cast.developer).post(url(cast, "resource_delete", pk=resource.pk))
    _upload(cast, cast.developer, "a.txt", b"one")
    resource.refresh_from_db()
    assert resource.deleted_at is None
    assert list(resource.versions.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_resources_of_other_workspaces_are_out_of_reach(cast: Cast) -> None:
    _upload(cast, cast.developer, "a.txt", b"one")
    resource = Resource.objects.get()
    other = Cast("globex")
    client = as_user(other.owner)
    more: dict[str, Any]
    for view, more in (("resource", {}), ("resource_download", {"number": 1}), ("resource_delete", {})):
        address = url(other, view, "prod", pk=resource.pk, **more)
        assert client.get(address).status_code == 404
    assert client.post(url(other, "resource_delete", pk=resource.pk)).status_code == 404


@pytest.mark.parametrize("query", ["\0", "%", "a" * 3000, "'", "load"])
def test_any_search_is_answered(cast: Cast, query: str) -> None:
    _upload(cast, cast.developer, "load.sh", b"x")
    answer = as_user(cast.visitor).get(url(cast, "resource_list"), {"q": query})
    assert answer.status_code == 200


def test_the_list_asks_the_same_number_of_questions_however_long_it_is(
    cast: Cast, django_assert_max_num_queries: object
) -> None:
    for number in range(12):
        _upload(cast, cast.developer, f"file{number}", str(number).encode())
    client = as_user(cast.visitor)
    client.get(url(cast, "resource_list"))
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        client.get(url(cast, "resource_list"))
