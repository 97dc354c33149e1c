"""Importing, looking at drafts, publishing."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from opscenter.base import clock
from opscenter.console.filters import latest_bizdate
from opscenter.console.forms import EXAMPLE
from opscenter.engine.generate import ensure_root
from opscenter.production.models import ProductionWorkflow, SharedParameter, Task
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.console.visits import as_user, url
from workflows.models import Node, Workflow

pytestmark = pytest.mark.django_db
DOCUMENT = (Path(__file__).parents[1] / "flowspec" / "http_workflow.json").read_text()


@pytest.fixture
def cast() -> Cast:
    cast = Cast()
    for environment in ("Prod", "Dev"):
        ensure_root(cast.workspace, environment, cast.owner)
    return cast


def _import(cast: Cast, text: str = DOCUMENT, **more: Any) -> Any:
    return as_user(cast.developer).post(url(cast, "workflow_import"), {"document": text, **more})


def _publish_address(cast: Cast) -> str:
    ids = "&".join(f"id={pk}" for pk in Node.objects.values_list("pk", flat=True))
    return f"{url(cast, 'workflow_publish')}?{ids}"


def test_pasted_text_and_a_file_become_the_same_drafts(cast: Cast) -> None:
    answer = _import(cast)
    assert answer.status_code == 200
    assert "2 new, 0 changed, 0 unchanged" in answer.content.decode()
    workflow = Workflow.objects.get(workspace=cast.workspace)
    assert url(cast, "workflow", pk=workflow.pk) in answer.content.decode()
    again = _import(cast, "", file=SimpleUploadedFile("flow.json", b"\xef\xbb\xbf" + DOCUMENT.encode()))
    assert "0 new, 0 changed, 2 unchanged" in again.content.decode()
    assert not Task.objects.filter(is_root=False).exists()


def test_the_example_in_the_form_is_a_document(cast: Cast) -> None:
    assert EXAMPLE.splitlines()[1].strip() in as_user(cast.developer).get(
        url(cast, "workflow_import")
    ).content.decode().replace("&quot;", '"')
    assert _import(cast, EXAMPLE).status_code == 200
    assert Node.objects.get().name == "report"


def test_a_refused_document_comes_back_with_each_place_and_reason(cast: Cast) -> None:
    spec = json.loads(DOCUMENT)
    spec["spec"]["workflows"][0]["nodes"][0]["trigger"]["cron"] = "<b>not a cron</b>"
    text = json.dumps(spec)
    answer = _import(cast, text)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "spec.workflows[0].nodes[0].trigger.cron" in page
    assert "&lt;b&gt;not a cron" in page
    assert "<b>not" not in page
    assert answer.context["form"]["document"].value() == text, "what was entered is kept"
    assert not Node.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"document": ""}, "document"),
        ({"document": "x\0y"}, "document"),
        ({"file": SimpleUploadedFile("x.json", b"\xff\xfe\x00")}, "file"),
    ],
)
def test_what_is_no_text_is_refused_at_its_field(cast: Cast, values: dict[str, Any], field: str) -> None:
    answer = as_user(cast.developer).post(url(cast, "workflow_import"), values)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors


@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"', "{}", "1e999", '{"spec": 1}'])
def test_any_text_is_answered_with_reasons(cast: Cast, text: str) -> None:
    answer = _import(cast, text)
    assert answer.status_code == 422
    assert answer.context["problems"]


def test_publishing_makes_tasks_that_the_page_links(cast: Cast) -> None:
    _import(cast)
    workflow = Workflow.objects.get()
    page = as_user(cast.visitor).get(url(cast, "workflow", pk=workflow.pk)).content.decode()
    assert "workflow.publish" in page, "the disabled button names the missing permission"
    client = as_user(cast.deployer)
    assert "Publish 2 nodes?" in client.get(_publish_address(cast)).content.decode()
    assert not Task.objects.filter(is_root=False).exists()
    answer = client.post(_publish_address(cast), {"message": "first"})
    assert answer["Location"] == url(cast, "workflow", pk=workflow.pk)
    tasks = Task.objects.filter(environment="Prod", is_root=False)
    assert tasks.count() == 2
    after = client.get(answer["Location"]).content.decode()
    assert "2 tasks were published" in after
    for task in tasks:
        assert url(cast, "task", number=task.number) in after
    assert AuditEntry.objects.get(action="workflow.publish").actor == cast.deployer
    again = client.post(_publish_address(cast), {"message": "same"}, follow=True).content.decode()
    assert "nothing was changed" in again


def test_what_stands_against_publishing_is_told_before_and_after_trying(cast: Cast) -> None:
    spec = json.loads(DOCUMENT)
    nodes = spec["spec"]["workflows"][0]["nodes"]
    nodes[1]["script"]["runtime"]["command"] = "ODPS_SQL"
    nodes[1]["script"]["content"] = '##@resource_reference{"absent.sh"}'
    _import(cast, json.dumps(spec))
    page = as_user(cast.visitor).get(url(cast, "workflow", pk=Workflow.objects.get().pk)).content.decode()
    answer = as_user(cast.operator).post(_publish_address(cast), {"message": "kept"}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    for told in (page, answer.content.decode()):
        assert "ODPS_SQL" in told
        assert "absent.sh" in told
    assert "kept" in answer.content.decode()
    assert not Task.objects.filter(is_root=False).exists()


def test_a_message_is_needed(cast: Cast) -> None:
    _import(cast)
    answer = as_user(cast.operator).post(_publish_address(cast), {"message": "  "})
    assert answer.status_code == 422
    assert "message" in answer.context["form"].errors


@pytest.mark.parametrize("ids", ["", "id=x", "id=0", "id=99999999999999999999", "id=-1", "id=1&id=999999"])
def test_drafts_that_are_not_there_are_not_found(cast: Cast, ids: str) -> None:
    _import(cast)
    answer = as_user(cast.operator).post(f"{url(cast, 'workflow_publish')}?{ids}", {"message": "x"})
    assert answer.status_code == 404


def test_drafts_of_other_workspaces_are_out_of_reach(cast: Cast) -> None:
    _import(cast)
    other = Cast("globex")
    ids = f"?id={Node.objects.values_list('pk', flat=True)[0]}"
    client = as_user(other.owner)
    assert client.post(url(other, "workflow_publish") + ids, {"message": "x"}).status_code == 404
    assert client.get(url(other, "workflow", pk=Workflow.objects.get().pk)).status_code == 404
    assert "HTTP_Workflow" not in client.get(url(other, "workflow_list")).content.decode()


def test_names_of_markup_stay_text(cast: Cast) -> None:
    spec = json.loads(DOCUMENT)
    spec["spec"]["workflows"][0]["name"] = "<script>alert(1)</script>"
    spec["spec"]["workflows"][0]["nodes"][0]["name"] = "<script>alert(2)</script>"
    imported = _import(cast, json.dumps(spec)).content.decode()
    client = as_user(cast.owner)
    pages = [
        imported,
        client.get(url(cast, "workflow_list")).content.decode(),
        client.get(_publish_address(cast)).content.decode(),
        client.get(url(cast, "audit_list")).content.decode(),
    ]
    for page in pages:
        assert "<script>alert" not in page


def test_the_list_counts_what_waits_to_be_published(cast: Cast) -> None:
    _import(cast)
    client = as_user(cast.operator)
    [(workflow, _)] = client.get(url(cast, "workflow_list")).context["rows"]
    assert (workflow.node_count, workflow.pending_count) == (2, 2)
    client.post(_publish_address(cast), {"message": "x"})
    [(workflow, _)] = client.get(url(cast, "workflow_list")).context["rows"]
    assert (workflow.node_count, workflow.pending_count) == (2, 0)


def _with_parameters(text: str) -> str:
    spec = json.loads(DOCUMENT)
    spec["spec"]["workflows"][0]["script"] = {"parameters": text}
    return json.dumps(spec)


def test_parameters_of_a_workflow_are_published_though_its_nodes_are(cast: Cast) -> None:
    _import(cast, _with_parameters("day=$bizdate"))
    client = as_user(cast.operator)
    client.post(_publish_address(cast), {"message": "first"})
    _import(cast, _with_parameters("day=$cyctime"))
    address = url(cast, "workflow", pk=Workflow.objects.get().pk)
    page = client.get(address)
    assert "$cyctime" in page.content.decode() and "not published yet" in page.content.decode()
    assert page.context["why_not_publish"] == ""
    assert "Parameters</span>" in client.get(url(cast, "workflow_list")).content.decode()
    said = client.post(page.context["publish_url"], {"message": "second"}, follow=True).content.decode()
    assert "Parameters of the workflow were published: HTTP_Workflow" in said
    assert "not published yet" not in said
    assert {flow.parameters for flow in ProductionWorkflow.objects.all()} == {"day=$cyctime"}


def test_a_parameter_without_a_value_is_told_before_and_after_trying(cast: Cast) -> None:
    _import(cast, _with_parameters("day=$nothing"))
    page = as_user(cast.visitor).get(url(cast, "workflow", pk=Workflow.objects.get().pk)).content.decode()
    answer = as_user(cast.operator).post(_publish_address(cast), {"message": "x"})
    assert answer.status_code == 422
    for told in (page, answer.content.decode()):
        assert "A parameter of the workflow has no value" in told


def test_parameters_of_a_workflow_are_changed_on_its_page(cast: Cast) -> None:
    spec = json.loads(_with_parameters("day=$bizdate region=eu"))
    first, second = spec["spec"]["workflows"][0]["nodes"]
    first["script"] = {"runtime": {"command": "DIDE_SHELL"}, "content": "echo ${day}"}
    second["script"]["parameters"] = [
        {"name": "region", "scope": "NodeParameter", "type": "System", "value": "us"},
    ]
    _import(cast, json.dumps(spec))
    SharedParameter.objects.create(
        tenant=cast.tenant, workspace=cast.workspace, environment="Prod", name="day", expression="x", modified_by=cast.owner
    )  # fmt: skip
    pk = Workflow.objects.get().pk
    page, address = url(cast, "workflow", pk=pk), url(cast, "workflow_parameters", pk=pk)
    rows = as_user(cast.visitor).get(page).context["parameters"]["rows"]
    bizdate = latest_bizdate(clock.now(), cast.tenant.time_zone)
    assert [(row["name"], row["value"], row["users"], row["others"]) for row in rows] == [
        ("day", f"{bizdate:%Y%m%d}", [first["name"]], []),
        ("region", "eu", [], [second["name"]]),
    ]
    assert [str(row["hides"]) for row in rows] == ["Workspace", ""]
    client = as_user(cast.developer)
    asked = client.get(address).context["form"]
    assert asked["parameters"].value() == "day=$bizdate\nregion=eu"
    before = asked["before"].value()
    for wrong, told in (
        ("day=$nothing", "“$nothing”"),
        ("day", "has no value"),
        ("1=x", "cannot be the name of a parameter"),
    ):
        answer = client.post(address, {"parameters": wrong, "before": before})
        assert answer.status_code == 422 and told in answer.content.decode(), wrong
        assert answer.context["form"]["parameters"].value() == wrong, "what was entered is kept"
    said = client.post(address, {"parameters": "day='1 2'\nother=${yyyymm}", "before": before}, follow=True)
    assert "Production changes when one of its nodes is published" in said.content.decode()
    assert Workflow.objects.get().parameters == 'day="1 2" other=${yyyymm}'
    late = client.post(address, {"parameters": "day=3", "before": before})
    assert late.status_code == 422 and "Somebody else has changed the parameters" in late.content.decode()


def test_who_may_not_develop_sees_the_parameters_and_why_they_stay(cast: Cast) -> None:
    _import(cast, _with_parameters("day=$bizdate"))
    pk = Workflow.objects.get().pk
    html = as_user(cast.deployer).get(url(cast, "workflow", pk=pk)).content.decode()
    assert "$bizdate" in html and "Change parameters</button>" in html and "workflow.develop" in html
    assert as_user(cast.deployer).get(url(cast, "workflow_parameters", pk=pk)).status_code == 403
