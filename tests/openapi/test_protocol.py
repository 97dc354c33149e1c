"""The door: what is a call, who may make it, and how errors look."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import translation

from opscenter.base import clock
from opscenter.openapi.errors import FAULTS
from opscenter.openapi.middleware import OpenApiMiddleware
from opscenter.openapi.signature import Sent
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, Nonce, User
from tests.cast import Cast
from tests.openapi import signer
from tests.openapi.wire import V2020, V2024, Wire, console, request_of, send

UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def test_success(wire: Wire) -> None:
    answer = wire.try_call("ListProjects")
    assert answer.status == 200
    assert UUID.fullmatch(answer.body["RequestId"])
    assert answer.headers["x-acs-request-id"] == answer.body["RequestId"]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "how"),
    [
        *((method, how) for method in ("GET", "POST", "PUT") for how in ({}, {"v1": True})),
        *((method, {"v1": True, "all_in_form": True}) for method in ("POST", "PUT")),
    ],
)
def test_any_method_and_scheme(wire: Wire, method: str, how: dict) -> None:
    assert wire.send(wire.sign("ListProjects", method=method, **how)).status == 200


def test_prefix(wire: Wire) -> None:
    for path in ("/openapi/", "/openapi"):
        assert wire.send(wire.sign("ListProjects"), path).status == 200


@pytest.mark.django_db
def test_what_is_a_call() -> None:
    empty = Sent("GET", "", {}, b"")
    form = {"content-type": signer.FORM}
    calls = [
        ("/", Sent("GET", "Action=A", {}, b"")),
        ("/", Sent("GET", "", {"x-acs-action": "A"}, b"")),
        ("/", Sent("POST", "", form, b"Version=1&Action=A")),
        ("/openapi/", Sent("GET", "a=b&Action=A", {}, b"")),
    ]
    visits = [
        ("/", empty),
        ("/", Sent("GET", "NoAction=A", {}, b"")),
        ("/", Sent("POST", "", form, b"XAction=A")),
        ("/", Sent("POST", "", {"content-type": "text/plain"}, b"Action=A")),
        ("/workspaces/", Sent("GET", "Action=A", {"x-acs-action": "A"}, b"")),
        ("/openapi/", empty),
    ]
    middleware = OpenApiMiddleware(console)
    assert [middleware(request_of(sent, path)).status_code for path, sent in calls] == [400] * 4
    assert [middleware(request_of(sent, path)).status_code for path, sent in visits] == [418] * 6


@pytest.mark.django_db
def test_unsigned() -> None:
    answer = send(Sent("POST", "", {"host": "h:1", "x-acs-action": "ListProjects"}, b""))
    assert (answer.status, answer.code) == (400, "MissingAccessKeyId")
    assert answer.body["HostId"] == "h:1"
    assert answer.body["Recommend"].endswith("/openapi/errors/MissingAccessKeyId")


@pytest.mark.parametrize("v1", [False, True])
def test_signature_errors(wire: Wire, cast: Cast, v1: bool) -> None:
    """Every way in which a request can be wrongly signed, over the wire."""

    def code(**how: Any) -> tuple[int, str | None]:
        answer = wire.send(wire.sign("ListProjects", v1=v1, **how))
        return answer.status, answer.code

    now = clock.now()
    assert code(now=now - timedelta(minutes=16)) == (400, "InvalidTimeStamp.Expired")
    assert code(now=now + timedelta(minutes=16)) == (400, "InvalidTimeStamp.Expired")
    assert code(nonce="once") == (200, None)
    assert code(nonce="once") == (400, "SignatureNonceUsed")
    other = Wire(cast.admin)
    other.secret = wire.secret
    assert other.send(other.sign("ListProjects", v1=v1)).code == "SignatureDoesNotMatch"
    assert other.send(replace(wire.sign("ListProjects", v1=v1), method="PUT")).code == "SignatureDoesNotMatch"
    other.key.key_id = "LTAI5tNobody"
    answer = other.send(other.sign("ListProjects", v1=v1))
    assert (answer.status, answer.code) == (404, "InvalidAccessKeyId.NotFound")
    access_keys.revoke(wire.key)
    assert code() == (400, "InvalidAccessKeyId.Inactive")


def test_nonces_are_per_key(wire: Wire, cast: Cast) -> None:
    other = Wire(cast.visitor)
    assert wire.send(wire.sign("ListProjects", nonce="shared")).status == 200
    assert other.send(other.sign("ListProjects", nonce="shared")).status == 200
    assert Nonce.objects.get(key_id=wire.key.key_id).expires_at > clock.now() + timedelta(minutes=29)


@pytest.mark.django_db(transaction=True)
def test_a_nonce_is_used_once_by_parallel_requests() -> None:
    def take(_: int) -> bool:
        try:
            return access_keys.use_nonce("key", "nonce", clock.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(16))) == [False] * 15 + [True]


def test_security_tokens_are_refused_clearly(wire: Wire) -> None:
    signed = [
        wire.sign("ListProjects", extra={"x-acs-security-token": "t", "x-acs-accesskey-id": wire.key.key_id}),
        wire.sign("ListProjects", v1=True, query={"SecurityToken": "t"}),
        Sent("POST", "SignatureType=BEARERTOKEN", {"x-acs-action": "A", "x-acs-bearer-token": "t"}, b""),
    ]
    for sent in signed:
        answer = wire.send(sent)
        assert (answer.status, answer.code) == (400, "InvalidSecurityToken.Malformed")
        assert "issues no security tokens" in answer.message


def test_disabled_user(wire: Wire, cast: Cast) -> None:
    User.objects.filter(pk=cast.admin.pk).update(is_active=False)
    assert wire.try_call("ListProjects").code == "InvalidAccessKeyId.Inactive"


def test_unknown_action_and_version(wire: Wire) -> None:
    answer = wire.try_call("RunTriggerNode", V2024)
    assert (answer.status, answer.code) == (404, "InvalidApi.NotFound")
    assert "RunTriggerNode" in answer.message
    assert wire.try_call("ListProjects", "2017-01-01").code == "InvalidVersion"


def test_unsupported_method(wire: Wire) -> None:
    answer = wire.send(wire.sign("ListProjects", method="DELETE"))
    assert (answer.status, answer.code) == (400, "UnsupportedHTTPMethod")


def test_throttling(wire: Wire, cast: Cast, settings) -> None:
    settings.OPENAPI_CALLS_PER_SECOND = 2
    statuses = [wire.try_call("ListProjects").status for _ in range(2)]
    refused = wire.try_call("ListProjects")
    assert (statuses, refused.status, refused.code) == ([200, 200], 429, "Throttling.User")
    assert 0 < int(refused.headers["x-acs-retry-after"]) <= 500, "milliseconds until a call is free"
    assert Wire(cast.admin).try_call("ListProjects").status == 200, "another key has its own limit"


def test_too_large(wire: Wire, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    for sent in (wire.sign("ListProjects", form={"Names": "x" * 200}), wire.sign("A", v1=True, all_in_form=True)):
        answer = wire.send(sent)
        assert (answer.status, answer.code) == (413, "RequestTooLarge")


def test_host_with_a_scheme_is_taken_as_signed(wire: Wire) -> None:
    assert wire.send(wire.sign("ListProjects", host="http://127.0.0.1:8080")).status == 200


def test_json_body(wire: Wire, cast: Cast) -> None:
    body = b'{"Ids": [%d], "PageSize": 5}' % cast.workspace.pk
    sent = wire.sign("ListProjects", body=body, content_type="application/json; charset=utf-8")
    assert wire.send(sent).body["PagingInfo"]["TotalCount"] == 1


def test_our_own_fault_tells_nothing_and_is_logged(wire: Wire, monkeypatch, caplog) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("opscenter.openapi.operations.projects._filtered", broken)
    answer = wire.try_call("ListProjects")
    assert (answer.status, answer.code) == (500, "InternalError.System")
    assert "secret detail" not in str(answer.body)
    assert "secret detail" in caplog.text


def test_without_the_database(wire: Wire, monkeypatch) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("opscenter.workspaces.access_keys.lookup", gone)
    answer = wire.try_call("ListProjects")
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


def test_the_wire_speaks_english(wire: Wire) -> None:
    with translation.override("zh-hans"):
        answer = wire.try_call("GetProject", Id=1)
        assert answer.message == "There is no workspace 1, or you are not a member of it."


def test_keys_remember_their_use(wire: Wire, django_assert_num_queries) -> None:
    wire.call("ListProjects")
    used = AccessKey.objects.get(pk=wire.key.pk)
    assert (used.last_used_from, used.revoked_at) == ("127.0.0.1", None)
    with django_assert_num_queries(0):
        access_keys.touch(used, "10.0.0.1")
    used.last_used_at = used.last_used_at and used.last_used_at - timedelta(minutes=2)
    access_keys.touch(used, "10.0.0.1")
    assert AccessKey.objects.get(pk=wire.key.pk).last_used_from == "10.0.0.1"


def test_secrets_are_encrypted_at_rest(wire: Wire) -> None:
    stored = AccessKey.objects.get(pk=wire.key.pk)
    assert wire.secret not in stored.secret
    assert access_keys.secret_of(stored) == wire.secret


def page(path: str) -> tuple[int, str]:
    response = OpenApiMiddleware(console)(request_of(Sent("GET", "", {}, b""), path))
    return response.status_code, response.content.decode()


def test_each_error_has_its_page() -> None:
    for code, fault in FAULTS.items():
        status, text = page(f"/openapi/errors/{code}")
        assert status == 200
        assert text.startswith(f"{code} (HTTP {fault.http})") and fault.advice in text
        assert "{" not in text
    assert all(code in page("/openapi/errors/")[1] for code in FAULTS)
    assert page("/openapi/errors/MissingTaskId")[0] == page("/openapi/errors/InvalidTaskId")[0] == 200
    assert page("/openapi/errors/Nonsense")[0] == 404


def test_the_face_itself_costs_three_queries(wire: Wire, django_assert_num_queries) -> None:
    """The clock, the key with its user, the nonce; the rest of a call's time is its operation's."""
    wire.call("ListProjects")  # the key's last use is written once a minute
    sent = wire.sign("NoSuchAction")
    with django_assert_num_queries(3):
        assert wire.send(sent).code == "InvalidApi.NotFound"


# parameters


@pytest.mark.parametrize(
    ("action", "version", "params", "code"),
    [
        ("TriggerSchedulerTaskInstance", V2024, {}, "MissingTaskId"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": ""}, "MissingTaskId"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": "1"}, "MissingTriggerTime"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": "1.0"}, "InvalidTaskId"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": str(2**63)}, "InvalidTaskId"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": "９"}, "InvalidTaskId"),
        ("TriggerSchedulerTaskInstance", V2024, {"TaskId": "1", "TriggerTime": "1763654400"}, "InvalidTriggerTime"),
        (
            "TriggerSchedulerTaskInstance",
            V2024,
            {"TaskId": "1", "TriggerTime": "1763654400000", "EnvType": "Test"},
            "InvalidEnvType",
        ),
        ("RunTriggerNode", V2020, {"NodeId": "1", "CycleTime": "1763654400000", "AppId": "1"}, "MissingBizDate"),
        ("GetTaskInstance", V2024, {"Id": "one"}, "InvalidId"),
        ("ListTasks", V2024, {"ProjectId": "1", "PageNumber": "0"}, "InvalidPageNumber"),
        ("ListTasks", V2024, {"ProjectId": "1", "PageSize": "101"}, "InvalidPageSize"),
        ("ListTasks", V2024, {"ProjectId": "1", "SortBy": "Owner; drop table"}, "InvalidSortBy"),
        ("ListTasks", V2024, {"ProjectId": "1", "Ids": "[1,"}, "InvalidIds"),
        ("ListTasks", V2024, {"ProjectId": "1", "Ids": '[1,"x"]'}, "InvalidIds.2"),
        ("ListTasks", V2024, {"ProjectId": "1", "Name": "a\x00b"}, "InvalidName"),
        (
            "ListTaskInstances",
            V2024,
            {"ProjectId": "1", "Bizdate": "1763654400000", "Filter": '{"x": 1}'},
            "InvalidFilter",
        ),
        ("ListProjects", V2024, {"DevRoleDisabled": "maybe"}, "InvalidDevRoleDisabled"),
        ("StopTaskInstances", V2024, {}, "MissingIds"),
        ("StopTaskInstances", V2024, {"Ids": "[]"}, "MissingIds"),
        ("StopTaskInstances", V2024, {"Ids": str(list(range(1001)))}, "InvalidIds"),
        ("ListInstances", V2020, {"ProjectId": "1", "ProjectEnv": "PROD", "Bizdate": "20261120"}, "InvalidBizdate"),
        ("GetInstance", V2020, {"InstanceId": "1"}, "MissingProjectEnv"),
        (
            "CreateWorkflowInstances",
            V2024,
            {"ProjectId": "1", "Name": "n", "Type": "SmokeTest", "WorkflowId": "1", "Periods": '{"BizDates": [{}]}'},
            "MissingPeriods.BizDates.1.StartBizDate",
        ),
    ],
)
def test_wrong_parameters(wire: Wire, action: str, version: str, params: dict[str, str], code: str) -> None:
    answer = wire.send(wire.sign(action, version, form=params))
    assert (answer.status, answer.code) == (400, code)
    assert code.removeprefix("Missing").removeprefix("Invalid") in answer.message


@pytest.mark.parametrize("text", ["True", "true", "TRUE"])
def test_booleans_in_any_case(wire: Wire, text: str) -> None:
    assert wire.call("ListProjects", DevEnvironmentEnabled=text)["PagingInfo"]["TotalCount"] == 1
    assert wire.call("ListProjects", DevRoleDisabled=text)["PagingInfo"]["TotalCount"] == 0


def test_lists_in_every_form(wire: Wire, cast: Cast) -> None:
    number = str(cast.workspace.pk)
    for form in ({"Ids": f"[{number}]"}, {"Ids": f'["{number}"]'}, {"Ids.2": "5", "Ids.1": number}):
        assert wire.send(wire.sign("ListProjects", form=form)).body["PagingInfo"]["TotalCount"] == 1
    assert wire.send(wire.sign("ListProjects", form={"Ids.1": "5"})).body["PagingInfo"]["TotalCount"] == 0
