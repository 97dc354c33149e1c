"""The callback URL: one plain request of any program, and everything that can be wrong with it."""

import json
import shutil
import subprocess
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from extensions.models import Check
from extensions.rules import MOST_REPORTS
from extensions.tokens import callback_url, token_of
from opscenter.openapi import callbacks
from opscenter.operations.models import Operation
from tests.cast import Cast
from tests.openapi.guards import Guard, bearer, call_back
from tests.openapi.signer import FORM

JSON = "application/json"


@pytest.fixture(autouse=True)
def fresh_buckets() -> None:
    callbacks._buckets.reset()


@pytest.fixture
def check(guard: Guard) -> Check:
    return guard.asked()


def state(check: Check) -> str:
    return Check.objects.get(pk=check.pk).state


# answers that are taken


@pytest.mark.parametrize(
    ("body", "content_type", "verdict", "words"),
    [
        ({"result": "OK"}, FORM, "OK", ""),
        ({"result": "fail", "message": "Nicht nachts: é+&="}, FORM, "FAIL", "Nicht nachts: é+&="),
        ({"result": "Warn", "message": "mind the load"}, f"{FORM}; charset=UTF-8", "WARN", "mind the load"),
        ({"Result": "ok", "MESSAGE": "x", "other": "1"}, FORM, "OK", "x"),
        ({"result": "OK", "progress": "100"}, FORM, "OK", ""),
        ("result=OK&message=", FORM, "OK", ""),
        ("result=OK", "", "OK", ""),
        ('{"result": "FAIL", "message": "晚上不行"}', JSON, "FAIL", "晚上不行"),
        ('{"result": "ok", "message": null, "rules": {"a": [1]}}', f"{JSON};charset=utf-8", "OK", ""),
    ],
)
def test_verdicts(check: Check, body: Any, content_type: str, verdict: str, words: str) -> None:
    answer = call_back(check, body, content_type=content_type)
    assert answer.status == 200, answer.body
    after = "Failed" if verdict == "FAIL" else "Passed"
    assert answer.body == {"Success": True, "State": after, "RequestId": answer.body["RequestId"]}
    found = Check.objects.get()
    assert (found.verdict, found.words, found.answered_via) == (verdict, words, "callback")
    assert Operation.objects.get().status == ("blocked" if verdict == "FAIL" else "applied")


@pytest.mark.parametrize("body", [{"token": None}, None])
def test_the_token_may_be_in_the_body(check: Check, body: dict | None) -> None:
    named = {"result": "OK", "token": token_of(check)}
    sent: Any = named if body else json.dumps(named)
    assert call_back(check, sent, authorization="", content_type=FORM if body else JSON).status == 200


def test_the_header_counts_first(check: Check) -> None:
    assert call_back(check, {"result": "OK", "token": "cbt_wrong"}).status == 200


def test_progress_reports(check: Check) -> None:
    answer = call_back(check, {"progress": "40", "message": "4 of 10 rules"})
    assert (answer.status, answer.body["State"]) == (200, "Checking")
    found = Check.objects.get()
    assert (found.progress, found.progress_words, found.reports) == (40, "4 of 10 rules", 1)
    assert found.due_at and check.due_at and found.due_at > check.due_at
    assert call_back(check, '{"progress": 0}', content_type=JSON).status == 200
    assert Check.objects.get().progress == 0
    assert call_back(check, {"result": "OK"}).status == 200
    late = call_back(check, {"progress": "50"})
    assert (late.status, late.code) == (409, "Invalid.Check.Contradiction")
    assert "a progress report comes after it" in late.message


def test_progress_has_a_limit(check: Check) -> None:
    Check.objects.update(reports=MOST_REPORTS)
    answer = call_back(check, {"progress": "40"})
    assert (answer.status, answer.code) == (409, "Invalid.Check.TooManyReports")


# answers that are refused


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("", FORM, 400, "MissingResult"),
        ("", "", 400, "MissingResult"),
        ("", JSON, 400, "MissingResult"),
        ("{}", JSON, 400, "MissingResult"),
        ("message=only", FORM, 400, "MissingResult"),
        ("result=", FORM, 400, "MissingResult"),
        ("result=PASS", FORM, 400, "InvalidResult"),
        ("result=OK&result=FAIL", FORM, 400, "InvalidResult"),
        ("result=OK&Result=OK", FORM, 400, "InvalidResult"),
        ("progress=101", FORM, 400, "InvalidProgress"),
        ("progress=-1", FORM, 400, "InvalidProgress"),
        ("progress=half", FORM, 400, "InvalidProgress"),
        ("result=OK&message=a%00b", FORM, 400, "InvalidMessage"),
        ("result=OK&message=%ff", FORM, 400, "InvalidParameter.Format"),
        (b"result=OK&message=\xff", FORM, 400, "InvalidParameter.Format"),
        ('{"result": "OK", "result": "FAIL"}', JSON, 400, "InvalidResult"),
        ('{"result": true}', JSON, 400, "InvalidResult"),
        ('{"result": ["OK"]}', JSON, 400, "InvalidResult"),
        ('{"result": {"OK": 1}}', JSON, 400, "InvalidResult"),
        ('{"result": "OK", "message": {"a": 1}}', JSON, 400, "InvalidMessage"),
        ('{"result": "OK", "message": "\\ud800"}', JSON, 400, "InvalidMessage"),
        ('{"result": "OK", "message": "\\u0000"}', JSON, 400, "InvalidMessage"),
        ('{"progress": 12.5}', JSON, 400, "InvalidProgress"),
        ('{"progress": NaN}', JSON, 400, "InvalidProgress"),
        ('{"progress": true}', JSON, 400, "InvalidProgress"),
        ('{"progress": ' + "9" * 5000 + "}", JSON, 400, "InvalidParameter.Format"),
        ('{"result": "OK"', JSON, 400, "InvalidParameter.Format"),
        ('[["result", "OK"]]', JSON, 400, "InvalidParameter.Format"),
        ('"OK"', JSON, 400, "InvalidParameter.Format"),
        ("null", JSON, 400, "InvalidParameter.Format"),
        ("[" * 30_000, JSON, 400, "InvalidParameter.Format"),
        ("OK", "text/plain", 415, "Invalid.Callback.MediaType"),
        ("<result>OK</result>", "text/xml", 415, "Invalid.Callback.MediaType"),
        ("--x--", "multipart/form-data; boundary=x", 415, "Invalid.Callback.MediaType"),
        ("result=OK&message=" + "x" * callbacks.MOST_BYTES, FORM, 413, "RequestTooLarge"),
    ],
)
def test_malformed(check: Check, body: Any, content_type: str, status: int, code: str) -> None:
    answer = call_back(check, body, content_type=content_type)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert answer.message and answer.body["RequestId"]
    assert answer.body["Recommend"].endswith(f"/openapi/errors/{code}")
    assert state(check) == "checking"


def test_forged_tokens(guard: Guard, check: Check) -> None:
    other = guard.asked(guard.cast.task("other"))
    token = token_of(check)
    forged = [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        token,
        f"Bearer {token} more",
        "Bearer cbt_wrong",
        f"Bearer {token[:-1]}",
        f"Bearer {token}x",
        f"Bearer {token.upper()}",
        "Bearer ü",
        bearer(other),
    ]
    for header in forged:
        answer = call_back(check, {"result": "OK"}, authorization=header)
        assert (answer.status, answer.code) == (401, "Invalid.Check.Token"), header
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert call_back(check, {"result": "OK", "token": token_of(other)}, authorization="").status == 401
    assert call_back(check, {"progress": "5"}, authorization=bearer(other)).status == 401
    assert call_back(check, {"result": "OK"}, authorization="", query=f"token={token}").status == 401, "logs keep those"
    assert (state(check), state(other), Check.objects.get(pk=check.pk).reports) == ("checking", "checking", 0)


@pytest.mark.parametrize("path", ["0", "999999999", "9" * 18, "9" * 30, "x", "", "1/2", "-1", "１"])
def test_unknown_checks(check: Check, path: str) -> None:
    answer = call_back(f"/callbacks/checks/{path}", {"result": "OK"}, authorization=bearer(check))
    assert (answer.status, answer.code) == (404, "Invalid.Check.NotExist")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_learn_how_it_is_done(check: Check, method: str) -> None:
    answer = call_back(check, {"result": "OK"}, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert 'curl -X POST "$callbackUrl"' in answer.message
    assert state(check) == "checking"


def test_throttling(guard: Guard, check: Check, monkeypatch) -> None:
    monkeypatch.setattr(callbacks, "CALLS_PER_SECOND", 2.0)
    statuses = [call_back(check, {"progress": "1"}).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = call_back(check, {"result": "OK"})
    assert (refused.code, refused.headers["Retry-After"]) == ("Throttling.Callback", "1")
    other = guard.asked(guard.cast.task("other"))
    for _ in range(5):
        assert call_back(other, {"result": "OK"}, authorization="Bearer cbt_wrong").status in (401, 429)
    assert call_back(other, {"result": "OK"}).status == 200, (
        "who guesses tokens does not keep the extension from answering"
    )


# what it leaves behind


def test_tokens_are_in_no_log(check: Check, caplog, monkeypatch) -> None:
    token = token_of(check)
    caplog.set_level("DEBUG")
    for body in ({"result": "maybe"}, {"progress": "1"}, {"result": "OK", "token": token}, {"result": "FAIL"}):
        call_back(check, body)
        call_back(check, body, authorization=f"Bearer {token}x")
    monkeypatch.setattr("opscenter.operations.checked.answer_by_token", broken)
    answer = call_back(check, {"result": "OK"})
    assert (answer.status, answer.code) == (500, "InternalError.System")
    assert "secret detail" not in str(answer.body)
    assert "secret detail" in caplog.text, "the cause of a fault of ours is logged"
    assert "callback.call" in caplog.text
    assert token not in caplog.text


def broken(*_: object) -> None:
    raise ZeroDivisionError("secret detail")


def test_without_the_database(check: Check, monkeypatch) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("opscenter.operations.checked.answer_by_token", gone)
    answer = call_back(check, {"result": "OK"})
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


@pytest.mark.parametrize("host", ["testserver", "elsewhere.example.com"])
def test_through_all_middleware(check: Check, settings, host: str) -> None:
    """No session, no cookie, no CSRF token, whatever the host's name; and the sentence is English."""
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    client = Client(enforce_csrf_checks=True, headers={"Host": host, "Accept-Language": "zh-hans"})
    client.cookies["opscenter_session"] = "stolen"
    path = f"/callbacks/checks/{check.pk}"
    answer: Any = client.post(path, "result=OK", content_type=FORM)
    assert (answer.status_code, answer.json()["Message"]) == (401, "The request has no token.")
    answer = client.post(path, "result=OK", content_type=FORM, headers={"Authorization": bearer(check)})
    assert (answer.status_code, answer.json()["State"]) == (200, "Passed")
    assert not answer.cookies
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"] == answer.json()["RequestId"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_with_curl(transactional_db: None, live_server, monkeypatch) -> None:
    """The documented line, to the letter."""
    guard = Guard(Cast())
    check = guard.asked()
    monkeypatch.setattr(settings, "PUBLIC_URL", live_server.url)
    line = (
        'curl -sS --noproxy "*" -X POST "$callbackUrl" -H "Authorization: Bearer $callbackToken"'
        ' -d result=FAIL --data-urlencode "message=Not at night: 22:00–6:00 & weekends"'
    )
    done = subprocess.run(
        ["sh", "-c", line],
        env={"PATH": "/usr/bin:/bin", "callbackUrl": callback_url(check), "callbackToken": token_of(check)},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert json.loads(done.stdout)["State"] == "Failed"
    assert Check.objects.get().words == "Not at night: 22:00–6:00 & weekends"
