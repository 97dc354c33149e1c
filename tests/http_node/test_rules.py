"""Success rules, URLs, answers and settings of HTTP nodes, as tables."""

import json

import pytest

from opscenter.base.reasons import Invalid, say
from opscenter.production import http_requests, http_settings
from opscenter.production.http_requests import judge_poll, judge_submit, with_query, with_task_id

URL = "https://jobs.example/run"
POLLS = {"url": URL, "callback": {"url": "https://jobs.example/status"}}


def read(**document):
    return http_settings.read(json.dumps({"url": URL, **document}))


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("2xx", [200, 201, 204, 299], [199, 300, 302, 404, 500]),
        ("2XX", [204], [304]),
        ("200", [200], [201]),
        ("2xx, 304", [200, 304], [303]),
        ("400-404", [400, 404], [399, 405]),
        ("1xx,5xx", [100, 599], [200]),
    ],
)
def test_success_rules(rule, good, bad):
    assert [http_settings.status_succeeds(rule, status) for status in good] == [True] * len(good)
    assert [http_settings.status_succeeds(rule, status) for status in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    ("url", "task", "expected"),
    [
        ("http://h:8004/status", "x1", "http://h:8004/status/x1"),
        ("http://h/status/", "x1", "http://h/status/x1"),
        ("http://h", "x1", "http://h/x1"),
        ("http://h/s?a=1&b=2", "x1", "http://h/s/x1?a=1&b=2"),
        ("http://h/s", "a/b?c#d e", "http://h/s/a%2Fb%3Fc%23d%20e"),
        ("http://h/s", "ä%", "http://h/s/%C3%A4%25"),
    ],
)
def test_the_task_id_goes_into_the_path(url, task, expected):
    assert with_task_id(url, task) == expected


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("http://h/a", {}, "http://h/a"),
        ("http://h/a", {"x": "1 &"}, "http://h/a?x=1+%26"),
        ("http://h/a?y=2", {"x": "1"}, "http://h/a?y=2&x=1"),
    ],
)
def test_query_parameters(url, params, expected):
    assert with_query(url, params) == expected


@pytest.mark.parametrize(
    ("status", "body", "task", "code"),
    [
        (200, {"taskId": "t-1"}, "t-1", None),
        (201, {"taskId": 17}, "17", None),
        (500, {"taskId": "t-1"}, "", "http.status"),
        (302, {"taskId": "t-1"}, "", "http.status"),
        (200, {}, "", "http.task_id"),
        (200, [], "", "http.task_id"),
        (200, {"taskId": ""}, "", "http.task_id"),
        (200, {"taskId": True}, "", "http.task_id"),
        (200, {"taskId": None}, "", "http.task_id"),
        (200, {"taskId": ".."}, "", "http.task_id"),
        (200, {"taskId": "a\nb"}, "", "http.task_id"),
        (200, {"taskId": "x" * 513}, "", "http.task_id"),
    ],
)
def test_answers_to_a_submit(status, body, task, code):
    verdict = judge_submit(http_settings.read(json.dumps(POLLS)), status, json.dumps(body).encode())
    assert (verdict.task_id, verdict.failure and verdict.failure.code, verdict.goes_on) == (task, code, code is None)


@pytest.mark.parametrize(
    ("status", "body", "goes_on", "code"),
    [
        (200, b'{"status": "PROCESSING"}', True, None),
        (200, b'{"status": "SUCCESS"}', False, None),
        (200, b'{"status": "FINISHED"}', False, "http.callback_status"),
        (200, b'{"status": "success"}', False, "http.callback_status"),
        (200, b'{"status": 1}', False, "http.answer"),
        (200, b"PROCESSING", False, "http.answer"),
        (200, b"\xff", False, "http.answer"),
        (200, b"[" * 100_000, False, "http.answer"),
        (404, b'{"status": "SUCCESS"}', False, "http.status"),
        (500, b'{"status": "PROCESSING"}', False, "http.status"),
    ],
)
def test_answers_to_a_poll(status, body, goes_on, code):
    verdict = judge_poll(http_settings.read(json.dumps(POLLS)), status, body)
    assert (verdict.goes_on, verdict.failure and verdict.failure.code) == (goes_on, code)


def test_the_success_list_is_the_nodes_own():
    settings = read(callback={"url": URL, "success": ["SUCCESS", "FINISHED"]})
    assert judge_poll(settings, 200, b'{"status": "FINISHED"}').failure is None


@pytest.mark.parametrize(
    ("document", "setting"),
    [
        ({"url": ""}, "url"),
        ({"method": "PUT"}, "method"),
        ({"headers": {"a b": "1"}}, "headers"),
        ({"headers": {"a": {}}}, "headers"),
        ({"apiKey": "x"}, "apiKey"),
        ({"apiKey": {"header": "a:b", "value": "x"}}, "apiKey.header"),
        ({"token": 5}, "token"),
        ({"success": "200+"}, "success"),
        ({"success": "6xx"}, "success"),
        ({"runStatus": "Never"}, "runStatus"),
        ({"requestTimeout": 0}, "requestTimeout"),
        ({"safeToRepeat": "yes"}, "safeToRepeat"),
        ({"callback": {"interval": 5}}, "callback.url"),
        ({"callback": {"url": URL, "interval": 0}}, "callback.interval"),
        ({"callback": {"url": URL, "success": []}}, "callback.success"),
        ({"callback": "x"}, "callback"),
    ],
)
def test_settings_that_mean_nothing(document, setting):
    with pytest.raises(Invalid) as wrong:
        read(**document)
    assert wrong.value.reason.params == {"setting": setting}
    assert setting in say(wrong.value.reason.code, wrong.value.reason.params)


def test_what_is_safe_to_repeat():
    """Asking for something is; what starts a task, or changes something, is not unless the node says so."""
    assert read().safe_to_repeat
    assert not read(method="POST").safe_to_repeat
    assert not http_settings.read(json.dumps(POLLS)).safe_to_repeat
    assert read(method="POST", safeToRepeat=True).safe_to_repeat


def test_secrets_are_sealed_masked_and_kept():
    written = json.dumps({**POLLS, "token": "t0p", "callback": {"url": URL, "apiKey": {"value": "k3y"}}})
    stored = http_settings.seal(written)
    assert "t0p" not in stored
    assert "k3y" not in stored
    settings = http_settings.read(stored)
    assert http_settings.opened(settings.ask.token) == "t0p"
    assert http_settings.opened(settings.polling.ask.api_key) == "k3y"
    assert http_settings.seal(written, stored) == stored
    shown = http_settings.masked(stored)
    assert "sealed" not in shown
    assert http_settings.MASK in shown
    assert http_settings.seal(shown, stored) == stored


def test_a_secret_sealed_elsewhere_is_not_sent_from_here():
    stored = json.loads(http_settings.seal(json.dumps({"url": URL, "token": "t0p"})))
    assert http_settings.read(http_settings.seal(json.dumps(stored))).ask.token == ""


def test_parameters_cannot_break_the_body():
    settings = read(method="POST", body={"code": "${x}", "n": 1, "list": ["${x}"]})
    kept = http_requests.filled(settings.ask, lambda text: text.replace("${x}", 'a"b\\'))
    assert json.loads(kept["body"]) == {"code": 'a"b\\', "n": 1, "list": ['a"b\\']}
    with pytest.raises(Invalid):
        http_requests.filled(read(body="{${x}").ask, str)


def test_what_is_hidden_is_hidden_in_every_spelling():
    told = http_requests.redacted('k/"1 then k%2F%221 then k/\\"1\nend', ('k/"1',))
    assert told == "*** then *** then *** end"
