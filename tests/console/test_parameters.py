"""Shared parameters on their pages, where they are used, and what expressions give."""

from datetime import timedelta

import pytest

from opscenter.base import clock
from opscenter.console.filters import latest_bizdate
from opscenter.production.models import SharedParameter, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import BIZDATE, MIDNIGHT, Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    cast = Cast()
    User.objects.filter(pk=cast.owner.pk).update(is_tenant_admin=True)
    cast.owner.refresh_from_db()
    return cast


def _add(cast, view="parameter_add", who="owner", env="prod", **fields):
    values = {"name": "region", "expression": "eu-$bizdate", "description": ""} | fields
    return as_user(getattr(cast, who)).post(url(cast, view, env), values)


def _shared(cast, name, expression, environment="", workspace=None):
    return SharedParameter.objects.create(
        tenant=cast.tenant,
        workspace=workspace,
        environment=environment,
        name=name,
        expression=expression,
        modified_by=cast.owner,
    )


def test_a_workspace_parameter_is_added_changed_and_deleted_with_audit(cast):
    assert _add(cast, who="admin")["Location"] == url(cast, "parameter_list")
    made = SharedParameter.objects.get()
    assert (made.workspace, made.environment, made.expression) == (cast.workspace, "Prod", "eu-$bizdate")
    client = as_user(cast.admin)
    client.post(url(cast, "parameter_edit", pk=made.pk), {"expression": "us", "description": "where"})
    made.refresh_from_db()
    assert (made.expression, made.description, made.modified_by) == ("us", "where", cast.admin)
    page = as_user(cast.visitor).get(url(cast, "parameter_list")).content.decode()
    assert "region" in page and "where" in page and "workspace.manage" in page
    assert "region" not in as_user(cast.visitor).get(url(cast, "parameter_list", "dev")).content.decode()
    client.post(url(cast, "parameter_delete", pk=made.pk))
    assert not SharedParameter.objects.exists()
    told = list(AuditEntry.objects.order_by("pk").values_list("action", "workspace", "params"))
    assert told == [
        ("parameter.create", cast.workspace.pk, {"environment": "Prod", "expression": "eu-$bizdate"}),
        ("parameter.update", cast.workspace.pk, {"environment": "Prod", "before": "eu-$bizdate", "expression": "us"}),
        ("parameter.delete", cast.workspace.pk, {"environment": "Prod", "expression": "us"}),
    ]
    words = client.get(url(cast, "audit_list")).content.decode()
    assert "eu-$bizdate → us, Production" in words


def test_global_ones_are_the_tenant_administrators(cast):
    assert _add(cast, "parameter_global_add", who="admin").status_code == 403
    assert _add(cast, "parameter_global_add").status_code == 302
    made = SharedParameter.objects.get()
    assert (made.workspace, made.environment) == (None, "")
    for view in ("parameter_global_edit", "parameter_global_delete"):
        assert as_user(cast.admin).post(url(cast, view, pk=made.pk), {"expression": "x"}).status_code == 403
    assert as_user(cast.owner).post(url(cast, "parameter_edit", pk=made.pk), {"expression": "x"}).status_code == 404
    page = as_user(cast.admin).get(url(cast, "parameter_list", "dev")).content.decode()
    assert "region" in page and "Only administrators of the tenant" in page
    assert AuditEntry.objects.get().workspace is None


def test_parameters_of_another_tenant_do_not_exist(cast):
    other = Cast("globex")
    User.objects.filter(pk=other.owner.pk).update(is_tenant_admin=True)
    theirs = _shared(other, "secretive", "theirs")
    own = _shared(other, "own", "theirs", "Prod", other.workspace)
    client = as_user(cast.owner)
    assert "theirs" not in client.get(url(cast, "parameter_list")).content.decode()
    assert client.post(url(cast, "parameter_global_edit", pk=theirs.pk), {"expression": "x"}).status_code == 404
    assert client.post(url(cast, "parameter_delete", pk=own.pk)).status_code == 404


BAD = [
    ({"name": "1"}, "name"),
    ({"name": "a-b"}, "name"),
    ({"name": "yyyymmdd"}, "name"),
    ({"name": "x" * 129}, "name"),
    ({"name": ""}, "name"),
    ({"expression": "$nothing"}, "expression"),
    ({"expression": "x ${hh24}"}, "expression"),
    ({"expression": "x" * 1001}, "expression"),
    ({"expression": "a\nb"}, "expression"),
    ({"description": "x" * 201}, "description"),
]


@pytest.mark.parametrize(("fields", "field"), BAD)
def test_what_cannot_be_is_told_at_its_field(cast, fields, field):
    answer = _add(cast, **fields)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not SharedParameter.objects.exists()


def test_a_name_is_taken_once_on_each_level_and_in_each_environment(cast):
    answers = [_add(cast), _add(cast, env="dev"), _add(cast, "parameter_global_add")]
    assert [answer.status_code for answer in answers] == [302, 302, 302]
    again = _add(cast)
    assert (again.status_code, list(again.context["form"].errors)) == (422, ["name"])
    page = as_user(cast.visitor).get(url(cast, "parameter_list")).content.decode()
    assert "hidden here" in page


def test_deleting_says_which_tasks_use_it(cast):
    shared = _shared(cast, "region", "eu", "Prod", cast.workspace)
    cast.task("uses", content="echo ${region}")
    cast.task("has_its_own", content="echo ${region}", version={"parameters": "region=us"})
    cast.task("other", content="echo ${regional}")
    page = as_user(cast.owner).get(url(cast, "parameter_delete", pk=shared.pk)).content.decode()
    assert "uses (" in page and "has_its_own" not in page and "other (" not in page


def test_a_task_shows_each_parameter_its_value_level_and_what_it_hides(cast):
    workflow = cast.workflow()
    workflow.parameters = "day=$bizdate region=workflow"
    workflow.save()
    _shared(cast, "region", "global")
    _shared(cast, "unused", "global")
    content = "echo ${day} ${region}"
    task = cast.task(content=content, workflow=workflow, version={"parameters": "own=$nodeid bad=$nothing"})
    rows = as_user(cast.visitor).get(url(cast, "task", number=task.number)).context["parameters"]["rows"]
    found = {row["name"]: row for row in rows}
    assert list(found) == ["own", "bad", "day", "region"]
    assert found["own"]["value"] == str(task.number)
    assert found["bad"]["value"] is None and "$nothing" in found["bad"]["error"]
    assert (str(found["region"]["level"]), found["region"]["value"]) == ("Workflow", "workflow")
    assert [(str(level), text) for level, text in found["region"]["hides"]] == [("Global", "global")]


def test_an_instance_shows_what_it_would_have_and_then_what_it_had(cast):
    task = cast.task(content="echo ${region}", version={"parameters": "day=$bizdate"})
    shared = _shared(cast, "region", "eu", "Prod", cast.workspace)
    family = cast.run_family(kind=WorkflowInstance.Type.BACKFILL)
    family.parameters = {"tasks": {str(task.number): {"day": "override-$gmtdate"}}}
    family.save()
    instance = cast.instance(task, State.WAIT_TIME, workflow_instance=family)
    client = as_user(cast.visitor)

    def shown():
        found = client.get(url(cast, "instance", pk=instance.pk)).context["parameters"]
        return found["is_pinned"], {row["name"]: (row["value"], str(row["level"])) for row in found["rows"]}

    assert shown() == (False, {"day": ("override-20261121", "This run, this task"), "region": ("eu", "Workspace")})
    instance.attempts.create(
        number=1,
        state="success",
        version=task.version,
        claimed_at=MIDNIGHT,
        started_at=MIDNIGHT,
        finished_at=MIDNIGHT + timedelta(seconds=1),
        parameters={"region": "eu"},
        parameter_sources={"region": {"level": "workspace", "expression": "eu", "hides": [["global", "x"]]}},
    )
    shared.expression = "changed since"
    shared.save()
    assert shown() == (True, {"region": ("eu", "Workspace")})
    instance.attempts.update(parameters={"day": "20261120"}, parameter_sources=None)
    assert shown() == (True, {"day": ("20261120", "Node")}), "of an attempt from before levels were kept"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("lost", {"code": "attempt.lost", "params": {"host": "h"}}),
        ("failure", {"code": "attempt.parameters", "params": {"problem": {"code": "x", "params": {}}}}),
    ],
)
def test_an_attempt_that_kept_none_shows_what_holds_now(cast, state, reason):
    task = cast.task(version={"parameters": "day=$bizdate bad=$nothing"})
    instance = cast.instance(task, State.FAILURE)
    instance.attempts.create(
        number=1, state=state, version=task.version, claimed_at=MIDNIGHT, started_at=MIDNIGHT, finished_at=MIDNIGHT,
        reason=reason,
    )  # fmt: skip
    found = as_user(cast.visitor).get(url(cast, "instance", pk=instance.pk)).context["parameters"]
    assert not found["is_pinned"]
    assert [(row["name"], row["value"]) for row in found["rows"]] == [("day", "20261120"), ("bad", None)]


def _try(cast, **query):
    return as_user(cast.visitor).get(url(cast, "parameter_try"), query)


def test_expressions_are_tried_for_a_date_and_a_time(cast):
    text = "${yyyymmdd}\nat=$[yyyymmddhh24miss-1/24] x=$[foo]"
    answer = _try(cast, text=text, bizdate="2025-10-31", at="02:30:45")
    rows = [(row["answer"].name, row["answer"].value) for row in answer.context["answers"]]
    assert rows == [("", "20251031"), ("at", "20251101013045"), ("x", None)]
    page = answer.content.decode()
    assert "<mark>$[foo]</mark>" in page and "is no date" in page
    part = as_user(cast.visitor).get(
        url(cast, "parameter_try"), {"text": "$gmtdate", "bizdate": "2025-10-31"}, headers={"HX-Request": "true"}
    )
    assert "20251101" in part.content.decode() and "<html" not in part.content.decode()


def test_a_task_gives_its_time_its_ids_and_its_parameters(cast):
    task = cast.task(cron="00 30 02 * * ?", version={"parameters": "dt=$cyctime"})
    answer = _try(cast, text="$nodeid $cyctime", bizdate=BIZDATE.isoformat(), task=task.number)
    assert answer.context["answers"][0]["answer"].value == f"{task.number} 20261121023000"
    assert answer.context["of_task"]["rows"][0]["value"] == "20261121023000"


def test_a_link_may_name_a_task_alone(cast):
    task = cast.task("sales")
    answer = as_user(cast.visitor).get(url(cast, "parameter_try"), {"task": task.number})
    assert answer.status_code == 200
    assert answer.context["context"].bizdate == latest_bizdate(clock.now(), cast.tenant.time_zone)


def test_the_page_starts_with_an_example(cast):
    answer = _try(cast)
    assert answer.status_code == 200
    assert all(row["answer"].error is None for row in answer.context["answers"]) and answer.context["answers"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"bizdate": "2025-13-01"}, "bizdate"),
        ({"bizdate": ""}, "bizdate"),
        ({"bizdate": "2025-10-31", "at": "25:00"}, "at"),
        ({"bizdate": "2025-10-31", "task": "x"}, "task"),
        ({"bizdate": "2025-10-31", "task": "5"}, "task"),
        ({"bizdate": "2025-10-31", "text": "x" * 10001}, "text"),
    ],
)
def test_what_cannot_be_tried_is_told_at_its_field(cast, query, field):
    answer = _try(cast, **{"text": "$bizdate", **query})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]


def test_markup_in_expressions_and_values_stays_text(cast):
    page = _try(cast, text="<script>alert(1)</script>$[<b>]", bizdate="2025-10-31").content.decode()
    assert "<script>alert" not in page and "<b>" not in page
