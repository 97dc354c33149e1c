"""The form of an HTTP node: all of its settings there and back, errors at their fields, secrets that never come out."""

import json

import pytest

from opscenter.console.http_forms import HttpNodeForm
from opscenter.production import http_settings
from opscenter.production.http_settings import MASK
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.console.visits import as_user, url
from tests.http_node.service import Service
from workflows.definitions import Dependency, NodeDefinition
from workflows.models import Node, Workflow

pytestmark = pytest.mark.django_db
LEAST = {
    "name": "call",
    "method": "GET",
    "url": "https://jobs.example/run",
    "callback_method": "GET",
    "safe_to_repeat": "default",
    "success": "2xx",
    "run_status": "Normal",
    "rerun_times": "1",
    "rerun_interval": "5",
    "timeout": "0",
    "request_timeout": "30",
    "cron": "0 30 2 * * ?",
}
ALL = LEAST | {
    "description": "starts the job",
    "method": "POST",
    "headers": "X-Team: data\nX-Day: ${day}",
    "api_key_header": "X-Key",
    "api_key": "k3y-value",
    "token": "t0ken-value",
    "params": "day=${day}\nempty=",
    "body": '{"code": "print(\'${day}\')", "n": [1, 2.5, null]}',
    "success": "200-204, 304",
    "polls": "on",
    "interval": "15",
    "callback_method": "POST",
    "callback_url": "https://jobs.example/status?x=1",
    "callback_headers": "X-Poll: yes",
    "callback_api_key": "p0ll-key",
    "callback_token": "p0ll-token",
    "callback_params": "y=2",
    "callback_body": '{"a": ${n}}',
    "statuses": ["SUCCESS", "FINISHED"],
    "other_statuses": "DONE, OK",
    "run_status": "DoNotExecute",
    "rerun_times": "3",
    "rerun_interval": "2",
    "timeout": "90",
    "request_timeout": "20",
    "safe_to_repeat": "yes",
    "parameters": "day=$bizdate n=5",
}
SECRETS = ("k3y-value", "t0ken-value", "p0ll-key", "p0ll-token")


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def workflow(cast: Cast) -> Workflow:
    return Workflow.objects.create(workspace=cast.workspace, name="w", owner=cast.owner, modified_by=cast.owner)


def _add(cast, workflow, fields=LEAST, who="developer", **more):
    return as_user(getattr(cast, who)).post(url(cast, "workflow_http_node_add", pk=workflow.pk), fields | more)


def _edit(cast, node, fields, who="developer", **more):
    values = {"version": node.version} | fields | more
    return as_user(getattr(cast, who)).post(url(cast, "workflow_http_node", pk=node.pk), values)


def _stored(node=None):
    return json.loads((node or Node.objects.get()).definition["content"])


def test_a_new_node_has_all_that_the_form_says(cast, workflow):
    answer = _add(cast, workflow, ALL)
    node = Node.objects.get()
    assert answer["Location"] == url(cast, "workflow_http_node", pk=node.pk)
    definition = NodeDefinition.from_json(node.definition)
    assert (node.workflow, node.name, node.node_type, node.owner) == (workflow, "call", "http", cast.developer)
    assert (definition.rerun_times, definition.rerun_interval, definition.timeout) == (3, 120, 5400)
    assert (definition.cron, definition.parameters) == ("00 30 02 * * ?", "day=$bizdate n=5")
    settings = http_settings.read(definition.content)
    assert (settings.ask.url, settings.ask.method) == ("https://jobs.example/run", "POST")
    assert settings.ask.headers == {"X-Team": "data", "X-Day": "${day}"}
    assert settings.ask.params == {"day": "${day}", "empty": ""}
    assert settings.ask.body == {"code": "print('${day}')", "n": [1, 2.5, None]}
    assert settings.ask.api_key_header == "X-Key"
    assert [http_settings.opened(one) for one in (settings.ask.api_key, settings.ask.token)] == list(SECRETS[:2])
    assert settings.polling.interval == 15
    assert settings.polling.success == ("SUCCESS", "FINISHED", "DONE", "OK")
    assert settings.polling.ask.body == '{"a": ${n}}', "JSON once its parameters are put in"
    assert http_settings.opened(settings.polling.ask.token) == "p0ll-token"
    assert (settings.success, settings.executes, settings.request_timeout, settings.safe_to_repeat) == (
        "200-204, 304",
        False,
        20,
        True,
    )
    assert not any(secret in json.dumps(node.definition) for secret in SECRETS)
    assert AuditEntry.objects.get(action="node.save").object_name == "call"


def test_a_new_node_has_the_defaults_of_the_product(cast, workflow):
    page = as_user(cast.developer).get(url(cast, "workflow_http_node_add", pk=workflow.pk))
    form = page.context["form"]
    told = {name: form[name].value() for name in ("method", "rerun_times", "rerun_interval", "api_key_header")}
    assert told == {"method": "GET", "rerun_times": 1, "rerun_interval": 5, "api_key_header": "X-API-Key"}
    _add(cast, workflow)
    settings = http_settings.read(Node.objects.get().definition["content"])
    assert (settings.ask.method, settings.polling, settings.executes, settings.safe_to_repeat) == (
        "GET",
        None,
        True,
        True,
    )


def test_the_form_shows_what_is_stored_and_saving_it_again_changes_nothing(cast, workflow):
    _add(cast, workflow, ALL)
    node = Node.objects.get()
    page = as_user(cast.developer).get(url(cast, "workflow_http_node", pk=node.pk))
    html = page.content.decode()
    assert not any(secret in html for secret in SECRETS)
    assert MASK not in html and "gAAAA" not in html
    assert "One is stored" in html
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in values.items() if value not in (None, False, "")}
    _edit(cast, node, sent | {"polls": "on"})
    node.refresh_from_db()
    assert node.version == 1, "a draft that is as it was gets no new version"


def test_empty_secrets_are_kept_typed_ones_replace_and_boxes_remove(cast, workflow):
    _add(cast, workflow, ALL)
    node = Node.objects.get()
    fields = {name: value for name, value in ALL.items() if value not in SECRETS}
    _edit(cast, node, fields, name="renamed", token="another", drop_api_key="on", callback_drop_token="on")
    node.refresh_from_db()
    assert (node.version, node.name, node.versions.count()) == (2, "renamed", 2)
    settings = http_settings.read(node.definition["content"])
    assert settings.ask.api_key == "" and settings.polling.ask.token == ""
    assert http_settings.opened(settings.ask.token) == "another"
    assert http_settings.opened(settings.polling.ask.api_key) == "p0ll-key"


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"url": "https://elsewhere.example/run"}, ["api_key", "token"]),
        ({"url": "http://jobs.example/run"}, ["api_key", "token"]),
        ({"url": "https://jobs.example:444/run"}, ["api_key", "token"]),
        ({"url": "https://elsewhere.example/run", "api_key": "typed"}, ["token"]),
        ({"callback_url": "https://elsewhere.example/s"}, ["callback_api_key", "callback_token"]),
    ],
)
def test_a_stored_secret_is_not_sent_to_another_host(cast, workflow, changed, fields):
    _add(cast, workflow, ALL)
    node = Node.objects.get()
    kept = {name: value for name, value in ALL.items() if value not in SECRETS}
    answer = _edit(cast, node, kept | changed)
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, fields)
    node.refresh_from_db()
    assert node.version == 1
    again = _edit(cast, node, kept | changed | {"url": "https://jobs.example/other"} if "url" in changed else ALL)
    assert again.status_code == 302, "another path of the same host is fine"


WRONG = [
    ({"name": ""}, "name"),
    ({"url": ""}, "url"),
    ({"url": "ftp://jobs.example/"}, "url"),
    ({"url": "https://user:pw@jobs.example/"}, "url"),
    ({"url": "http://127.0.0.1/"}, "url"),
    ({"method": "PUT"}, "method"),
    ({"headers": "no colon"}, "headers"),
    ({"headers": "a b: c"}, "headers"),
    ({"headers": "A: 1\nA: 2"}, "headers"),
    ({"params": "=x"}, "params"),
    ({"api_key": "x", "api_key_header": "a:b"}, "api_key_header"),
    ({"body": "{"}, "body"),
    ({"body": '{"a": NaN}'}, "body"),
    ({"body": '"\\ud800"'}, "body"),
    ({"success": "200+"}, "success"),
    ({"success": ""}, "success"),
    ({"polls": "on", "statuses": ["SUCCESS"], "interval": "9"}, "callback_url"),
    ({"polls": "on", "callback_url": "https://h.example/s", "interval": "9"}, "statuses"),
    ({"polls": "on", "callback_url": "https://h.example/s", "statuses": ["SUCCESS"], "interval": "0"}, "interval"),
    ({"polls": "on", "callback_url": "gopher://h", "statuses": ["SUCCESS"], "interval": "9"}, "callback_url"),
    ({"rerun_times": "11"}, "rerun_times"),
    ({"rerun_interval": "31"}, "rerun_interval"),
    ({"timeout": "-1"}, "timeout"),
    ({"request_timeout": "301"}, "request_timeout"),
    ({"cron": "every day"}, "cron"),
    ({"parameters": "a=1 a=2"}, "parameters"),
    ({"upstream": ["nowhere"]}, "upstream"),
]


@pytest.mark.parametrize(("changed", "field"), WRONG)
def test_errors_stand_at_their_field(cast, workflow, changed, field):
    Node.objects.create(
        workspace=cast.workspace, workflow=workflow, name="before", node_type="shell", source_id="s1",
        owner=cast.owner, modified_by=cast.owner, definition=NodeDefinition("s1", "before", "shell").as_json(),
    )  # fmt: skip
    answer = _add(cast, workflow, **changed)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert Node.objects.count() == 1


def test_a_new_node_may_run_after_others_and_an_old_one_keeps_what_it_waits_for(cast, workflow):
    _add(cast, workflow, name="first")
    first = Node.objects.get()
    _add(cast, workflow, name="second", upstream=[first.source_id])
    second = Node.objects.get(name="second")
    waits = (Dependency(node=first.source_id),)
    assert NodeDefinition.from_json(second.definition).dependencies == waits
    _edit(cast, second, LEAST, name="renamed")
    second.refresh_from_db()
    assert (second.version, NodeDefinition.from_json(second.definition).dependencies) == (2, waits)


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(cast, workflow):
    _add(cast, workflow)
    node = Node.objects.get()
    assert _edit(cast, node, LEAST, name="mine").status_code == 302
    late = _edit(cast, node, LEAST, name="theirs", version="1")
    assert late.status_code == 422
    assert "Somebody else has saved" in late.content.decode()
    assert Node.objects.get().name == "mine"


def test_nobody_but_developers_and_no_other_workspace(cast, workflow):
    _add(cast, workflow)
    node = Node.objects.get()
    assert _edit(cast, node, LEAST, who="visitor").status_code == 403
    assert _add(cast, workflow, who="visitor").status_code == 403
    other = Cast("globex")
    client = as_user(other.owner)
    assert client.get(url(other, "workflow_http_node", pk=node.pk)).status_code == 404
    assert client.get(url(other, "workflow_http_node_add", pk=workflow.pk)).status_code == 404
    assert client.post(url(other, "workflow_http_node_try", pk=node.pk)).status_code == 404


@pytest.mark.parametrize("content", ["", "[]", "curl", '{"callback": 5, "apiKey": "x", "headers": [], "success": 7}'])
def test_a_draft_that_nobody_can_read_still_opens(cast, workflow, content):
    definition = NodeDefinition("h1", "odd", "http", content=content)
    form = HttpNodeForm(before=definition)
    assert form.as_p()


def test_the_fields_names_cover_every_setting():
    from opscenter.console.http_forms import field_of

    fields = set(HttpNodeForm(upstream=[("a", "a")]).fields)
    for setting in (
        "url",
        "apiKey",
        "apiKey.header",
        "token",
        "success",
        "runStatus",
        "requestTimeout",
        "safeToRepeat",
    ):
        assert field_of(setting) in fields
    for setting in ("url", "method", "headers", "apiKey", "apiKey.header", "token", "params", "interval", "success"):
        assert field_of(f"callback.{setting}") in fields


@pytest.fixture
def service(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    with Service() as running:
        yield running


def _try(cast, node, who="developer"):
    return as_user(getattr(cast, who)).post(url(cast, "workflow_http_node_try", pk=node.pk))


def test_trying_sends_the_saved_request_once_and_shows_no_secret(cast, workflow, service):
    service.submit = lambda given: (200, {"taskId": "t1", "heard": given, "token": "t0ken-value"})
    fields = ALL | {
        "url": f"{service.url}/run_code",
        "callback_url": f"{service.url}/status",
        "body": '{"code": "${day}"}',
    }
    _add(cast, workflow, fields)
    node = Node.objects.get()
    page = as_user(cast.developer).get(url(cast, "workflow_http_node_try", pk=node.pk)).content.decode()
    assert "real work" in page and not service.got
    told = _try(cast, node).content.decode()
    (method, path, headers, body), *rest = service.got
    assert not rest
    assert (method, headers["Authorization"], headers["X-Key"]) == ("POST", "Bearer t0ken-value", "k3y-value")
    assert path.startswith("/run_code?day=2")
    assert json.loads(body)["code"].isdigit()
    assert "t0ken-value" not in told and "***" in told
    entry = AuditEntry.objects.get(action="node.try")
    assert entry.params == {"method": "POST", "host": service.url.removeprefix("http://"), "status": 200}


def test_trying_says_why_a_run_would_fail(cast, workflow, service):
    service.submit = lambda _given: (503, {"error": "busy"})
    _add(cast, workflow, url=f"{service.url}/run_code")
    told = _try(cast, Node.objects.get()).content.decode()
    assert "status code 503" in told and "busy" in told


def test_trying_goes_through_the_guard(cast, workflow, service, settings):
    _add(cast, workflow, url=f"{service.url}/run_code")
    settings.OUTBOUND_ALLOW = []
    told = _try(cast, Node.objects.get())
    assert told.status_code == 200 and not service.got
    entry = AuditEntry.objects.get(action="node.try")
    assert (entry.params["status"], entry.params["reason"]["code"]) == (None, "outbound.address")


def test_trying_is_for_those_who_may_test(cast, workflow, service):
    _add(cast, workflow, url=f"{service.url}/run_code")
    node = Node.objects.get()
    assert _try(cast, node, who="visitor").status_code == 403
    Node.objects.update(owner=cast.owner)
    assert _try(cast, node, who="developer").status_code == 403, "developers test what they own"
    assert not service.got
    page = as_user(cast.developer).get(url(cast, "workflow_http_node", pk=node.pk)).content.decode()
    assert "task.test" in page
