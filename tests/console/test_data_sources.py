"""Data sources: added, changed, tested on a real server, deleted; and the password that never comes out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from opscenter.base import secrets
from opscenter.production.models import DataSource
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.console.visits import as_user, url
from tests.engine.warehouse import Warehouse, warehouse

pytestmark = pytest.mark.django_db
FIELDS = {
    "name": "warehouse",
    "host": "db.internal",
    "port": "5432",
    "database": "sales",
    "username": "etl",
    "password": "s3cret-pässword",
    "sslmode": "require",
    "description": "sales figures",
}


@pytest.fixture(scope="module")
def house(django_db_setup: None) -> Iterator[Warehouse]:
    with warehouse() as made:
        yield made


@pytest.fixture
def cast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cast:
    monkeypatch.setattr(settings, "SQLITE_DIR", tmp_path / "sqlite")
    return Cast()


def _add(cast: Cast, env: str = "prod", kind: str = "postgresql", **changed: Any) -> Any:
    fields = FIELDS | changed if kind == "postgresql" else changed
    return as_user(cast.admin).post(url(cast, "data_source_add", env, kind=kind), fields)


def _page(cast: Cast, env: str = "prod", who: str = "visitor") -> str:
    return as_user(getattr(cast, who)).get(url(cast, "data_source_list", env)).content.decode()


def _post(cast: Cast, view: str, source: DataSource, data: Any = None, **headers: Any) -> Any:
    return as_user(cast.admin).post(url(cast, view, pk=source.pk), data or {}, **headers)


def test_one_is_added_encrypted_and_its_password_is_never_shown(cast: Cast) -> None:
    answer = _add(cast)
    assert answer["Location"] == url(cast, "data_source_list")
    source = DataSource.objects.get()
    assert (source.environment, source.type, source.place) == ("Prod", "postgresql", "etl@db.internal:5432/sales")
    assert FIELDS["password"] not in source.password and secrets.decrypt(source.password) == FIELDS["password"]
    page = _page(cast)
    assert "etl@db.internal:5432/sales" in page and "sales figures" in page
    form = as_user(cast.admin).get(url(cast, "data_source_edit", pk=source.pk)).content.decode()
    assert 'value="db.internal"' in form and 'name="name"' not in form
    entry = AuditEntry.objects.get(action="data_source.create")
    assert (entry.object_name, entry.params) == ("warehouse", {"environment": "Prod", "place": source.place})
    for text in (page, form, str(entry.params), _page(cast, who="owner")):
        assert FIELDS["password"] not in text and source.password not in text


def test_each_environment_has_its_own(cast: Cast) -> None:
    _add(cast, host="prod.internal")
    _add(cast, "dev", host="dev.internal")
    assert "prod.internal" in _page(cast) and "dev.internal" not in _page(cast)
    assert "dev.internal" in _page(cast, "dev")
    in_dev = DataSource.objects.get(environment="Dev")
    assert as_user(cast.admin).get(url(cast, "data_source_edit", "prod", pk=in_dev.pk)).status_code == 404
    assert as_user(Cast("rival-co").owner).get(url(cast, "data_source_edit", "dev", pk=in_dev.pk)).status_code == 404


WRONG = [
    ({"name": "1a"}, "name"),
    ({"name": "a b"}, "name"),
    ({"name": "x" * 129}, "name"),
    ({"host": "a,b"}, "host"),
    ({"host": "db internal"}, "host"),
    ({"host": "db' password='x"}, "host"),
    ({"host": ""}, "host"),
    ({"port": "0"}, "port"),
    ({"port": "65536"}, "port"),
    ({"port": "5432 "}, None),
    ({"database": "a\nb"}, "database"),
    ({"username": ""}, "username"),
    ({"username": "x" * 64}, "username"),
    ({"password": "x" * 1001}, "password"),
    ({"password": "a\0b"}, "password"),
    ({"sslmode": "allow"}, "sslmode"),
]


@pytest.mark.parametrize(("changed", "field"), WRONG, ids=[str(row[0])[:40] for row in WRONG])
def test_what_cannot_be_is_told_at_its_field(cast: Cast, changed: dict[str, str], field: str | None) -> None:
    answer = _add(cast, **changed)
    assert answer.status_code == (422 if field else 302)
    assert DataSource.objects.exists() is (field is None)
    if field:
        assert list(answer.context["form"].errors) == [field]
        assert FIELDS["password"] not in answer.content.decode()


def test_a_name_is_taken_once_an_environment(cast: Cast) -> None:
    _add(cast)
    answer = _add(cast)
    assert list(answer.context["form"].errors) == ["name"]
    assert _add(cast, "dev").status_code == 302


def test_opscenters_own_database_is_refused_when_it_is_entered(cast: Cast) -> None:
    own = settings.DATABASES["default"]
    answer = _add(cast, host=own["HOST"], port=own.get("PORT") or "5432", database=connection.settings_dict["NAME"])
    assert list(answer.context["form"].errors) == ["host"]
    assert "own database" in answer.content.decode()


@pytest.mark.parametrize("file", ["../x.db", "/etc/passwd", "a/b.db", ".hidden", "", "x\0y", "-x"])
def test_a_sqlite_file_is_a_name_alone(cast: Cast, file: str) -> None:
    assert _add(cast, kind="sqlite", name="small", file=file).status_code == 422
    assert not DataSource.objects.exists()


def test_the_stored_password_is_kept_but_not_sent_elsewhere(cast: Cast) -> None:
    _add(cast)
    source = DataSource.objects.get()
    kept = source.password
    fields = {name: value for name, value in FIELDS.items() if name != "name"} | {"password": ""}
    assert _post(cast, "data_source_edit", source, fields | {"database": "other"}).status_code == 302
    source.refresh_from_db()
    assert (source.password, source.settings["database"]) == (kept, "other")
    assert AuditEntry.objects.get(action="data_source.update").params["changed"] == ["database"]
    for elsewhere in ({"host": "evil.example.com"}, {"port": "5433"}, {"username": "postgres"}):
        answer = _post(cast, "data_source_edit", source, fields | elsewhere)
        assert list(answer.context["form"].errors) == ["password"], elsewhere
    answer = _post(cast, "data_source_edit", source, fields | {"host": "new.internal", "password": "new"})
    assert answer.status_code == 302
    source.refresh_from_db()
    assert (secrets.decrypt(source.password), source.settings["host"]) == ("new", "new.internal")
    assert "new" not in AuditEntry.objects.latest("pk").params["changed"]


def test_saving_without_a_change_leaves_no_trace(cast: Cast) -> None:
    _add(cast)
    source = DataSource.objects.get()
    fields = {name: value for name, value in FIELDS.items() if name != "name"} | {"password": "", "database": "sales"}
    assert _post(cast, "data_source_edit", source, fields).status_code == 302
    assert not AuditEntry.objects.filter(action="data_source.update").exists()


def test_a_connection_is_tested_on_the_real_server(cast: Cast, house: Warehouse) -> None:
    source = house.source(cast.workspace, cast.admin)
    answer = _post(cast, "data_source_test", source, headers={"HX-Request": "true"})
    text = answer.content.decode()
    assert answer.status_code == 200 and "warehouse answers: PostgreSQL 1" in text and "<html" not in text
    assert _post(cast, "data_source_test", source)["Location"] == url(cast, "data_source_list")
    assert [entry.params["answered"] for entry in AuditEntry.objects.filter(action="data_source.test")] == [True, True]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"host": "127.0.0.1", "port": 1}, "Connection refused"),
        ({"host": "no-such-host.invalid"}, "cannot be connected to"),
        ({"database": "no_such_database"}, "no_such_database"),
        ({"database": "postgres", "username": ""}, "own database"),
    ],
)
def test_a_connection_that_fails_says_why(cast: Cast, house: Warehouse, changed: dict[str, Any], told: str) -> None:
    if changed.get("username") == "":
        changed = changed | {"username": settings.DATABASES["default"]["USER"]}
    source = house.source(cast.workspace, cast.admin, **changed)
    answer = _post(cast, "data_source_test", source)
    assert answer.status_code == 409
    assert told in answer.content.decode() and house.password not in answer.content.decode()
    assert AuditEntry.objects.get(action="data_source.test").params["answered"] is False


def test_a_password_whose_key_is_gone_is_told(cast: Cast, house: Warehouse) -> None:
    source = house.source(cast.workspace, cast.admin)
    DataSource.objects.update(password="not-a-token")
    answer = _post(cast, "data_source_test", source)
    assert answer.status_code == 409 and "Enter it again" in answer.content.decode()


def test_a_sqlite_file_is_tested_too(cast: Cast) -> None:
    _add(cast, kind="sqlite", name="small", file="small.db")
    source = DataSource.objects.get()
    assert "SQLite 3" in _post(cast, "data_source_test", source, headers={"HX-Request": "true"}).content.decode()
    assert (
        "sqlite/acme/acme_daily"
        in as_user(cast.admin).get(url(cast, "data_source_edit", pk=source.pk)).content.decode()
    )


def test_what_tasks_run_on_cannot_be_deleted(cast: Cast) -> None:
    _add(cast)
    source = DataSource.objects.get()
    task = cast.task("loads_orders", "sql", version={"data_source": "warehouse"})
    cast.task("in_dev", "sql", environment="Dev", version={"data_source": "warehouse"})
    cast.task("offline", "sql", status="Offline", version={"data_source": "warehouse"})
    page = _page(cast, who="admin")
    assert "Tasks run on “warehouse”: loads_orders." in page
    assert url(cast, "data_source_delete", pk=source.pk) not in page, "the button is disabled and says why"
    answer = _post(cast, "data_source_delete", source)
    assert answer.status_code == 409 and "loads_orders" in answer.content.decode()
    cast.version(task, data_source="other")
    assert _post(cast, "data_source_delete", source).status_code == 302
    assert not DataSource.objects.exists()


def test_the_task_page_names_the_data_source(cast: Cast) -> None:
    task = cast.task("loads_orders", "sql", version={"data_source": "warehouse"})
    page = as_user(cast.visitor).get(url(cast, "task", number=task.number)).content.decode()
    assert ">warehouse</a>" in page
    other = cast.task("shell")
    page = as_user(cast.visitor).get(url(cast, "task", number=other.number)).content.decode()
    assert "<dt>Data source</dt>" not in page and "<dt>Type</dt>" in page


def test_who_may_not_manage_them_sees_why(cast: Cast) -> None:
    _add(cast)
    for who in ("developer", "operator", "visitor"):
        page = _page(cast, who=who)
        assert page.count("data_source.manage") == 5, "two to add, three of the row"
        source = DataSource.objects.get()
        for view in ("data_source_edit", "data_source_test", "data_source_delete"):
            answer = as_user(getattr(cast, who)).post(url(cast, view, pk=source.pk))
            assert answer.status_code == 403


def test_the_list_asks_the_same_number_of_questions_however_long_it_is(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        _add(cast, name=f"source{number}")
        cast.task(f"task{number}", "sql", version={"data_source": f"source{number}"})
    client = as_user(cast.visitor)
    client.get(url(cast, "data_source_list"))
    with django_assert_max_num_queries(9):
        client.get(url(cast, "data_source_list"))


def test_markup_in_a_description_stays_text(cast: Cast) -> None:
    _add(cast, description="<img src=x onerror=alert(1)>")
    assert "<img" not in _page(cast)
