"""What went wrong, in the product's look and in words."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.console.views import errors
from opscenter.workspaces.models import Tenant, Workspace
from tests.cast import Cast
from tests.console.visits import as_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of_owner() -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = Cast().owner
    return request


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("workspace.unknown", workspace=1), 404),
        (Forbidden("tenant.admin_required", tenant="t"), 403),
        (Invalid("member.no_role"), 422),
        (Refused("member.last_owner", member="m"), 409),
    ],
)
def test_each_refusal_has_its_status_code_and_sentence(
    request_of_owner: HttpRequest, error: Refused, status: int
) -> None:
    answer = errors.refused(request_of_owner, error)
    page = answer.content.decode()
    assert answer.status_code == status
    assert error.reason.code in page
    assert str(error) in page
    assert str(error) != error.reason.code


def test_moments_in_a_refusal_are_told_in_the_tenants_zone(request_of_owner: Any) -> None:
    request_of_owner.workspace = Workspace(tenant=Tenant(time_zone="Asia/Shanghai"))
    error = Refused("trigger.already_held", until="2026-11-21T00:00:00+00:00")
    assert "2026-11-21 08:00:00 Asia/Shanghai" in errors.refused(request_of_owner, error).content.decode()


def test_unknown_addresses_get_a_page_of_ours() -> None:
    answer = as_user(Cast().owner).get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
    assert "Opscenter" in answer.content.decode()


def test_a_form_without_its_token_says_what_to_do() -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("console:login"), {"username": "x", "password": "y"})
    assert answer.status_code == 403
    assert "load the page again" in answer.content.decode()


def test_the_500_page_needs_neither_database_nor_session(django_assert_num_queries: object) -> None:
    request = RequestFactory().get("/")
    with django_assert_num_queries(0):  # type: ignore[operator]
        answer = errors.server_error(request)
    assert answer.status_code == 500
    assert "written to the log" in answer.content.decode()
