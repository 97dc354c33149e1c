"""SQL nodes on SQLite files: what is executed, and that a script stays in its file."""

import time
from pathlib import Path

import pytest
from django.conf import settings

from opscenter.production.models import Attempt, DataSource, SharedParameter
from tests.engine.graphs import Scene
from tests.engine.runs import execute, sql, sql_output

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(settings, "SQLITE_DIR", tmp_path / "sqlite")
    return tmp_path / "sqlite"


def lite(scene: Scene, file: str = "small.db") -> DataSource:
    return DataSource.objects.create(
        workspace=scene.workspace, environment="Prod", name="small", type="sqlite", settings={"file": file},
        modified_by=scene.user,
    )  # fmt: skip


def test_sqlite_files_are_databases_too(scene: Scene, files: Path) -> None:
    source = lite(scene)
    script = """CREATE TABLE t (n INTEGER, s TEXT, b BLOB);
INSERT INTO t VALUES (1, 'a%s', x'00ff'), (2, NULL, NULL);
CREATE TRIGGER after_t AFTER INSERT ON t BEGIN UPDATE t SET s = 'x' WHERE n = 2; DELETE FROM t WHERE n = 1; END;
-- and look
SELECT * FROM t;
BEGIN; INSERT INTO t VALUES (3, '', NULL); ROLLBACK;
VACUUM;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 3000) SELECT n FROM c"""
    text = sql_output(scene, script, data_source=source.name)
    assert "[opscenter] INSERT, 2 rows, T" in text
    assert "n | s    | b\n--+------+-------\n1 | a%s  | \\x00ff\n2 | NULL | NULL\n[opscenter] SELECT, 2 rows, T" in text
    assert "[opscenter] WITH, 3000 rows (the first 20 are shown), T" in text
    assert (files / scene.tenant.name / scene.workspace.name / "small.db").stat().st_size > 0


def test_shared_parameters_are_put_into_a_script(scene: Scene, files: Path) -> None:
    lite(scene)
    SharedParameter.objects.create(
        tenant=scene.tenant, environment="", name="region", expression="eu-$bizdate", modified_by=scene.user
    )
    text = sql_output(scene, "SELECT '${region}' AS region, '${yyyymmdd-1}' AS day", data_source="small")
    assert "eu-20261120 | 20261119" in text


def test_an_error_of_sqlite_names_its_statement(scene: Scene, files: Path) -> None:
    lite(scene)
    attempt = execute(sql(scene, "SELECT 1;\n\nSELECT x FROM nowhere", data_source="small"))
    assert attempt.reason == {
        "code": "attempt.sql_statement",
        "params": {"name": "small", "number": 2, "line": 3, "error": "no such table: nowhere"},
    }


def test_sqlite_commits_each_statement_and_tells_of_an_open_transaction(scene: Scene, files: Path) -> None:
    lite(scene)
    attempt = execute(
        sql(
            scene, "CREATE TABLE t (n); INSERT INTO t VALUES (1);\nBEGIN; INSERT INTO t VALUES (2)", data_source="small"
        )
    )
    assert attempt.reason == {"code": "attempt.sql_open_transaction", "params": {"name": "small", "line": 2}}
    assert "1\n[opscenter] SELECT, 1 row" in sql_output(scene, "SELECT count(*) FROM t", data_source="small")


DENIED = ("not authorized", "authorization denied")


@pytest.mark.parametrize("statement", ["ATTACH '/etc/passwd' AS x", "ATTACH 'other.db' AS x", "VACUUM INTO 'copy.db'"])
def test_a_sqlite_script_stays_in_its_file(scene: Scene, files: Path, statement: str) -> None:
    lite(scene)
    attempt = execute(sql(scene, f"CREATE TABLE t (n); {statement}", data_source="small"))
    assert attempt.reason is not None and attempt.reason["params"]["error"] in DENIED
    assert [path.name for path in files.rglob("*.db")] == ["small.db"]


def test_a_sqlite_file_outside_of_the_workspaces_folder_is_refused(scene: Scene, files: Path, tmp_path: Path) -> None:
    lite(scene)
    folder = files / scene.tenant.name / scene.workspace.name
    folder.mkdir(parents=True)
    (folder / "small.db").symlink_to(tmp_path / "secret.db")
    attempt = execute(sql(scene, "CREATE TABLE t (n)", data_source="small"))
    assert attempt.state == Attempt.State.FAILURE
    assert not (tmp_path / "secret.db").exists()


def test_a_file_that_is_no_database_is_told(scene: Scene, files: Path) -> None:
    lite(scene)
    folder = files / scene.tenant.name / scene.workspace.name
    folder.mkdir(parents=True)
    (folder / "small.db").write_text("text " * 1000)
    attempt = execute(sql(scene, "SELECT 1", data_source="small"))
    assert attempt.reason is not None
    assert (attempt.reason["code"], attempt.reason["params"]["error"]) == (
        "attempt.sql_connect",
        "file is not a database",
    )


def test_a_long_statement_of_sqlite_ends_with_its_timeout(scene: Scene, files: Path) -> None:
    lite(scene)
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
    began = time.monotonic()
    attempt = execute(sql(scene, endless, data_source="small", timeout=2))
    assert 2 <= time.monotonic() - began < 4
    assert attempt.reason == {"code": "attempt.timeout", "params": {"seconds": 2}}
    assert attempt.exit_code == 143
