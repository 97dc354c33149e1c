"""A backfill on other data sources: who uses which, what is refused, and what really runs where."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from opscenter.base.reasons import Invalid, Refused
from opscenter.production.models import Attempt, Backfill, DataSource, Task
from opscenter.production.selectors import log_text
from opscenter.workspaces.models import Member, Workspace
from tests.console.test_backfills import asked as fields
from tests.console.test_backfills import confirm, preview
from tests.console.visits import as_user, url
from tests.engine.runs import execute
from tests.openapi.test_backfills import call, create
from tests.openapi.wire import V2020, V2024, Wire
from tests.operations.backfilling import asked, backfill, instances
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db
SWAP = {"old": "new"}


def source(cast: Guarded, name: str, kind: str = "sqlite", **given: Any) -> DataSource:
    values = {"workspace": cast.workspace, "environment": "Prod", "modified_by": cast.admin} | given
    return DataSource.objects.create(name=name, type=kind, settings={"file": f"{name}.db"}, **values)


def sql_task(cast: Guarded, name: str = "load", **given: Any) -> Task:
    return cast.task(name, "sql", content="CREATE TABLE t (n INTEGER)", version={"data_source": "old"}, **given)


def test_its_sql_tasks_run_on_the_other_one(cast: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "SQLITE_DIR", tmp_path)
    source(cast, "old"), source(cast, "new")
    job = backfill(cast, sql_task(cast), data_sources=SWAP)
    (instance,) = instances(job)
    attempt = execute(instance)
    assert attempt.state == Attempt.State.SUCCESS, log_text(attempt)
    assert "Data source new: new.db" in log_text(attempt)
    assert [path.name for path in tmp_path.rglob("*.db")] == ["new.db"]
    assert instance.data_source == "new"
    for face, page in (
        ("console", as_user(cast.operator).get(url(cast, "instance", pk=instance.pk)).content.decode()),
        ("job", as_user(cast.operator).get(url(cast, "backfill", pk=job.pk)).content.decode()),
    ):
        assert "<dd>new</dd>" in page if face == "console" else "<dd>old → new</dd>" in page
    wire = Wire(cast.operator)
    assert wire.call("GetTaskInstance", Id=instance.pk)["TaskInstance"]["DataSource"] == {"Name": "new"}
    older = wire.call("GetInstance", V2020, InstanceId=instance.pk, ProjectEnv="PROD")["Data"]
    assert older["Connection"] == "new"


def test_others_stay_where_they_are(cast: Guarded) -> None:
    source(cast, "old"), source(cast, "new")
    job = backfill(cast, sql_task(cast), data_sources={"else": "new"})
    assert instances(job)[0].data_source == "old"
    assert backfill(cast, cast.task("shell"), data_sources={"old": "nowhere"}).instances == 1


@pytest.mark.parametrize("kind", [None, "postgresql"])
def test_one_that_is_not_there_or_of_another_type_is_refused(cast: Guarded, kind: str | None) -> None:
    source(cast, "old"), source(cast, "new", environment="Dev")
    if kind:
        source(cast, "new", kind)
    code = "other_data_source" if kind else "no_data_source"
    with pytest.raises(Refused) as refused:
        asked(cast, sql_task(cast), data_sources=SWAP)
    assert refused.value.reason.code == f"backfill.{code}"
    assert not Backfill.objects.exists()


def test_every_workspace_must_have_it(cast: Guarded) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=elsewhere, user=cast.operator, roles=["role_project_pe"])
    source(cast, "old"), source(cast, "new"), source(cast, "old", workspace=elsewhere)
    here, there = sql_task(cast), sql_task(cast, "far", workspace=elsewhere)
    with pytest.raises(Refused) as refused:
        asked(cast, here, there, data_sources=SWAP)
    assert refused.value.reason.params["workspace"] == "elsewhere"


@pytest.mark.parametrize("given", [{"": "new"}, {"old": ""}, {f"a{n}": "b" for n in range(101)}])
def test_names_must_be_names(cast: Guarded, given: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        asked(cast, sql_task(cast), data_sources=given)
    assert refused.value.reason.code == "backfill.data_sources"


def test_the_dialog_asks_for_them_and_asking_again_brings_them_back(cast: Guarded) -> None:
    source(cast, "old"), source(cast, "new")
    task, client = sql_task(cast), as_user(cast.operator)
    wrong = html.unescape(preview(cast, client, fields(task, data_sources="old"), status=422))
    assert "Data sources are given as old=new" in wrong
    assert "has no data source “gone”" in html.unescape(preview(cast, client, fields(task, data_sources="old=gone")))
    confirm(cast, client, preview(cast, client, fields(task, data_sources="old = new, a=b")))
    job = Backfill.objects.get()
    assert job.request["data_sources"] == {"old": "new", "a": "b"}
    again = client.get(url(cast, "backfill_new"), {"like": job.pk}).content.decode()
    assert re.search(r'name="data_sources" value="a=b, old=new"', again)


def test_by_api(cast: Guarded) -> None:
    source(cast, "old"), source(cast, "new")
    task, wire = sql_task(cast), Wire(cast.operator)
    found, job = create(wire, **call(cast, task, DataSourceNameMappings=SWAP))
    assert found["Status"] == "Created"
    assert {one.data_source for one in instances(job)} == {"new"}
    refused = wire.try_call(
        "CreateWorkflowInstances", V2024, **call(cast, task, DataSourceNameMappings={"old": "gone"})
    )
    assert refused.status == 409
    assert "no data source “gone”" in refused.body["Message"]
    for wrong in (["old"], {"old": 1}):
        answer = wire.try_call("CreateWorkflowInstances", V2024, **call(cast, task, DataSourceNameMappings=wrong))
        assert answer.code == "InvalidDefaultRunProperties.DataSourceNameMappings"
